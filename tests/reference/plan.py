"""Writes metrics/emergence/plan_vectors.inc: items that resolve a share, and what a number shows.

From 0 or 1 by a search over all numbers of items with SciPy's binomial distribution, from chance
by statsmodels, the detectable change by a root of statsmodels' power.
Run from the repository's root with statsmodels and SciPy installed (some seconds):
`python3 tests/reference/plan.py`.
"""

import math
from itertools import count
from pathlib import Path

import scipy
import statsmodels
from scipy import optimize, stats
from statsmodels.stats.power import normal_power_het, normal_sample_size_one_tail

OUTPUT = Path("metrics/emergence/plan_vectors.inc")


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def spread(p: float) -> float:
    return math.sqrt(p * (1 - p))


def resolve_case(value: float, chance: float, level: float, power: float) -> str:
    if chance > 0:
        # Rounding up is the plan's; statsmodels' number is real.
        n = normal_sample_size_one_tail(
            value - chance, power, (1 - level) / 2, spread(chance), spread(value)
        )
        n = math.ceil(n)
    else:
        seen = min(value, 1 - value)
        n = next(n for n in count(1) if stats.binom.sf(0, n, seen) >= power)
    return "    {" + ", ".join(literal(v) for v in (value, chance, level, power, n)) + "},"


def change_case(value: float, n: int, level: float, power: float) -> str:
    def missing(change: float) -> float:
        sd = math.hypot(spread(value), spread(value + change))
        found = normal_power_het(change, n, 1 - level, sd, sd, alternative="two-sided")
        return float(found) - power

    change = optimize.brentq(missing, 1e-6, 1 - value - 1e-9, xtol=1e-14)
    return "    {" + ", ".join(literal(v) for v in (value, n, level, power, change)) + "},"


def main() -> None:
    lines = [
        f"// Written by tests/reference/plan.py with statsmodels {statsmodels.__version__}, "
        f"SciPy {scipy.__version__}; do not edit.",
        "// clang-format off",
        "constexpr ResolveCase kResolveCases[] = {",
    ]
    for level, power in ((0.95, 0.8), (0.95, 0.95), (0.99, 0.9)):
        for value in (0.0003, 0.004, 0.05, 0.3, 0.7, 0.99):
            lines.append(resolve_case(value, 0, level, power))
        for value in (0.26, 0.3, 0.5):
            lines.append(resolve_case(value, 0.25, level, power))
    lines += ["};", "constexpr ChangeCase kChangeCases[] = {"]
    for level, power in ((0.95, 0.8), (0.99, 0.9)):
        for value in (0.0, 0.02, 0.3, 0.6):
            for n in (100, 1000):
                lines.append(change_case(value, n, level, power))
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
