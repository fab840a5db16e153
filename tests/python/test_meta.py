"""`mirage meta` end to end: a small table, a sidecar's bytes, exit codes; published data."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY
from published_series import DATA_SETS, write

EXAMPLE = "examples/families/series.csv"
Meta = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def meta(binary: Path) -> Meta:
    """Runs `mirage meta` in the repository's root."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binary), "meta", *map(str, arguments)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.mark.parametrize("form", ["json", "table", "markdown", "csv"])
def test_a_sidecar_gives_the_same_bytes(meta: Meta, sidecar: str, form: str) -> None:
    embedded = meta("--series", EXAMPLE, "--output-format", form)
    remote = meta("--series", EXAMPLE, "--output-format", form, "--sidecar", sidecar)
    assert embedded.returncode == remote.returncode == 0, remote.stderr
    assert embedded.stdout == remote.stdout
    assert embedded.stdout


def test_the_example(meta: Meta, tmp_path: Path) -> None:
    plot = tmp_path / "meta.svg"
    done = meta("--series", EXAMPLE, "--output-format", "json", "--plot", plot)
    answer = json.loads(done.stdout)
    assert answer["n_evaluated"] == len(answer["triplets"])
    kinds = {one["metric"]: one["sharp"] for one in answer["metrics"]}
    assert kinds["exact_match"] is True
    assert kinds["nll_per_token"] is False
    assert "<script" not in plot.read_text(encoding="utf-8")


def test_exit_codes(meta: Meta, tmp_path: Path) -> None:
    assert meta().returncode == 2
    assert meta("--series", tmp_path / "none.csv").returncode == 4
    assert meta("--series", EXAMPLE, "--metric", "unheard_of").returncode == 2
    run = meta("runs/", "--series", EXAMPLE)
    assert run.returncode == 2
    assert "--series" in run.stderr


@pytest.mark.external
def test_published_emergence_is_the_sharp_metrics(meta: Meta, tmp_path: Path) -> None:
    data = os.environ.get("MIRAGE_DATA")
    if not data:
        pytest.skip("MIRAGE_DATA is not set: the published numbers are not beside this checkout")
    tables: list[str | Path] = []
    for name, rows in DATA_SETS.items():
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
