"""./mirage rebuilds when any file that Bazel makes the binary of has changed: none is forgotten."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUERIES = ('kind("source file", deps(//client:mirage))', "buildfiles(deps(//client:mirage))")


@pytest.fixture(scope="module")
def made_of() -> set[str]:
    """The checkout's own files that //client:mirage is made of, as Bazel says."""
    if not shutil.which("bazel"):
        pytest.skip("bazel is not installed: nobody says what //client:mirage is made of")
    names = set()
    for query in QUERIES:
        done = subprocess.run(
            ["bazel", "query", "--noshow_progress", "--ui_event_filters=-info", query],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        for label in done.stdout.split():
            own = re.fullmatch(r"//([^:]*):(.*)", label)  # others are @repository//…
            if own:
                names.add(f"{own[1]}/{own[2]}".removeprefix("/"))
    assert "client/main.cc" in names
    assert "proto/mirage/v1/run.proto" in names
    return names


def copy_into(checkout, names: set[str]) -> None:
    for name in names:
        path = checkout.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name != "client/main.cc" else "first")


def watched(checkout) -> set[str]:
    """Names of the files that the launcher compares, after it has built."""
    assert checkout().returncode == 0
    lines = (checkout.root / ".mirage/sources").read_text().splitlines()
    return {line.split(" ", 2)[2] for line in lines}


def test_every_file_that_bazel_uses_is_watched(checkout, made_of):
    copy_into(checkout, made_of)
    assert sorted(made_of - watched(checkout)) == []


def test_a_room_that_is_forgotten_is_noticed(checkout, made_of):
    launcher = checkout.root / "mirage"
    text = launcher.read_text()
    rooms = {name.split("/")[0] for name in made_of if "/" in name}
    for room in sorted(rooms):
        less = re.sub(rf"^(    .*)\b{room} ", r"\1", text, count=1, flags=re.MULTILINE)
        assert less != text, f"the launcher does not name {room}"
        launcher.write_text(less)
        copy_into(checkout, made_of)
        forgotten = made_of - watched(checkout)
        assert forgotten == {name for name in made_of if name.startswith(f"{room}/")}
        shutil.rmtree(checkout.root / ".mirage")
