"""Mirage's edit distance against rapidfuzz, on the same pairs.

    python3 -m venv /tmp/rapidfuzz && /tmp/rapidfuzz/bin/pip install rapidfuzz
    bazel build //metrics/text:edit_distance_benchmark
    /tmp/rapidfuzz/bin/python tests/benchmarks/edit_distance_vs_rapidfuzz.py \
        .out/bin/metrics/text/edit_distance_benchmark

Prints nanoseconds a pair, the best of several rounds, and rapidfuzz's time over Mirage's.
rapidfuzz gets the ids as a list of int and as a str of the same code points; its figures include
the call from Python. A binary built with rapidfuzz-cpp (see edit_distance_benchmark.cc) adds its
column. The sums of the distances must be equal, or the exit code is 1. Timings never fail.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

LENGTHS = (8, 16, 32, 64, 128, 256, 512, 1024, 4096)
ALPHABETS = {"tokens": 50000, "characters": 90}

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
    """Best time a pair over rounds that last `seconds` in all, and the sum of the distances."""
    distance = Levenshtein.distance
    best = float("inf")
    total = 0
    end = time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        total = sum(distance(a, b) for a, b in pairs)
        stop = time.perf_counter()
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", help="the built //metrics/text:edit_distance_benchmark")
    parser.add_argument("--seconds", type=float, default=0.05, help="for one round of one cell")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--json", type=pathlib.Path, help="also write the numbers there")
    arguments = parser.parse_args()

    ours = run_binary(arguments.binary, arguments.seconds, arguments.repetitions)
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
                if with_cpp:
                    native = ours[f"rapidfuzz-cpp/{key}"][0]
                    cells += [native, native / mine]
                row = f"{alphabet:>11}{data:>11}{length:>11}"
                for i, cell in enumerate(cells):
                    row += f"{cell:>11.2f}" if i % 2 == 0 and i > 0 else f"{cell:>11.0f}"
                print(row)
                if not distances == list_sum == text_sum:
                    print(f"{key}: distances differ: {distances}, {list_sum}, {text_sum}")
                    failures += 1
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
