"""Reference values for normalize_test.cc, from Python's own str.lower and lm-evaluation-harness.

    pip install "numpy>=2" && pip download --no-deps lm_eval==0.4.13
    python3.12 normalize_reference.py <folder with lm_eval/api/metrics.py>

Prints the constants of the test. Python must be 3.12: it has Unicode 15.0, as Debian bookworm's
utf8proc.
"""

from __future__ import annotations

import ast
import string
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3

# What the random texts are made of, letters beside their other case; also in normalize_test.cc.
POOL = [
    "a", "A", "b", "B", "1", " ", "9", "!", "$", "~", "\0", "'", "é", "É", "ß", "ẞ", "Σ", "ς",
    "Α", "α", "İ", "i\u0307", "I", "ı", "\u0301", "\u00ad", "Ⅳ", "ⅳ", "Ⓐ", "ⓐ", "٣", "“",
    "Ǆ", "ǅ", "𐐀", "𐐨", "😀", "\u212a", "σ", "k",
]  # fmt: skip


def exact_match(folder: str) -> Callable[..., dict[str, Any]]:
    """The harness's function without the harness, whose import needs much else."""
    tree = ast.parse((Path(folder) / "lm_eval/api/metrics.py").read_text())
    functions = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "exact_match_hf_evaluate"
    ]
    names: dict[str, Any] = {"np": np, "string": string}
    exec(compile(ast.Module(functions, []), "metrics.py", "exec"), names)
    return names["exact_match_hf_evaluate"]


def fnv(data: bytes, state: int) -> int:
    for byte in data:
        state = ((state ^ byte) * FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return state


def digest_of_lower_case(template: str) -> int:
    """Of all code points, each put in the place of '?' and ended by a line feed."""
    state = FNV_OFFSET
    for code in range(0x110000):
        if 0xD800 <= code <= 0xDFFF:
            continue
        lower = template.replace("?", chr(code)).lower()
        state = fnv(lower.encode() + b"\n", state)
    return state


class SplitMix:
    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, bound: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return (z ^ (z >> 31)) % bound


def digest_of_matches(match: Callable[..., dict[str, Any]]) -> tuple[int, int]:
    """Over 40 000 pairs that differ in little; returns the digest of the answers and their sum."""
    rng = SplitMix(5)
    state = FNV_OFFSET
    matches = 0
    for _ in range(40000):
        prediction = [rng.below(len(POOL)) for _ in range(rng.below(7))]
        reference: list[int] = []
        for c in prediction:
            kind = rng.below(8)
            if kind == 0:
                reference.append(rng.below(len(POOL)))
            elif kind == 1:
                reference.append(c ^ 1)
            elif kind == 2:
                reference += [c, rng.below(len(POOL))]
            elif kind > 3:
                reference.append(c)
        flags = rng.below(8)
        answer = match(
            predictions=["".join(POOL[i] for i in prediction)],
            references=["".join(POOL[i] for i in reference)],
            ignore_case=bool(flags & 1),
            ignore_punctuation=bool(flags & 2),
            ignore_numbers=bool(flags & 4),
        )["exact_match"]
        matches += int(answer)
        state = fnv(bytes([int(answer)]), state)
    return state, matches


def main() -> None:
    assert unicodedata.unidata_version == "15.0.0", "run this with Python 3.12"
    for template in ("?", "?Σ", "A?Σ", "AΣ?", "AΣ?A"):
        print(f'{{"{template}", 0x{digest_of_lower_case(template):016x}}},')
    digest, matches = digest_of_matches(exact_match(sys.argv[1]))
    print(f"matches: 0x{digest:016x}, {matches} of 40000")


if __name__ == "__main__":
    main()
