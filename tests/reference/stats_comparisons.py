"""Writes the vectors of the tests that compare two systems: SciPy, statsmodels and slow formulas.

    metrics/stats/{binomial_test,paired,permutation,effect_size,unpaired}_vectors.inc

Run from the repository's root with NumPy, SciPy and statsmodels installed (the versions used are
written into the files): `python3 tests/reference/stats_comparisons.py`.
"""

import math
from pathlib import Path

import numpy as np
import scipy
import statsmodels
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

FOLDER = Path("metrics/stats")
ALTERNATIVES = {"kTwoSided": "two-sided", "kLess": "less", "kGreater": "greater"}
Array = NDArray[np.float64]


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def literals(values: list[float] | Array) -> str:
    return ", ".join(literal(v) for v in values)


def write(name: str, lines: list[str]) -> None:
    """Writes `name`_vectors.inc."""
    head = [
        f"// Written by tests/reference/stats_comparisons.py with NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, statsmodels {statsmodels.__version__}; do not edit.",
        "// clang-format off",
    ]
    text = "\n".join([*head, *lines, "// clang-format on", ""])
    (FOLDER / f"{name}_vectors.inc").write_text(text, encoding="utf-8")


def array(name: str, values: Array) -> str:
    return f"const std::vector<double> {name} = {{{literals(values)}}};"


def half_binomial(first: int, n: int) -> tuple[float, float, float]:
    """P(X <= first), P(X >= first), P(X = first) at 1/2, from integers."""
    pmf = [math.comb(n, k) for k in range(n + 1)]
    whole = 2**n
    return (sum(pmf[: first + 1]) / whole, sum(pmf[first:]) / whole, pmf[first] / whole)


def binomial_test() -> None:
    lines = ["constexpr ShareCase kShareCases[] = {  // k, n, share, two-sided, less, greater"]
    cases = [(0, 1), (1, 1), (0, 10), (3, 10), (5, 10), (10, 10), (264, 1000), (3, 100_000)]
    for k, n in cases:
        for share in (0.0, 0.001, 0.25, 0.3, 0.5, 0.9, 1.0):
            values = [
                stats.binomtest(k, n, share, alternative=a).pvalue for a in ALTERNATIVES.values()
            ]
            lines.append(f"    {{{k}u, {n}u, {literal(share)}, {literals(values)}}},")
    lines.append("};\nconstexpr PairCase kPairCases[] = {")
    lines.append("    // b, c, exact two-sided, less, greater, chi-squared, mid-p of the three")
    for b, c in [(0, 0), (0, 1), (1, 1), (3, 9), (12, 2), (25, 25), (40, 61), (300, 251), (0, 30)]:
        table = np.array([[50, b], [c, 40]])
        n = b + c
        less, greater, own = half_binomial(b, n) if n else (1.0, 1.0, 0.0)
        exact = [
            mcnemar(table, exact=True).pvalue if n else 1.0,
            stats.binomtest(b, n, alternative="less").pvalue if n else 1.0,
            stats.binomtest(b, n, alternative="greater").pvalue if n else 1.0,
        ]
        # statsmodels does not hold the corrected difference at 0 from below.
        chi = mcnemar(table, exact=False, correction=True).pvalue if abs(b - c) > 1 else 1.0
        mid_less, mid_greater = less - own / 2, greater - own / 2
        mid = [min(1.0, 2 * min(mid_less, mid_greater)), mid_less, mid_greater]
        lines.append(f"    {{{b}u, {c}u, {literals([*exact, chi, *mid])}}},")
    write("binomial_test", [*lines, "};"])


def samples() -> dict[str, tuple[Array, Array]]:
    """Scores of two systems on the same items, of several kinds."""
    rng = np.random.default_rng(4)
    easy = rng.normal(size=40)
    return {
        "Log": (-np.exp(easy + rng.normal(size=40) / 3), -np.exp(easy + rng.normal(size=40) / 3)),
        "Binary": (
            (easy + rng.normal(size=40) > 0).astype(float),
            (easy + rng.normal(size=40) > 0.3).astype(float),
        ),
        "Large": (1e9 + rng.random(30), 1e9 + rng.random(30)),
        "Two": (np.array([0.25, 0.5]), np.array([0.75, 0.625])),
    }


