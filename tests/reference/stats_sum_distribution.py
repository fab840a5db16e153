"""Writes metrics/stats/sum_distribution_vectors.inc: distributions of sums of integers.

The probability of every possible sum, by adding up the outcomes one number at a time (signs) or by
raising the generating polynomial to the n-th power (resamples): all additions of positive numbers,
so good to some 1e-14. Run from the repository's root with NumPy and SciPy installed (the versions
used are written into the file): `python3 tests/reference/stats_sum_distribution.py`.
"""

from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.signal import convolve

OUTPUT = Path("metrics/stats/sum_distribution_vectors.inc")
Array = NDArray[np.float64]
# Where the distribution function is asked for, in standard deviations.
PLACES = (-6.0, -4.0, -2.5, -1.96, -1.0, -0.3, 0.0, 0.5, 1.0, 1.645, 3.0, 5.0)


def of_signs(values: NDArray[np.int64]) -> tuple[Array, Array]:
    """Sums and their probabilities under random signs."""
    total = int(np.abs(values).sum())
    p = np.zeros(2 * total + 1)
    p[total] = 1
    for x in np.abs(values):
        p = (np.roll(p, x) + np.roll(p, -x)) / 2
    return np.arange(-total, total + 1).astype(float), p


def of_resamples(values: NDArray[np.int64]) -> tuple[Array, Array]:
    """Sums of len(values) draws with replacement, less their mean, and their probabilities."""
    n = len(values)
    least = int(values.min())
    power = np.bincount(values - least) / n
    p = np.array([1.0])
    left = n
    while left:
        if left % 2:
            p = np.maximum(convolve(p, power, method="fft"), 0)
        left //= 2
        if left:
            power = np.maximum(convolve(power, power, method="fft"), 0)
    return np.arange(len(p)) + n * least - float(values.sum()), p


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(27)
    skewed = np.exp(rng.normal(6.5, 0.7, 60)).astype(int)
    plain = rng.integers(0, 3000, 200)
    outlier = rng.integers(-500, 500, 100)
    outlier[0] = 9000
    cases = [
        ("Kind::kResamples", skewed, of_resamples),
        ("Kind::kResamples", plain, of_resamples),
        ("Kind::kResamples", outlier, of_resamples),
        ("Kind::kSigns", rng.integers(-2000, 2000, 90), of_signs),
        ("Kind::kSigns", np.exp(rng.normal(5, 1, 200)).astype(int), of_signs),
        ("Kind::kSigns", outlier, of_signs),
    ]
    lines = [
        f"// Written by tests/reference/stats_sum_distribution.py with NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}; do not edit.",
        "// clang-format off",
        "const std::vector<Case> kCases = {",
    ]
    for kind, values, distribution in cases:
        sums, p = distribution(values)
        deviation = float(np.sqrt((p * sums**2).sum()))
        below = np.cumsum(p) - p / 2
        points = []
        for place in PLACES:
            # On a sum that can be, where half of the tie counts.
            near = np.abs(sums - place * deviation)
            near[p < p.max() * 1e-30] = np.inf
            at = int(near.argmin())
            points.append(f"{{{sums[at]:.17g}, {below[at]:.17g}}}")
        lines.append(
            f"{{{kind}, {{{', '.join(str(v) for v in values)}}}, {deviation:.17g}, "
            f"{{{', '.join(points)}}}}},"
        )
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
