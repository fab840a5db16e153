"""Writes metrics/stats/exact_sum_vectors.inc: exact sums from Python's fractions.

Run from the repository's root: `python3 tests/reference/stats_exact_sum.py`. Needs Python only;
int / int and Fraction -> float are correctly rounded.
"""

import random
import struct
from fractions import Fraction
from pathlib import Path

OUTPUT = Path("metrics/stats/exact_sum_vectors.inc")


def literal(x: float) -> str:
    """The double as a C++ hexadecimal literal."""
    return x.hex()


def rounded(x: Fraction) -> float:
    """The nearest double; infinite when it rounds above the largest one."""
    try:
        return float(x)
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def any_double(rng: random.Random) -> float:
    """A finite double with uniformly random bits: all exponents, subnormals included."""
    while True:
        (x,) = struct.unpack("<d", rng.randbytes(8))
        if abs(x) <= float.fromhex("0x1.fffffffffffffp1023"):
            return x


def subnormal(rng: random.Random) -> float:
    """A random subnormal number of either sign."""
    return rng.choice([-1, 1]) * rng.randrange(1, 2**52) * 5e-324


def near(rng: random.Random, scale: float) -> float:
    """A double within 1 of the scale."""
    return scale + rng.uniform(-1, 1)


def cases() -> list[tuple[str, list[tuple[float, float]]]]:
    """Names and lists of (x, y) whose products are summed; y = 1 for plain values."""
    rng = random.Random(20231104)
    result: list[tuple[str, list[tuple[float, float]]]] = []

    def plain(name: str, values: list[float]) -> None:
        result.append((name, [(v, 1.0) for v in values]))

    plain("nothing", [])
    plain("minus zero", [-0.0])
    plain("one tenth ten times", [0.1] * 10)
    plain("tie to even, down", [1.0, 2.0**-53])
    plain("tie to even, up", [1.0 + 2.0**-52, 2.0**-53])
    plain("tie broken by the last bit there is", [1.0, 2.0**-53, 5e-324])
    plain("tie broken downwards", [1.0, 2.0**-53, -5e-324])
    plain("huge cancels", [1e308, 1.0, -1e308])
    plain("beyond the largest double and back", [1.7e308, 1.7e308, 1.0, -1.7e308, -1.7e308])
    plain("overflow", [1.7e308, 1.7e308])
    plain("negative overflow", [-1.7e308, -1.7e308])
    plain("just below overflow", [float.fromhex("0x1.fffffffffffffp1023"), 2.0**969])
    plain("tie to overflow", [float.fromhex("0x1.fffffffffffffp1023"), 2.0**970])
    plain("largest subnormal plus least", [float.fromhex("0x0.fffffffffffffp-1022"), 5e-324])
    for i in range(6):
        plain(f"any doubles {i}", [any_double(rng) for _ in range(20)])
    for i in range(3):
        plain(f"subnormals {i}", [subnormal(rng) for _ in range(20)])
    for i in range(3):
        values = [near(rng, 1e9) for _ in range(15)]
        plain(f"cancellation at 1e9, {i}", values + [-near(rng, 1e9) for _ in range(15)])
    for i in range(3):
        values = [any_double(rng) for _ in range(10)]
        plain(f"all cancels but one {i}", values + [-v for v in values] + [rng.gauss(0, 1)])
    for i in range(3):
        pairs = [(rng.gauss(0, 1), rng.gauss(0, 1)) for _ in range(15)]
        result.append((f"products {i}", pairs))
    for i in range(3):
        pairs = [(any_double(rng), any_double(rng)) for _ in range(10)]
        pairs += [(-x, y) for x, y in pairs] + [(rng.gauss(0, 1), 0.3)]
        result.append((f"products over and underflow {i}", pairs))
    result.append(("square of the least double", [(5e-324, 5e-324)]))
    result.append(
        ("products at the edge of underflow", [(2.0**-537, 2.0**-537), (2.0**-538, 2.0**-537)])
    )
    result.append(("negative, half of the least double", [(-(2.0**-538), 2.0**-537)]))
    result.append(("a bit more than half of it", [(2.0**-538, 2.0**-537), (5e-324, 5e-324)]))
    result.append(("1e9 squared", [(1e9 + 0.5, 1e9 + 0.5), (-1e9, 1e9), (1e9, -1.0)]))
    return result


def main() -> None:
    """Writes the file."""
    lines = [
        "// Written by tests/reference/stats_exact_sum.py with Python's fractions; do not edit.",
        "// clang-format off",
    ]
    for name, pairs in cases():
        total = sum((Fraction(x) * Fraction(y) for x, y in pairs), Fraction(0))
        hi = rounded(total)
        lo = 0.0 if hi in (float("inf"), float("-inf")) else rounded(total - Fraction(hi))
        items = ", ".join(f"{{{literal(x)}, {literal(y)}}}" for x, y in pairs)
        high = {"inf": "kInf", "-inf": "-kInf"}.get(str(hi), literal(hi))
        lines.append(f'{{"{name}", {{{items}}}, {high}, {literal(lo)}}},')
    OUTPUT.write_text("\n".join([*lines, "// clang-format on", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