def paired() -> None:
    lines = []
    rows = []
    for name, (a, b) in samples().items():
        lines += [array(f"k{name}First", a), array(f"k{name}Second", b)]
        # About a common offset: NumPy's two passes lose digits at 1e9.
        offset = np.floor(a.mean())
        x, y = a - offset, b - offset
        d = x - y
        values = [
            math.fsum(a) / len(a),
            math.fsum(b) / len(b),
            math.fsum(d) / len(d),
            np.var(x, ddof=1),
            np.var(y, ddof=1),
            np.var(d, ddof=1),
            np.cov(x, y)[0, 1],
            np.corrcoef(x, y)[0, 1],
            stats.sem(d),
            math.sqrt((np.var(x, ddof=1) + np.var(y, ddof=1)) / len(x)),
        ]
        for expected in (0.0, 0.1):
            # A one-sample test of the differences: ttest_rel takes no other null value.
            values += [
                stats.ttest_1samp(d, expected, alternative=alternative).pvalue
                for alternative in ALTERNATIVES.values()
            ]
        values += list(stats.ttest_rel(x, y).confidence_interval(0.9))
        rows.append(f"    {{k{name}First, k{name}Second, {literals(values)}}},")
    lines.append("const std::vector<PairedCase> kPairedCases = {")
    write("paired", [*lines, *rows, "};"])


def permutation() -> None:
    rng = np.random.default_rng(5)
    differences = {
        "Real": rng.normal(0.4, 1, 12),
        "Thirds": rng.choice([-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1], 14),
        "Signs": rng.choice([-1.0, 0, 1], 13, p=[0.2, 0.2, 0.6]),
        "Tenths": np.array([0.1, 0.2, -0.3, 0.3, 0.1, 0.1, -0.2]),
        "Few": np.array([-0.5, -0.25]),
        "Large": 1e9 * rng.choice([-1.0, 1], 9) + rng.random(9),
    }
    lines, rows = [], []
    # SciPy's two-sided value is twice the smaller tail: the same, as the null is symmetric.
    for name, d in differences.items():
        lines.append(array(f"k{name}", d))
        values = [
            stats.permutation_test(
                (d,),
                # Rounded as SciPy does not see ties of sums that differ in the last bits.
                lambda x: round(math.fsum(x), 9),
                permutation_type="samples",
                vectorized=False,
                n_resamples=np.inf,
                alternative=alternative,
            ).pvalue
            for alternative in ALTERNATIVES.values()
        ]
        rows.append(f"    {{k{name}, {literals(values)}}},")
    lines += ["const std::vector<PairedCase> kPairedCases = {", *rows, "};"]
    groups = {
        "Normal": (rng.normal(size=6), rng.normal(0.8, 1, 7)),
        "Ties": (rng.integers(0, 3, 5).astype(float), rng.integers(1, 4, 8).astype(float)),
        "Unequal": (np.array([3.0, -1.5]), rng.normal(size=11)),
        "Offset": (1e9 + rng.random(6), 1e9 + rng.random(5)),
    }
    rows = []
    for name, (a, b) in groups.items():
        lines += [array(f"k{name}First", a), array(f"k{name}Second", b)]
        mean = math.fsum([*a, *b]) / (len(a) + len(b))
        x, y = a - mean, b - mean
        # Two-sided in absolute value, by hand: SciPy's is twice the smaller tail, which is another
        # test where the groups differ in size.
        result = stats.permutation_test(
            (x, y),
            lambda u, v: round(math.fsum(u) / len(u) - math.fsum(v) / len(v), 9),
            permutation_type="independent",
            vectorized=False,
            n_resamples=np.inf,
        )
        null, observed = result.null_distribution, result.statistic
        values = [
            np.mean(np.abs(null) >= abs(observed) - 1e-9),
            np.mean(null <= observed + 1e-9),
            np.mean(null >= observed - 1e-9),
        ]
        rows.append(f"    {{k{name}First, k{name}Second, {literals(values)}}},")
    lines += ["const std::vector<UnpairedCase> kUnpairedCases = {", *rows, "};"]
    write("permutation", lines)


