"""`mirage metrics` as a user meets it: the list, pages, swaps, exit codes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, report

Metrics = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def metrics(binary: Path) -> Metrics:
    """Runs `mirage metrics` with the given arguments."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binary), "metrics", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    return run


def test_the_documentation_is_what_the_command_writes(metrics: Metrics, tmp_path: Path) -> None:
    written = tmp_path / "metrics.md"
    done = metrics("--output-format", "markdown", "-o", written)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert written.read_text() == (REPOSITORY / "docs/metrics.md").read_text(), (
        "run: ./mirage metrics --output-format markdown -o docs/metrics.md"
    )


def test_every_header_is_there(metrics: Metrics) -> None:
    answer = report(metrics("--output-format", "json"))
    headers = {one["header"] for one in answer["metrics"] + answer["statistics"]}
    assert headers
    assert [name for name in sorted(headers) if not (REPOSITORY / name).is_file()] == []


def test_contract_fields(metrics: Metrics) -> None:
    answer = report(metrics("--output-format", "json"))
    assert list(answer) == ["metrics", "statistics"]
    for metric in answer["metrics"]:
        assert list(metric) == [
            "metric", "summary", "definition", "lower_bound", "upper_bound", "higher_is_better",
            "continuous", "linear_in_token_error", "uses_wrong_choices", "needs", "convention",
            "signature", "source", "unit", "sharp", "edge_cases", "complexity", "header", "family",
            "used_by", "in_runs", "aggregation",
        ]  # fmt: skip
    for statistic in answer["statistics"]:
        assert list(statistic) == [
            "statistic", "kind", "summary", "definition", "valid", "edge_cases", "complexity",
            "source", "header",
        ]  # fmt: skip
    swap = report(metrics("swap", "exact_match", "--output-format", "json"))
    assert list(swap) == ["swaps", "unavailable"]
    assert list(swap["swaps"][0]) == ["counterpart", "reason", "requirement"]


def test_every_listed_name_has_a_page_and_a_swap(metrics: Metrics) -> None:
    """A sample of each kind: a process a name would take long."""
    answer = report(metrics("--output-format", "json"))
    by_needs = {one["needs"][0]: one["metric"] for one in answer["metrics"]}
    for name in by_needs.values():
        page = metrics("show", name)
        assert page.returncode == 0, page.stderr
        assert page.stdout.startswith(name)
        assert metrics("swap", name).returncode == 0
    by_kind = {one["kind"]: one["statistic"] for one in answer["statistics"]}
    for name in by_kind.values():
        assert metrics("show", name).stdout.startswith(name)


def test_recorded_is_a_list_before_or_behind_the_name(metrics: Metrics) -> None:
    before = metrics("swap", "--recorded", "generation,likelihood", "exact_match")
    behind = metrics("swap", "exact_match", "--recorded=likelihood", "--recorded", "generation")
    assert before.returncode == 0
    assert before.stdout == behind.stdout
    assert "Needs the log-likelihood of a target (likelihood)" in before.stdout
    assert "Not available" in before.stdout
    own = report(metrics("swap", "my_score", "--recorded", "generation", "--output-format", "json"))
    assert own["swaps"][0]["counterpart"]["metric"] == "token_edit_distance"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "brier_scor"], "did you mean brier_score"),
        (["swap", "exat_match"], "did you mean exact_match"),
        (["show", "\x1b[2J"], "\\x1b[2J"),
        (["shwo", "acc"], '"shwo" is no command; did you mean show?'),
        (["show"], "NAME"),
        (["swap", "acc", "--recorded", "logits"], "--recorded"),
        (["--output-format", "csv"], "--output-format"),
        (["-o", ""], "must not be empty"),
        (["show", "acc", "--sidecar", "10.1.2.3:8750"], "--sidecar"),
    ],
)
def test_usage_errors(metrics: Metrics, arguments: list[str], message: str) -> None:
    done = metrics(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "\x1b" not in done.stderr


def test_what_cannot_be_written_or_reached(metrics: Metrics, tmp_path: Path) -> None:
    done = metrics("show", "acc", "-o", tmp_path / "none" / "acc.txt")
    assert done.returncode == 4
    assert str(tmp_path / "none" / "acc.txt") in done.stderr
    with open("/dev/full", "w") as full:
        command = [*done.args[:2], "swap", "acc"]
        assert subprocess.run(command, stdout=full, stderr=subprocess.PIPE).returncode == 4
    done = metrics("swap", "acc", "--sidecar", "127.0.0.1:1")
    assert done.returncode == 4
    assert "no sidecar answered at 127.0.0.1:1" in done.stderr


def test_a_sidecar_gives_the_same_bytes(metrics: Metrics, sidecar: str) -> None:
    for arguments in (
        (),
        ("--output-format", "json"),
        ("--output-format", "markdown"),
        ("show", "brier_score"),
        ("show", "ppl", "--quiet"),
        ("swap", "exact_match", "--recorded", "generation", "--output-format", "json"),
    ):
        embedded = metrics(*arguments)
        remote = metrics(*arguments, "--sidecar", sidecar)
        assert remote.returncode == 0, remote.stderr
        assert remote.stdout == embedded.stdout
        assert remote.stderr == ""
    unknown = metrics("show", "zebra", "--sidecar", sidecar)
    assert unknown.returncode == 2
    assert unknown.stderr == metrics("show", "zebra").stderr


def test_output_dash_is_standard_output(metrics: Metrics) -> None:
    assert metrics("show", "acc", "-o", "-").stdout == metrics("show", "acc").stdout
    assert json.loads(metrics("show", "acc", "--output-format", "json").stdout)["metrics"]
