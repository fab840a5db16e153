#!/usr/bin/env python3
"""Times statistics and text metrics against the Python packages that compute them, in turn.

    bazel build //metrics/stats:stats_benchmark //metrics/kernels:text_metrics_benchmark
    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -r tools/requirements-studies.txt
    statistics_vs_peers.py --peers-python /tmp/peers/bin/python          some minutes
    statistics_vs_peers.py --peers-python /tmp/peers/bin/python --quick  some seconds, small data

The data are the same, and both are measured in turn (A B A B), each peer in a process of its own;
imports are not timed. Times are CPU seconds of all threads and processes, so that neighbours move
them little, and Mirage's are those of one thread; the wall time of two threads stands beside them.
Figures are medians with the spread of the repetitions ((largest - smallest) / median); a peer that
takes a minute runs once and has no spread. A peer that would need more than half of the free
memory does its resamples in several calls.

The values are compared: means to 1e-12, intervals by formulas and the text metrics to 1e-10 and
1e-9, what is resampled within six Monte Carlo errors. A wrong value exits 1; timings never fail. A
peer that cannot run is named with the reason. lm-eval may live elsewhere: --lm-eval-python.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
STATS = "metrics/stats/stats_benchmark"
TEXT = "metrics/kernels/text_metrics_benchmark"
RESAMPLES = 10_000
LEVEL = 0.95
# A peer that takes longer is measured once.
ONCE_SECONDS = 5
# Six standard errors of the difference of two BCa ends, in standard errors of the statistic: with
# 5000 and 10 000 resamples an end has 0.053 and 0.037.
ENDS_TOLERANCE = 0.4
# Of two bootstrap standard errors: each has 1 / sqrt(2 * 10 000).
STANDARD_ERROR_TOLERANCE = 0.06
# k and n of the intervals that are compared; the benchmark has the same.
SHARES = ((0, 20), (7, 20), (250, 1000), (999, 1000), (50_000, 100_000), (99_000, 100_000))
TEXT_METRICS = ("Bleu", "Chrf", "ChrfPlusPlus", "Rouge", "RougeStemmed")

Values = dict[str, float]


class CannotRunError(Exception):
    """Why a peer was not measured."""


@dataclass
class Measurement:
    """One run: CPU and wall seconds of one item, and what came out."""

    cpu: float
    wall: float
    values: Values
    note: str = ""


# What the benchmarks of Mirage are given, made again: splitmix64.


def uniforms(seed: int, count: int) -> Any:
    import numpy as np

    z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def make_scores(n: int, binary: bool) -> tuple[Any, Any]:
    import numpy as np

    u, v, w = uniforms(n, 3 * n).reshape(n, 3).T
    first = (u < 0.7).astype(float) if binary else u * u
    if binary:
        return first, np.where(w < 0.75, first, (v < 0.7).astype(float))
    return first, (first + v * v) / 2


def random_integers(seed: int) -> Iterator[int]:
    state = seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        yield z ^ (z >> 31)


def make_texts(n_words: int) -> list[tuple[str, str]]:
    numbers = random_integers(n_words)

    def below(bound: int) -> int:
        return next(numbers) % bound

    words = ["".join(chr(97 + below(26)) for _ in range(2 + below(8))) for _ in range(2000)]
    pairs = []
    for _ in range(64):
        hypothesis, reference = "", ""
        for _ in range(n_words):
            word = words[below(2000)]
            kind = below(8)
            end = ", " if below(10) == 0 else ". " if below(15) == 0 else " "
            hypothesis += word + end if kind != 0 else ""
            reference += word + end if kind != 1 else ""
        pairs.append((hypothesis, reference))
    return pairs


# The peers. Each returns what came out of it, and how many items that was.


def calls_for(total_bytes: float) -> int:
    """In how many calls to do what one call would need so much memory for."""
    about = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    room = int(about["MemAvailable"].split()[0]) * 1024 / 2
    return next(calls for calls in (1, 2, 5, 10, 20, 50, 100) if total_bytes / calls <= room)


def timed(run: Callable[[], Values], items: int = 1, note: str = "") -> Measurement:
    def cpu() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    cpu_began, wall_began = cpu(), time.perf_counter()
    values = run()
    wall, used = time.perf_counter() - wall_began, cpu() - cpu_began
    return Measurement(used / items, wall / items, values, note)


def scipy_bca(data: Any) -> tuple[Any, float]:
    import numpy as np
    import scipy.stats

    found = scipy.stats.bootstrap(
        (data,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="BCa",
        # As much at a time as stays in the cache: it is fastest so.
        batch=max(1, 2_000_000 // len(data)),
        rng=np.random.default_rng(1),
    )
    return found.confidence_interval, float(found.standard_error)


def scipy_bca_mean(n: int) -> Measurement:
    data, _ = make_scores(n, False)

    def run() -> Values:
        ends, error = scipy_bca(data)
        estimate = float(data.mean())
        return {
            "estimate": estimate,
            "lower": ends.low,
            "upper": ends.high,
            "standard_error": error,
        }

    return timed(run)


def deltagate_bca_mean(n: int) -> Measurement:
    import deltagate

    data, _ = make_scores(n, False)
    n_boot = RESAMPLES // calls_for(8 * n * RESAMPLES)

    def run() -> Values:
        found = deltagate.bootstrap_ci(data, level=LEVEL, n_boot=n_boot)
        return {name: found[name] for name in ("estimate", "lower", "upper")}

    return timed(run, note="" if n_boot == RESAMPLES else f"of {n_boot} resamples")


def lm_eval_bootstrap(n: int) -> Measurement:
    from lm_eval.api.metrics import bootstrap_stderr, mean

    data = make_scores(n, False)[0].tolist()
    return timed(
        lambda: {"standard_error": float(bootstrap_stderr(mean, data, RESAMPLES))},
        note=f"{os.cpu_count()} processes, standard error only",
    )


def scipy_paired(n: int, binary: bool) -> Measurement:
    import scipy.stats

    first, second = make_scores(n, binary)

    def run() -> Values:
        student = scipy.stats.ttest_rel(first, second).confidence_interval(LEVEL)
        differences = first - second
        bca, _ = scipy_bca(differences)
        return {
            "difference": float(differences.mean()),
            "lower": student.low,
            "upper": student.high,
            "bca_lower": bca.low,
            "bca_upper": bca.high,
        }

    # Its permutation_test takes a quarter of an hour.
    return timed(run, note="no permutations")


def deltagate_paired(n: int, binary: bool) -> Measurement:
    import deltagate

    first, second = make_scores(n, binary)
    n_boot = RESAMPLES // calls_for(8 * n * RESAMPLES)

    def run() -> Values:
        found = deltagate.evaluate_comparison(first, second, level=LEVEL, n_boot=n_boot)
        ends = found.bootstrap
        return {
            "difference": found.delta,
            "bca_lower": ends["lower"],
            "bca_upper": ends["upper"],
        }

    share = "" if n_boot == RESAMPLES else f", of {n_boot} resamples"
    return timed(run, note=f"no permutations{share}")


def in_calls(run: Callable[[int, int], Values], n: int, note: str) -> Measurement:
    """Means of `run(resamples, seed)` over as many calls as the memory asks for."""
    calls = calls_for(24 * n * RESAMPLES)

    def all_calls() -> Values:
        answers = [run(RESAMPLES // calls, seed) for seed in range(calls)]
        return {name: statistics.fmean(a[name] for a in answers) for name in answers[0]}

    times = "" if calls == 1 else f", {calls} calls of {RESAMPLES // calls} resamples"
    return timed(all_calls, note=f"{note}{times}")


def evalci_paired(n: int, binary: bool) -> Measurement:
    import evalci

    first, second = make_scores(n, binary)

    def run(resamples: int, seed: int) -> Values:
        found = evalci.compare(
            first, second, confidence=LEVEL, n_resamples=resamples, random_state=seed
        )
        return {
            "difference": found.delta,
            "p_value": found.p_value,
            "bca_lower": found.ci[0],
            "bca_upper": found.ci[1],
        }

    return in_calls(run, n, "percentiles")


def evalsig_paired(n: int, binary: bool) -> Measurement:
    from evalsig.inference.paired import paired_permutation_test

    first, second = make_scores(n, binary)

    def run(resamples: int, seed: int) -> Values:
        found = paired_permutation_test(
            second, first, ci_level=LEVEL, n_resamples=resamples, rng=seed
        )
        return {
            "difference": found.delta,
            "p_value": found.p_value,
            "bca_lower": found.ci[0],
            "bca_upper": found.ci[1],
        }

    return in_calls(run, n, "percentiles")


def one_by_one(interval: Callable[[int, int], tuple[float, float]]) -> Measurement:
    """All k of n = 1000 in turn, timed, and the ends that are compared."""
    values: Values = {}
    for k, n in SHARES:
        values[f"lower {k}/{n}"], values[f"upper {k}/{n}"] = interval(k, n)

    def run() -> Values:
        for k in range(1001):
            interval(k, 1000)
        return values

    return timed(run, 1001)


def scipy_clopper_pearson() -> Measurement:
    import scipy.stats

    def interval(k: int, n: int) -> tuple[float, float]:
        found = scipy.stats.binomtest(k, n).proportion_ci(LEVEL, "exact")
        return found.low, found.high

    return one_by_one(interval)


def scipy_beta_clopper_pearson() -> Measurement:
    import scipy.stats

    def interval(k: int, n: int) -> tuple[float, float]:
        ppf = scipy.stats.beta.ppf
        low = ppf((1 - LEVEL) / 2, k, n - k + 1) if k > 0 else 0.0
        return float(low), float(ppf((1 + LEVEL) / 2, k + 1, n - k)) if k < n else 1.0

    return one_by_one(interval)


def statsmodels_clopper_pearson() -> Measurement:
    from statsmodels.stats.proportion import proportion_confint

    return one_by_one(lambda k, n: proportion_confint(k, n, 1 - LEVEL, "beta"))


def text_metric(metric: str, n_words: int) -> Measurement:
    pairs = make_texts(n_words)
    score: Callable[[str, str], float]
    if metric.startswith("Rouge"):
        from rouge_score.rouge_scorer import RougeScorer

        kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
        scorer = RougeScorer(kinds, use_stemmer=metric == "RougeStemmed")

        def score(hypothesis: str, reference: str) -> float:
            return float(scorer.score(reference, hypothesis)["rougeL"].fmeasure)
    else:
        from sacrebleu.metrics import BLEU, CHRF

        makers: dict[str, Callable[[], Any]] = {
            "Bleu": lambda: BLEU(effective_order=True),
            "Chrf": CHRF,
            "ChrfPlusPlus": lambda: CHRF(word_order=2),
        }
        made = makers[metric]()

        def score(hypothesis: str, reference: str) -> float:
            return float(made.sentence_score(hypothesis, [reference]).score)

    def run() -> Values:
        return {"mean": statistics.fmean(score(*pair) for pair in pairs)}

    run()  # tokenizers and stemmers have caches
    return timed(run, len(pairs))


# What is compared: how a value may differ from the peer's.


def same(relative: float) -> Callable[[Values, Values, str], bool]:
    return lambda ours, theirs, name: math.isclose(
        ours[name], theirs[name], rel_tol=relative, abs_tol=1e-15
    )


def same_end(ours: Values, theirs: Values, name: str) -> bool:
    prefix = name.removesuffix("lower").removesuffix("upper")
    error = (ours[f"{prefix}upper"] - ours[f"{prefix}lower"]) / (2 * 1.96)
    # Means of 0/1 scores move in steps.
    step = 1 / ours.get("n", math.inf)
    return abs(ours[name] - theirs[name]) <= ENDS_TOLERANCE * error + step


def same_p(ours: Values, theirs: Values, name: str) -> bool:
    p = ours[name]
    return abs(p - theirs[name]) <= 6 * math.sqrt(2 * p * (1 - p) / RESAMPLES) + 0.002


BCA_CHECKS = {
    "estimate": same(1e-12),
    "lower": same_end,
    "upper": same_end,
    "standard_error": same(STANDARD_ERROR_TOLERANCE),
}
PAIRED_CHECKS = {
    "difference": same(1e-10),
    "lower": same(1e-10),
    "upper": same(1e-10),
    "p_value": same_p,
    "bca_lower": same_end,
    "bca_upper": same_end,
}
SHARE_CHECKS = {f"{end} {k}/{n}": same(1e-10) for k, n in SHARES for end in ("lower", "upper")}
TEXT_CHECKS = {"mean": same(1e-9)}


@dataclass
class Case:
    """One benchmark of Mirage and its peers."""

    what: str
    binary: str
    # Names of the benchmark, and of the same on two threads.
    benchmark: str
    peers: dict[str, str]
    checks: dict[str, Callable[[Values, Values, str], bool]]
    two_threads: str = ""
    n: int = 0


MEASURES: dict[str, Callable[..., Measurement]] = {
    "scipy-bca": scipy_bca_mean,
    "deltagate-bca": deltagate_bca_mean,
    "lm-eval-bootstrap": lm_eval_bootstrap,
    "scipy-paired": scipy_paired,
    "deltagate-paired": deltagate_paired,
    "evalci-paired": evalci_paired,
    "evalsig-paired": evalsig_paired,
    "scipy-clopper-pearson": scipy_clopper_pearson,
    "scipy-beta-clopper-pearson": scipy_beta_clopper_pearson,
    "statsmodels-clopper-pearson": statsmodels_clopper_pearson,
    "text": text_metric,
}


def cases(quick: bool) -> list[Case]:
    n = 1000 if quick else 100_000
    made = [
        Case(
            f"BCa interval of a mean, n = {n}",
            STATS,
            f"BmBcaOfMean/{n}/1/real_time",
            {
                "SciPy": f"scipy-bca {n}",
                "deltagate": f"deltagate-bca {n}",
                "lm-eval": f"lm-eval-bootstrap {n}",
            },
            BCA_CHECKS,
            f"BmBcaOfMean/{n}/2/real_time",
            n,
        ),
        Case(
            f"BCa interval of a mean, ideal bootstrap, n = {n}",
            STATS,
            f"BmIdealBcaOfMean/{n}/1/real_time",
            {
                "SciPy": f"scipy-bca {n}",
                "deltagate": f"deltagate-bca {n}",
                "lm-eval": f"lm-eval-bootstrap {n}",
            },
            BCA_CHECKS,
            f"BmIdealBcaOfMean/{n}/2/real_time",
            n,
        ),
    ]
    for binary, kind in ((0, "continuous"), (1, "0/1")):
        made.append(
            Case(
                f"paired comparison, {kind} scores, n = {n}",
                STATS,
                f"BmPairedComparison/{binary}/{n}/1/real_time",
                {
                    "SciPy": f"scipy-paired {n} {binary}",
                    "deltagate": f"deltagate-paired {n} {binary}",
                    "evalci": f"evalci-paired {n} {binary}",
                    "evalsig": f"evalsig-paired {n} {binary}",
                },
                PAIRED_CHECKS,
                f"BmPairedComparison/{binary}/{n}/2/real_time",
                n,
            )
        )
    made.append(
        Case(
            "Clopper-Pearson interval, k = 0..1000 of 1000",
            STATS,
            "BmClopperPearson",
            {
                "SciPy, binomtest": "scipy-clopper-pearson",
                "SciPy, beta.ppf": "scipy-beta-clopper-pearson",
                "statsmodels": "statsmodels-clopper-pearson",
            },
            SHARE_CHECKS,
        )
    )
    names = {"Bleu": "BLEU", "Chrf": "chrF", "ChrfPlusPlus": "chrF++", "Rouge": "ROUGE"}
    for metric in TEXT_METRICS:
        for n_words in (10,) if quick else (10, 50, 400):
            peer = "rouge_score" if metric.startswith("Rouge") else "sacrebleu"
            made.append(
                Case(
                    f"{names.get(metric, 'ROUGE, stemmed')}, {n_words} words",
                    TEXT,
                    f"Bm{metric}/{n_words}",
                    {peer: f"text {metric} {n_words}"},
                    TEXT_CHECKS,
                )
            )
    return made


def run_mirage(folder: Path, case: Case, seconds: float) -> tuple[Measurement, float | None]:
    """One measurement, and the wall time of the same on two threads."""
    wanted = [name for name in (case.benchmark, case.two_threads) if name]
    if case.checks is SHARE_CHECKS:
        wanted += [f"BmClopperPearsonOf/{k}/{n}" for k, n in SHARES]
    done = subprocess.run(
        [
            folder / case.binary,
            "--benchmark_format=json",
            f"--benchmark_min_time={seconds}",
            f"--benchmark_filter=^({'|'.join(wanted)})$",
        ],
        check=True,
        capture_output=True,
    )
    found = {row["name"]: row for row in json.loads(done.stdout)["benchmarks"]}
    for row in found.values():
        if row.get("error_occurred"):
            raise SystemExit(f"{row['name']}: {row['error_message']}")
    row = found[case.benchmark]
    values = {name: row[name] for name in case.checks if name in row}
    for name in found:
        if name.startswith("BmClopperPearsonOf/"):
            k, n = name.split("/")[1:]
            for end in ("lower", "upper"):
                values[f"{end} {k}/{n}"] = found[name][end]
    if case.n:
        values["n"] = case.n
    factor = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}[row["time_unit"]]
    items = row.get("samples", 1)
    two = found[case.two_threads]["real_time"] * factor if case.two_threads else None
    cpu, wall = row["cpu_time"] * factor / items, row["real_time"] * factor / items
    return Measurement(cpu, wall, values), two


def run_peer(python: Path, measure: str) -> Measurement:
    done = subprocess.run(
        [python, Path(__file__).resolve(), "--measure", measure],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1:]
    if done.returncode or not last:
        error = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise CannotRunError(error)
    return Measurement(**json.loads(last[0]))


@dataclass
class Result:
    """All measurements of one case with one peer; `skipped` says why there are none."""

    what: str
    peer: str
    note: str = ""
    skipped: str = ""
    mirage_s: float = math.nan
    mirage_two_threads_s: float | None = None
    mirage_spread: float | None = None
    peer_s: float = math.nan
    peer_wall_s: float = math.nan
    peer_spread: float | None = None
    ratio: float = math.nan
    wrong: list[str] = field(default_factory=list)


def spread_of(values: list[float]) -> float | None:
    if len(values) < 2:
        return None
    return (max(values) - min(values)) / statistics.median(values)


def differences_of(case: Case, peer: str, ours: Values, theirs: Values) -> list[str]:
    """The values that are not the peer's, in words."""
    wrong = []
    for name, is_same in case.checks.items():
        if name in theirs and not is_same(ours, theirs, name):
            wrong.append(f"{case.what}: {name} is {ours[name]!r}, {peer}'s {theirs[name]!r}")
    if not set(theirs) & set(case.checks):
        wrong.append(f"{case.what}: nothing of {peer}'s is compared")
    return wrong


