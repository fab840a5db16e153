"""A small checkout: the real launchers, and stand-ins for Bazel, dpkg and apt first in PATH."""

import dataclasses
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Writes down its arguments. `build` makes a binary that says what client/main.cc holds.
BAZEL = """#!/bin/bash
echo "$@" >>"$FAKES/bazel.log"
out=$PWD/.out/bin
case $1 in
  build)
    sleep "${BUILD_SECONDS:-0}"
    [[ -e $FAKES/broken ]] && { echo 'ERROR: client/main.cc:1: no such thing' >&2; exit 1; }
    mkdir -p "$FAKES/out/client"
    { printf '#!/bin/bash\\nsaid=%q\\n' "$(<client/main.cc)"
      echo 'echo "$said $PWD"; printf "%s|" "$@"; exit "${EXIT:-0}"'; } >"$FAKES/out/client/mirage"
    chmod +x "$FAKES/out/client/mirage"
    if [[ -e $FAKES/edit_meanwhile ]]; then mv "$FAKES/edit_meanwhile" client/main.cc; fi ;;
  info) echo "$FAKES/out" ;;
esac
"""
# Everything is installed but what $FAKES/missing names.
DPKG_QUERY = """#!/bin/bash
echo "$@" >>"$FAKES/dpkg.log"
for package in "${@:4}"; do
  grep -qsx "$package" "$FAKES/missing" || echo "installed $package"
done
"""
APT_GET = """#!/bin/bash
echo "$@" >>"$FAKES/apt.log"
if [[ $1 == install ]]; then
  [[ -e $FAKES/apt_fails ]] && { echo 'E: Unable to locate package'; exit 100; }
  rm -f "$FAKES/missing"
fi
"""
ID = """#!/bin/bash
echo "${FAKE_UID:-0}"
"""


@dataclasses.dataclass
class Checkout:
    root: pathlib.Path
    fakes: pathlib.Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, launcher: str = "mirage", **environment: str):
        return subprocess.run(
            [self.root / launcher, *arguments],
            env=self.environment | environment,
            cwd=self.root.parent,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.root / "mirage", *arguments],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def log(self, name: str) -> list[str]:
        path = self.fakes / f"{name}.log"
        return path.read_text().splitlines() if path.exists() else []

    def builds(self) -> int:
        return sum(line.startswith("build") for line in self.log("bazel"))


@pytest.fixture
def checkout(tmp_path: pathlib.Path) -> Checkout:
    root = tmp_path / "a checkout"
    fakes = tmp_path / "fakes"
    home = tmp_path / "home"
    for folder in (root / "client", root / "metrics/testdata", root / "tools", fakes, home):
        folder.mkdir(parents=True)
    for name in ("mirage", "check", "tools/setup.sh", "tools/packages.txt"):
        shutil.copy2(ROOT / name, root / name)
    for name in ("WORKSPACE", "BUILD", ".bazelrc", "client/BUILD", "metrics/stats.h"):
        (root / name).touch()
    (root / "client/main.cc").write_text("first")
    for name, text in (
        ("bazel", BAZEL),
        ("dpkg-query", DPKG_QUERY),
        ("apt-get", APT_GET),
        ("id", ID),
    ):
        (fakes / name).write_text(text)
        (fakes / name).chmod(0o755)
    environment = {"PATH": f"{fakes}:/usr/bin:/bin", "HOME": str(home), "FAKES": str(fakes)}
    return Checkout(root, fakes, environment | {"TMPDIR": os.environ.get("TMPDIR", "/tmp")})
