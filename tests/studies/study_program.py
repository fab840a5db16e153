"""What the studies share: building a C++ program and reading its answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def build(target: str) -> Path:
    """The program of `//folder:name`, built by Bazel."""

    def bazel(*words: str) -> str:
        command = ["bazel", *words]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} exited {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout.strip()

    bazel("build", "--noshow_progress", target)
    folder = bazel("info", "--noshow_progress", "bazel-bin")
    return Path(folder, target.removeprefix("//").replace(":", "/"))


def measure(program: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """The program's answer."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{program} exited {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)
