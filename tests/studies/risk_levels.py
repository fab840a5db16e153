#!/usr/bin/env python3
"""Measures whether the levels of the mirage risk tell apart what the next scale brings.

    risk_levels.py                       simulated and real families, three minutes on two cores
    risk_levels.py --write               the same, and puts the tables into docs/risk.md
    risk_levels.py --quick --no-real     few simulated families, seconds

Needs numpy. The real families are looked for in $MIRAGE_DATA/eval_logs/arithmetic_family, else in
../shared/data; where they are absent they are left out, with a line that says so (and --write
refuses, lest it drops what was measured).

The check. For a series (one task and sharp metric over the scales of a family) and a scale with a
previous and a next one, all n items each:

    last gain = value - value at the previous scale
    next gain = value at the next scale - value
    jump      = next gain > 3 max(last gain, 1/n)

and the level is the one that `mirage attach --output-format json` gives the metric of the run in
the middle. P(jump | level) must be apart for HIGH and LOW: their 95 % intervals do not overlap.
Nothing of the risk is computed here; values, levels and reasons are read from the answer.

Intervals are Wilson's with n / (design effect) for n, because the scales of a series are not
independent: the effect is that of clustering by series or, in the real family, where one model
stands behind all tasks, by model, if that is larger; never below 1. Where a share is 0 or 1 it
cannot be estimated, and the number of clusters stands for n, which is careful.

The simulated families have a known law, u(N) = u0 (N/N0)^-alpha for the mean NLL of a target, and
are written as runs of lm-eval 0.4.13. Only factor^-alpha matters, the ratio of u between scales:
    the definition's step   0.5 (alpha 0.5 and a factor of 4, or alpha 1 and a factor of 2)
    a usual step            0.79, 0.70, 0.62 (alpha 0.2, 0.3, 0.4 and a factor of 3.3)
Token j of item i has NLL u w_ij v with w = (item, gamma of mean 1 and CV 0, 0.5 or 1) x (token,
gamma of mean 1 and CV 0.5) / L, which all scales share, and v log-normal (sd 0.2), new at every
scale. u0 is 3, 6, 12 or 24 nats, L 1, 4 or 16 tokens, n 100 or 1000. Models scatter about the law
by 5 % of u.
    log p     loglikelihood tasks; `acc` is 1 with probability p^L ("sampled"), or if every token
              beats the best wrong one, which holds 0.2 to 0.9 of the rest ("greedy", lm-eval's)
    texts     generate_until; each wrong token is another digit (80 %), dropped or doubled up
    choices   4 of them. Gold minus a wrong one has mean mu and sd sqrt(2) s, s = 0.5, 1 or 2
              nats, 80 % of the variance shared by all scales, half of the designs with as much
              difficulty common to an item's wrong choices; mu starts at -2, -1 or 0. A step is
              half a nat, or mu = mu0 + u0 - u(N) with u0 = 2 or 6 (the gold follows the law, wrong
              choices stay). Models scatter by 0.1 nat.
"Without noise" are the gains of the law itself: the same model on endlessly many items.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from study_page import Section, paragraph, table

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "benchmarks"))

from make_samples import doc_text, results_of, sha  # noqa: E402

SECTION = Section(
    "<!-- written by tests/studies/risk_levels.py --write -->",
    "<!-- end of risk_levels.py -->",
    "## How well the levels separate",
)
LEVELS = ("HIGH", "LOW", "NONE", "UNKNOWN")
JUMP = 3.0
Z95 = 1.959963984540054

LENGTHS = (1, 4, 16)
ITEM_CVS = (0.0, 0.5, 1.0)
STARTS = (24.0, 12.0, 6.0, 3.0)
USUAL_ALPHAS = (0.2, 0.3, 0.4)
USUAL_FACTOR = 3.3
TOKEN_CV = 0.5
TOKEN_NOISE = 0.2
MODEL_SCATTER = 0.05
MARGIN_SPREADS = (0.5, 1.0, 2.0)
MARGIN_STARTS = (-2.0, -1.0, 0.0)
MARGIN_NLL = (2.0, 6.0)
MARGIN_STEP = 0.5
MARGIN_SCATTER = 0.1
PERSISTENT = 0.8
N_CHOICES = 4
DEFINITION, USUAL = "definition's step", "usual step"
N_SCALES = {DEFINITION: 6, USUAL: 8}
N_POPULATION = 20_000

Array = np.ndarray[Any, np.dtype[Any]]


# What the product says


@dataclass(frozen=True)
class Reading:
    """One sharp metric of one run, as `mirage attach` reports it."""

    value: float
    n: int
    level: str
    kind: str
    reasons: dict[str, dict[str, float]]


def attach(mirage: Path, folder: Path) -> dict[tuple[str, str], Reading]:
    """(model, task) -> the task's sharp metric, for all runs below `folder`."""
    command = [str(mirage), "attach", str(folder), "--output-format", "json", "--no-write"]
    done = subprocess.run([*command, "--quiet"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} exited {done.returncode}\n{done.stderr[-2000:]}")
    found = {}
    for run in json.loads(done.stdout)["runs"]:
        for task in run["tasks"]:
            if task["n_bad"] or task["n_gold_unverified"] or task["warnings"]:
                raise SystemExit(f"{run['path']}: {task['task']}: {task['warnings']}")
            names = {m["metric"] for m in task["metrics"]}
            kind = (
                "choices"
                if "margin" in names
                else "texts"
                if "token_edit_distance" in names
                else "log p"
            )
            sharp = "exact_match" if kind == "texts" else "acc"
            metric = next(
                m for m in task["metrics"] if m["metric"] == sharp and m["role"] == "REPORTED"
            )
            risk = metric["mirage_risk"]
            found[run["model"], task["task"]] = Reading(
                value=metric["value"],
                n=metric["n"],
                level=risk["level"],
                kind=kind,
                reasons={
                    r["code"]: {v["name"]: v["value"] for v in r["values"]} for r in risk["reasons"]
                },
            )
    return found


# The check


@dataclass
class Case:
    """A scale with a previous and a next one."""

    block: str
    kind: str
    series: str
    model: str
    level: str
    n: int
    value: float
    last: float
    next: float
    jump: bool
    true_jump: bool | None
    design: dict[str, float]
    reasons: dict[str, dict[str, float]] = field(repr=False)

    @property
    def why(self) -> str:
        """For HIGH, the reason that is named first; else whether at the ceiling."""
        if self.level == "HIGH":
            first = next(iter(self.reasons))
            return {"AT_FLOOR": "floor", "NEAR_CHANCE": "chance"}.get(first, "R >= 4")
        return "ceiling" if "AT_CEILING" in self.reasons else "elsewhere"


def jumped(last: float, following: float, n: int) -> bool:
    """Next gain > 3 max(last gain, 1/n); gains of items are compared without rounding errors."""
    return following > JUMP * max(last, 1 / n) + 1e-9


def case(
    block: str,
    kind: str,
    series: str,
    model: str,
    three: Sequence[Reading],
    truth: Sequence[float] | None = None,
    design: dict[str, float] | None = None,
) -> Case:
    before, now, after = three
    last, following = now.value - before.value, after.value - now.value
    return Case(
        block=block,
        kind=kind,
        series=series,
        model=model,
        level=now.level,
        n=now.n,
        value=now.value,
        last=last,
        next=following,
        jump=jumped(last, following, now.n),
        true_jump=truth and jumped(truth[1] - truth[0], truth[2] - truth[1], now.n),
        design=design or {},
        reasons=now.reasons,
    )


@dataclass(frozen=True)
class Share:
    """k of n with a 95 % interval."""

    k: int
    n: int
    clusters: int
    lower: float
    upper: float

    def text(self) -> str:
        if not self.n:
            return "–"
        return f"{self.k} of {self.n}: {self.k / self.n:.2f} ({self.lower:.2f} to {self.upper:.2f})"


def wilson(p: float, n: float) -> tuple[float, float]:
    """Wilson's 95 % interval of a share p of n, which need not be whole."""
    centre = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def share(hits: Sequence[bool], *clusterings: Sequence[str]) -> Share:
    """Share of hits, its interval widened by the largest design effect of the clusterings."""
    n, k = len(hits), sum(hits)
    if not n:
        return Share(0, 0, 0, 0.0, 1.0)
    p = k / n
    counts = [len(set(labels)) for labels in clusterings]
    if k in (0, n):
        return Share(k, n, counts[0], *wilson(p, min(counts)))
    effect = 1.0
    for labels in clusterings:
        rest: dict[str, float] = defaultdict(float)
        for hit, label in zip(hits, labels, strict=True):
            rest[label] += hit - p
        c = len(rest)
        if c > 1:
            variance = c / (c - 1) * sum(x * x for x in rest.values()) / n**2
            effect = max(effect, variance / (p * (1 - p) / n))
    return Share(k, n, counts[0], *wilson(p, n / effect))


def share_of(cases: Iterable[Case], true_gains: bool = False) -> Share:
    cases = list(cases)
    hits = [bool(c.true_jump if true_gains else c.jump) for c in cases]
    return share(hits, [c.series for c in cases], [c.model for c in cases])


def verdict(high: Share, low: Share) -> str:
    if not high.n or not low.n:
        return f"no {'LOW' if high.n else 'HIGH'}"
    if high.lower > low.upper:
        return "yes"
    return "no, reversed" if high.upper < low.lower else "no"


# Simulated families


@dataclass(frozen=True)
class Design:
    """One series: its law and its test set."""

    name: str
    kind: str  # "log p", "texts" or "choices"
    greedy: bool
    step: str
    n: int
    start: float  # nats: u0, or mu0 of multiple choice
    ratio: float  # of u from a scale to the next
    length: int = 1
    item_cv: float = 0.0
    spread: float = 0.0
    common: bool = False
    u0: float = 0.0  # multiple choice, usual step

    def law(self, rng: np.random.Generator) -> list[float]:
        """u, or mu, of the models of the family."""
        scales = np.arange(N_SCALES[self.step])
        scatter = rng.standard_normal(len(scales))
        if self.kind != "choices":
            u = self.start * self.ratio**scales * np.exp(MODEL_SCATTER * scatter)
            return [float(x) for x in u]
        if self.step == DEFINITION:
            mu = self.start + MARGIN_STEP * scales
        else:
            mu = self.start + self.u0 * (1 - self.ratio**scales)
        return [float(x) for x in mu + MARGIN_SCATTER * scatter]

    def row(self) -> dict[str, float]:
        names = ("n", "start", "ratio", "length", "item_cv", "spread", "common", "u0")
        return {name: float(getattr(self, name)) for name in names}


def gamma(rng: np.random.Generator, cv: float, shape: tuple[int, ...]) -> Array:
    """Gamma of mean 1."""
    return rng.gamma(1 / cv**2, cv**2, shape) if cv else np.ones(shape)


class Tokens:
    """Items with a gold text: what of their tokens' NLL all scales share."""

    def __init__(self, rng: np.random.Generator, n: int, length: int, item_cv: float) -> None:
        shape = (n, length)
        self.weight = gamma(rng, item_cv, (n, 1)) * gamma(rng, TOKEN_CV, shape) / length
        self.best_wrong = rng.uniform(0.2, 0.9, shape)
        self.rng = rng

    def noise(self) -> Array:
        sd = TOKEN_NOISE
        return np.exp(sd * self.rng.standard_normal(self.weight.shape) - sd * sd / 2)

    def greedy(self, nll: Array) -> Array:
        p = np.exp(-nll)
        return p > self.best_wrong * (1 - p)


class Choices:
    """Items with four choices, the gold first: what of their scores all scales share."""

    def __init__(self, rng: np.random.Generator, n: int, spread: float, common: bool) -> None:
        self.kept = rng.standard_normal((n, N_CHOICES)) * spread * math.sqrt(PERSISTENT)
        if common:
            self.kept[:, 0] += rng.standard_normal(n) * spread * math.sqrt(2)
        self.spread = spread
        self.rng = rng

    def noise(self) -> Array:
        sd = self.spread * math.sqrt(1 - PERSISTENT)
        return self.rng.standard_normal(self.kept.shape) * sd

    def scores(self, mu: float, noise: Array) -> Array:
        scores = self.kept + noise
        scores[:, 0] += mu
        return scores


@cache
def population_tokens(length: int, item_cv: float) -> tuple[Tokens, Array]:
    rng = np.random.default_rng([1, length, int(10 * item_cv)])
    tokens = Tokens(rng, N_POPULATION, length, item_cv)
    return tokens, tokens.weight * tokens.noise()


@cache
def curve_of_tokens(length: int, item_cv: float, greedy: bool) -> Callable[[float], float]:
    """Exact match without sampling noise by u: one population, so gains are smooth."""
    tokens, weight = population_tokens(length, item_cv)
    grid = np.geomspace(0.05, 32, 130)
    if greedy:
        values = [tokens.greedy(u * weight).all(axis=1).mean() for u in grid]
    else:
        total = weight.sum(axis=1)
        values = [np.exp(-u * total).mean() for u in grid]
    return lambda u: float(np.interp(math.log(u), np.log(grid), values))


@cache
def curve_of_choices(spread: float, common: bool) -> Callable[[float], float]:
    """Accuracy without sampling noise by mu."""
    rng = np.random.default_rng([2, int(10 * spread), int(common)])
    choices = Choices(rng, 10 * N_POPULATION, spread, common)
    margins = choices.scores(0.0, choices.noise())
    margin = np.sort(margins[:, 0] - margins[:, 1:].max(axis=1))
    return lambda mu: 1 - float(np.searchsorted(margin, -mu, "right")) / len(margin)


def truth(design: Design, position: float) -> float:
    """The value of a model on endlessly many items."""
    if design.kind == "choices":
        return curve_of_choices(design.spread, design.common)(position)
    return curve_of_tokens(design.length, design.item_cv, design.greedy)(position)


Rows = tuple[str, dict[str, float], str]  # lines, results, task hash
GENERATION = '{"until": ["\\n"], "do_sample": false, "max_gen_toks": 32}'


class Frames:
    """What the rows of a task have in common at all scales, around what a model answers."""

    def __init__(self, *metrics: str) -> None:
        self.metrics = metrics
        self.heads: list[str] = []
        self.tails: list[str] = []
        self.hashes: list[str] = []

    def add(self, doc: dict[str, Any], target: str, arguments: Sequence[str]) -> None:
        """`arguments` are those after the prompt, in JSON: one an option, or the generation's."""
        question = doc["question"]
        hashes = [sha(text) for text in (doc_text(doc), question, target)]
        self.hashes += hashes
        requests = ", ".join(
            f'"gen_args_{k}": {{"arg_0": "{question}", "arg_1": {argument}}}'
            for k, argument in enumerate(arguments)
        )
        self.heads.append(
            f'{{"doc_id": {len(self.heads)}, "doc": {json.dumps(doc)}, "target": "{target}", '
            f'"arguments": {{{requests}}}, "resps": '
        )
        self.tails.append(
            f'"filter": "none", "metrics": {json.dumps(self.metrics)}, "doc_hash": "{hashes[0]}", '
            f'"prompt_hash": "{hashes[1]}", "target_hash": "{hashes[2]}", "{self.metrics[0]}": '
        )

    def task_hash(self) -> str:
        return sha("".join(self.hashes))


def likelihood_family(design: Design, rng: np.random.Generator, law: Sequence[float]) -> list[Rows]:
    tokens = Tokens(rng, design.n, design.length, design.item_cv)
    frames = Frames("perplexity", "acc")
    for i in range(design.n):
        doc = {"question": f"question {i}", "target": f"answer {i}"}
        frames.add(doc, f" answer {i}", [f'" answer {i}"'])
    task_hash = frames.task_hash()
    out = []
    for u in law:
        nll = u * tokens.weight * tokens.noise()
        log_p = -nll.sum(axis=1)
        right = (
            tokens.greedy(nll).all(axis=1)
            if design.greedy
            else rng.random(design.n) < np.exp(log_p)
        )
        lines = [
            f'{head}[[["{x!r}", "{hit}"]]], "filtered_resps": [["{x!r}", "{hit}"]], '
            f'{tail}{x!r}, "acc": {int(hit)}}}\n'
            for head, tail, x, hit in zip(
                frames.heads, frames.tails, log_p.tolist(), right.tolist(), strict=True
            )
        ]
        numbers = {
            "perplexity,none": math.exp(min(700.0, -math.fsum(log_p.tolist()) / design.n)),
            "acc,none": int(right.sum()) / design.n,
        }
        out.append(("".join(lines), numbers, task_hash))
    return out


def text_family(design: Design, rng: np.random.Generator, law: Sequence[float]) -> list[Rows]:
    n, length = design.n, design.length
    tokens = Tokens(rng, n, length, design.item_cv)
    digits = rng.integers(0, 10, (n, length))
    targets = ["".join(map(str, row)) for row in digits.tolist()]
    frames = Frames("exact_match")
    for i, target in enumerate(targets):
        frames.add({"question": f"question {i}", "target": target}, target, [GENERATION])
    task_hash = frames.task_hash()
    out = []
    for u in law:
        nll = u * tokens.weight * tokens.noise()
        right = tokens.greedy(nll) if design.greedy else rng.random(nll.shape) < np.exp(-nll)
        how = np.where(right, 1.0, rng.random(nll.shape))
        # Two slots a token, the second for what is put in behind it; an empty slot is a 0 byte.
        slots = np.zeros((n, 2 * length), dtype=np.uint8)
        changed = (digits + rng.integers(1, 10, digits.shape)) % 10
        slots[:, ::2] = np.where(how < 0.8, changed, digits) + ord("0")
        slots[:, ::2][(how >= 0.8) & (how < 0.9)] = 0
        slots[:, 1::2] = np.where((how >= 0.9) & ~right, changed + ord("0"), 0)
        texts = [row.tobytes().translate(None, b"\0").decode() for row in slots]
        lines, k = [], 0
        for head, tail, text, target in zip(
            frames.heads, frames.tails, texts, targets, strict=True
        ):
            hit = text == target
            k += hit
            lines.append(
                f'{head}[["{text}"]], "filtered_resps": ["{text}"], {tail}{float(hit)!r}}}\n'
            )
        out.append(("".join(lines), {"exact_match,none": k / n}, task_hash))
    return out


def choice_family(design: Design, rng: np.random.Generator, law: Sequence[float]) -> list[Rows]:
    n = design.n
    choices = Choices(rng, n, design.spread, design.common)
    gold = rng.integers(0, N_CHOICES, n)
    # Where the gold, which is computed first, and the wrong ones stand.
    order = (np.arange(N_CHOICES) - gold[:, None]) % N_CHOICES
    frames = Frames("acc")
    texts = [f"{letter} one" for letter in "abcd"]
    arguments = [f'" {text}"' for text in texts]
    for i, g in enumerate(gold.tolist()):
        doc = {"question": f"question {i}", "choices": texts, "answer": g}
        frames.add(doc, str(g), arguments)
    task_hash = frames.task_hash()
    out = []
    for mu in law:
        # 20 nats that all choices have in common keep the scores of log p negative.
        scores = np.minimum(choices.scores(mu, choices.noise()) - 20, -1e-6)
        right = scores[:, 0] > scores[:, 1:].max(axis=1)
        placed = np.take_along_axis(scores, order, axis=1)
        lines = []
        rows = zip(frames.heads, frames.tails, placed.tolist(), right.tolist(), strict=True)
        for head, tail, xs, hit in rows:
            pairs = [f'["{x!r}", "False"]' for x in xs]
            lines.append(
                f'{head}[[{"], [".join(pairs)}]], "filtered_resps": [{", ".join(pairs)}], '
                f"{tail}{float(hit)!r}}}\n"
            )
        out.append(("".join(lines), {"acc,none": int(right.sum()) / n}, task_hash))
    return out


WRITERS: dict[str, tuple[str, Callable[..., list[Rows]]]] = {
    "log p": ("ll", likelihood_family),
    "texts": ("gen", text_family),
    "choices": ("mc", choice_family),
}
METRICS = {
    "choices": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
}
DATE = "2026-11-24T00-00-00.00000"


def write_families(
    designs: Sequence[Design], seed: int, folder: Path
) -> dict[str, tuple[Design, list[float]]]:
    """One run a scale, with a task a design; returns the laws by task."""
    laws = {}
    results: dict[int, dict[str, Any]] = {}
    for number, design in enumerate(designs):
        key = [seed, list(WRITERS).index(design.kind), design.greedy, design.step == USUAL, number]
        rng = np.random.default_rng([int(x) for x in key])
        law = design.law(rng)
        laws[design.name] = (design, law)
        shape, writer = WRITERS[design.kind]
        for scale, (lines, numbers, task_hash) in enumerate(writer(design, rng, law)):
            model = folder / f"scale{scale}"
            model.mkdir(exist_ok=True)
            (model / f"samples_{design.name}_{DATE}{scale}.jsonl").write_text(lines)
            one = results_of(shape, design.name, design.n, numbers, task_hash)
            if shape == "gen":
                one["configs"][design.name].pop("filter_list")
            one["configs"][design.name]["metric_list"] = METRICS.get(
                design.kind, one["configs"][design.name]["metric_list"]
            )
            if scale not in results:
                name = f"scale{scale}"
                one["config"]["model_args"]["pretrained"] = one["model_name"] = name
                one["model_source"] = "hf"
                one["model_name_sanitized"] = name
                results[scale] = one
            for part, content in one.items():
                if isinstance(content, dict) and design.name in content:
                    results[scale][part][design.name] = content[design.name]
    for scale, content in results.items():
        path = folder / f"scale{scale}" / f"results_{DATE}{scale}.json"
        path.write_text(json.dumps(content, indent=1))
    return laws


def designs_of(kind: str, greedy: bool, step: str, n: int, copies: int) -> list[Design]:
    """The grid; where the step leaves one ratio, three copies stand for three alphas."""
    ratios = [0.5] * 3 if step == DEFINITION else [USUAL_FACTOR**-a for a in USUAL_ALPHAS]
    out = []
    for ratio in ratios * copies:
        common: dict[str, Any] = {
            "kind": kind, "greedy": greedy, "step": step, "n": n, "ratio": ratio
        }  # fmt: skip
        if kind == "choices":
            grid = [
                Design("", start=mu, spread=s, common=c, u0=u0, **common)
                for mu in MARGIN_STARTS
                for s in MARGIN_SPREADS
                for c in (False, True)
                for u0 in MARGIN_NLL
            ]
        else:
            grid = [
                Design("", start=u0, length=length, item_cv=cv, **common)
                for u0 in STARTS
                for length in LENGTHS
                for cv in ITEM_CVS
            ]
        out += grid
    return [dataclasses.replace(d, name=f"s{n}x{i}") for i, d in enumerate(out)]


KINDS = (
    ("log p", False, "exact match, log p, sampled"),
    ("log p", True, "exact match, log p, greedy"),
    ("texts", False, "exact match, texts, sampled"),
    ("texts", True, "exact match, texts, greedy"),
    ("choices", True, "multiple choice"),
)
REAL_KINDS = {
    "log p": "exact match, log p",
    "texts": "exact match, texts",
    "choices": "multiple choice",
}


def simulate(mirage: Path, seed: int, copies: int, quick: bool) -> list[Case]:
    cases = []
    for kind, greedy, label in KINDS:
        for step in (DEFINITION, USUAL):
            if quick and step == USUAL:
                continue
            for n in (100, 1000):
                if quick and n != (1000 if kind == "log p" else 100):
                    continue
                designs = designs_of(kind, greedy, step, n, copies)
                if quick:
                    designs = designs[:36]  # one round of the grid
                with tempfile.TemporaryDirectory(prefix="mirage-study-") as name:
                    laws = write_families(designs, seed, Path(name))
                    found = attach(mirage, Path(name))
                for task, (design, law) in laws.items():
                    readings = [found[f"scale{i}", task] for i in range(len(law))]
                    if any(r.kind != kind or r.n != n for r in readings):
                        raise SystemExit(f"{label}: {readings[0]} is not what was written")
                    true = [truth(design, x) for x in law]
                    series = f"{label}, {step}, {task}"
                    cases += [
                        case(
                            f"simulated, {step}",
                            label,
                            series,
                            series,
                            readings[i - 1 : i + 2],
                            true[i - 1 : i + 2],
                            {**design.row(), "position": law[i]},
                        )
                        for i in range(1, len(law) - 1)
                    ]
            print(f"  {label}, {step}: {len(cases)} cases so far", file=sys.stderr, flush=True)
    return cases


# The real family

NEIGHBOURS = "real, neighbouring sizes"
DOUBLED = "real, twice the width"
SEEDS = "real, other seeds"
WIDTHS = (4, 8, 10, 16, 24, 32, 48, 64, 96, 128)


def family_folder() -> Path:
    data = Path(os.environ.get("MIRAGE_DATA") or REPOSITORY.parent / "shared" / "data")
    return data / "eval_logs" / "arithmetic_family"


def real_cases(mirage: Path, folder: Path) -> list[Case]:
    found = attach(mirage, folder / "a")
    tasks = sorted({task for _, task in found})
    steps = [(NEIGHBOURS, three) for three in zip(WIDTHS, WIDTHS[1:], WIDTHS[2:], strict=False)]
    steps += [(DOUBLED, (w // 2, w, 2 * w)) for w in (8, 16, 32, 48, 64)]
    triples = [(block, tuple(f"A-d{w:03d}" for w in three)) for block, three in steps]
    seeds = folder / "seeds"
    if seeds.is_dir():
        # Two sizes only: each replicate stands between its neighbours of the same seed where it
        # has them, else between those of seed 1.
        found |= attach(mirage, seeds)
        for model in sorted({m for m, _ in found if "seed" in m}):
            size, seed = model.removeprefix("A-").split("-")
            before, after = {"d016": ("d010", "d024"), "d024": ("d016", "d032")}[size]
            around = [
                f"A-{w}-{seed}" if (f"A-{w}-{seed}", tasks[0]) in found else f"A-{w}"
                for w in (before, after)
            ]
            triples.append((SEEDS, (around[0], model, around[1])))
    return [
        case(
            block,
            REAL_KINDS[found[three[1], task].kind],
            task,
            three[1],
            [found[model, task] for model in three],
        )
        for block, three in triples
        for task in tasks
    ]


# The tables


def by_block(cases: Sequence[Case]) -> dict[tuple[str, str], list[Case]]:
    out: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for c in cases:
        out[c.block, c.kind].append(c)
    return dict(out)


def main_table(groups: dict[tuple[str, str], list[Case]], true_gains: bool = False) -> list[str]:
    levels = [x for x in LEVELS if any(c.level == x for g in groups.values() for c in g)]
    rows = []
    for (block, kind), group in groups.items():
        shares = {x: share_of((c for c in group if c.level == x), true_gains) for x in LEVELS}
        rows.append(
            [block, kind, *(shares[x].text() for x in levels)]
            + [verdict(shares["HIGH"], shares["LOW"])]
        )
    return table(["family", "evidence", *levels, "separated"], rows)


def reason_table(cases: Sequence[Case]) -> list[str]:
    parts = {
        "HIGH by floor": ("HIGH", "floor"),
        "HIGH near chance": ("HIGH", "chance"),
        "HIGH by R": ("HIGH", "R >= 4"),
        "LOW off the ceiling": ("LOW", "elsewhere"),
    }
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for c in cases:
        split = c.kind
        if "texts" in c.kind:
            split += ", one character" if c.design["length"] == 1 else ", longer"
        groups[c.block, split].append(c)
    rows = [
        [block, kind]
        + [share_of(c for c in group if (c.level, c.why) == part).text() for part in parts.values()]
        for (block, kind), group in groups.items()
    ]
    return table(["family", "evidence", *parts], rows)


def percent(cases: Sequence[Case], levels: Sequence[str], jump: bool, true: bool = False) -> str:
    chosen = [c for c in cases if c.level in levels]
    hits = sum((c.true_jump if true else c.jump) == jump for c in chosen)
    return f"{hits} of {len(chosen)} ({100 * hits / max(1, len(chosen)):.0f} %)"


def verdict_lines(groups: dict[tuple[str, str], list[Case]]) -> list[str]:
    parted: dict[str, list[str]] = defaultdict(list)
    for (block, kind), group in groups.items():
        high, low = (share_of(c for c in group if c.level == x) for x in ("HIGH", "LOW"))
        parted[verdict(high, low)].append(f"{kind} ({block})")
    words = {
        "yes": "HIGH and LOW are separated",
        "no": "**not separated**",
        "no, reversed": "**reversed: LOW jumps more often**",
        "no HIGH": "cannot be said, no HIGH",
        "no LOW": "cannot be said, no LOW",
    }
    return [f"- {words[v]}: {'; '.join(parted[v])}." for v in words if v in parted]


def wrong_table(cases: Sequence[Case]) -> list[str]:
    """How often the levels were wrong about the next gain."""
    safe = ("LOW", "NONE")
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for c in cases:
        groups[c.block, "texts" if "texts" in c.kind else "log p, choices"].append(c)
    rows = [
        [
            *group,
            percent(chosen, safe, True),
            "–" if chosen[0].true_jump is None else percent(chosen, safe, True, True),
            percent(chosen, ("HIGH",), False),
        ]
        for group, chosen in groups.items()
    ]
    head = ["family", "evidence", "LOW or NONE, then a jump", "without noise", "HIGH, then none"]
    return table(head, rows)


def apart(groups: dict[tuple[str, str], list[Case]], true_gains: bool = False) -> str:
    """In how many rows of a table HIGH and LOW are separated."""
    shares = [
        [share_of((c for c in group if c.level == x), true_gains) for x in ("HIGH", "LOW")]
        for group in groups.values()
    ]
    return f"{sum(verdict(high, low) == 'yes' for high, low in shares)} of {len(shares)}"


def of_one_character(cases: Sequence[Case]) -> list[str]:
    """A sentence on texts of one character, if R says HIGH of most of them."""
    short = [c for c in cases if "texts" in c.kind and c.design["length"] == 1]
    high = [c for c in short if c.level == "HIGH" and c.why == "R >= 4"]
    if 2 * len(high) < len(short) or not high:
        return []
    return [
        f"Where only texts are known and the answer is one character long, R is half the number of "
        f"wrong answers whatever the model does, and the level means nothing: {len(high)} of "
        f"{len(short)} such scales were HIGH by R, followed by a jump in "
        f"{percent(high, ('HIGH',), True)}."
    ]


def section(cases: Sequence[Case], seed: int, absent: str) -> str:
    simulated = [c for c in cases if c.true_jump is not None]
    groups = by_block(cases)
    known = {key: group for key, group in groups.items() if group[0].true_jump is not None}
    rest = {key: group for key, group in groups.items() if key not in known}
    words = [
        f"HIGH and LOW are separated in {apart(known)} rows of simulated families, without "
        f"sampling noise in {apart(known, True)}.",
        f"In the real one they are in {apart(rest)} rows; its intervals are wide."
        if rest
        else absent,
        *of_one_character(simulated),
        "R speaks of a halving of NLL; a usual step is about half of that on the scale of "
        "logarithms, so there an R of 4 is a gain of about twice the last, no jump by this "
        "definition. A blind floor says that the test set cannot see, not that the next scale will "
        "rise: deep below it, HIGH is followed by nothing for many scales.",
        "What this can not show: there is one real family, small, of arithmetic alone, whose ten "
        "models stand behind every task, at uneven steps (1.5 to 3.2 times the parameters), and "
        "the other seeds are of two of its sizes; too few for a verdict. The simulated families "
        "assume a power law, and their shares hold for the mix of starts, lengths and spreads that "
        "was drawn, not for the runs you will meet.",
    ]
    lines = [
        paragraph(
            "Read from `mirage attach` itself by `tests/studies/risk_levels.py`, whose head has "
            "the law of the simulated families. A scale with a previous and a next one is followed "
            "by a jump if *next gain > 3 max(last gain, 1/n)*. Cells: jumps of scales, share, 95 % "
            "interval (Wilson, with the design effect of scales that share a series or a model). "
            f"Separated: the intervals of HIGH and LOW do not overlap. Seed {seed}."
        ),
        "",
        *main_table(groups),
        "",
        *verdict_lines(groups),
        "",
        "By the reason that is named first; LOW without what stands at the ceiling:",
        "",
        *reason_table(simulated),
        "",
        "By the gains of the law, without sampling noise:",
        "",
        *main_table(by_block(simulated), true_gains=True),
        "",
        "How often a level was wrong about the next scale:",
        "",
        *wrong_table([c for c in cases if c.block != SEEDS]),
        "",
        paragraph(" ".join(words)),
    ]
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="of the simulated families")
    parser.add_argument("--copies", type=int, default=2, help="of the grid of designs")
    parser.add_argument("--quick", action="store_true", help="few families, one step")
    parser.add_argument("--no-real", action="store_true", help="simulated families only")
    parser.add_argument("--write", action="store_true", help="put the tables into --docs")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs" / "risk.md")
    parser.add_argument("--json", type=Path, help="also write every case there")
    parser.add_argument(
        "--mirage",
        type=Path,
        default=Path(os.environ.get("MIRAGE_BIN", REPOSITORY / "mirage")),
        help="the binary (default: MIRAGE_BIN, else the launcher)",
    )
    options = parser.parse_args(arguments)
    if options.copies < 1:
        parser.error("--copies must be at least 1")
    return options


def main() -> int:
    options = parse()
    folder, absent = family_folder(), ""
    if options.no_real:
        absent = "The real family was left out (--no-real)."
    elif not (folder / "a").is_dir():
        absent = "The real family was left out: MIRAGE_DATA has no eval_logs/arithmetic_family/a."
        if options.write:
            raise SystemExit(f"{absent} Nothing is written without it, unless --no-real says so.")
    if absent:
        print(absent, file=sys.stderr)
    cases = simulate(options.mirage, options.seed, options.copies, options.quick)
    if not absent:
        cases += real_cases(options.mirage, folder)
    counts = Counter(c.level for c in cases)
    print(f"{len(cases)} cases: {dict(counts)}", file=sys.stderr)
    content = section(cases, options.seed, absent)
    print(content)
    if options.json:
        rows = [dataclasses.asdict(c) | {"why": c.why} for c in cases]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if options.write:
        SECTION.fill(options.docs, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
