"""What other packages' intervals and tests do on the scenarios and data of interval_coverage.py.

Cells are like those of interval_coverage.cc: exact sums over counts where the package's answer is a
function of them (`simulations` 0), else the first data sets that the program wrote. Bootstraps
resample 1000 or 2000 times (theirs are 5000 to 9999), for the sake of time.

Needs tools/requirements-studies.txt. Nothing of Mirage is computed here.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import deltagate
import evalci
import evalsig
import numpy as np
from evalsig.inference.cluster_bootstrap import cluster_bootstrap_ci
from evalsig.inference.mcnemar import mcnemar_test
from evalsig.inference.paired import paired_bootstrap_ci
from evalsig.inference.unpaired import unpaired_bootstrap
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

PACKAGES = ("scipy", "statsmodels", "evalci", "deltagate", "evalsig")
LEVEL = 0.95
SLACK = 1e-12
NEGLIGIBLE = 1e-10
PEEKING_FROM = 30  # evalsig's min_n
RESAMPLES = 1000
SHARE_RESAMPLES = 2000
SLOW_SETS = 300

Array = np.ndarray[Any, np.dtype[Any]]
Cell = dict[str, Any]
Interval = tuple[float, float]


def versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


# Sums over counts


def likely(n: int, share: float) -> tuple[Array, Array]:
    """Counts of n whose probability is not negligible, and these probabilities."""
    counts = np.arange(n + 1)
    weights = stats.binom.pmf(counts, n, share)
    kept = weights >= NEGLIGIBLE
    return counts[kept], weights[kept]


def cell(row: Cell, method: str, lower: Any, upper: Any, truth: float, weights: Any) -> Cell:
    """Ends that are NaN are no interval."""
    lower, upper, weights = (np.asarray(x, dtype=float) for x in (lower, upper, weights))
    given = np.isfinite(lower) & np.isfinite(upper)
    held = given & (lower - SLACK <= truth) & (truth <= upper + SLACK)
    total = weights[given].sum()
    return row | {
        "method": method,
        "coverage": float(weights[held].sum()),
        "width": float((weights * (upper - lower))[given].sum() / total) if total > 0 else None,
        "none": float(weights[~given].sum()),
        "simulations": 0,
        "error": 0.0,
    }


def simulated(row: Cell, method: str, intervals: Sequence[Interval], truth: float) -> Cell:
    ends = np.array(intervals, dtype=float)
    n = len(ends)
    out = cell(row, method, ends[:, 0], ends[:, 1], truth, np.full(n, 1 / n))
    share = min(out["coverage"], 1.0)
    return out | {"simulations": n, "error": math.sqrt(share * (1 - share) / n)}


def rejected(row: Cell, method: str, share: float, simulations: int) -> Cell:
    error = math.sqrt(share * (1 - share) / simulations) if simulations else 0.0
    return row | {
        "method": method,
        "rejected": share,
        "simulations": simulations,
        "error": error,
    }


# Shares


def column(k: int, n: int) -> Array:
    scores = np.zeros(n)
    scores[:k] = 1
    return scores


def normal_of_mean(scores: Array) -> Interval:
    """deltagate's interval of a mean: that of the difference from nothing."""
    answer = deltagate.paired_delta(scores, np.zeros(len(scores)))
    return answer["lower"], answer["upper"]


def evalci_bootstrap(scores: Array, resamples: int) -> Interval:
    answer = evalci.ci(scores, method="bootstrap", n_resamples=resamples, random_state=1)
    return answer.lower, answer.upper


def deltagate_bootstrap(scores: Array, resamples: int) -> Interval:
    answer = deltagate.bootstrap_ci(scores, n_boot=resamples, seed=1)
    return answer["lower"], answer["upper"]


STATSMODELS = {
    f"statsmodels_{name}": name
    for name in ("normal", "jeffreys", "agresti_coull", "wilson", "beta")
}


def scipy_interval(scores: Array, method: str) -> Interval:
    result = stats.binomtest(int(scores.sum()), len(scores))
    answer = result.proportion_ci(LEVEL, method=method)
    return float(answer.low), float(answer.high)


def evalci_interval(scores: Array, method: str) -> Interval:
    answer = evalci.ci(scores, method=method)
    return answer.lower, answer.upper


MEANS: dict[str, Callable[[Array], Interval]] = {
    "scipy_wilson": partial(scipy_interval, method="wilson"),
    "scipy_exact": partial(scipy_interval, method="exact"),
    "evalci_wilson": partial(evalci_interval, method="wilson"),
    "evalci_clopper_pearson": partial(evalci_interval, method="clopper-pearson"),
    "deltagate_normal": normal_of_mean,
    "evalci_bootstrap": partial(evalci_bootstrap, resamples=SHARE_RESAMPLES),
    "deltagate_bootstrap": partial(deltagate_bootstrap, resamples=SHARE_RESAMPLES),
}


