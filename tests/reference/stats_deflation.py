"""Writes metrics/stats/deflation_vectors.inc: deflated significance from deltagate and SciPy.

deltagate's normal quantile is a rational approximation, so what contains one is also computed from
the formulas of Bailey and Lopez de Prado with SciPy's.
Run from the repository's root with deltagate and SciPy installed:
`python3 tests/reference/stats_deflation.py`.
"""

import math
from importlib.metadata import version
from pathlib import Path

import deltagate.deflation as peer
import numpy as np
import scipy
from scipy import stats

OUTPUT = Path("metrics/stats/deflation_vectors.inc")


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def expected_maximum(n: int, variance: float) -> float:
    if n == 1:
        return 0.0
    near, far = stats.norm.isf(1 / n), stats.norm.isf(1 / (n * math.e))
    return math.sqrt(variance) * ((1 - np.euler_gamma) * near + np.euler_gamma * far)


def probabilistic(d: np.ndarray, benchmark: float) -> float:
    z = (d - d.mean()) / d.std(ddof=1)
    delta = d.mean() / d.std(ddof=1)
    variance = 1 - np.mean(z**3) * delta + (np.mean(z**4) - 1) / 4 * delta**2
    return stats.norm.cdf((delta - benchmark) * math.sqrt(d.size - 1) / math.sqrt(variance))


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(23)
    samples = [
        np.array([0.5, -0.25, 1.0, 0.75]),
        rng.choice([-1.0, 0.0, 1.0], size=60, p=[0.1, 0.7, 0.2]),
        rng.normal(0.1, 1, size=40),
        rng.exponential(size=33) - 0.8,
        -rng.exponential(size=33) + 0.6,
        rng.normal(1e6, 1e3, size=12) - 1e6,
    ]
    lines = [
        f"// Written by tests/reference/stats_deflation.py with deltagate {version('deltagate')}, "
        f"SciPy {scipy.__version__}, NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        "std::vector<DeflationCase> DeflationCases() {",
        "  return {",
    ]
    for d in samples:
        for benchmark, n, variance in ((0.0, 1, 1.0), (0.1, 2, 0.01), (-0.2, 40, 0.02)):
            zeros = np.zeros(d.size)
            numbers = (
                peer.standardized_delta(d, zeros),
                peer.probabilistic_delta(d, zeros, benchmark),
                probabilistic(d, expected_maximum(n, variance)),
                peer.deflated_delta(d, zeros, n, variance),
            )
            assert math.isclose(numbers[1], probabilistic(d, benchmark), rel_tol=1e-12)
            differences = ", ".join(literal(x) for x in d)
            results = ", ".join(literal(x) for x in numbers)
            lines.append(
                f"      {{{{{differences}}}, {benchmark}, {n}u, {literal(variance)}, {results}}},"
            )
    lines += ["  };", "}", "constexpr MaximumCase kMaximumCases[] = {"]
    for n in (1, 2, 3, 10, 100, 1000, 10**6, 10**12):
        for variance in (0.0, 0.01, 2.5):
            # At 1e12 deltagate's 1 - 1/n has lost four digits; the tail has not.
            here = expected_maximum(n, variance)
            there = peer.expected_max_std_delta(n, variance) if n < 10**9 else here
            lines.append(f"    {{{n}u, {variance}, {literal(here)}, {literal(there)}}},")
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
