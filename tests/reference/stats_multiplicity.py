"""Writes metrics/stats/multiplicity_vectors.inc: adjusted p-values from statsmodels.

Tests that are not in the list are p-values of 1 at its end.
Run from the repository's root with statsmodels installed:
`python3 tests/reference/stats_multiplicity.py`.
"""

from pathlib import Path

import numpy as np
import statsmodels
from statsmodels.stats.multitest import multipletests

OUTPUT = Path("metrics/stats/multiplicity_vectors.inc")
METHODS = ["bonferroni", "holm", "simes-hochberg", "fdr_bh", "fdr_by"]


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def braced(values: np.ndarray) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(11)
    lists = [
        [0.04],
        [0.01, 0.02, 0.03, 0.04, 0.05],
        [0.05, 0.04, 0.03, 0.02, 0.01],
        [0.02, 0.02, 0.5, 0.02, 1.0, 0.0],
        [1e-300, 1e-12, 0.2, 0.9999, 0.0004],
        rng.uniform(size=25).tolist(),
        (rng.uniform(size=40) ** 4).tolist(),
        rng.choice([0.001, 0.01, 0.02, 0.3], size=30).tolist(),
    ]
    lines = [
        "// Written by tests/reference/stats_multiplicity.py with "
        f"statsmodels {statsmodels.__version__}, NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        "std::vector<MultiplicityCase> MultiplicityCases() {",
        "  return {",
    ]
    for p_values in lists:
        p = np.array(p_values)
        for extra in (0, 1, 17, 2000):
            padded = np.concatenate([p, np.ones(extra)])
            adjusted = [multipletests(padded, method=m)[1][: p.size] for m in METHODS]
            fields = ", ".join(braced(a) for a in adjusted)
            lines.append(f"      {{{braced(p)}, {padded.size}u, {{{fields}}}}},")
    lines += ["  };", "}", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
