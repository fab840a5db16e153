"""Writes metrics/kernels/token_log_probs_vectors.inc: scores of token log-probabilities by mpmath.

Run from the repository's root with mpmath and NumPy installed:
`python3 tests/reference/kernels_token_log_probs.py`.
"""

from pathlib import Path

import mpmath as mp
import numpy as np

OUTPUT = Path("metrics/kernels/token_log_probs_vectors.inc")
mp.mp.dps = 50


def literal(x: float | mp.mpf) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def targets() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [
        np.array([-0.1, -2.3, 0.0]),
        np.array([0.0]),
        np.array([-1e-18, -1e-9, -1e-17]),
        np.array([-800.0, -1e-3, -20.0]),
        np.array([-1e9, -1e-9, -1e9, -3.0]),
        np.log(rng.uniform(size=40)),
        -np.exp(rng.normal(-2, 3, size=60)),
    ]


def main() -> None:
    """Writes the file."""
    lines = [
        f"// Written by tests/reference/kernels_token_log_probs.py with mpmath {mp.__version__}, "
        f"NumPy {np.__version__};",
        "// do not edit.",
        "// clang-format off",
    ]
    cases = []
    for index, target in enumerate(targets()):
        lines.append(f"constexpr double kTarget{index}[] = {{")
        lines += [f"    {literal(x)}," for x in target]
        lines.append("};")
        xs = [mp.mpf(float(x)) for x in target]
        n = len(xs)
        total = mp.fsum(xs)
        errors = mp.fsum(-mp.expm1(x) for x in xs)
        values = (
            total, mp.exp(total), -total / n, min(xs), mp.exp(min(xs)),
            mp.fsum(mp.exp(x) for x in xs) / n, errors / n, errors,
        )  # fmt: skip
        cases.append(f"    {{kTarget{index}, {', '.join(literal(v) for v in values)}}},")
    lines += [
        "const TargetCase kTargetCases[] = {",
        "    // log p, p, NLL per token, least log p and p, mean p, errors / L, errors",
        *cases,
        "};",
        "// clang-format on",
        "",
    ]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
