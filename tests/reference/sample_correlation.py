"""Writes metrics/emergence/sample_correlation_vectors.inc: how samples go with scale, by SciPy.

scipy.stats.spearmanr of each sample's numbers over the models, numpy.percentile over the samples.
Run from the repository's root with both installed: `python3 tests/reference/sample_correlation.py`.
"""

from pathlib import Path

import numpy as np
import scipy
from scipy import stats

OUTPUT = Path("metrics/emergence/sample_correlation_vectors.inc")


def literal(x: float) -> str:
    """17 significant digits."""
    if np.isnan(x):
        return "kNan"
    if np.isinf(x):
        return "kInf" if x > 0 else "-kInf"
    return f"{float(x):.17g}"


def braced(values: np.ndarray) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def expected(numbers: np.ndarray, x: np.ndarray, sign: int) -> str:
    """n, n_constant, quartiles, share_negative."""
    correlations, n_constant = [], 0
    for sample in numbers.T:
        if np.isnan(sample).any():
            continue
        if (sample == sample[0]).all():
            n_constant += 1
            continue
        # Ranks first: SciPy takes no infinities apart from order.
        correlations.append(sign * stats.spearmanr(stats.rankdata(sample), x).statistic)
    quartiles = np.percentile(correlations, [25, 50, 75])
    # What rounding leaves of a correlation of 0 is not negative.
    negative = np.mean(np.array(correlations) < -1e-12)
    numbers_text = ", ".join(literal(v) for v in [*quartiles, negative])
    return f"{len(correlations)}, {n_constant}, {numbers_text}"


def main() -> None:
    rng = np.random.default_rng(20240604)
    lines = [
        "// clang-format off",
        f"// By tests/reference/sample_correlation.py: SciPy {scipy.__version__}, "
        f"NumPy {np.__version__}.",
        "std::vector<CorrelationCase> Cases() {",
        "  return {",
    ]
    for case in range(12):
        m, n = int(rng.integers(3, 11)), int(rng.integers(5, 25))
        x = np.log(np.sort(rng.uniform(1e6, 1e10, m)))
        if case % 3 == 2:
            # Two replicates of one size.
            x[m // 2] = x[m // 2 - 1] if len(set(x)) > 3 else x[m // 2]
        numbers = rng.normal(size=(m, n)) + rng.normal(0.5, 0.5, n) * (x - x[0])[:, None]
        if case % 2 == 1:
            # Right or wrong: many ties, and samples that never change.
            numbers = (numbers > 0.8).astype(float)
        if case % 4 == 2:
            numbers[rng.integers(m), rng.integers(n)] = np.nan
            numbers[rng.integers(m), rng.integers(n)] = -np.inf
        order = rng.permutation(m)
        x, numbers = x[order], numbers[order]
        sign = -1 if case % 5 == 4 else 1
        rows = "{" + ", ".join(braced(row) for row in numbers) + "}"
        higher = "true" if sign == 1 else "false"
        lines.append(f"      {{{rows}, {braced(x)}, {higher}, {expected(numbers, x, sign)}}},")
    lines += ["  };", "}", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
