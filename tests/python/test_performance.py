"""The script behind docs/performance.md: its table is whole, and wrong values fail it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks/performance.py"
_spec = importlib.util.spec_from_file_location("performance", SCRIPT)
assert _spec is not None and _spec.loader is not None
performance = importlib.util.module_from_spec(_spec)
sys.modules["performance"] = performance
_spec.loader.exec_module(performance)


def test_the_rest_of_the_document_stays() -> None:
    text = performance.DOCUMENT.read_text(encoding="utf-8")
    changed = performance.rewrite(text, "| other |")
    before, after = text.split(performance.BEGIN)[0], text.split(performance.END)[1]
    assert changed.startswith(before) and changed.endswith(after)
    assert "| other |" in changed
    assert performance.rewrite(changed, "| other |") == changed
    with pytest.raises(ValueError, match="not in the document"):
        performance.rewrite(before, "| other |")


def test_times_have_three_digits_and_a_unit() -> None:
    said = [performance.duration(t) for t in (0.5, 2.184, 74.4, 999.6, 3.78e6, 34.4e9, 1234e9)]
    assert said == ["0.50 ns", "2.18 ns", "74.4 ns", "1.00 µs", "3.78 ms", "34.4 s", "1234 s"]


@pytest.mark.parametrize("name", ["gen", "start"])
def test_a_small_measurement(name: str, tmp_path: Path) -> None:
    arguments = ["--only", name, "--size", "100K", "--repeats", "1"]
    done = subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    assert len(rows) == {"gen": 3, "start": 4}[name]
    assert {len(row) for row in rows} == {len(performance.COLUMNS) + 2}
    assert str(tmp_path.home()) not in done.stdout


def test_wrong_values_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(_: object) -> None:
        raise performance.WrongValueError("acc: 0.5 is not 0.25")

    monkeypatch.setitem(performance.BENCHMARKS, "mc", wrong)
    monkeypatch.setattr(sys, "argv", ["performance.py", "--only", "mc"])
    assert performance.main() == 1
