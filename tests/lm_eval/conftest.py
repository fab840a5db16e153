"""Makes the lm-eval runs once a session, and finds the `mirage` binary."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path[:0] = [str(HERE.parent / name) for name in ("lm_eval", "reference", "benchmarks")]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "lm_eval: needs the installed lm_eval (tools/requirements-lm-eval.txt)"
    )
    config.addinivalue_line("markers", "mirage: needs the mirage binary (MIRAGE_BIN)")
    config.addinivalue_line("markers", "external: needs the data folder (MIRAGE_DATA)")


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with one folder a run. MIRAGE_LMEVAL_RUNS names a folder to reuse or to fill."""
    kept = os.environ.get("MIRAGE_LMEVAL_RUNS")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("lm_eval_runs")
    done = folder / ".done"
    if not done.exists():
        made = subprocess.run(
            [sys.executable, str(HERE / "make_runs.py"), str(folder)],
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert made.returncode == 0, f"lm_eval failed:\n{made.stdout[-4000:]}{made.stderr[-8000:]}"
        done.touch()
    return folder


@pytest.fixture(scope="session")
def mirage_bin() -> Path:
    """MIRAGE_BIN, else the launcher at the repository's root. A missing MIRAGE_BIN fails."""
    named = os.environ.get("MIRAGE_BIN")
    binary = Path(named).resolve() if named else REPOSITORY / "mirage"
    if not binary.exists():
        if named:
            pytest.fail(f"MIRAGE_BIN={named} does not exist")
        pytest.skip(f"{binary} does not exist and MIRAGE_BIN is not set")
    return binary


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
