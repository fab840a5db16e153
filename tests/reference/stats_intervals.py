"""Writes metrics/stats/intervals_vectors.inc: confidence intervals from SciPy and statsmodels.

Run from the repository's root with SciPy and statsmodels installed (the versions used are written
into the file): `python3 tests/reference/stats_intervals.py`.
"""

import math
from pathlib import Path

import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

OUTPUT = Path("metrics/stats/intervals_vectors.inc")
LEVELS = [0.5, 0.68, 0.9, 0.95, 0.99, 0.999]
COUNTS = [
    (0, 1),
    (1, 1),
    (0, 10),
    (1, 10),
    (5, 10),
    (10, 10),
    (0, 100),
    (3, 100),
    (50, 100),
    (99, 100),
    (264, 1000),
    (1, 10_000),
    (123_456, 1_000_000),
    (1_000_000, 1_000_000),
    (3, 1_000_000_000),
]
MEANS = [
    (0.5, 0.1, 2),
    (-1.25, 0.05, 3),
    (3.0, 0.0, 5),
    (-2.5, 0.31, 10),
    (1e9, 0.5, 30),
    (-0.7, 0.01, 1000),
    (0.125, 1e-5, 1_000_000),
]


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{x:.17g}"


def main() -> None:
    """Writes the file."""
    lines = [
        "// Written by tests/reference/stats_intervals.py with "
        f"SciPy {scipy.__version__}, statsmodels {statsmodels.__version__}; do not edit.",
        "// clang-format off",
        "constexpr ShareCase kShareCases[] = {",
        "    // successes, n, level, Wilson, Clopper-Pearson, upper bound of 0 of n, posterior",
    ]
    for k, n in COUNTS:
        for level in LEVELS:
            wilson = proportion_confint(k, n, alpha=1 - level, method="wilson")
            # Beta quantiles: binomtest's own interval is a root search with 1e-12 absolute error.
            exact = proportion_confint(k, n, alpha=1 - level, method="beta")
            # The one-sided bound of 0 of n: the beta quantile, not the closed form.
            zero = stats.beta.isf(1 - level, 1, n)
            tail = (1 - level) / 2
            posterior = [
                0 if k == 0 else stats.beta.ppf(tail, 1 + k, 1 + n - k),
                1 if k == n else stats.beta.isf(tail, 1 + k, 1 + n - k),
            ]
            values = [*wilson, *exact, zero, *posterior]
            text = ", ".join(literal(float(v)) for v in values)
            lines.append(f"    {{{k}u, {n}u, {level}, {text}}},")
    lines += ["};", "constexpr MeanCase kMeanCases[] = {"]
    lines.append("    // mean, standard error, n, level, Student, normal, exp, exp(-)")
    for mean, error, n in MEANS:
        for level in LEVELS:
            t = stats.t.isf((1 - level) / 2, n - 1) * error
            z = stats.norm.isf((1 - level) / 2) * error
            values = [mean - t, mean + t, mean - z, mean + z]
            for sign in (1, -1):
                for end in sorted((sign * (mean - t), sign * (mean + t))):
                    values.append(math.exp(end) if end < 709 else math.inf)
            text = ", ".join("kInf" if math.isinf(v) else literal(float(v)) for v in values)
            lines.append(f"    {{{literal(mean)}, {literal(error)}, {n}u, {level}, {text}}},")
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
