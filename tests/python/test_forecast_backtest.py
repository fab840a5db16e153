"""The back-test of forecasts and the ladder's predictions; their page is not stale.

What needs the data folder is skipped without it (MIRAGE_DATA).
"""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

DOCUMENT = REPOSITORY / "docs/forecast.md"
sys.path.insert(0, str(REPOSITORY / "tests/studies"))

import forecast_backtest as study  # noqa: E402
import forecast_backtest_series as series  # noqa: E402
import ladder_prediction as ladder  # noqa: E402
from study_program import build  # noqa: E402


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("MIRAGE_DATA")
    if not folder:
        pytest.skip("MIRAGE_DATA is not set: the published numbers are not beside this checkout")
    return Path(folder)


@pytest.fixture(scope="module")
def program() -> Path:
    try:
        return build(study.TARGET)
    except FileNotFoundError:
        pytest.skip("bazel is not installed: nobody builds the program")


@pytest.fixture(scope="module")
def ladder_program() -> Path:
    try:
        return build(ladder.TARGET)
    except FileNotFoundError:
        pytest.skip("bazel is not installed: nobody builds the program")


@pytest.fixture(scope="module")
def rows(data: Path, program: Path) -> list[study.Row]:
    return study.forecasts(program, study.read(data, study.DATA_SETS))


