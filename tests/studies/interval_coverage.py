#!/usr/bin/env python3
"""Measures how often Mirage's 95 % intervals hold the true value, and how wide they are.

    interval_coverage.py                 everything; some five minutes on two cores
    interval_coverage.py --write         the same, and puts the tables into docs/statistics.md
    interval_coverage.py --quick         few simulations, no large sums: seconds

Mirage's side is a program, tests/studies/interval_coverage.cc, that Bazel builds; its head says
what is exact and what is simulated. Other packages (tests/studies/interval_peers.py) judge the same
scenarios and the program's own data sets; they need tools/requirements-studies.txt:

    python3 -m venv VENV && VENV/bin/pip install -r tools/requirements-studies.txt
    VENV/bin/python tests/studies/interval_coverage.py --write

Where they are not installed their columns are left out, with a line that says so (and --write
refuses, lest it drops what was measured, unless --no-peers says so).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from study_page import WIDTH, Section
from study_program import build, measure

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(HERE))

SECTION = Section(
    "<!-- written by tests/studies/interval_coverage.py --write -->",
    "<!-- end of interval_coverage.py -->",
    "## How often the intervals hold",
)
TARGET = "//tests/studies:interval_coverage"
# Below this a coverage is shown in bold; above this so is a test's error rate.
LOW_COVERAGE = 0.92
HIGH_ERROR_RATE = 0.06
# Packages' methods that are by name the same as one of ours.
SAME = {
    "scipy_wilson": "wilson",
    "statsmodels_wilson": "wilson",
    "evalci_wilson": "wilson",
    "scipy_exact": "clopper_pearson",
    "statsmodels_beta": "clopper_pearson",
    "evalci_clopper_pearson": "clopper_pearson",
    "statsmodels_newcomb": "newcombe",
}

Cell = dict[str, Any]
Key = tuple[Any, ...]


def is_exact(cell: Cell) -> bool:
    """Whether a figure is a finite sum, the same in a quick run as in the full one."""
    return not cell.get("simulations") and "seeds" not in cell


# The tables


def coverage_text(cell: Cell) -> str:
    """Coverage and, in parentheses, the mean width."""
    if cell["none"] > 0.995:
        return "none"
    text = f"{cell['coverage']:.3f}"
    if round(cell["coverage"], 3) < LOW_COVERAGE:
        text = f"**{text}**"
    return f"{text} ({cell['width']:.2g})"


def rejection_text(cell: Cell) -> str:
    text = f"{cell['rejected']:.3f}"
    null = cell.get("first_better", 0.5) == 0.5
    return f"**{text}**" if null and round(cell["rejected"], 3) > HIGH_ERROR_RATE else text


def key_text(part: Any) -> str:
    """A number or word that names a row."""
    return f"{part:g}" if isinstance(part, float) else str(part)


@dataclass(frozen=True)
class Table:
    """One table of the document: where its cells are, what names a row and a column."""

    table: str
    caption: str
    names: dict[str, str]  # of a cell's fields that name a row, and as the head says them
    methods: dict[str, str]
    text: Callable[[Cell], str] = field(default=coverage_text)

    def cells(self, cells: Iterable[Cell]) -> dict[Key, dict[str, str]]:
        """Row -> method -> what stands there."""
        rows: dict[Key, dict[str, str]] = {}
        for cell in cells:
            if cell["table"] == self.table and cell["method"] in self.methods:
                key = tuple(cell[name] for name in self.names)
                rows.setdefault(key, {})[cell["method"]] = self.text(cell)
        return dict(sorted(rows.items()))

    def lines(self, cells: Iterable[Cell]) -> list[str]:
        rows = self.cells(cells)
        known = [m for m in self.methods if any(m in row for row in rows.values())]
        head = [*self.names.values(), *(self.methods[m] for m in known)]
        out = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for key, row in rows.items():
            words = [key_text(part) for part in key]
            words += [row.get(method, "–") for method in known]
            out.append(f"| {' | '.join(words)} |")
        return out


SHARES = Table(
    "shares",
    "Shares: k of n right answers at the true share p.",
    {"n": "n", "p": "p"},
    {
        "wilson": "Wilson",
        "clopper_pearson": "Clopper-Pearson",
        "beta_posterior": "beta posterior",
        "auto": "**auto**",
        "student_t": "Student",
        "normal": "normal",
        "bootstrap_percentile": "bootstrap, percentile",
        "bootstrap_bca": "bootstrap, BCa",
    },
)
SHARES_OF_PEERS = Table(
    "shares",
    "The same for methods of other packages.",
    SHARES.names,
    {
        "statsmodels_normal": "statsmodels normal",
        "statsmodels_jeffreys": "statsmodels Jeffreys",
        "statsmodels_agresti_coull": "statsmodels Agresti-Coull",
        "deltagate_normal": "deltagate normal",
        "deltagate_bootstrap": "deltagate BCa",
        "evalci_bootstrap": "evalci BCa",
    },
)
UNPAIRED = Table(
    "unpaired",
    "Differences of two shares, p + difference and p, on n different items each. A 1.000 at a "
    "width near 0 is luck again: neither has a right answer, and the true difference is 0.",
    {"n": "n", "p": "p", "difference": "difference"},
    {
        "newcombe": "Newcombe",
        "welch_t": "Welch",
        "statsmodels_agresti-caffo": "statsmodels Agresti-Caffo",
        "statsmodels_wald": "statsmodels Wald",
        "evalsig_bootstrap": "evalsig bootstrap",
    },
)
PAIRED = Table(
    "paired",
    "The same on the same n items (scores correlated by 0.5, or by as much as the shares allow).",
    UNPAIRED.names,
    {
        "newcombe_paired": "Newcombe, paired",
        "student_t": "paired Student",
        "deltagate_paired_delta": "deltagate paired_delta",
        "evalsig_mcnemar": "evalsig mcnemar",
        "evalsig_bootstrap": "evalsig bootstrap",
    },
)
PEEKING = Table(
    "peeking",
    "Looking after every score: the probability that no interval up to n misses (width at n). The "
    "asymptotic sequence starts at its default of 100 scores, evalsig's at its default of 30. The "
    "other sequences keep to the intersection of all they said, so that looking once is the same.",
    SHARES.names,
    {
        "wilson": "Wilson",
        "auto": "auto",
        "student_t": "Student",
        "betting_sequence": "betting",
        "empirical_bernstein_sequence": "Bernstein",
        "normal_mixture_sequence": "mixture",
        "stitched_sequence": "stitched",
        "asymptotic_sequence": "asymptotic",
        "asymptotic_sequence_once": "asymptotic, one look",
        "evalsig_confidence_sequence": "evalsig",
    },
)
SKEWED = Table(
    "skewed",
    "Means of skewed continuous scores: log-likelihoods that are minus an exponential variable "
    "(skewness 2) or minus a log-normal one (sigma 1, skewness 6.2).",
    {"scores": "scores", "n": "n"},
    {
        "student_t": "**Student (auto)**",
        "normal": "normal",
        "bootstrap_percentile": "bootstrap, percentile",
        "bootstrap_bca": "bootstrap, BCa",
        "deltagate_normal": "deltagate normal",
        "deltagate_bootstrap": "deltagate BCa",
        "evalci_bootstrap": "evalci BCa",
    },
)
CLUSTERED = Table(
    "clustered",
    "Clusters: 0/1 scores with the mean 0.7, items of one cluster correlated by 0.2.",
    {"clusters": "clusters", "items": "items in each"},
    {
        "auto": "auto, clusters ignored",
        "clustered_student_t": "clustered Student",
        "cluster_bootstrap_percentile": "cluster bootstrap, percentile",
        "cluster_bootstrap_bca": "cluster bootstrap, BCa",
        "deltagate_clustered": "deltagate clusters",
        "evalci_cluster": "evalci cluster_ci",
        "evalsig_cluster": "evalsig cluster bootstrap",
    },
)
BINARY_TESTS = Table(
    "binary_tests",
    "Paired tests of 0/1 scores: how often p <= 0.05. Equal models share evenly (0.5) the items on "
    "which they differ: these rows are error rates. Where the first has 0.7 of them it is better, "
    "and the rows are the power to find that.",
    {"first_better": "share of the first", "n": "n", "differs": "items that differ"},
    {
        "mcnemar_exact": "McNemar exact, sign, permutation",
        "mcnemar_mid_p": "McNemar mid-p",
        "mcnemar_chi_squared": "McNemar chi-squared",
        "student_t": "paired Student",
        "deltagate_paired_delta": "deltagate paired_delta",
        "evalsig_mcnemar": "evalsig mcnemar",
        "evalci_mcnemar": "evalci mcnemar",
    },
    rejection_text,
)
CONTINUOUS_TESTS = Table(
    "continuous_tests",
    "The same for continuous scores whose mean difference is 0: error rates. Symmetric differences "
    "are those of two log-normal scores; skewed ones those of one from its mean.",
    {"differences": "differences", "n": "n"},
    {
        "student_t": "paired Student",
        "permutation": "permutation",
        "sign_exact": "sign",
        "deltagate_paired_delta": "deltagate paired_delta",
        "evalci_permutation": "evalci permutation",
        "evalsig_bootstrap": "evalsig bootstrap",
    },
    rejection_text,
)
TABLES = (
    SHARES,
    SHARES_OF_PEERS,
    UNPAIRED,
    PAIRED,
    PEEKING,
    SKEWED,
    CLUSTERED,
    BINARY_TESTS,
    CONTINUOUS_TESTS,
)


# Rules of choice

RULES_CAPTION = (
    "Rules of choice: the least coverage of all shares and, in parentheses, the mean width over "
    "all shares beside Wilson's. Last column: the least coverage of all n from {} to {}, and where."
)


def rule_label(method: str, few_counts: int) -> str:
    if method.startswith("rule_"):
        few = int(method.removeprefix("rule_"))
        if few == 0:
            return "Wilson always"
        text = f"Clopper-Pearson below {few} successes or failures, else Wilson"
        return f"**{text} (auto)**" if few == few_counts else text
    return {
        "clopper_pearson": "Clopper-Pearson always",
        "beta_posterior": "beta posterior",
        "statsmodels_jeffreys": "Jeffreys (statsmodels)",
        "statsmodels_agresti_coull": "Agresti-Coull (statsmodels)",
    }[method]


def rule_rows(cells: Sequence[Cell], few_counts: int) -> dict[str, list[str]]:
    """Label -> what stands in its columns."""
    rules = [c for c in cells if c["table"] == "rules" and c["method"] != "auto"]
    wilson = {c["n"]: c["width"] for c in rules if c["method"] == "rule_0"}
    rows: dict[str, list[str]] = {}
    for c in sorted(rules, key=lambda c: c["n"]):
        extra = 100 * (c["width"] / wilson[c["n"]] - 1)
        text = f"{c['worst']:.3f} ({extra:+.1f} %)".replace("-0.0 %", "+0.0 %")
        rows.setdefault(rule_label(c["method"], few_counts), []).append(text)
    for c in cells:
        if c["table"] == "any_n" and c["method"] != "auto":
            text = f"{c['worst']:.3f} (n = {c['worst_n']}, p = {c['worst_share']:.2g})"
            rows[rule_label(c["method"], few_counts)].append(text)
    return rows


def rule_lines(cells: Sequence[Cell], few_counts: int) -> list[str]:
    sizes = sorted({c["n"] for c in cells if c["table"] == "rules"})
    out = ["| rule | " + " | ".join(f"n = {n}" for n in sizes) + " | any n |"]
    out.append("|---" * (len(sizes) + 2) + "|")
    return out + [
        f"| {label} | {' | '.join(row)} |" for label, row in rule_rows(cells, few_counts).items()
    ]


# The words


class Figures:
    """Finds figures by what names them."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.all = cells

    def cell(self, table: str, method: str, **names: Any) -> Cell:
        names |= {"table": table, "method": method}
        for c in self.all:
            if all(c.get(name) == value for name, value in names.items()):
                return c
        raise KeyError(f"{names}: no such cell")

    def coverage(self, table: str, method: str, **names: Any) -> str:
        return f"{100 * self.cell(table, method, **names)['coverage']:.0f} %"

    def rejected(self, table: str, method: str, **names: Any) -> str:
        return f"{100 * self.cell(table, method, **names)['rejected']:.0f} %"

    def wider(self, method: str, n: int) -> float:
        """By how many per cent an interval is wider than Wilson's, over all shares."""
        widths = [self.cell("rules", m, n=n)["width"] for m in (method, "rule_0")]
        return 100 * (widths[0] / widths[1] - 1)

    def worst(self, method: str) -> str:
        """The least coverage of any n, rounded down."""
        return f"{math.floor(1000 * self.cell('any_n', method)['worst']) / 10} %"


