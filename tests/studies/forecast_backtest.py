#!/usr/bin/env python3
"""Forecasts the largest models of every real series from the smaller ones, and counts the errors.

    forecast_backtest.py                 the tables; seconds
    forecast_backtest.py --write         the same, and puts them into docs/forecast.md
    forecast_backtest.py --check         exits 1 where they contradict docs/forecast.md
    forecast_backtest.py --development   the data that the method was chosen on instead

The series are those of forecast_backtest_series.py, in the data folder (--data, else MIRAGE_DATA,
else ../shared/data). They are forecast by a program, tests/studies/forecast_backtest.cc, that Bazel
builds; its head says how, and what the baselines are.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forecast_backtest_series import DATA_SETS, DEVELOPMENT, Series
from study_page import Section, table
from study_page import paragraph as filled
from study_program import build, measure

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

SECTION = Section(
    "<!-- written by tests/studies/forecast_backtest.py --write -->",
    "<!-- end of forecast_backtest.py -->",
    "## Back-test",
)
# The page was written with lines of one column more than others have.
paragraph = functools.partial(filled, width=125)

TARGET = "//tests/studies:forecast_backtest"

LEVEL = 0.9
# What must be reached: the share of held-out values inside the intervals.
LEAST_COVERAGE, MOST_COVERAGE = 0.85, 0.97

METHODS = {"forecast": "forecast", "carry": "last value", "line": "line"}
GROUPS = {
    "all series": lambda row: True,
    "emergent series": lambda row: row.emergent,
    "trivial series": lambda row: not row.emergent,
}


@dataclass(frozen=True)
class Row:
    """One held-out value; errors are shares of the metric's range."""

    data_set: str
    series: int
    emergent: bool
    held_out: int
    ahead: int
    error: dict[str, float]
    score: dict[str, float]
    covered: dict[str, bool]


@dataclass(frozen=True)
class Figures:
    """Means over data sets, each with the same weight, over the values of each."""

    series: int
    values: int
    error: dict[str, float]
    score: dict[str, float]
    coverage: dict[str, float]


def interval_score(value: float, lower: float, upper: float) -> float:
    """Gneiting, Raftery (2007), equation 43."""
    miss = max(lower - value, 0.0) + max(value - upper, 0.0)
    return upper - lower + 2 / (1 - LEVEL) * miss


def data_folder(given: Path | None) -> Path:
    return given or Path(os.environ.get("MIRAGE_DATA") or REPOSITORY.parent / "shared/data")


def read(data: Path, sets: dict[str, Any]) -> list[tuple[str, Series]]:
    return [(name, one) for name, load in sets.items() for one in load(data)]


