"""The scripts behind docs/performance.md: its tables are whole, and wrong values fail them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPT = BENCHMARKS / "performance.py"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


performance = load("performance")
peers = load("statistics_vs_peers")
edit_distance = load("edit_distance_vs_rapidfuzz")
fits = load("fits_vs_scipy")


def test_the_rest_of_the_document_stays() -> None:
    text = performance.DOCUMENT.read_text(encoding="utf-8")
    section = performance.Section("a command", [performance.Row("other", "1 ms")], (0.5, 1.5))
    other = {"gen": performance.section_text("gen", section)}
    changed = performance.rewrite(text, other)
    assert performance.rewrite(changed, other) == changed
    assert "| other |" in changed and "a command" in changed
    was, now = (t.split(performance.mark("gen")) for t in (text, changed))
    assert was[0] == now[0]
    assert was[1].split(performance.mark("ll"))[1] == now[1].split(performance.mark("ll"))[1]
    before = text.split(performance.BEGIN)[0]
    with pytest.raises(ValueError, match="not in the document"):
        performance.rewrite(before, other)


def test_a_new_section_has_its_place() -> None:
    empty = f"Title\n{performance.BEGIN}\n{performance.END}\nMore\n"
    first = performance.rewrite(empty, {"start": f"{performance.mark('start')}\n| s |"})
    both = performance.rewrite(first, {"mc": f"{performance.mark('mc')}\n| m |"})
    assert both.index("| m |") < both.index("| s |")
    assert both.startswith("Title\n") and both.endswith("\nMore\n")


def test_the_document_has_all_sections() -> None:
    text = performance.DOCUMENT.read_text(encoding="utf-8")
    for name in performance.BENCHMARKS:
        assert text.count(performance.mark(name)) == 1, name


def test_times_have_three_digits_and_a_unit() -> None:
    said = [performance.duration(t) for t in (0.5, 2.184, 74.4, 999.6, 3.78e6, 34.4e9, 1234e9)]
    assert said == ["0.50 ns", "2.18 ns", "74.4 ns", "1.00 µs", "3.78 ms", "34.4 s", "1234 s"]


@pytest.mark.parametrize("name", ["gen", "start", "choices", "statistics", "fits"])
def test_a_small_measurement(name: str, tmp_path: Path) -> None:
    arguments = ["--only", name, "--size", "100K", "--repeats", "1", "--quick"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == {"gen": 3, "start": 4, "choices": 3, "statistics": 24, "fits": 4}[name]
    assert {len(row) for row in rows} == {len(performance.COLUMNS) + 2}
    assert str(tmp_path.home()) not in done.stdout


def test_wrong_values_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: object) -> None:
        raise performance.WrongValueError("acc: 0.5 is not 0.25")

    monkeypatch.setitem(performance.BENCHMARKS, "mc", wrong)
    monkeypatch.setattr(sys, "argv", ["performance.py", "--only", "mc"])
    assert performance.main() == 1


def test_the_peers_get_the_data_of_the_benchmarks() -> None:
    # As edit_distance_vs_rapidfuzz.py makes them, one at a time.
    one_by_one = edit_distance.SplitMix(7)
    assert [one_by_one.below(1 << 53) for _ in range(3)] == [
        number % (1 << 53) for number, _ in zip(peers.random_integers(7), range(3), strict=False)
    ]
    numbers = peers.random_integers(7)
    assert peers.uniforms(7, 4).tolist() == [(next(numbers) >> 11) * 2.0**-53 for _ in range(4)]


def test_the_fits_of_scipy_get_the_curves_of_the_benchmark() -> None:
    draw = fits.uniforms(1)
    numbers = peers.random_integers(1)
    assert [next(draw) for _ in range(4)] == [(next(numbers) >> 11) * 2.0**-53 for _ in range(4)]
    made = fits.curves(3)
    assert len(made) == 3 and all(len(u) == len(y) == 8 for u, y in made)
    assert made == fits.curves(5)[:3]


def test_a_fit_that_is_not_scipys_is_found() -> None:
    theirs = {"mean_first": 1.5, "mean_last": 0.4, "mean_objective": 2e-4}
    same = {name: value * (1 + 1e-8) for name, value in theirs.items()}
    assert fits.differences("a case", {"bad": 0, **same}, theirs) == []
    assert len(fits.differences("a case", {"bad": 2, **same}, theirs)) == 1
    for name in theirs:
        other = {"bad": 0, **same, name: theirs[name] * (1 + 1e-5)}
        found = fits.differences("a case", other, theirs)
        assert len(found) == 1 and name in found[0]


OURS = {
    "difference": 0.01,
    "lower": 0.0,
    "upper": 0.02,
    "p_value": 0.05,
    "bca_lower": 0.0002,
    "bca_upper": 0.0201,
    "estimate": 0.01,
    "standard_error": 0.005,
    "lower 7/20": 0.15,
    "mean": 20.0,
}


@pytest.mark.parametrize(
    ("checks", "name", "near", "far"),
    [
        ("BCA_CHECKS", "estimate", 1e-15, 1e-9),
        ("BCA_CHECKS", "upper", 0.001, 0.004),
        ("BCA_CHECKS", "standard_error", 1e-4, 5e-4),
        ("PAIRED_CHECKS", "difference", 1e-13, 1e-9),
        ("PAIRED_CHECKS", "upper", 1e-13, 1e-9),
        ("PAIRED_CHECKS", "p_value", 0.005, 0.03),
        ("PAIRED_CHECKS", "bca_lower", 0.001, 0.004),
        ("SHARE_CHECKS", "lower 7/20", 1e-12, 1e-9),
        ("TEXT_CHECKS", "mean", 1e-10, 1e-6),
    ],
)
def test_a_value_that_is_not_the_peers_is_found(
    checks: str, name: str, near: float, far: float
) -> None:
    case = peers.Case("a case", "", "", {}, getattr(peers, checks))
    for sign in (-1, 1):
        assert not peers.differences_of(case, "a peer", OURS, {name: OURS[name] + sign * near})
        found = peers.differences_of(case, "a peer", OURS, {name: OURS[name] + sign * far})
        assert len(found) == 1 and f"a case: {name} is" in found[0]
    assert peers.differences_of(case, "a peer", OURS, {}) == [
        "a case: nothing of a peer's is compared"
    ]


def test_a_peer_that_cannot_run_says_why(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'ModuleNotFoundError: no deltagate' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(peers.CannotRunError, match="no deltagate"):
        peers.run_peer(python, "deltagate-bca 10")


def test_rapidfuzz_cpp_that_cannot_be_built_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no network\n")

    monkeypatch.setattr(edit_distance.subprocess, "run", no_network)
    with pytest.raises(edit_distance.CannotBuildError, match="no network"):
        edit_distance.build_with_rapidfuzz_cpp(tmp_path)
