"""Writes compile_commands.json, for clang-tidy and clangd, from `bazel aquery`.

By hand: `python3 tools/compile_commands.py`. Generated headers exist after `bazel build //...`.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# What only gcc knows, and what clang warns of when it is redefined.
UNWANTED = re.compile(r"-fno-canonical-system-headers|-Wno-free-nonheap-object|-D__[A-Z]+__=.*")


def _bazel(*arguments: str) -> str:
    done = subprocess.run(
        ["bazel", *arguments],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"bazel {arguments[0]} failed:\n{done.stderr}")
    return done.stdout


def commands() -> list[dict]:
    """One entry for each C++ source of the tree, those of targets tagged "manual" (fuzzers) too."""
    execution_root = pathlib.Path(_bazel("info", "execution_root").strip())
    # What Bazel makes is named where it lies, all else from the checkout: the links to it in the
    # execution root are only those that the last build needed.
    made = {
        "bazel-out": execution_root / "bazel-out",
        "external": execution_root.parent.parent / "external",
    }

    def placed(word: str) -> str:
        found = re.fullmatch(r"(-I|-iquote|-isystem|)(bazel-out|external)(/.*)", word)
        return f"{found[1]}{made[found[2]]}{found[3]}" if found else word

    manual = _bazel(
        "query", "--keep_going", r'attr("tags", "\bmanual\b", kind("cc_.* rule", //...))'
    ).split()
    scope = " + ".join(["//...", *manual])
    graph = json.loads(
        _bazel(
            "aquery",
            f'mnemonic("CppCompile", deps({scope}))',
            "--output=jsonproto",
            "--include_artifacts=false",
        )
    )
    entries = {}
    for action in graph.get("actions", []):
        arguments = action["arguments"]
        source = arguments[arguments.index("-c") + 1]
        # Generated and foreign sources are not ours to lint.
        if source.startswith(("external/", "bazel-out/")) or source in entries:
            continue
        entries[source] = {
            "directory": str(ROOT),
            "file": str(ROOT / source),
            "arguments": [placed(word) for word in arguments if not UNWANTED.fullmatch(word)],
        }
    return [entries[source] for source in sorted(entries)]


def write() -> list[str]:
    """Writes the file beside WORKSPACE. The sources it covers; RuntimeError when Bazel fails."""
    entries = commands()
    (ROOT / "compile_commands.json").write_text(json.dumps(entries, indent=1) + "\n")
    return [os.path.relpath(entry["file"], ROOT) for entry in entries]


if __name__ == "__main__":
    try:
        print(f"compile_commands.json: {len(write())} sources")
    except RuntimeError as error:
        sys.exit(str(error))