def share_cells(task: tuple[int, Sequence[float], str]) -> list[Cell]:
    n, shares, method = task
    lower, upper = np.full(n + 1, np.nan), np.full(n + 1, np.nan)
    if method in STATSMODELS:
        lower, upper = proportion_confint(np.arange(n + 1), n, method=STATSMODELS[method])
    else:
        for k in sorted({int(k) for share in shares for k in likely(n, share)[0]}):
            lower[k], upper[k] = MEANS[method](column(k, n))
    out = []
    for share in shares:
        counts, weights = likely(n, share)
        row = {"table": "shares", "n": n, "p": share}
        one = cell(row, method, lower[counts], upper[counts], share, weights)
        # One seed: the interval itself is random.
        out.append(one | ({"seeds": 1} if "bootstrap" in method else {}))
    return out


def worst(lower: Array, upper: Array) -> tuple[float, float]:
    """The least coverage of all shares and the share, as Worst() of interval_coverage.cc."""
    n = len(lower) - 1
    ends = [(share, True) for share in lower] + [(share, False) for share in upper]
    least = (1.0, 0.0)
    for share, below in ends:
        if not 0 < share < 1:
            continue
        held = (lower < share) & (share <= upper) if below else (lower <= share) & (share < upper)
        least = min(least, (float(stats.binom.pmf(np.flatnonzero(held), n, share).sum()), share))
    return least


def rule_cells(task: tuple[Sequence[int], int, int, str]) -> list[Cell]:
    sizes, least_n, most_n, method = task
    out = []
    for n in sizes:
        lower, upper = proportion_confint(np.arange(n + 1), n, method=STATSMODELS[method])
        lower, upper = np.clip(lower, 0, 1), np.clip(upper, 0, 1)
        coverage, share = worst(lower, upper)
        k = np.arange(n + 1)
        average = stats.beta.cdf(upper, k + 1, n - k + 1) - stats.beta.cdf(lower, k + 1, n - k + 1)
        out.append(
            {
                "table": "rules",
                "n": n,
                "method": method,
                "worst": coverage,
                "worst_share": min(share, 1 - share),
                "average": float(average.mean()),
                "width": float((upper - lower).mean()),
            }
        )
    found = []
    for n in range(least_n, most_n + 1):
        lower, upper = proportion_confint(np.arange(n + 1), n, method=STATSMODELS[method])
        found.append((*worst(np.clip(lower, 0, 1), np.clip(upper, 0, 1)), n))
    coverage, share, n = min(found)
    names = {"least_n": least_n, "most_n": most_n, "method": method}
    row = {"worst": coverage, "worst_share": min(share, 1 - share), "worst_n": n}
    return [*out, {"table": "any_n"} | names | row]


# Differences


def unpaired_exact(task: tuple[Cell, None]) -> list[Cell]:
    row = task[0]
    n, share, difference = row["n"], row["p"], row["difference"]
    first, first_weights = likely(n, share + difference)
    second, second_weights = likely(n, share)
    weights = np.outer(first_weights, second_weights)
    out = []
    for name in ("newcomb", "agresti-caffo", "wald"):
        lower, upper = confint_proportions_2indep(
            first[:, None], n, second[None, :], n, method=name, compare="diff"
        )
        out.append(cell(row, f"statsmodels_{name}", lower, upper, difference, weights))
    return out


def unpaired_sets(task: tuple[Cell, list[Cell]]) -> list[Cell]:
    row, sets = task
    n = row["n"]
    found = []
    for one in sets[:SLOW_SETS]:
        first, second = (column(k, n) for k in one["counts"])
        answer = unpaired_bootstrap(second, first, n_resamples=RESAMPLES, rng=1)
        found.append(answer.ci)
    return [simulated(row, "evalsig_bootstrap", found, row["difference"])]


def pair_of(counts: Sequence[int]) -> tuple[Array, Array]:
    both, only_first, only_second, _ = counts
    n = sum(counts)
    first, second = column(both + only_first, n), column(both, n)
    second[both + only_first : both + only_first + only_second] = 1
    return first, second


def probabilities(row: Cell, correlation: float) -> tuple[float, float]:
    """That only the first, only the second has an item right."""
    second = row["p"]
    first = second + row["difference"]
    spread = math.sqrt(first * (1 - first) * second * (1 - second))
    both = min(first * second + correlation * spread, first, second)
    return first - both, second - both


