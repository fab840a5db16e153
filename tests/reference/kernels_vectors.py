"""Writes metrics/kernels/vectors_vectors.inc: errors of vectors and classes by mpmath.

Run from the repository's root with mpmath and NumPy installed:
`python3 tests/reference/kernels_vectors.py`.
"""

from pathlib import Path

import mpmath as mp
import numpy as np

OUTPUT = Path("metrics/kernels/vectors_vectors.inc")
mp.mp.dps = 60


def literal(x: float | mp.mpf) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def column(name: str, values: np.ndarray) -> list[str]:
    return [f"constexpr double {name}[] = {{", *(f"    {literal(x)}," for x in values), "};"]


def pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    t = rng.uniform(size=50)
    far = 1e9 + rng.normal(size=30)
    return [
        (np.array([1.0, 2.0, 2.5]), np.array([1.0, 0.0, 3.0])),
        (t + rng.normal(scale=0.05, size=50), t),
        (far + rng.normal(scale=1e-3, size=30), far),
        (np.array([1e9, 1e-3, -1e9]), np.array([-1e9, 0.0, -1e9 - 1e-6])),
        (np.array([1e200, 1.0]), np.array([-1e200, 1.0])),
        (np.array([1e-200, 0.0]), np.array([0.0, 0.0])),
        (np.array([0.3]), np.array([0.1])),
    ]


def classes() -> list[tuple[np.ndarray, int]]:
    rng = np.random.default_rng(4)
    return [
        (np.array([1.0, 2.0, 3.0]), 2),
        (np.array([1.0, 2.0, 3.0]), 0),
        (np.array([5.0]), 0),
        (np.array([40.0, 0.0, -1.0]), 0),
        (1e9 + rng.normal(size=10), 4),
        (1e9 * rng.normal(size=10), 7),
        (-1e9 + rng.normal(scale=5, size=100), 50),
        (rng.normal(scale=3, size=1000), 123),
    ]


def main() -> None:
    """Writes the file."""
    lines = [
        f"// Written by tests/reference/kernels_vectors.py with mpmath {mp.__version__}, "
        f"NumPy {np.__version__}; do not edit.",
        "// clang-format off",
    ]
    cases = []
    for index, (y, t) in enumerate(pairs()):
        lines += column(f"kOutput{index}", y) + column(f"kTarget{index}", t)
        errors = [abs(mp.mpf(float(a)) - mp.mpf(float(b))) for a, b in zip(y, t, strict=True)]
        square = mp.fsum(e * e for e in errors)
        square_of_double = float(square) if square < mp.mpf("1.7e308") else mp.inf
        text = [
            "kInf" if s == mp.inf else literal(s)
            for s in (square_of_double, square / len(y) if square_of_double != mp.inf else mp.inf)
        ]
        text += [literal(mp.fsum(errors) / len(y)), literal(max(errors))]
        cases.append(f"    {{kOutput{index}, kTarget{index}, {', '.join(text)}}},")
    lines.append("const VectorCase kVectorCases[] = {  // output, target, sum, mean, |.|, max")
    lines += [*cases, "};"]
    cases = []
    for index, (z, gold) in enumerate(classes()):
        lines += column(f"kLogits{index}", z)
        xs = [mp.mpf(float(x)) for x in z]
        with mp.workdps(80):
            # Relative to the gold one: what is far below it is 0 without a doubt.
            entropy = mp.log(mp.fsum(mp.exp(x - xs[gold]) for x in xs))
        cases.append(
            f"    {{kLogits{index}, {gold}, {literal(entropy)}, {literal(mp.exp(-entropy))}, "
            f"{int(np.argmax(z))}}},"
        )
    lines.append("const ClassCase kClassCases[] = {  // logits, gold, cross-entropy, p, top")
    lines += [*cases, "};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