def compare(case: Case, options: argparse.Namespace) -> list[Result]:
    results = {peer: Result(case.what, peer) for peer in case.peers}
    ours: list[Measurement] = []
    two_threads: list[float] = []
    theirs: dict[str, list[Measurement]] = {peer: [] for peer in case.peers}
    for _ in range(options.repeats):
        measured, two = run_mirage(options.bin, case, options.seconds)
        ours.append(measured)
        two_threads += [] if two is None else [two]
        for peer, measure in case.peers.items():
            if results[peer].skipped or any(m.wall > ONCE_SECONDS for m in theirs[peer]):
                continue
            python = options.lm_eval_python if peer == "lm-eval" else options.peers_python
            try:
                theirs[peer].append(run_peer(python, measure))
            except CannotRunError as error:
                results[peer].skipped = str(error)
    mirage = statistics.median(m.cpu for m in ours)
    for peer, result in results.items():
        result.mirage_s = mirage
        result.mirage_spread = spread_of([m.cpu for m in ours])
        result.mirage_two_threads_s = statistics.median(two_threads) if two_threads else None
        if result.skipped:
            continue
        result.note = theirs[peer][0].note
        result.peer_s = statistics.median(m.cpu for m in theirs[peer])
        result.peer_wall_s = statistics.median(m.wall for m in theirs[peer])
        result.peer_spread = spread_of([m.cpu for m in theirs[peer]])
        result.ratio = result.peer_s / mirage
        result.wrong = differences_of(case, peer, ours[0].values, theirs[peer][0].values)
    return list(results.values())