def discordant(n: int, only_first: float, only_second: float) -> Iterator[tuple[int, int, float]]:
    """Numbers of items that only one has right, and their probability."""
    differ = only_first + only_second
    counts, weights = likely(n, differ)
    for d, weight in zip(counts.tolist(), weights.tolist(), strict=True):
        firsts, first_weights = likely(d, only_first / differ if differ else 0.0)
        for f, first_weight in zip(firsts.tolist(), first_weights.tolist(), strict=True):
            if weight * first_weight >= NEGLIGIBLE:
                yield f, d - f, weight * first_weight


def paired_exact(task: tuple[Cell, float]) -> list[Cell]:
    row, correlation = task
    n = row["n"]
    found: dict[str, list[Interval]] = defaultdict(list)
    weights = []
    for f, g, weight in discordant(n, *probabilities(row, correlation)):
        first, second = pair_of((0, f, g, n - f - g))
        weights.append(weight)
        answer = deltagate.paired_delta(first, second)
        found["deltagate_paired_delta"].append((answer["lower"], answer["upper"]))
        found["evalsig_mcnemar"].append(mcnemar_test(second, first).ci)
    return [
        cell(row, name, *np.array(ends).T, row["difference"], weights)
        for name, ends in found.items()
    ]


def paired_sets(task: tuple[Cell, list[Cell]]) -> list[Cell]:
    row, sets = task
    found = []
    for one in sets[:SLOW_SETS]:
        first, second = pair_of(one["counts"])
        answer = paired_bootstrap_ci(second, first, n_resamples=RESAMPLES, rng=1)
        found.append(answer.ci)
    return [simulated(row, "evalsig_bootstrap", found, row["difference"])]


# Looking always


@cache
def sequence_ends(n: int, k: int) -> Interval:
    return evalsig.confidence_sequence(column(k, n)).ci


def peeking_cells(task: tuple[float, Sequence[int]]) -> list[Cell]:
    """Paths of the number of successes that never left the interval, count by count."""
    share, sizes = task
    alive = np.ones(1)
    out = []
    for n in range(1, max(sizes) + 1):
        alive = np.append(alive * (1 - share), 0) + np.append(0, alive * share)
        if n >= PEEKING_FROM:
            for k in np.flatnonzero(alive >= NEGLIGIBLE).tolist():
                lower, upper = sequence_ends(n, k)
                if not lower - SLACK <= share <= upper + SLACK:
                    alive[k] = 0
        if n not in sizes:
            continue
        row = {"table": "peeking", "n": n, "p": share}
        counts, weights = likely(n, share)
        ends = [sequence_ends(n, k) if n >= PEEKING_FROM else (-np.inf, np.inf) for k in counts]
        one = cell(row, "evalsig_confidence_sequence", *np.array(ends).T, share, weights)
        out.append(one | {"coverage": float(alive.sum())})
    return out


# Continuous scores, clusters, tests


def skewed_sets(task: tuple[Cell, list[Cell]]) -> list[Cell]:
    row, sets = task
    methods: dict[str, tuple[int, Callable[[Array], Interval]]] = {
        "deltagate_normal": (len(sets), normal_of_mean),
        "evalci_bootstrap": (SLOW_SETS, partial(evalci_bootstrap, resamples=RESAMPLES)),
        "deltagate_bootstrap": (SLOW_SETS, partial(deltagate_bootstrap, resamples=RESAMPLES)),
    }
    out = []
    for name, (number, method) in methods.items():
        found = [method(np.array(one["values"])) for one in sets[:number]]
        out.append(simulated(row, name, found, sets[0]["mean"]))
    return out


def clustered_sets(task: tuple[Cell, list[Cell]]) -> list[Cell]:
    row, sets = task
    found: dict[str, list[Interval]] = defaultdict(list)
    for i, one in enumerate(sets):
        scores, labels = np.array(one["values"]), np.array(one["labels"])
        nothing = np.zeros(len(scores))
        answer = deltagate.paired_delta(scores, nothing, clusters=labels)
        found["deltagate_clustered"].append((answer["lower"], answer["upper"]))
        if i >= SLOW_SETS:
            continue
        interval = evalci.cluster_ci(scores, labels, n_resamples=RESAMPLES, random_state=1)
        found["evalci_cluster"].append((interval.lower, interval.upper))
        outcome = cluster_bootstrap_ci(nothing, scores, labels, n_resamples=RESAMPLES, rng=1)
        found["evalsig_cluster"].append(outcome.ci)
    return [simulated(row, name, ends, sets[0]["mean"]) for name, ends in found.items()]


