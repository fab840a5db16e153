"""The study of how often the intervals hold: its small version; its document is not stale.

What is exact in the study is the same in a quick run. Simulations are seeded; what they must show
is far from what chance could do with their 100 data sets.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

STUDY = REPOSITORY / "tests/studies/interval_coverage.py"
DOCUMENT = REPOSITORY / "docs/statistics.md"
sys.path.insert(0, str(STUDY.parent))

import interval_coverage as study  # noqa: E402

Z95 = 1.959963984540054


@pytest.fixture(scope="session")
def program() -> Path:
    try:
        return study.build(study.TARGET)
    except FileNotFoundError:
        pytest.skip("bazel is not installed: nobody builds the program")


@pytest.fixture(scope="session")
def answer(program: Path) -> dict[str, Any]:
    return study.measure(program, ["--quick"])


def cells(answer: dict[str, Any], table: str, method: str = "", **names: Any) -> list[dict]:
    names |= {"table": table} | ({"method": method} if method else {})
    found = [c for c in answer["cells"] if all(c[k] == v for k, v in names.items() if k in c)]
    assert found, names
    return found


# What the document promises


def test_the_choice_holds(answer: dict[str, Any]) -> None:
    for c in cells(answer, "shares", "auto"):
        assert c["coverage"] >= 0.92, c
        assert c["none"] == 0
    for c in cells(answer, "shares", "clopper_pearson"):
        assert c["coverage"] >= 0.95, c
    worst = {c["method"]: c["worst"] for c in cells(answer, "any_n")}
    assert worst["auto"] == worst[f"rule_{answer['few_counts']}"] >= 0.918
    assert worst["clopper_pearson"] >= 0.95
    assert worst["rule_0"] < 0.84  # Wilson's
    assert worst["beta_posterior"] < 0.80


def test_bad_intervals_are_found_out(answer: dict[str, Any]) -> None:
    def coverage(table: str, method: str, **names: Any) -> float:
        (cell,) = cells(answer, table, method, **names)
        return cell["coverage"]

    assert coverage("shares", "student_t", n=5, p=0.1) < 0.5
    assert coverage("shares", "normal", n=20, p=0.1) < 0.9
    assert coverage("shares", "bootstrap_bca", n=20, p=0.01) < 0.2
    assert coverage("peeking", "wilson", n=100, p=0.5) < 0.7
    assert coverage("paired", "student_t", n=20, p=0.01, difference=0) < 0.2
    # Of 100 simulated sets 75 hold (with 1000 simulations); 90 or more: once in 10 000.
    assert coverage("clustered", "auto", clusters=100) < 0.9
    assert coverage("clustered", "clustered_student_t", clusters=100) >= 0.85


def test_paired_tests_keep_their_level(answer: dict[str, Any]) -> None:
    for c in cells(answer, "binary_tests", first_better=0.5):
        most = {"mcnemar_mid_p": 0.05, "student_t": 0.053}.get(c["method"], 0.045)
        assert c["rejected"] <= most, c
    # Power, so that a test that never rejects is none.
    (exact,) = cells(answer, "binary_tests", "mcnemar_exact", n=100, differs=0.5, first_better=0.7)
    assert exact["rejected"] > 0.75
    # For 0/1 scores these are one test.
    for c in cells(answer, "binary_tests", "mcnemar_exact"):
        names = {k: c[k] for k in ("n", "differs", "first_better")}
        for other in ("permutation", "sign_exact"):
            (same,) = cells(answer, "binary_tests", other, **names)
            assert same["rejected"] == pytest.approx(c["rejected"], abs=1e-12)
    # Not to be confused with a test of means: labels of skewed differences cannot be exchanged.
    (sign,) = cells(answer, "continuous_tests", "sign_exact", n=100, differences="skewed")
    assert sign["rejected"] > 0.5


def test_the_document_is_not_stale(answer: dict[str, Any]) -> None:
    """Every cell that a quick run computes exactly stands in the document, at its place."""
    text = DOCUMENT.read_text(encoding="utf-8")
    lines = text[text.index(study.SECTION.begin) : text.index(study.SECTION.end)].splitlines()

    def published(caption: str) -> tuple[list[str], dict[str, list[str]]]:
        wanted = study.paragraph(caption).splitlines()
        start = lines.index(wanted[0]) + len(wanted) + 1
        table = []
        for line in lines[start:]:
            if not line.startswith("|"):
                break
            table.append([word.strip() for word in line.strip("|").split("|")])
        return table[0], {" ".join(row): row for row in table[2:]}

    exact = [c for c in answer["cells"] if study.is_exact(c)]
    compared = 0
    for table in study.TABLES:
        rows = table.cells(exact)
        if not rows:
            continue
        head, found = published(table.caption)
        for key, columns in rows.items():
            start = [study.key_text(part) for part in key]
            (row,) = [row for row in found.values() if row[: len(start)] == start]
            for method, said in columns.items():
                assert row[head.index(table.methods[method])] == said, (table.caption, key, method)
                compared += 1
    few = answer["few_counts"]
    span = cells(answer, "any_n", "auto")[0]
    _, found = published(study.RULES_CAPTION.format(span["least_n"], span["most_n"]))
    for label, row in study.rule_rows(answer["cells"], few).items():
        assert [label, *row] in found.values()
        compared += len(row)
    assert compared > 350


# The study itself


def wilson(k: int, n: int) -> tuple[float, float]:
    centre = (k + Z95**2 / 2) / (n + Z95**2)
    half = Z95 / (n + Z95**2) * math.sqrt(k * (n - k) / n + Z95**2 / 4)
    lower, upper = centre - half, centre + half
    return (0.0 if k == 0 else lower), (1.0 if k == n else upper)


def probability(k: int, n: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def coverage_of_wilson(n: int, p: float) -> float:
    held = [k for k in range(n + 1) if wilson(k, n)[0] <= p <= wilson(k, n)[1]]
    return math.fsum(probability(k, n, p) for k in held)


def test_sums_are_those_of_a_slow_version(answer: dict[str, Any]) -> None:
    for c in cells(answer, "shares", "wilson"):
        n, p = c["n"], c["p"]
        if n == 1000:
            continue
        width = math.fsum(
            probability(k, n, p) * (wilson(k, n)[1] - wilson(k, n)[0]) for k in range(n + 1)
        )
        assert c["coverage"] == pytest.approx(coverage_of_wilson(n, p), abs=1e-7), c
        assert c["width"] == pytest.approx(width, abs=1e-7), c


@pytest.mark.parametrize("n", [5, 20, 100])
def test_the_least_coverage_is_that_of_a_fine_grid(n: int, answer: dict[str, Any]) -> None:
    (rule,) = cells(answer, "rules", "rule_0", n=n)
    # The worst share is close to 0.18 / n.
    grid = [coverage_of_wilson(n, 0.05 / n * (10 * n) ** (i / 1500)) for i in range(1501)]
    assert min(grid) - 0.005 <= rule["worst"] <= min(grid) + 1e-9
    near = coverage_of_wilson(n, rule["worst_share"] * (1 - 1e-9))
    other = coverage_of_wilson(n, rule["worst_share"] * (1 + 1e-9))
    assert rule["worst"] == pytest.approx(min(near, other), abs=1e-6)
    steps = 20_000 // n
    # The midpoint rule, for coverage that jumps: no better than its step.
    even = [coverage_of_wilson(n, (i + 0.5) / steps) for i in range(steps)]
    assert rule["average"] == pytest.approx(math.fsum(even) / steps, abs=2e-3)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_looking_always_by_every_path(p: float, answer: dict[str, Any]) -> None:
    held = 0.0
    for path in product((0, 1), repeat=5):
        ends = [wilson(sum(path[: i + 1]), i + 1) for i in range(5)]
        if all(lower <= p <= upper for lower, upper in ends):
            held += p ** sum(path) * (1 - p) ** (5 - sum(path))
    (cell,) = cells(answer, "peeking", "wilson", n=5, p=p)
    assert cell["coverage"] == pytest.approx(held, abs=1e-9)


def test_the_number_of_threads_does_not_matter(program: Path) -> None:
    one, three = (
        subprocess.run(
            [program, "--quick", "--threads", threads], capture_output=True, check=True
        ).stdout
        for threads in ("1", "3")
    )
    assert one == three


def test_without_other_packages(program: Path, tmp_path: Path) -> None:
    docs, found = tmp_path / "statistics.md", tmp_path / "cells.json"
    docs.write_text("# Kept\n\ntext\n")
    arguments = ["--quick", "--no-peers", "--write", "--program", program]
    done = subprocess.run(
        [sys.executable, STUDY, *arguments, "--docs", docs, "--json", found],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = docs.read_text()
    assert text.startswith(f"# Kept\n\ntext\n\n{study.SECTION.title}\n{study.SECTION.begin}\n\n")
    assert text.rstrip().endswith(study.SECTION.end)
    assert "left out (--no-peers)" in text
    assert "statsmodels" not in text
    assert json.loads(found.read_text())["peers"] == []
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 125


def test_published_columns_are_not_lost_without_other_packages(tmp_path: Path) -> None:
    docs = tmp_path / "statistics.md"
    docs.write_text("# Kept\n")
    (tmp_path / "deltagate.py").write_text("raise ImportError('no', name='deltagate')\n")
    done = subprocess.run(
        [sys.executable, STUDY, "--quick", "--write", "--docs", docs],
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Nothing is written without them" in done.stderr
    assert docs.read_text() == "# Kept\n"


def test_other_packages_have_our_intervals(answer: dict[str, Any]) -> None:
    for name in ("deltagate", "evalci", "evalsig", "statsmodels"):
        pytest.importorskip(name, reason=f"{name} is not installed: nothing to compare with")
    import interval_peers

    shares = sorted({c["p"] for c in cells(answer, "shares")})
    found = [
        c
        for method in study.SAME
        if method != "statsmodels_newcomb"
        for c in interval_peers.share_cells((20, shares, method))
    ]
    for c in found:
        (ours,) = cells(answer, "shares", study.SAME[c["method"]], n=20, p=c["p"])
        assert c["coverage"] == pytest.approx(ours["coverage"], abs=1e-9), c
        assert c["width"] == pytest.approx(ours["width"], abs=1e-9), c