def seconds_in_words(seconds: float | None) -> str:
    if seconds is None or math.isnan(seconds):
        return ""
    for unit, factor in (("ns", 1e9), ("us", 1e6), ("ms", 1e3), ("s", 1.0)):
        if seconds * factor < 999.5 or unit == "s":
            return f"{seconds * factor:.3g} {unit}"
    return ""


def print_row(*cells: str) -> None:
    widths = (46, 16, 10, 11, 10, 8, 8, 10, 8)
    line = "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=False))
    print((line + "  ".join(cells[len(widths) :])).rstrip(), flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--bin", type=Path, default=REPOSITORY / ".out/bin", help="Bazel's output")
    parser.add_argument("--peers-python", type=Path, default=Path(sys.executable))
    parser.add_argument("--lm-eval-python", type=Path, help="default: that of the peers")
    parser.add_argument("--quick", action="store_true", help="small data")
    parser.add_argument("--only", help="cases whose name has this in it")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each, in turn")
    parser.add_argument("--seconds", type=float, default=0.1, help="of one measurement of Mirage")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    options.lm_eval_python = options.lm_eval_python or options.peers_python
    return options


def main() -> int:
    options = parse()
    if options.measure:
        name, *words = options.measure.split()
        arguments = [int(word) if word.isdigit() else word for word in words]
        print(json.dumps(vars(MEASURES[name](*arguments))))
        return 0
    print_row(
        "what", "peer", "Mirage", "peer", "ratio", "spread", "spread", "2 threads", "ratio", "note"
    )
    results: list[Result] = []
    for case in cases(options.quick):
        if options.only and options.only not in case.what:
            continue
        for result in compare(case, options):
            results.append(result)
            two = result.mirage_two_threads_s
            spreads = (result.mirage_spread, result.peer_spread)
            print_row(
                result.what,
                result.peer,
                seconds_in_words(result.mirage_s),
                seconds_in_words(result.peer_s),
                "" if result.skipped else f"{result.ratio:.3g}",
                *("" if spread is None else f"{100 * spread:.0f} %" for spread in spreads),
                seconds_in_words(two),
                "" if two is None or result.skipped else f"{result.peer_wall_s / two:.3g}",
                f"skipped: {result.skipped}" if result.skipped else result.note,
            )
    print(f"load average {os.getloadavg()[0]:.1f}")
    wrong = [line for result in results for line in result.wrong]
    if not results:
        wrong.append(f"no case has {options.only!r} in its name")
    for line in wrong:
        print(line)
    if options.json:
        options.json.write_text(json.dumps([vars(r) for r in results], indent=1) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