@cache
def mcnemar_p(f: int, g: int) -> tuple[float, float]:
    first, second = pair_of((0, f, g, 1))
    theirs = evalci.compare(first, second, method="mcnemar", n_resamples=1, random_state=1)
    return mcnemar_test(second, first).p_value, theirs.p_value


def binary_tests(task: tuple[Cell, None]) -> list[Cell]:
    row = task[0]
    n, differs, better = row["n"], row["differs"], row["first_better"]
    share: dict[str, float] = defaultdict(float)
    for f, g, weight in discordant(n, differs * better, differs * (1 - better)):
        first, second = pair_of((0, f, g, n - f - g))
        sig, ci = mcnemar_p(f, g)
        answers = {
            "deltagate_paired_delta": deltagate.paired_delta(first, second)["p_value"],
            "evalsig_mcnemar": sig,
            "evalci_mcnemar": ci,
        }
        for name, p in answers.items():
            share[name] += weight * (p <= 1 - LEVEL)
    return [rejected(row, name, value, 0) for name, value in share.items()]


def continuous_tests(task: tuple[Cell, list[Cell]]) -> list[Cell]:
    row, sets = task
    hits: dict[str, list[bool]] = defaultdict(list)
    for i, one in enumerate(sets):
        values = np.array(one["values"])
        nothing = np.zeros(len(values))
        p = {"deltagate_paired_delta": deltagate.paired_delta(values, nothing)["p_value"]}
        if i < SLOW_SETS:
            outcome = paired_bootstrap_ci(nothing, values, n_resamples=RESAMPLES, rng=1)
            p["evalsig_bootstrap"] = outcome.p_value
            result = evalci.compare(values, nothing, n_resamples=RESAMPLES, random_state=1)
            p["evalci_permutation"] = result.p_value
        for name, value in p.items():
            hits[name].append(value <= 1 - LEVEL)
    return [rejected(row, name, sum(x) / len(x), len(x)) for name, x in hits.items()]


# All of it


def read_sets(path: Path) -> list[tuple[Cell, list[Cell]]]:
    """The data sets of each scenario, with what names it."""
    groups: dict[str, list[Cell]] = defaultdict(list)
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            one = json.loads(line)
            names = {k: v for k, v in one.items() if k not in ("counts", "values", "labels")}
            names.pop("mean", None)
            groups[json.dumps(names)].append(one)
    return [(json.loads(names), sets) for names, sets in groups.items()]


def work(job: tuple[Callable[[Any], list[Cell]], Any]) -> list[Cell]:
    # Samples without spread make their divisions warn; what comes out is judged all the same.
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        return job[0](job[1])


def cells(answer: dict[str, Any], data: Path, processes: int) -> list[Cell]:
    """The peers' cells for the scenarios of the program's answer and its data sets."""
    ours = answer["cells"]
    sizes = sorted({c["n"] for c in ours if c["table"] == "shares"})
    shares = sorted({c["p"] for c in ours if c["table"] == "shares"})
    spans = [(c["least_n"], c["most_n"]) for c in ours if c["table"] == "any_n"]
    jobs: list[tuple[Callable[[Any], list[Cell]], Any]] = []

    def rows(table: str, names: Iterable[str]) -> list[Cell]:
        found = {tuple(c[k] for k in names): None for c in ours if c["table"] == table}
        return [{"table": table} | dict(zip(names, key, strict=True)) for key in found]

    differences = ("n", "p", "difference")
    for n in reversed(sizes):
        jobs += [(share_cells, (n, shares, method)) for method in (*STATSMODELS, *MEANS)]
    for method in ("statsmodels_jeffreys", "statsmodels_agresti_coull"):
        jobs.append((rule_cells, (sizes, *spans[0], method)))
    jobs += [(unpaired_exact, (row, None)) for row in rows("unpaired", differences)]
    for row in rows("paired", differences):
        jobs.append((paired_exact, (row, answer["correlation"])))
    for row in rows("binary_tests", ("n", "differs", "first_better")):
        jobs.append((binary_tests, (row, None)))
    jobs += [(peeking_cells, (share, sizes)) for share in shares]
    for name, judge in (
        ("unpaired", unpaired_sets),
        ("paired", paired_sets),
        ("skewed", skewed_sets),
        ("clustered", clustered_sets),
        ("differences", continuous_tests),
    ):
        jobs += [(judge, task) for task in read_sets(data / f"{name}.jsonl")]
    with multiprocessing.Pool(processes) as pool:
        return [c for found in pool.imap(work, jobs, chunksize=1) for c in found]
