"""`mirage meta` end to end: a small table, a sidecar's bytes, exit codes; published data."""

from __future__ import annotations

import json
import os
import shutil
from functools import partial
from pathlib import Path

import pytest
from conftest import REPOSITORY, Mirage, report
from published_series import AXES, DATA_SETS, write

EXAMPLE = "examples/families/series.csv"
RUNS = "examples/arithmetic_family"


@pytest.fixture
def meta(mirage: Mirage) -> Mirage:
    return partial(mirage, "meta")


@pytest.mark.parametrize("form", ["json", "table", "markdown", "csv"])
def test_a_sidecar_gives_the_same_bytes(meta: Mirage, sidecar: str, form: str) -> None:
    embedded = meta("--series", EXAMPLE, "--output-format", form)
    remote = meta("--series", EXAMPLE, "--output-format", form, "--sidecar", sidecar)
    assert embedded.returncode == remote.returncode == 0, remote.stderr
    assert embedded.stdout == remote.stdout
    assert embedded.stdout


def test_the_example(meta: Mirage, tmp_path: Path) -> None:
    plot = tmp_path / "meta.svg"
    done = meta("--series", EXAMPLE, "--output-format", "json", "--plot", plot)
    answer = json.loads(done.stdout)
    assert answer["n_evaluated"] == len(answer["triplets"])
    kinds = {one["metric"]: one["sharp"] for one in answer["metrics"]}
    assert kinds["exact_match"] is True
    assert kinds["nll_per_token"] is False
    assert "<script" not in plot.read_text(encoding="utf-8")


def test_exit_codes(meta: Mirage, tmp_path: Path) -> None:
    assert meta().returncode == 2
    assert meta("--series", tmp_path / "none.csv").returncode == 4
    assert meta("--series", EXAMPLE, "--metric", "unheard_of").returncode == 2
    assert meta("--series", EXAMPLE, "--scales", f"{RUNS}/models.csv").returncode == 2
    assert meta(tmp_path, "--scales", f"{RUNS}/models.csv").returncode == 4
    assert meta(RUNS, "--scales", f"{RUNS}/models.csv", "--metric", "nll").returncode == 2


def test_every_metric_of_runs(meta: Mirage, sidecar: str) -> None:
    arguments = [RUNS, "--scales", f"{RUNS}/models.csv", "--output-format", "json"]
    done = meta(*arguments)
    answer = report(done)
    assert meta(*arguments, "--sidecar", sidecar).stdout == done.stdout
    triplets = {(t["task"], t["metric"]): t for t in answer["triplets"]}
    assert len(triplets) == len(answer["triplets"])
    assert all(t["n_scales"] == 10 for t in triplets.values())
    # Reported sharp metrics, and the counterparts of either kind of evidence.
    assert triplets["add3", "exact_match"]["sharp"]
    assert triplets["add3_ll", "acc"]["sharp"]
    for metric in ("nll_per_token", "token_edit_distance", "log_p_target"):
        assert triplets["add3", metric]["continuous"], metric
    # Hooks recorded the gold tokens of the generated task, and the other task was scored.
    assert [task for task, metric in triplets if metric == "log_p_target"] == ["add3", "add3_ll"]
    assert answer["odds_ratio"]["n_tasks"] == 2


def test_what_a_companion_lends_counts_once(meta: Mirage, tmp_path: Path) -> None:
    family = tmp_path / "family"
    shutil.copytree(REPOSITORY / RUNS, family, ignore=shutil.ignore_patterns("mirage_*"))
    answer = report(meta(family, "--scales", family / "models.csv", "--output-format", "json"))
    triplets = [(t["task"], t["metric"]) for t in answer["triplets"]]
    assert ("add3", "token_edit_distance") in triplets
    assert ("add3_ll", "acc") in triplets
    assert [task for task, metric in triplets if metric == "log_p_target"] == ["add3"]


@pytest.mark.parametrize("axis", ["flops", "loss"])
def test_another_axis(meta: Mirage, axis: str) -> None:
    scales = f"{RUNS}/models.csv"
    answer = report(meta(RUNS, "--scales", scales, "--x-axis", axis, "--output-format", "json"))
    (exact,) = [t for t in answer["triplets"] if t["metric"] == "exact_match"]
    assert exact["n_scales"] == 10
    # A lower loss is the better model: the curve rises either way.
    assert exact["emergence_score"] > 10
    # The table has no such column: nothing to evaluate, said aloud.
    table = meta("--series", EXAMPLE, "--x-axis", axis, "--output-format", "json")
    assert report(table)["n_evaluated"] == 0
    assert f"9 of 9 models have no {axis}" in table.stderr


def test_a_simulated_family(meta: Mirage, mirage: Mirage, tmp_path: Path) -> None:
    """One smooth law: only what asks for all tokens looks emergent."""
    family = tmp_path / "sim"
    words = ["simulate", "--truth", "mirage", "-o", family, "--samples", "300", "--quiet"]
    done = mirage(*words)
    assert done.returncode == 0, done.stderr
    answer = report(meta(family, "--scales", family / "models.csv", "--output-format", "json"))
    for triplet in answer["triplets"]:
        if triplet["metric"] == "exact_match":
            assert triplet["emergent"]
        if triplet["metric"] == "nll_per_token":
            assert not triplet["emergent"]


@pytest.mark.external
def test_published_emergence_is_the_sharp_metrics(meta: Mirage, tmp_path: Path) -> None:
    data = os.environ.get("MIRAGE_DATA")
    if not data:
        pytest.skip("MIRAGE_DATA is not set: the published numbers are not beside this checkout")
    tables: list[str | Path] = []
    for name in DATA_SETS.keys() - AXES.keys():
        rows = DATA_SETS[name]
        table = tmp_path / f"{name}.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            write(rows(Path(data)), file)
        tables += ["--series", table]
    done = meta(*tables, "--output-format", "json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    emergent = {one["metric"] for one in answer["metrics"] if one["n_emergent"] > 0}
    assert emergent >= {"exact_match", "multiple_choice_grade"}
    assert not any(one["continuous"] for one in answer["metrics"] if one["metric"] in emergent)
    odds = answer["odds_ratio"]
    assert odds["n_continuous_emergent"] == 0
    assert odds["n_sharp_emergent"] > 10
    assert odds["value"] == "Infinity"
    assert odds["p_value"] < 0.01
