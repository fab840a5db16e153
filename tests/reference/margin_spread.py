"""Writes metrics/emergence/margin_spread_vectors.inc: shares of margins above 0, by SciPy.

SciPy's distributions, shifted and scaled to mean z and standard deviation 1. Run from the
repository's root with SciPy installed: `python3 tests/reference/margin_spread.py`.
"""

from pathlib import Path

from scipy import stats

OUTPUT = Path("metrics/emergence/margin_spread_vectors.inc")
SPREADS = {
    "kUniform": stats.uniform,
    "kNormal": stats.norm,
    "kLogistic": stats.logistic,
    "kLaplace": stats.laplace,
    "kLongBelow": stats.gumbel_l,
    "kLongAbove": stats.gumbel_r,
}


def main() -> None:
    lines = ["// Written by tests/reference/margin_spread.py."]
    for name, family in SPREADS.items():
        standard = family(loc=-family.mean() / family.std(), scale=1 / family.std())
        for z in (-6, -2, -0.7, -0.1, 0, 0.4, 1.1, 2.5, 7):
            lines.append(f"{{MarginSpread::{name}, {z}, {float(standard.sf(-z)):.17g}}},")
    OUTPUT.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
