"""Writes metrics/stats/bca_vectors.inc: BCa intervals by SciPy.

SciPy's bootstrap is made to draw the resamples that are written into the file, so that both sides
work on the same ones. Run from the repository's root with NumPy and SciPy installed (the versions
used are written into the file): `python3 tests/reference/stats_bca.py`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy import stats

OUTPUT = Path("metrics/stats/bca_vectors.inc")
Array = NDArray[np.float64]


def literals(values: Array | list[float]) -> str:
    """17 significant digits each."""
    return ", ".join(f"{float(v):.17g}" for v in values)


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(12)
    statistics: list[tuple[str, Array, Callable[..., Array]]] = [
        ("ExponentialMean", rng.exponential(size=40), np.mean),
        ("NormalMean", rng.normal(size=25), np.mean),
        ("BinaryMean", (rng.random(30) < 0.3).astype(float), np.mean),
        ("StandardDeviation", rng.exponential(size=30), np.std),
        ("Median", rng.normal(size=21), np.median),
    ]
    lines = [
        f"// Written by tests/reference/stats_bca.py with NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}; do not edit.",
        "// clang-format off",
    ]
    cases = []
    for name, data, statistic in statistics:
        resamples = data[rng.integers(0, len(data), (400, len(data)))]
        values = statistic(resamples, axis=-1)
        without = [statistic(np.delete(data, i)) for i in range(len(data))]
        lines.append(f"const std::vector<double> k{name}Resampled = {{{literals(values)}}};")
        lines.append(f"const std::vector<double> k{name}Without = {{{literals(without)}}};")
        for level in (0.8, 0.9, 0.95):
            # Without new resamples SciPy takes those that it is given.
            result = stats.bootstrap(
                (data,),
                statistic,
                n_resamples=0,
                bootstrap_result=_Of(values),
                confidence_level=level,
                method="BCa",
            )
            assert len(result.bootstrap_distribution) == len(values)
            ends = result.confidence_interval
            u = np.mean(without) - np.array(without)
            a = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
            numbers = literals([statistic(data), a, level, ends.low, ends.high])
            cases.append(f"    {{k{name}Resampled, k{name}Without, {numbers}}},")
    lines += ["const std::vector<BcaCase> kBcaCases = {", *cases, "};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


class _Of:
    """What SciPy reads of an earlier result."""

    def __init__(self, values: Array) -> None:
        self.bootstrap_distribution = values


if __name__ == "__main__":
    main()
