"""Writes metrics/stats/power_vectors.inc: sample sizes and power by statsmodels and by search.

Formulas in 30 digits by mpmath, power by statsmodels, finite test sets by a search over all n,
McNemar's power by enumeration of all tables, and comparisons simulated in NumPy.
Run from the repository's root with statsmodels, SciPy, mpmath and NumPy installed (half a minute):
`python3 tests/reference/stats_power.py`.
"""

import math
from itertools import count
from pathlib import Path

import mpmath as mp
import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.power import NormalIndPower, normal_sample_size_one_tail, zt_ind_solve_power

OUTPUT = Path("metrics/stats/power_vectors.inc")
SIDES = {"kTwo": 2, "kOne": 1}
TRIALS = 20_000
mp.mp.dps = 30


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def point(p: float) -> mp.mpf:
    """The x with P(Z > x) = p."""
    root = mp.findroot(lambda t: mp.erfc(t / mp.sqrt(2)) / 2 - mp.mpf(p), stats.norm.isf(p))
    assert abs(root - stats.norm.isf(p)) < 1e-9
    return root


def points(alpha: float, power: float, sides: int) -> mp.mpf:
    return point(alpha / sides) - point(power)


def mean_case(variance: float, delta: float, alpha: float, power: float, sides: str) -> str:
    z = points(alpha, power, SIDES[sides])
    n = int(mp.ceil(z**2 * variance / mp.mpf(delta) ** 2))
    sd = math.sqrt(variance)
    alternative = "two-sided" if sides == "kTwo" else "larger"
    if n > 2:
        # Two samples with half the variance each are what zt_ind_solve_power plans.
        solved = zt_ind_solve_power(
            effect_size=delta / (sd / math.sqrt(2)),
            alpha=alpha,
            power=power,
            alternative=alternative,
        )
        # Two-sided it counts the other direction too: 3e-6 less at a power of 0.8.
        other = {"kTwo": 1e-5 if power >= 0.8 else 0.05, "kOne": 1e-7}[sides]
        assert n * (1 - other) - 1 <= solved <= n * (1 + 1e-9), (solved, n)
    found = NormalIndPower().power(delta / sd, n, alpha, ratio=0, alternative=alternative)
    fields = ", ".join(literal(v) for v in (variance, delta, alpha, power))
    effect = z * mp.sqrt(mp.mpf(variance) / n)
    return f"    {{{fields}, {sides}, {n}u, {literal(effect)}, {literal(found)}}},"


def design_case(question: float, answer: float, delta: float, effect: float, total: int) -> str:
    z = points(0.05, 0.8, 2)

    def detectable(n: int) -> mp.mpf:
        rest = (mp.mpf(1) / n - mp.mpf(1) / total) if total else mp.mpf(1) / n
        return z * mp.sqrt(effect * (question * rest + mp.mpf(answer) / n))

    candidates = range(1, total + 1) if total else count(1)
    n = next((n for n in candidates if detectable(n) <= delta), 0)
    fields = ", ".join(literal(v) for v in (question, answer, delta, effect))
    return f"    {{{fields}, {total}u, {n}u, {literal(detectable(25))}}},"


def simulate(
    rng: np.random.Generator,
    question: float,
    answers: tuple[tuple[float, int], tuple[float, int]],
    delta: float,
    n: int,
    total: int,
) -> float:
    """The share of comparisons found by a z test with the variance known."""
    if total:
        # A fixed test set whose differences have exactly this mean and variance.
        documents = rng.normal(size=total)
        documents = (documents - documents.mean()) / documents.std(ddof=1)
    found = 0
    rest = 1 / n - 1 / total if total else 1 / n
    error = math.sqrt(question * rest + sum(s / k for s, k in answers) / n)
    for _ in range(TRIALS):
        drawn = rng.permutation(documents)[:n] if total else rng.normal(size=n)
        difference = delta + math.sqrt(question) * drawn
        for variance, k in answers:
            difference = difference + math.sqrt(variance) * rng.normal(size=(k, n)).mean(axis=0)
        found += abs(difference.mean()) > stats.norm.isf(0.025) * error
    return found / TRIALS


def proportion_case(p0: float, p1: float, alpha: float, power: float, sides: str) -> str:
    sds = math.sqrt(p0 * (1 - p0)), math.sqrt(p1 * (1 - p1))
    n = normal_sample_size_one_tail(abs(p1 - p0), power, alpha / SIDES[sides], *sds)
    # Both directions, from the distribution of the share itself.
    edge = stats.norm.isf(alpha / SIDES[sides]) * sds[0] / math.sqrt(120)
    share = stats.norm(abs(p1 - p0), sds[1] / math.sqrt(120))
    found = share.sf(edge) + (share.cdf(-edge) if sides == "kTwo" else 0)
    fields = ", ".join(literal(v) for v in (p0, p1, alpha, power))
    return f"    {{{fields}, {sides}, {math.ceil(n)}u, {literal(found)}}},"


def mcnemar_power(a: float, b: float, n: int, alpha: float, sides: str) -> float:
    """Every number of documents that A alone and B alone get right."""
    alternative = "two-sided" if sides == "kTwo" else "greater"
    total = mp.mpf(0)
    for d in range(1, n + 1):
        ways = mp.binomial(n, d) * (1 - mp.mpf(a) - mp.mpf(b)) ** (n - d)
        for only_a in range(d + 1):
            p = stats.binomtest(only_a, d, 0.5, alternative=alternative).pvalue
            if p <= alpha:
                total += (
                    ways * mp.binomial(d, only_a) * mp.mpf(a) ** only_a * mp.mpf(b) ** (d - only_a)
                )
    return float(total)


