"""What the end-to-end tests share: `mirage`, a `miraged` beside it, copies of runs to work on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
Attach = Callable[..., subprocess.CompletedProcess[str]]
Mirage = Callable[..., subprocess.CompletedProcess[str]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "external: needs the data folder (MIRAGE_DATA)")


@pytest.fixture(scope="session")
def binary() -> Path:
    """The built `mirage`: one call of the launcher builds it, the tests then run it directly."""
    launcher = Path(os.environ.get("MIRAGE", REPOSITORY / "mirage"))
    done = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = REPOSITORY / ".mirage/bin/mirage"
    return built if built.exists() else launcher


@pytest.fixture(scope="session")
def built() -> Callable[[str], Path]:
    """Builds a Bazel target, `//folder:name`, and returns its program."""

    def bazel(*words: str) -> str:
        try:
            done = subprocess.run(
                ["bazel", *words], cwd=REPOSITORY, capture_output=True, text=True, check=False
            )
        except FileNotFoundError:
            pytest.skip("bazel is not installed: nobody builds the program")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def build(target: str) -> Path:
        bazel("build", "--noshow_progress", target)
        folder = bazel("info", "--noshow_progress", "bazel-bin")
        return Path(folder, target.removeprefix("//").replace(":", "/"))

    return build


@pytest.fixture
def mirage(binary: Path) -> Mirage:
    """Runs `mirage` with the given arguments, the command first, in the repository's root."""

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binary), *map(str, arguments)],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def attach(binary: Path) -> Attach:
    """Runs `mirage attach` with the given arguments."""

    def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binary), "attach", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    """A copy of a small complete run: multiple choice, generation with two filters, likelihood."""
    folder = tmp_path / "facts"
    shutil.copytree(REPOSITORY / "examples/facts", folder)
    for derived in folder.rglob("mirage_*"):
        derived.unlink()
    return folder


@pytest.fixture
def sidecar_binary(binary: Path) -> Path:
    built = subprocess.run(
        ["bazel", "info", "bazel-bin"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.strip()
    return Path(built) / "server/miraged"


@contextlib.contextmanager
def listening(sidecar_binary: Path, address: str) -> Iterator[str]:
    """A miraged, and where it says that it listens."""
    process = subprocess.Popen(
        [str(sidecar_binary), "--listen", address], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"listening on (.*)\n", line)
    assert found, line
    yield found.group(1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0, "SIGTERM ends it in order"


@pytest.fixture
def sidecar(sidecar_binary: Path) -> Iterator[str]:
    """A miraged on a free port."""
    with listening(sidecar_binary, "127.0.0.1:0") as address:
        assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", address)
        yield address


def report(done: subprocess.CompletedProcess[str]) -> Any:
    """The JSON answer of a run that went well."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
