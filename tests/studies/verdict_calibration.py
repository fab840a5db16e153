#!/usr/bin/env python3
"""Measures how often the verdict on a family of models is right, where the truth is known.

    verdict_calibration.py               everything; some ten minutes on two cores
    verdict_calibration.py --write       the same, and puts the tables into docs/calibration.md
    verdict_calibration.py --quick       the first few families of each cell: seconds
    verdict_calibration.py --check       the same; exits 1 where they contradict docs/calibration.md

The families are drawn and judged by a program, tests/studies/verdict_calibration.cc, that Bazel
builds; its head says how. The families of a quick run are among those of the full one, so that no
count of it can be above the published one.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study_page import WIDTH, Section, paragraph
from study_program import build, measure

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

SECTION = Section(
    "<!-- written by tests/studies/verdict_calibration.py --write -->",
    "<!-- end of verdict_calibration.py -->",
    "## What was measured",
)
TARGET = "//tests/studies:verdict_calibration"

# What must be reached.
CLEAR_RIGHT = 0.97
HARD_WRONG = 0.05
HARD_MIRAGES_DECIDED = 0.7
HARD_BREAKS_FOUND = 0.6
# Of what was said with a strength, the most that may be wrong.
STRENGTHS = {"STRONG": 0.02, "MODERATE": 0.05, "WEAK": 0.15}
# Fewer families of a strength say nothing.
LEAST_OF_A_STRENGTH = 10

Cell = dict[str, Any]

# Why a case is missed, where it is: what the families themselves show (--families).
WIDE = (
    "Neither answer is ruled out: the exponent rises by 0.3 or more, so that the law does not "
    "count as smooth, but not within the window of a break. The verdict abstains, or now and then "
    "takes the bend for a narrower one."
)
WHY = {
    ("greedy decoding", "MIRAGE"): (
        "The composition p^L is exact match at temperature 1. Greedy decoding is right wherever "
        "the gold token beats its strongest rival, so that exact match lies above the composition, "
        "and the verdict does not take one for the other. What the mean NLL says of greedy exact "
        "match depends on the rivals, which a table of means does not have. Items do (table 2e)."
    ),
    ("greedy decoding", "BREAK_SURVIVES"): (
        "Greedy decoding is often right on the plateau already: the share of the rise that is "
        "reached early is then near its bound of 0.2, and measured to be above it (0.20 to 0.23)."
    ),
    ("wrong_golds", "MIRAGE"): (
        "A tenth of the golds is wrong, and the NLL of a wrong gold grows as models get better: "
        "the mean NLL no longer tells of the others, and composes to less than is measured. Items "
        "tell (table 2e)."
    ),
    ("half_items_break", "BREAK_SURVIVES"): (
        "In the mean the exponent rises by half of what those items show, and most of that is gone "
        "two sizes later, when the items that never break make up the mean. Groups of items "
        "show it (table 2e); means hardly do."
    ),
    ("staggered_breaks", "BREAK_SURVIVES"): (
        "The mean over positions has no break, and composes to exact match. Only the NLL by "
        "position shows the three breaks (table 2e): a MIRAGE from means says nothing about "
        "positions."
    ),
    ("bimodal_seeds", "BREAK_SURVIVES"): (
        "Two modes of seeds count as scatter, of which the largest that is considered is 0.5. "
        "Where that is what is found, the rise of exact match is not significant beside it, and "
        "RESOLUTION_LIMITED is said, with the strength of its ten sizes."
    ),
    ("wide_bend", "MIRAGE"): WIDE,
    ("a bend too wide for a break", "MIRAGE"): WIDE,
    ("a steep logistic law (0.8 to 1.2)", "BREAK_SURVIVES"): (
        "The exponent rises by more than 0.3 within the window, so that it is a break in truth; "
        "10 to 90 % of its rise take 1.2 to 1.8 windows, which is too wide for the verdict. It "
        "abstains."
    ),
    ("multiple_choice", "MIRAGE"): (
        "No composition is known from the mean log p of the gold to who wins among the choices; "
        "and the early rise is near its bound."
    ),
    ("vectors", "MIRAGE"): (
        "No composition is known from the mean squared error to the share below a threshold."
    ),
}
# Why what must be reached is not.
WHY_NOT_REACHED = {
    "STRONG MIRAGE, families of hard: wrong": (
        "All of them are of `staggered_breaks`, see below: ten sizes give STRONG, whatever "
        "positions hide."
    ),
    "STRONG RESOLUTION_LIMITED, families of hard: wrong": (
        "Few were called so, all of `bimodal_seeds`, see below."
    ),
    "MODERATE SMOOTH, families of hard: wrong": (
        "Few were called so: curves near the bound of what is sudden, under greedy decoding or "
        "with items that differ widely."
    ),
}


# The tables


def share(cell: Cell, path: str) -> tuple[int, float, float, float]:
    """Count, share and the ends of its interval; `path` as in "right" or "said.MIRAGE"."""
    found: Any = cell
    for name in path.split("."):
        found = found[name]
    lower, upper = found["interval"]
    return found["count"], found["count"] / cell["n"], lower, upper


def share_text(cell: Cell, path: str) -> str:
    count, value, lower, upper = share(cell, path)
    return f"{count} ({100 * value:.1f} %; {100 * lower:.1f} to {100 * upper:.1f})"


def reasons_text(cell: Cell) -> str:
    """What was said first where the verdict was not right, the most frequent first."""
    reasons = sorted(cell["reasons"].items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"`{code}` {count}" for code, count in reasons[:2]) or "–"


def key_text(part: Any) -> str:
    return f"{part:g}" if isinstance(part, float) else str(part)


@dataclass(frozen=True)
class Table:
    """One table of the document."""

    table: str
    caption: str
    where: dict[str, Any]  # what a cell's fields must be
    names: dict[str, str]  # of a cell's fields that name a row, and as the head says them
    columns: dict[str, str]  # head -> what share stands there
    has_reasons: bool = False

    def cells(self, cells: Iterable[Cell]) -> list[Cell]:
        return [
            c
            for c in cells
            if c["table"] == self.table and all(c[k] == v for k, v in self.where.items())
        ]

    def key(self, cell: Cell) -> tuple[str, ...]:
        return tuple(key_text(cell[name]) for name in self.names)

    def head(self) -> list[str]:
        reasons = ["said first where not right"] if self.has_reasons else []
        return [*self.names.values(), "families", *self.columns, *reasons]

    def lines(self, cells: Iterable[Cell]) -> list[str]:
        head = self.head()
        out = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for cell in self.cells(cells):
            row = [*self.key(cell), str(cell["n"])]
            row += [share_text(cell, path) for path in self.columns.values()]
            row += [reasons_text(cell)] if self.has_reasons else []
            out.append(f"| {' | '.join(row)} |")
        return out


OUTCOMES = {"right": "right", "abstained": "abstained", "wrong": "wrong"}
CALLED = {
    "MIRAGE": "said.MIRAGE",
    "BREAK_SURVIVES": "said.BREAK_SURVIVES",
    "SMOOTH": "said.SMOOTH",
    "INSUFFICIENT": "said.INSUFFICIENT",
}
TABLES = [
    Table(
        "clear",
        "**1. Clear cases**: M >= 6, n >= 300, tau <= 0.04.",
        {},
        {"truth": "truth"},
        OUTCOMES,
        has_reasons=True,
    ),
    Table(
        "hard",
        "**2. Hard cases** of exact match, all together: every case below has the same weight.",
        {},
        {"truth": "truth"},
        CALLED | {"decided": "decided"},
    ),
    Table(
        "cases",
        "**2a. Hard mirages**, case by case. Names with underscores are presets.",
        {"group": "hard", "truth": "MIRAGE"},
        {"case": "case"},
        CALLED,
        has_reasons=True,
    ),
    Table(
        "cases",
        "**2b. Hard breaks**, case by case.",
        {"group": "hard", "truth": "BREAK_SURVIVES"},
        {"case": "case"},
        CALLED,
        has_reasons=True,
    ),
    Table(
        "cases",
        "**2c. Presets of other evidence** than exact match beside NLL; no part of the sums above.",
        {"group": "other evidence"},
        {"case": "case", "truth": "truth"},
        CALLED,
        has_reasons=True,
    ),
    Table(
        "cases",
        "**2d. Presets that are neither**.",
        {"group": "also"},
        {"case": "case", "truth": "truth"},
        OUTCOMES,
    ),
    Table(
        "cases",
        "**2e. With per-sample results**: beside the means, the NLL at each position and in two "
        "groups of items, and each item's log p and score; no part of the sums above.",
        {"group": "samples"},
        {"case": "case", "truth": "truth"},
        CALLED,
        has_reasons=True,
    ),
    Table(
        "axes",
        "**3. By M, n, tau, decoding and seeds**: each row averages evenly over the rest of the "
        "grid; decoding and seeds at M >= 6, n >= 300, tau = 0.04.",
        {},
        {"truth": "truth", "axis": "axis", "at": "at"},
        OUTCOMES,
    ),
    Table(
        "strength",
        "**4. By verdict and strength**: of what was said so, how much was wrong.",
        {},
        {"group": "families of", "verdict": "verdict", "strength": "strength"},
        {"wrong": "wrong"},
    ),
    Table(
        "null",
        "**5. Nothing changes**: larger models are no better, n = 300. False emergence is any "
        "verdict but SMOOTH and INSUFFICIENT; an emergent shape is what the curve alone shows.",
        {},
        {"tau": "tau", "m": "M"},
        {
            "SMOOTH": "said.SMOOTH",
            "false emergence": "false_emergence",
            "MIRAGE": "said.MIRAGE",
            "BREAK_SURVIVES": "said.BREAK_SURVIVES",
            "emergent shape": "emergent",
        },
    ),
]


def bullet(text: str) -> str:
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


# What must be reached


@dataclass(frozen=True)
class Target:
    """A share that must be at least, or at most, so much."""

    text: str
    cell: Cell
    path: str
    bound: float
    at_least: bool

    def is_reached(self) -> bool:
        value = share(self.cell, self.path)[1]
        return value >= self.bound if self.at_least else value <= self.bound

    def verdict(self) -> str:
        _, _, lower, upper = share(self.cell, self.path)
        if not self.is_reached():
            outside = upper < self.bound if self.at_least else lower > self.bound
            return "**no**" if outside else "**no** (the interval holds the bound)"
        inside = lower >= self.bound if self.at_least else upper <= self.bound
        return "yes" if inside else "yes (the interval holds the bound)"

    def line(self) -> str:
        sign = ">=" if self.at_least else "<="
        words = [self.text, f"{sign} {100 * self.bound:g} %", share_text(self.cell, self.path)]
        return f"| {' | '.join([*words, self.verdict()])} |"


def targets(cells: Iterable[Cell]) -> list[Target]:
    """All of them; of quick runs too, where they say little."""
    found = []
    for cell in cells:
        truth = cell.get("truth")
        if cell["table"] == "clear":
            text = f"clear cases, truth {truth}: right"
            found.append(Target(text, cell, "right", CLEAR_RIGHT, True))
        elif cell["table"] == "hard" and truth == "MIRAGE":
            text = "hard mirages: called BREAK_SURVIVES"
            found.append(Target(text, cell, "said.BREAK_SURVIVES", HARD_WRONG, False))
            text = "hard mirages: decided (neither INSUFFICIENT nor MIXED)"
            found.append(Target(text, cell, "decided", HARD_MIRAGES_DECIDED, True))
        elif cell["table"] == "hard":
            text = "hard breaks: called MIRAGE"
            found.append(Target(text, cell, "said.MIRAGE", HARD_WRONG, False))
            text = "hard breaks: called BREAK_SURVIVES"
            found.append(Target(text, cell, "said.BREAK_SURVIVES", HARD_BREAKS_FOUND, True))
    for cell in cells:
        if cell["table"] == "strength" and cell["n"] >= LEAST_OF_A_STRENGTH:
            text = f"{cell['strength']} {cell['verdict']}, families of {cell['group']}: wrong"
            found.append(Target(text, cell, "wrong", STRENGTHS[cell["strength"]], False))
    return found


def target_lines(cells: Iterable[Cell]) -> list[str]:
    head = "| what | must be | is | reached |"
    return [head, "|---|---|---|---|", *(target.line() for target in targets(cells))]


def missed_cases(cells: Iterable[Cell]) -> list[str]:
    """Cases that miss alone what all together must reach, and why."""
    out = []
    for cell in cells:
        if cell["table"] != "cases" or cell["truth"] not in ("MIRAGE", "BREAK_SURVIVES"):
            continue
        if cell["group"] == "samples":
            continue
        is_mirage = cell["truth"] == "MIRAGE"
        wanted = "decided" if is_mirage else "said.BREAK_SURVIVES"
        other = "BREAK_SURVIVES" if is_mirage else "MIRAGE"
        words = []
        if share(cell, wanted)[1] < (HARD_MIRAGES_DECIDED if is_mirage else HARD_BREAKS_FOUND):
            name = "decided" if is_mirage else "found"
            words.append(f"{name} in {100 * share(cell, wanted)[1]:.0f} %")
        if share(cell, f"said.{other}")[1] > HARD_WRONG:
            words.append(f"called {other} in {100 * share(cell, f'said.{other}')[1]:.0f} %")
        rest = share(cell, "wrong")[0] - share(cell, f"said.{other}")[0]
        if rest / cell["n"] > HARD_WRONG:
            words.append(f"otherwise wrong in {100 * rest / cell['n']:.0f} %")
        if words:
            kind = "mirage" if is_mirage else "break"
            why = WHY.get((cell["case"], cell["truth"]), "")
            out.append(bullet(f"**{cell['case']}** ({kind}): {'; '.join(words)}. {why}".strip()))
    return out


def words_on_abstention(cells: Sequence[Cell]) -> str:
    """Why a clear mirage is not always called one, and what seeds do to that."""
    (clear,) = (c for c in cells if c["table"] == "clear" and c["truth"] == "MIRAGE")
    seeds = {
        c["at"]: share(c, "abstained")[1]
        for c in cells
        if c["table"] == "axes" and c["axis"] == "seeds a size" and c["truth"] == "MIRAGE"
    }
    words = (
        f"Of clear mirages {100 * share(clear, 'abstained')[1]:.1f} % are left undecided, and this "
        "is built in: a composition and a forecast of 99 % bands each miss by chance now and then."
    )
    if "3" in seeds:
        words += (
            f" With three seeds a size the share is {100 * seeds['3']:.1f} % instead of "
            f"{100 * seeds['1']:.1f} %: each of the three largest models has to lie inside a band "
            "made for one."
        )
    return words


def words_on_twins(cells: Iterable[Cell]) -> str:
    """The presets with one exact match and two counterparts."""
    found = {c["case"]: c for c in cells if c["table"] == "cases" and "twin_" in c["case"]}
    words = []
    for case, verdict in (("twin_smooth", "MIRAGE"), ("twin_break", "BREAK_SURVIVES")):
        if case in found:
            count = share(found[case], f"said.{verdict}")[0]
            words.append(f"`{case}` {verdict} in {count} of {found[case]['n']}")
    return (
        "Twins have the same exact match at every size, and only the counterpart differs: "
        f"{', '.join(words)}."
    )


def section(answer: dict[str, Any]) -> str:
    cells = answer["cells"]
    missed = [target for target in targets(cells) if not target.is_reached()]
    lines = [
        paragraph(
            f"{answer['families']} families, seed {answer['seed']}, sup-F test with "
            f"{answer['replicates']} replicates. In the tables: count (share; 95 % interval after "
            "Clopper and Pearson)."
        ),
        "",
        "### What must be reached",
        "",
        *target_lines(cells),
        "",
        "### What it does not reach",
        "",
    ]
    for target in missed:
        why = WHY_NOT_REACHED.get(target.text, "")
        words = f"**{target.text}**: {share_text(target.cell, target.path)}. {why}"
        lines.append(bullet(words.strip()))
    if not missed:
        lines.append("All of it is reached.")
    lines.append("")
    lines += [
        "Cases that alone miss what all hard cases together must reach:",
        "",
        *missed_cases(cells),
        "",
        paragraph(words_on_abstention(cells)),
        "",
        paragraph(words_on_twins(cells)),
        "",
        "### Tables",
    ]
    for table in TABLES:
        lines += ["", paragraph(table.caption), "", *table.lines(cells)]
    return "\n".join(lines)


# Whether the document is stale


def published(text: str, table: Table) -> dict[tuple[str, ...], dict[str, int]]:
    """Counts of a table of the document: row -> head -> count."""
    lines = text.splitlines()
    wanted = paragraph(table.caption).splitlines()
    start = next((i for i in range(len(lines)) if lines[i : i + len(wanted)] == wanted), None)
    if start is None:
        return {}
    rows = {}
    head = table.head()
    for line in lines[start + len(wanted) + 3 :]:
        if not line.startswith("|"):
            break
        row = [word.strip() for word in line.strip("|").split("|")]
        counts = {}
        for name, word in zip(head, row, strict=True):
            count = re.match(r"\d+", word)
            if name == "families" or name in table.columns:
                counts[name] = int(count.group()) if count else -1
        rows[tuple(row[: len(table.names)])] = counts
    return rows


def contradictions(answer: dict[str, Any], text: str) -> tuple[list[str], int]:
    """Where the published counts cannot be those of more families than these; counts compared."""
    out, compared = [], 0
    for table in TABLES:
        rows = published(text, table)
        for cell in table.cells(answer["cells"]):
            key = table.key(cell)
            name = f"{table.caption.split('**')[1]} {' '.join(key)}"
            if key not in rows:
                out.append(f"{name}: not in the document")
                continue
            n = rows[key]["families"]
            for head, path in table.columns.items():
                count = share(cell, path)[0]
                compared += 1
                if count > rows[key][head] or cell["n"] - count > n - rows[key][head]:
                    out.append(
                        f"{name}: {head} {count} of {cell['n']}, but published {rows[key][head]} "
                        f"of {n}"
                    )
    return out, compared


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=2, help="of the simulated families")
    parser.add_argument("--quick", action="store_true", help="few families")
    parser.add_argument("--check", action="store_true", help="few families, against the document")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write", action="store_true", help="put the tables into --docs")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs" / "calibration.md")
    parser.add_argument("--json", type=Path, help="also write every cell there")
    parser.add_argument("--families", type=Path, help="also write every family there")
    parser.add_argument("--program", type=Path, help="the built program (default: Bazel builds it)")
    options = parser.parse_args(arguments)
    if options.check and options.write:
        parser.error("--check and --write: give one of them")
    return options


def main() -> int:
    options = parse()
    began = time.monotonic()
    program = options.program or build(TARGET)
    arguments = ["--seed", str(options.seed), "--threads", str(options.threads)]
    arguments += ["--quick"] if options.quick or options.check else []
    arguments += ["--families", str(options.families)] if options.families else []
    answer = measure(program, arguments)
    content = section(answer)
    if options.json:
        options.json.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    print(f"{answer['families']} families: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if options.check:
        found, compared = contradictions(answer, options.docs.read_text(encoding="utf-8"))
        print("\n".join(found) or f"{compared} counts agree with {options.docs}")
        return 1 if found else 0
    print(content)
    if options.write:
        SECTION.fill(options.docs, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