def forecasts(program: Path, series: list[tuple[str, Series]], threads: int = 2) -> list[Row]:
    """All held-out values of the series."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "series.json")
        asked = {"level": LEVEL, "series": [one.json() for _, one in series]}
        path.write_text(json.dumps(asked), encoding="utf-8")
        answer = measure(program, [str(path), "--threads", str(threads)])
    rows = []
    for place, ((name, one), found) in enumerate(zip(series, answer["series"], strict=True)):
        width = one.upper - one.lower
        for row in found["rows"]:
            value = row["value"]
            rows.append(
                Row(
                    name,
                    place,
                    found["emergent"],
                    row["held_out"],
                    row["ahead"],
                    {m: abs(row[m][0] - value) / width for m in METHODS},
                    {m: interval_score(value, *row[m][1:]) / width for m in METHODS},
                    # A rounding error is no miss.
                    {m: row[m][1] - 1e-12 <= value <= row[m][2] + 1e-12 for m in METHODS},
                )
            )
    return rows


def pooled(rows: Iterable[Row]) -> Figures:
    sets: dict[str, list[Row]] = {}
    for row in rows:
        sets.setdefault(row.data_set, []).append(row)

    def mean(name: str) -> dict[str, float]:
        return {
            m: sum(sum(getattr(r, name)[m] for r in one) / len(one) for one in sets.values())
            / len(sets)
            for m in METHODS
        }

    every = [row for one in sets.values() for row in one]
    return Figures(
        len({row.series for row in every}),
        len(every),
        mean("error"),
        mean("score"),
        mean("covered"),
    )


HEAD = [
    "",
    "series",
    "values",
    *(f"error, {m}" for m in METHODS.values()),
    *(f"score, {m}" for m in METHODS.values()),
    *(f"inside, {m}" for m in METHODS.values()),
]


def cells(name: str, found: Figures) -> list[str]:
    out = [name, str(found.series), str(found.values)]
    out += [f"{found.error[m]:.4f}" for m in METHODS]
    out += [f"{found.score[m]:.3f}" for m in METHODS]
    out += [f"{100 * found.coverage[m]:.1f} %" for m in METHODS]
    return out


def targets(rows: list[Row]) -> list[tuple[str, str, bool]]:
    """What must be reached, what is, and whether that will do."""
    everything = pooled(rows)
    share = everything.coverage["forecast"]
    out = [
        (
            f"90 % interval, all series: {100 * LEAST_COVERAGE:.0f} to "
            f"{100 * MOST_COVERAGE:.0f} % of the values inside",
            f"{100 * share:.1f} %",
            LEAST_COVERAGE <= share <= MOST_COVERAGE,
        )
    ]
    for name, keep in GROUPS.items():
        if not any(map(keep, rows)):
            continue
        found = pooled(filter(keep, rows))
        for baseline in ("carry", "line"):
            for what, figures, digits in (
                ("mean absolute error", found.error, 4),
                ("interval score", found.score, 3),
            ):
                ours, theirs = figures["forecast"], figures[baseline]
                out.append(
                    (
                        f"{name}: {what} below that of the {METHODS[baseline]}",
                        f"{ours:.{digits}f} against {theirs:.{digits}f}",
                        ours < theirs,
                    )
                )
    return out


def section(rows: list[Row]) -> str:
    groups = {name: keep for name, keep in GROUPS.items() if any(map(keep, rows))}
    lines = [
        paragraph(
            "Errors and scores are shares of the metric's range, the lower the better; the score "
            "is the interval score of 90 % intervals (Gneiting, Raftery 2007). A series counts "
            "with its largest scale forecast from the others, and with its largest two. Pooled "
            "figures are means of the data sets', each with the same weight. A series is emergent "
            "by the shape of its whole curve, held-out scales included "
            "(`metrics/emergence/curve_shape.h`); all others are trivial."
        ),
        "",
        "### What must be reached",
        "",
        "| what | reached |  |",
        "|---|---|---|",
        *(
            f"| {what} | {reached} | {'yes' if good else '**no**'} |"
            for what, reached, good in targets(rows)
        ),
        "",
        "### Pooled, each data set with the same weight",
        "",
        *table(HEAD, [cells(name, pooled(filter(keep, rows))) for name, keep in groups.items()]),
        "",
        "By how far ahead:",
        "",
    ]
    ahead = {
        "the next scale": lambda r: r.ahead == 1,
        "the one after it": lambda r: r.ahead == 2,
    }
    lines += table(HEAD, [cells(name, pooled(filter(keep, rows))) for name, keep in ahead.items()])
    for title, keep in groups.items():
        lines += ["", f"### Data sets, {title}", ""]
        kept = list(filter(keep, rows))
        names = dict.fromkeys(row.data_set for row in kept)
        lines += table(
            HEAD, [cells(name, pooled(r for r in kept if r.data_set == name)) for name in names]
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs/forecast.md")
    parser.add_argument("--program", type=Path, help="instead of building it")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", action="store_true")
    group.add_argument("--check", action="store_true")
    group.add_argument("--development", action="store_true")
    return parser.parse_args()


def main() -> int:
    options = parse()
    program = options.program or build(TARGET)
    sets = DEVELOPMENT if options.development else DATA_SETS
    content = section(forecasts(program, read(data_folder(options.data), sets)))
    if options.check:
        stale = SECTION.is_stale(options.docs.read_text(encoding="utf-8"), content)
        print(f"{options.docs} is {'stale' if stale else 'as it must be'}")
        return int(stale)
    print(content)
    if options.write:
        SECTION.fill(options.docs, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