def wilson_half_width(share: float, n: float, level: float) -> float:
    z = stats.norm.isf((1 - level) / 2)
    return z / (n + z**2) * math.sqrt(n * share * (1 - share) + z**2 / 4)


def width_case(share: float, half: float, level: float, effect: float, total: int) -> str:
    def effective(n: int) -> float:
        """The number of independent documents of an endless population that are worth n."""
        if total and n == total:
            return math.inf
        return n / effect / (1 - n / total if total else 1)

    z = stats.norm.isf((1 - level) / 2)

    def wilson(n: int) -> bool:
        worth = effective(n)
        return math.isinf(worth) or wilson_half_width(share, worth, level) <= half

    def normal(n: int) -> bool:
        return z * math.sqrt(share * (1 - share) / effective(n)) <= half

    fields = ", ".join(literal(v) for v in (share, half, level, effect))
    sizes = ", ".join(f"{next(n for n in count(1) if enough(n))}u" for enough in (wilson, normal))
    return f"    {{{fields}, {total}u, {sizes}}},"


def exclude_case(share: float, level: float) -> str:
    power, n = mp.mpf(1) - mp.mpf(share), 1
    left = power
    while left > 1 - mp.mpf(level):
        left *= power
        n += 1
    return f"    {{{literal(share)}, {literal(level)}, {n}u}},"


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(53)
    lines = [
        "// Written by tests/reference/stats_power.py with "
        f"statsmodels {statsmodels.__version__}, SciPy {scipy.__version__}, "
        f"mpmath {mp.__version__}, NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        "constexpr MeanCase kMeanCases[] = {",
    ]
    for variance in (0.05, 0.25, 1.0, 40.0):
        for delta in (0.01, 0.03, 0.5):
            for alpha, power in ((0.05, 0.8), (0.01, 0.9), (0.1, 0.99), (0.05, 0.3)):
                lines += [mean_case(variance, delta, alpha, power, sides) for sides in SIDES]
    lines += ["};", "constexpr DesignCase kDesignCases[] = {"]
    for question, answer in ((0.25, 0.0), (0.2, 0.1), (0.05, 0.3)):
        for delta in (0.05, 0.1):
            for effect in (1.0, 2.5):
                for total in (0, 100, 400, 5000):
                    lines.append(design_case(question, answer, delta, effect, total))
    lines += ["};", "constexpr SimulationCase kSimulationCases[] = {"]
    for question, a, b, delta, n, total in (
        (0.2, (0.1, 1), (0.1, 1), 0.1, 250, 0),
        (0.2, (0.1, 4), (0.3, 2), 0.1, 150, 0),
        (0.25, (0.0, 1), (0.0, 1), 0.1, 120, 200),
        (0.2, (0.2, 2), (0.1, 1), 0.08, 150, 200),
        (0.2, (0.2, 2), (0.1, 1), 0.08, 200, 200),
    ):
        found = simulate(rng, question, (a, b), delta, n, total)
        lines.append(
            f"    {{{question}, {a[0]}, {b[0]}, {a[1]}u, {b[1]}u, {delta}, {n}u, {total}u, "
            f"{literal(found)}}},"
        )
    lines += ["};", "constexpr ProportionCase kProportionCases[] = {"]
    for p0, p1 in ((0.25, 0.3), (0.25, 0.2), (0.5, 0.65), (0.01, 0.05), (0.9, 0.95)):
        for alpha, power in ((0.05, 0.8), (0.01, 0.95)):
            lines += [proportion_case(p0, p1, alpha, power, sides) for sides in SIDES]
    lines += ["};", "constexpr McNemarCase kMcNemarCases[] = {"]
    for a, b in ((0.1, 0.05), (0.3, 0.1), (0.02, 0.2), (0.6, 0.4), (0.25, 0.0)):
        for n in (1, 7, 30, 60):
            for alpha in (0.05, 0.2):
                for sides in SIDES:
                    power = mcnemar_power(a, b, n, alpha, sides)
                    fields = f"{a}, {b}, {n}u, {alpha}, {sides}, {literal(power)}"
                    lines.append(f"    {{{fields}}},")
    lines += ["};", "constexpr McNemarSizeCase kMcNemarSizeCases[] = {"]
    for a, b, alpha, power, sides in (
        (0.3, 0.05, 0.05, 0.8, "kTwo"),
        (0.3, 0.05, 0.05, 0.8, "kOne"),
        (0.5, 0.1, 0.01, 0.9, "kTwo"),
        (0.05, 0.4, 0.1, 0.5, "kTwo"),
        (0.7, 0.3, 0.05, 0.5, "kOne"),
    ):
        n = next(n for n in count(1) if mcnemar_power(a, b, n, alpha, sides) >= power)
        lines.append(f"    {{{a}, {b}, {alpha}, {power}, {sides}, {n}u}},")
    lines += ["};", "constexpr WidthCase kWidthCases[] = {"]
    for share in (0.0, 0.02, 0.5, 0.9):
        for half, level in ((0.05, 0.95), (0.02, 0.9), (0.4, 0.99), (0.01, 0.95)):
            for effect, total in ((1.0, 0), (1.7, 0), (1.0, 500), (2.0, 3000)):
                lines.append(width_case(share, half, level, effect, total))
    lines += ["};", "constexpr ExcludeCase kExcludeCases[] = {"]
    for share in (0.0003, 0.01, 0.05, 0.5, 0.95, 0.97):
        lines += [exclude_case(share, level) for level in (0.5, 0.9, 0.95, 0.999)]
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