@pytest.mark.external
def test_the_back_test_is_not_stale(rows: list[study.Row]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert not study.SECTION.is_stale(text, study.section(rows)), (
        "remake it: tests/studies/forecast_backtest.py --write"
    )
    changed = [dataclasses.replace(rows[0], error=dict.fromkeys(study.METHODS, 1.0)), *rows[1:]]
    assert study.SECTION.is_stale(text, study.section(changed))


@pytest.mark.external
def test_what_must_be_reached_is(rows: list[study.Row]) -> None:
    found = study.targets(rows)
    assert len(found) == 13
    assert [what for what, _, good in found if not good] == []


@pytest.mark.external
def test_every_data_set_has_series_of_six_scales(data: Path) -> None:
    for name, load in series.DATA_SETS.items():
        found = load(data)
        assert found, name
        assert min(one.scales() for one in found) >= 6, name
        for one in found:
            assert all(one.lower <= point["value"] <= one.upper for point in one.points), one.name


@pytest.mark.external
def test_nothing_is_chosen_on_what_is_reported(data: Path) -> None:
    """No held-out value of the back-test is a value of the real data to choose on."""

    def held_out(one: series.Series) -> set[tuple[float, float]]:
        largest = sorted({point["scale"] for point in one.points})[-2:]
        # Shares with few digits are those of many models.
        return {
            (p["scale"], p["value"])
            for p in one.points
            if p["scale"] in largest and len(repr(p["value"])) > 12
        }

    reported = set().union(
        *(held_out(one) for load in series.DATA_SETS.values() for one in load(data))
    )
    assert len(reported) > 1000
    chosen_on = {
        (point["scale"], point["value"])
        for name, load in series.DEVELOPMENT.items()
        if not name.startswith("simulated")
        for one in load(data)
        for point in one.points
    }
    assert len(chosen_on) > 1000
    # Models of 1.4B at other lengths of training, with as many items right in small test sets.
    assert len(reported & chosen_on) <= 4


@pytest.mark.external
def test_the_ladder_is_not_stale(data: Path, ladder_program: Path) -> None:
    runs = ladder.load(data)
    assert len(runs) == 30
    errors = ladder.choose(ladder_program, runs)
    large = ladder.large_lines(data, ladder_program, runs, ladder.chosen(errors))
    content = ladder.section(errors, large)
    text = DOCUMENT.read_text(encoding="utf-8")
    assert not ladder.SECTION.is_stale(text, content), (
        "remake it: tests/studies/ladder_prediction.py --large --write"
    )
    assert ladder.SECTION.put(text, content) == text


def test_the_ladder_finds_its_own_laws(ladder_program: Path) -> None:
    """Losses of a known law, accuracies of a known link: predictions are exact."""

    def run(parameters: float, tokens: float) -> dict[str, float]:
        flops = 6 * parameters * tokens
        bits = 0.4 + 3e3 * flops**-0.18
        accuracy = 1 - 0.75 / (1 + math.exp(-6 * (bits - 0.9)))
        place = {"parameters": parameters, "tokens": tokens, "flops": flops}
        return place | {"bits": bits, "nll": bits, "accuracy": accuracy}

    runs = [run(n, n * 20 * k) for n in (2e8, 4e8, 8e8, 1.3e9) for k in (1, 2, 5, 10)]
    target = run(1.3e10, 5e12)
    (answer,) = ladder.predict(ladder_program, [{"runs": runs, "links": runs, "targets": [target]}])
    assert set(answer) >= {"two_step", "two_step_flops", "direct_flops", "error_ladder", "mean"}
    # The link is off by what the ideal point (0 bits, accuracy 1) pulls.
    assert answer["two_step_flops"][0] == pytest.approx(target["accuracy"], abs=5e-3)
    assert answer["two_step_flops_runs"] == pytest.approx(answer["two_step_flops"])
    assert abs(answer["direct_flops"][0] - target["accuracy"]) > 5e-3


def test_baselines_are_what_they_say(program: Path) -> None:
    """By hand: four scales a factor e apart, values 0, 1, 1, 2 of a range of 10, then 3."""
    points = [(1, 0.0), (2, 1.0), (3, 1.0), (4, 2.0), (5, 3.0)]
    one = series.Series("by hand", upper=10.0)
    for x, value in points:
        one.add(math.exp(x), value)
    (row,) = study.forecasts(program, [("hand", one)])
    assert (row.held_out, row.ahead, row.emergent) == (1, 1, False)
    assert row.error["carry"] == pytest.approx(0.1)
    # Root mean square of the steps 1, 0, 1; Student's t of 3 degrees of freedom at 95 %.
    half = math.sqrt(2 / 3) * 2.3533634
    assert row.score["carry"] == pytest.approx(2 * half / 10)
    # Slope 0.6, mean 1 at 2.5; residuals -0.1, 0.3, -0.3, 0.1; Student's t of 2 at 95 %.
    assert row.error["line"] == pytest.approx(0.05)
    half = 2.9199856 * math.sqrt(0.2 / 2 * (1 + 1 / 4 + 2.5**2 / 5))
    lower = max(0.0, 2.5 - half)
    assert row.score["line"] == pytest.approx((2.5 + half - lower) / 10)
    assert row.covered == {"forecast": True, "carry": True, "line": True}


def test_the_score_pays_for_misses() -> None:
    assert study.interval_score(0.5, 0.25, 0.75) == pytest.approx(0.5)
    assert study.interval_score(0.125, 0.25, 0.75) == pytest.approx(0.5 + 20 * 0.125)
    assert study.interval_score(1.0, 0.25, 0.75) == pytest.approx(0.5 + 20 * 0.25)


def test_data_sets_have_equal_weight() -> None:
    def row(name: str, place: int, error: float) -> study.Row:
        all_of: Any = dict.fromkeys(study.METHODS, error)
        yes = dict.fromkeys(study.METHODS, error < 0.2)
        return study.Row(name, place, False, 1, 1, all_of, all_of, yes)

    found = study.pooled([row("a", 0, 0.1), row("a", 1, 0.1), row("a", 2, 0.1), row("b", 3, 0.3)])
    assert (found.series, found.values) == (4, 4)
    assert found.error["forecast"] == pytest.approx(0.2)
    assert found.coverage["line"] == pytest.approx(0.5)


def test_the_number_of_threads_does_not_matter(program: Path) -> None:
    simulated = [("simulated", one) for one in series.simulated(40, 5, know_items=True)]
    assert study.forecasts(program, simulated, 1) == study.forecasts(program, simulated, 5)