def effect_size() -> None:
    lines, rows = [], []
    for name, (a, b) in samples().items():
        lines += [array(f"k{name}First", a), array(f"k{name}Second", b)]
        offset = np.floor(a.mean())
        x, y = a - offset, b - offset
        difference = x.mean() - y.mean()
        va, vb = np.var(x, ddof=1), np.var(y, ddof=1)
        n = len(x) + len(y)
        pooled = math.sqrt(((len(x) - 1) * va + (len(y) - 1) * vb) / (n - 2))
        m = n - 2
        correction = math.exp(
            math.lgamma(m / 2) - math.log(math.sqrt(m / 2)) - math.lgamma((m - 1) / 2)
        )
        delta = sum(int(p > q) - int(p < q) for p in a for q in b) / (len(a) * len(b))
        values = [
            (x - y).mean() / np.std(x - y, ddof=1),
            difference / math.sqrt((va + vb) / 2),
            difference / pooled,
            difference / pooled * correction,
            delta,
        ]
        rows.append(f"    {{k{name}First, k{name}Second, {literals(values)}}},")
    write("effect_size", [*lines, "const std::vector<EffectCase> kEffectCases = {", *rows, "};"])


def newcombe_paired(e: int, f: int, g: int, h: int, level: float) -> tuple[float, float]:
    """Method 10 of Newcombe (1998), written after its text."""
    n = e + f + g + h
    p1, p2 = (e + f) / n, (e + g) / n
    low1, high1 = proportion_confint(e + f, n, 1 - level, "wilson")
    low2, high2 = proportion_confint(e + g, n, 1 - level, "wilson")
    product = (e + f) * (g + h) * (e + g) * (f + h)
    phi = 0.0
    if product:
        cross = e * h - f * g
        if cross > n / 2:
            cross = cross - n / 2
        elif cross >= 0:
            cross = 0
        phi = cross / math.sqrt(product)
    dl1, du1, dl2, du2 = p1 - low1, high1 - p1, p2 - low2, high2 - p2
    delta = math.sqrt(max(0, dl1 * dl1 - 2 * phi * dl1 * du2 + du2 * du2))
    epsilon = math.sqrt(max(0, du1 * du1 - 2 * phi * du1 * dl2 + dl2 * dl2))
    return max(p1 - p2 - delta, -1), min(p1 - p2 + epsilon, 1)


def unpaired() -> None:
    rng = np.random.default_rng(6)
    groups = {
        "Normal": (rng.normal(size=15), rng.normal(0.4, 3, 40)),
        "Log": (-rng.exponential(2, 30), -rng.exponential(3, 12)),
        "Offset": (1e9 + rng.random(8), 1e9 + 0.2 + rng.random(9)),
    }
    lines, rows = [], []
    for name, (a, b) in groups.items():
        lines += [array(f"k{name}First", a), array(f"k{name}Second", b)]
        offset = np.floor(a.mean())
        x, y = a - offset, b - offset
        result = stats.ttest_ind(x, y, equal_var=False)
        ends = result.confidence_interval(0.9)
        values = [
            x.mean() - y.mean(),
            math.sqrt(np.var(x, ddof=1) / len(x) + np.var(y, ddof=1) / len(y)),
            result.df,
            *(
                stats.ttest_ind(x, y, equal_var=False, alternative=alternative).pvalue
                for alternative in ALTERNATIVES.values()
            ),
            ends.low,
            ends.high,
        ]
        rows.append(f"    {{k{name}First, k{name}Second, {literals(values)}}},")
    lines += ["const std::vector<WelchCase> kWelchCases = {", *rows, "};"]
    lines.append("constexpr SharesCase kSharesCases[] = {  // k1, n1, k2, n2, level, ends")
    for k1, n1, k2, n2 in [(56, 70, 48, 80), (9, 10, 3, 10), (5, 56, 0, 29), (0, 10, 0, 20)]:
        for level in (0.9, 0.95):
            low, high = confint_proportions_2indep(
                k1, n1, k2, n2, method="newcomb", alpha=1 - level
            )
            lines.append(f"    {{{k1}u, {n1}u, {k2}u, {n2}u, {literals([level, low, high])}}},")
    lines += ["};", "constexpr PairedSharesCase kPairedSharesCases[] = {"]
    for cells in [
        (36, 12, 2, 0),
        (20, 12, 2, 16),
        (9, 3, 3, 5),
        (0, 5, 3, 40),
        (30, 0, 0, 20),
        (54, 0, 0, 0),
        (0, 54, 0, 0),
        (100, 7, 1, 60),
    ]:
        for level in (0.9, 0.95):
            ends = newcombe_paired(*cells, level)
            text = ", ".join(f"{c}u" for c in cells)
            lines.append(f"    {{{text}, {literals([level, *ends])}}},")
    write("unpaired", [*lines, "};"])


def main() -> None:
    """Writes the files."""
    binomial_test()
    paired()
    permutation()
    effect_size()
    unpaired()


if __name__ == "__main__":
    main()
