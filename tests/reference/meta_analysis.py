"""Writes metrics/emergence/meta_analysis_vectors.inc: stratified 2x2 tables by statsmodels.

Run from the repository's root with statsmodels installed:
`python3 tests/reference/meta_analysis.py`.
"""

from pathlib import Path

import numpy as np
import statsmodels
from statsmodels.stats.contingency_tables import StratifiedTable

OUTPUT = Path("metrics/emergence/meta_analysis_vectors.inc")


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(17)
    lines = [
        "// Written by tests/reference/meta_analysis.py with "
        f"statsmodels {statsmodels.__version__}, NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        "std::vector<StratifiedCase> StratifiedCases() {",
        "  return {",
    ]
    cases = [
        [[[12, 3], [4, 9]]],
        [[[5, 95], [1, 199]], [[3, 7], [2, 40]], [[0, 6], [0, 9]]],
        [[[1, 0], [0, 1]], [[2, 5], [1, 8]]],
    ]
    for strata, largest in ((5, 30), (60, 12), (220, 6)):
        tables = rng.integers(0, largest, size=(strata, 2, 2))
        tables[:, 0, 1] += 1
        tables[:, 1, 1] += 1
        cases.append(tables.tolist())
    for tables in cases:
        table = StratifiedTable([np.array(t, dtype=float) for t in tables])
        lower, upper = table.oddsratio_pooled_confint(alpha=0.05)
        p_value = table.test_null_odds(correction=False).pvalue
        rows = ", ".join(f"{{{t[0][0]}, {t[0][1]}, {t[1][0]}, {t[1][1]}}}" for t in tables)
        numbers = ", ".join(map(literal, (table.oddsratio_pooled, lower, upper, p_value)))
        lines.append(f"      {{{{{rows}}}, {numbers}}},")
    lines += ["  };", "}", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
