"""Mirage's edit distance against rapidfuzz, on the same pairs.

    python3 -m venv /tmp/rapidfuzz && /tmp/rapidfuzz/bin/pip install rapidfuzz
    bazel build //metrics/text:edit_distance_benchmark
    /tmp/rapidfuzz/bin/python tests/benchmarks/edit_distance_vs_rapidfuzz.py \
        .out/bin/metrics/text/edit_distance_benchmark

Prints nanoseconds of CPU a pair, the best of several rounds, and rapidfuzz's time over Mirage's.
rapidfuzz gets the ids as a list of int and as a str of the same code points; its figures include
the call from Python. --rapidfuzz-cpp adds a column for its C++ library: the sources of the same
version come from PyPI (pip), and a compiler (CXX, or g++) builds them and ours with the same flags,
in a temporary folder; where that cannot be, it says why and goes on without. The sums of the
distances must be equal, or the exit code is 1. Timings never fail.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

LENGTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096)
ALPHABETS = {"tokens": 50000, "characters": 90}

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
# Bazel's, of .bazelrc and its own.
FLAGS = ("-std=c++20", "-O2", "-DNDEBUG", "-march=x86-64-v2", "-ffp-contract=off")

Pair = tuple[list[int], list[int]]


class SplitMix:
    """The generator of edit_distance_benchmark.cc."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, bound: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return (z ^ (z >> 31)) % bound


def make_pairs(length: int, alphabet: int, mutated: bool) -> list[Pair]:
    rng = SplitMix(length)
    pairs = []
    for _ in range(min(512, max(4, 65536 // length))):
        a = [32 + rng.below(alphabet) for _ in range(length)]
        b: list[int] = []
        for value in a:
            kind = rng.below(15) if mutated else 0
            if kind in (0, 1):
                b.append(32 + rng.below(alphabet))
            if kind > 2 or kind == 1:
                b.append(value)
        pairs.append((a, b))
    return pairs


def nanoseconds(pairs: Sequence[tuple[Any, Any]], seconds: float) -> tuple[float, int]:
    """Least CPU time a pair over rounds of `seconds` in all, and the sum of the distances."""
    distance = Levenshtein.distance
    best = float("inf")
    total = 0
    end = time.process_time() + seconds
    while True:
        start = time.process_time()
        total = sum(distance(a, b) for a, b in pairs)
        stop = time.process_time()
        best = min(best, (stop - start) / len(pairs))
        if stop > end:
            return best * 1e9, total


def run_binary(binary: str, seconds: float, repetitions: int) -> dict[str, tuple[float, int]]:
    """Name -> (best nanoseconds a pair, sum of the distances)."""
    command = [
        binary,
        "--benchmark_format=json",
        f"--benchmark_min_time={seconds}",
        f"--benchmark_repetitions={repetitions}",
    ]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    results: dict[str, tuple[float, int]] = {}
    for row in answer["benchmarks"]:
        if row["run_type"] != "iteration":
            continue
        name = row["run_name"]
        time_a_pair = row["cpu_time"] / row["pairs"]
        previous = results.get(name, (float("inf"), 0))[0]
        results[name] = (min(previous, time_a_pair), int(row["distances"]))
    return results


class CannotBuildError(Exception):
    """Why rapidfuzz-cpp is not measured."""


def build_with_rapidfuzz_cpp(folder: pathlib.Path) -> str:
    """The benchmark with rapidfuzz-cpp in it, made in `folder`."""
    release = f"rapidfuzz=={importlib.metadata.version('rapidfuzz')}"
    # pip would build the whole package for its metadata. Without the build's tools it stops when
    # the sources are there, and leaves them.
    options = ["--no-deps", "--no-binary", "rapidfuzz", "--no-build-isolation", "--no-clean"]
    download = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), release]
    compiler = os.environ.get("CXX", "g++")
    try:
        done = subprocess.run(
            download,
            env={**os.environ, "TMPDIR": str(folder)},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        headers = next(folder.rglob("extern/rapidfuzz-cpp"), None)
        if headers is None:
            error = (done.stderr.strip().splitlines() or ["no sources"])[-1]
            raise CannotBuildError(f"pip download {release}: {error}")
        text = REPOSITORY / "metrics" / "text"
        sources = [text / "edit_distance.cc", text / "edit_distance_benchmark.cc"]
        made = folder / "edit_distance_benchmark"
        includes = ["-DMIRAGE_WITH_RAPIDFUZZ", f"-I{REPOSITORY}", f"-I{headers}"]
        libraries = ["-lbenchmark_main", "-lbenchmark", "-lpthread"]
        subprocess.run(
            [compiler, *FLAGS, *includes, *sources, *libraries, "-o", made],
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise CannotBuildError(f"{compiler}: {error.stderr.strip()[-500:]}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotBuildError(str(error)) from error
    return str(made)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the built //metrics/text:edit_distance_benchmark")
    parser.add_argument("--seconds", type=float, default=0.05, help="for one round of one cell")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rapidfuzz-cpp", action="store_true", help="its C++ library, too")
    parser.add_argument("--json", type=pathlib.Path, help="also write the numbers there")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="mirage-edit-distance-") as folder:
        binary = arguments.binary
        if arguments.rapidfuzz_cpp:
            try:
                binary = build_with_rapidfuzz_cpp(pathlib.Path(folder))
            except CannotBuildError as error:
                print(f"rapidfuzz-cpp: skipped: {error}")
        ours = run_binary(binary, arguments.seconds, arguments.repetitions)
    with_cpp = any(name.startswith("rapidfuzz-cpp/") for name in ours)
    header = ["alphabet", "data", "length", "mirage", "rf list", "ratio", "rf str", "ratio"]
    header += ["rf-cpp", "ratio"] if with_cpp else []
    print("".join(f"{column:>11}" for column in header))
    failures = 0
    numbers = {}
    for alphabet, size in ALPHABETS.items():
        for data in ("mutated", "unrelated"):
            for length in LENGTHS:
                key = f"{alphabet}/{data}/{length}"
                mine, distances = ours[f"mirage/{key}"]
                pairs = make_pairs(length, size, data == "mutated")
                budget = arguments.seconds * arguments.repetitions
                as_list, list_sum = nanoseconds(pairs, budget)
                texts = [("".join(map(chr, a)), "".join(map(chr, b))) for a, b in pairs]
                as_text, text_sum = nanoseconds(texts, budget)
                numbers[key] = {
                    "mirage_ns": mine,
                    "rapidfuzz_list_ns": as_list,
                    "rapidfuzz_str_ns": as_text,
                }
                cells = [mine, as_list, as_list / mine, as_text, as_text / mine]
                sums = {distances, list_sum, text_sum}
                if with_cpp:
                    native, native_sum = ours[f"rapidfuzz-cpp/{key}"]
                    numbers[key]["rapidfuzz_cpp_ns"] = native
                    cells += [native, native / mine]
                    sums.add(native_sum)
                row = f"{alphabet:>11}{data:>11}{length:>11}"
                for i, cell in enumerate(cells):
                    row += f"{cell:>11.2f}" if i % 2 == 0 and i > 0 else f"{cell:>11.0f}"
                print(row)
                if len(sums) > 1:
                    print(f"{key}: sums of distances differ: Mirage's {distances}, {sums}")
                    failures += 1
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
