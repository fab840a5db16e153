"""What README says of the metric library is what its example prints."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from conftest import REPOSITORY

TARGET = "//examples/library:compare_models"


def test_readme_shows_what_the_example_prints(built: Callable[[str], Path]) -> None:
    done = subprocess.run([built(TARGET)], capture_output=True, text=True, check=True)
    shown = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"$ bazel run {TARGET}\n{done.stdout}```" in shown
