"""`mirage plan` end to end: what README shows, the same bytes by a sidecar, runs, exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY

EXAMPLE = "examples/families/series.csv"
RUNS = "examples/arithmetic_family"
Plan = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def plan(binary: Path) -> Plan:
    """Runs `mirage plan` in the repository's root."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binary), "plan", *map(str, arguments)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


def test_readme_shows_what_it_prints(plan: Plan) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition(f"$ ./mirage plan --series {EXAMPLE}\n")
    shown = rest.partition("```")[0].splitlines()
    assert len(shown) > 8
    done = plan("--series", EXAMPLE)
    assert done.returncode == 0, done.stderr
    printed = iter(line.rstrip() for line in done.stdout.splitlines())
    for line in shown:
        # In this order, with gaps only where an ellipsis stands.
        assert line == "…" or line in printed, line


@pytest.mark.parametrize("form", ["json", "table", "markdown", "csv"])
def test_a_sidecar_gives_the_same_bytes(plan: Plan, sidecar: str, form: str) -> None:
    embedded = plan("--series", EXAMPLE, "--output-format", form)
    remote = plan("--series", EXAMPLE, "--output-format", form, "--sidecar", sidecar)
    assert embedded.returncode == remote.returncode == 0, remote.stderr
    assert embedded.stdout == remote.stdout
    assert embedded.stdout


def few_models(folder: Path, largest: float) -> Path:
    """The example without its larger models."""
    source = (REPOSITORY / EXAMPLE).read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(io.StringIO(source)) if float(row["scale"]) <= largest]
    table = folder / "few.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def test_models_that_are_missing_are_planned(plan: Plan, tmp_path: Path) -> None:
    table = few_models(tmp_path, 1.5e9)
    done = plan("--series", table, "--output-format", "json", "--power", "0.6")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert len(answer["plans"]) == 2
    again = plan("--series", table, "--output-format", "json", "--power", "0.6")
    assert done.stdout == again.stdout
    for one in answer["plans"]:
        assert one["power"] == 0.6
        assert one["verdict"] == "INSUFFICIENT"
        assert one["scales"]
        added = [scale["scale"] for scale in one["scales"]]
        assert len(set(added)) == len(added)
        for scale in one["scales"]:
            assert scale["reason"]
            assert 0 <= scale.get("p_decided", 0) <= 1
        assert one["reasons"][0]["code"] in ("MORE_SCALES", "NOT_SETTLED")


def test_runs_are_planned(plan: Plan) -> None:
    done = plan(RUNS, "--scales", f"{RUNS}/models.csv", "--output-format", "json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    plans = json.loads(done.stdout)["plans"]
    assert plans
    for one in plans:
        assert one["samples_needed"]
        assert one["reasons"]


def test_a_change_has_its_items(plan: Plan) -> None:
    """Half the change needs four times the items."""
    needed = []
    for delta in ("0.02", "0.01"):
        done = plan("--series", EXAMPLE, "--delta", delta, "--output-format", "json")
        first = json.loads(done.stdout)["plans"][0]
        assert first["delta"] == float(delta)
        values = {
            value["name"]: value["value"]
            for reason in first["reasons"]
            if reason["code"] == "MORE_ITEMS"
            for value in reason["values"]
        }
        needed.append(values["n"])
    assert 3.9 < needed[1] / needed[0] < 4.1


def test_exit_codes(plan: Plan, tmp_path: Path) -> None:
    assert plan().returncode == 2
    assert plan("--series", tmp_path / "none.csv").returncode == 4
    assert plan("--series", EXAMPLE, "--metric", "unheard_of").returncode == 2
    assert plan("--series", EXAMPLE, "--power", "1.5").returncode == 2
    assert plan("--series", EXAMPLE, "--delta", "-1").returncode == 2
    refused = plan("--series", EXAMPLE, "--power", "0.01")
    assert refused.returncode == 2
    assert "power" in refused.stderr
    answer = tmp_path / "plan.md"
    done = plan("--series", EXAMPLE, "-o", answer, "--output-format", "markdown")
    assert done.returncode == 0
    assert done.stdout == ""
    assert answer.read_text(encoding="utf-8").startswith("### ")