def agreement(cells: Sequence[Cell]) -> list[str]:
    """Which packages' intervals are ours, to rounding."""
    ours = {
        (c["table"], c["method"], c["n"], c["p"], c.get("difference")): c
        for c in cells
        if c["table"] in ("shares", "unpaired")
    }
    same, apart = [], []
    for theirs, name in SAME.items():
        largest = 0.0
        found = [key for key in ours if key[1] == theirs]
        for key in found:
            a, b = ours[key], ours[key[0], name, *key[2:]]
            largest = max(largest, abs(a["coverage"] - b["coverage"]))
            largest = max(largest, abs((a["width"] or 0) - (b["width"] or 0)))
        if found:
            words = theirs.replace("_", " ", 1)
            (same if largest < 1e-9 else apart).append((words, largest))
    out = []
    if same:
        out.append(
            f"The same as ours in every coverage and width, to 1e-9, and so without a column: "
            f"{', '.join(words for words, _ in same)}."
        )
    out += [f"{words} differs from ours by up to {by:.1g}." for words, by in apart]
    return out


def paragraph(text: str, indent: str = "") -> str:
    """Lines of at most 124 columns; a number stays with its sign."""
    for sign in ("%", "="):
        text = text.replace(f" {sign}", f"\u00a0{sign}")
    filled = textwrap.fill(
        text.replace("= ", "=\u00a0"),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace("\u00a0", " ")


def bullet(text: str) -> str:
    return paragraph(f"- {text}", "  ")


def words_on_choice(f: Figures, few_counts: int) -> list[str]:
    auto = f.cell("any_n", "auto")
    others = [c["method"] for c in f.all if c["table"] == "any_n" and "rule_" in c["method"]]
    limits = [
        f"{f.worst(rule)} with {rule.removeprefix('rule_')}"
        for rule in others
        if rule not in ("rule_0", "rule_1", f"rule_{few_counts}")
    ]
    skewed = {"scores": "log-normal"}
    return [
        f"**Shares.** Clopper and Pearson's interval where fewer than {few_counts} answers are "
        f"right, or fewer than {few_counts} wrong; else Wilson's. Wilson's alone holds a small "
        f"true share as rarely as {f.worst('rule_0')} of the time, the beta posterior "
        f"{f.worst('beta_posterior')}: both where one test set in about five has a right "
        f"answer at all. Mirage's choice never falls below {f.worst('auto')} (for n from "
        f"{auto['least_n']} to {auto['most_n']}; least at n = {auto['worst_n']}, p = "
        f"{auto['worst_share']:.2g}). Averaged over all shares that costs "
        f"{f.wider('auto', 20):.1f} % of width at n = 20 and {f.wider('auto', 100):.1f} % at n = "
        "100. Clopper and Pearson's always, which never falls below 95 %, costs "
        f"{f.wider('clopper_pearson', 20):.0f} % and "
        f"{f.wider('clopper_pearson', 100):.0f} %: name it (`--interval clopper_pearson`) for "
        "statements that must not overclaim.",
        f"The limit of {few_counts} is no sharp optimum. The least coverage is "
        f"{', '.join(limits)}.",
        "**Other scores.** Student's interval. With few values it holds more often than bootstraps "
        f"do: {f.coverage('skewed', 'student_t', n=5, **skewed)} against "
        f"{f.coverage('skewed', 'bootstrap_bca', n=5, **skewed)} for BCa at n = 5 of very skewed "
        f"scores. With more, BCa is as good or a little better "
        f"({f.coverage('skewed', 'student_t', n=20, **skewed)} against "
        f"{f.coverage('skewed', 'bootstrap_bca', n=20, **skewed)} at n = 20).",
        "The library also has Newcombe's intervals for differences of shares, which hold where "
        "counts are 0, too; Student's for clusters, with one degree of freedom less than there are "
        "clusters; and confidence sequences for whoever looks while a run goes on.",
    ]


def words_on_failure(f: Figures) -> list[str]:
    zero = f.cell("shares", "clopper_pearson", n=100, p=0.0)
    rare = {"n": 100, "p": 0.01}
    hundred, five = ({"clusters": c, "items": "10"} for c in (100, 5))
    last = max(c["n"] for c in f.all if c["table"] == "peeking")
    even, uneven = ({"n": last, "p": p} for p in (0.5, 0.01))
    missed = 1 - f.cell("peeking", "wilson", **even)["coverage"]
    widths = [f.cell("peeking", m, **even)["width"] for m in ("betting_sequence", "wilson")]
    fifth = {"n": 100, "differs": 0.2, "first_better": 0.5}
    skewed = {"differences": "skewed", "n": 100}
    return [
        "**0 of n, or n of n.** Student's and the normal interval have the width 0 there, which "
        "claims certainty; Mirage gives none instead, other packages do. A bootstrap does the "
        "same: it knows only what it saw. At p = 0.01 and n = 100 the percentile bootstrap holds "
        f"in {f.coverage('shares', 'bootstrap_percentile', **rare)} of test sets, BCa in "
        f"{f.coverage('shares', 'bootstrap_bca', **rare)}. (Its 1.000 at p = 0 is luck: width 0 "
        "about the right value.) An interval of counts says what 0 of 100 leaves open: up to "
        f"{100 * zero['width']:.1f} %.",
        "**Skew.** Rare large values are missing from a small sample, and no interval knows of "
        f"them. Very skewed scores leave Student's with "
        f"{f.coverage('skewed', 'student_t', scores='log-normal', n=20)} at n = 20 and "
        f"{f.coverage('skewed', 'student_t', scores='log-normal', n=100)} at n = 100.",
        "**Clusters ignored.** Ten questions about one passage are not ten independent ones. The "
        f"interval that ignores it holds in {f.coverage('clustered', 'auto', **hundred)}, however "
        "many clusters there are. Once they are named, Student's holds in "
        f"{f.coverage('clustered', 'clustered_student_t', **hundred)} with 100 of them and "
        f"{f.coverage('clustered', 'clustered_student_t', **five)} with 5.",
        f"**Looking before the end.** Who looks after each of {last} scores and stops when it "
        f"pleases is misled by Wilson's interval in {100 * missed:.0f} % of runs (p = 0.5). The "
        f"betting sequence holds in {f.coverage('peeking', 'betting_sequence', **even)}, with "
        f"{widths[0] / widths[1]:.1f} times the width. The asymptotic one is for scores without "
        "bounds and many values: with rare right answers it holds in "
        f"{f.coverage('peeking', 'asymptotic_sequence', **uneven)} (p = 0.01).",
        "**Tests.** With 5 pairs no exact test can find a difference at 5 %. McNemar's exact test "
        f"is careful: it errs in {f.rejected('binary_tests', 'mcnemar_exact', **fifth)}, mid-p in "
        f"{f.rejected('binary_tests', 'mcnemar_mid_p', **fifth)} (n = 100, a fifth of the items "
        "differ). Permutation and sign tests ask whether the two labels could be exchanged, not "
        "whether the means agree. Of skewed differences with the mean 0 the sign test rejects "
        f"{f.rejected('continuous_tests', 'sign_exact', **skewed)} at n = 100: rightly, but it is "
        "another question.",
    ]


def words_on_method(f: Figures, answer: dict[str, Any], peers: str) -> str:
    def errors(cells: Iterable[Cell]) -> str:
        found = [c for c in cells if c.get("simulations", 0) > 1]
        numbers = sorted({c["simulations"] for c in found})
        return (
            f"{numbers[0]} to {numbers[-1]} simulations, standard error up to "
            f"{max(c['error'] for c in found):.3f}"
        )

    own = answer["cells"]
    others = f.all[len(own) :]
    random = max(c["error"] for c in own if "seeds" in c)
    words = [
        "Exact, a sum over all counts: shares, rules, formulas for differences of shares, "
        "looking always with intervals of counts, tests of 0/1 scores.",
        f"Bootstraps of shares are the same sum, over intervals of {answer['replicates']} "
        f"resamples (ours averaged over seeds, standard error up to {random:.3f}; others' from one "
        f"seed).",
        "Simulated: confidence sequences, skewed scores, clusters, tests of continuous scores, and "
        f"bootstraps of differences ({errors(own)}",
        f"; other packages judge the same data sets, slow ones the first of them: {errors(others)}"
        if others
        else "",
    ]
    return f"{' '.join(words[:3])}{words[3]}). Seed {answer['seed']}. {peers}"


def section(answer: dict[str, Any], peers: Sequence[Cell], peers_line: str) -> str:
    cells = [*answer["cells"], *peers]
    few = answer["few_counts"]
    f = Figures(cells)
    spans = f.cell("any_n", "auto")
    lines = [
        paragraph(
            "A 95 % interval is a promise: of a hundred test sets like yours, drawn from the same "
            "source, the intervals of 95 hold the true value, which is what endlessly many items "
            "would give. *Coverage* is the share that really do. 0.95 is right; 0.80 misleads in "
            "one of five test sets; 1.00 is safe, and wider than need be. Cells: coverage (mean "
            f"width). **Bold** is below {LOW_COVERAGE}, for tests above {HIGH_ERROR_RATE} where "
            "0.05 is due. A method that gives no interval holds nothing (looking always: misses "
            "nothing); `none`: it never gives one."
        ),
        "",
        "What Mirage chooses, and why:",
        "",
        *(bullet(text) for text in words_on_choice(f, few)),
        "",
        "Where every interval fails:",
        "",
        *(bullet(text) for text in words_on_failure(f)),
        "",
        paragraph(words_on_method(f, answer, peers_line)),
        *(["", *(paragraph(text) for text in agreement(cells))] if peers else []),
    ]
    for table in TABLES:
        if table is SHARES_OF_PEERS and not peers:
            continue
        lines += ["", paragraph(table.caption), "", *table.lines(cells)]
        if table is SHARES_OF_PEERS or (table is SHARES and not peers):
            caption = RULES_CAPTION.format(spans["least_n"], spans["most_n"])
            lines += ["", paragraph(caption), "", *rule_lines(cells, few)]
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1, help="of the simulations")
    parser.add_argument("--quick", action="store_true", help="few simulations, no large sums")
    parser.add_argument("--no-peers", action="store_true", help="Mirage's own methods only")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="put the tables into --docs")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs" / "statistics.md")
    parser.add_argument("--json", type=Path, help="also write every cell there")
    parser.add_argument("--program", type=Path, help="the built program (default: Bazel builds it)")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    began = time.monotonic()
    judge, line = None, "Other packages were left out (--no-peers)."
    if not options.no_peers:
        try:
            import interval_peers as judge
        except ImportError as error:
            line = (
                f"Other packages were left out: {error.name} is not installed "
                "(tools/requirements-studies.txt)."
            )
            if options.write:
                raise SystemExit(
                    f"{line} Nothing is written without them, unless --no-peers says so."
                ) from error
        else:
            line = f"Other packages: {judge.versions()}."
    print(line, file=sys.stderr)
    program = options.program or build(TARGET)
    with tempfile.TemporaryDirectory(prefix="mirage-study-") as data:
        arguments = ["--seed", str(options.seed), "--threads", str(options.threads)]
        arguments += ["--quick"] if options.quick else []
        arguments += ["--data", data] if judge else []
        answer = measure(program, arguments)
        print(f"Mirage's side: {time.monotonic() - began:.0f} s", file=sys.stderr)
        peers = judge.cells(answer, Path(data), options.threads) if judge else []
    content = section(answer, peers, line)
    print(content)
    print(f"{len(answer['cells'])} cells of Mirage, {len(peers)} of others", file=sys.stderr)
    print(f"all: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(answer | {"peers": peers}, indent=1) + "\n")
    if options.write:
        SECTION.fill(options.docs, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
