"""Writes metrics/stats/distributions_vectors.inc: tails and quantiles by mpmath and NumPy.

Tails are computed with 40 digits; quantiles are roots of those tails, SciPy's quantile is only
where the search for them starts.
Run from the repository's root with mpmath and NumPy installed:
`python3 tests/reference/stats_distributions.py`.
"""

from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np
from scipy import stats

OUTPUT = Path("metrics/stats/distributions_vectors.inc")
mp.mp.dps = 40


def literal(x: float | mp.mpf) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def normal_tail(x: mp.mpf) -> mp.mpf:
    return mp.erfc(mp.mpf(x) / mp.sqrt(2)) / 2


def student_tail(x: float, df: float) -> mp.mpf:
    x, df = mp.mpf(x), mp.mpf(df)
    half = mp.betainc(df / 2, mp.mpf(1) / 2, 0, df / (df + x * x), regularized=True) / 2
    return half if x >= 0 else 1 - half


def chi_squared_tail(x: float, df: float) -> mp.mpf:
    return mp.gammainc(mp.mpf(df) / 2, mp.mpf(x) / 2, mp.inf, regularized=True)


def beta_cdf(x: mp.mpf, a: float, b: float) -> mp.mpf:
    return mp.betainc(a, b, 0, x, regularized=True)


def binomial_pmf(k: int, n: int, p: float) -> mp.mpf:
    return mp.binomial(n, k) * mp.mpf(p) ** k * (1 - mp.mpf(p)) ** (n - k)


def binomial_sum(ks: range, n: int, p: float) -> mp.mpf:
    return mp.fsum(binomial_pmf(k, n, p) for k in ks)


def root(f: Callable[[mp.mpf], mp.mpf], start: float) -> mp.mpf:
    """The root next to `start`, by the secant method on 40 digits."""
    start = mp.mpf(start)
    x = mp.findroot(f, (start, start * (1 + mp.mpf("1e-6")) + mp.mpf("1e-12")))
    assert abs(x - start) <= abs(start) * mp.mpf("1e-6"), (x, start)
    return x


def main() -> None:
    """Writes the file."""
    lines = [
        f"// Written by tests/reference/stats_distributions.py with mpmath {mp.__version__}, "
        f"NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        "constexpr NormalCase kNormalCases[] = {  // x, P(Z > x)",
    ]
    for x in (-8.0, -3.0, -1.0, -1e-9, 0.0, 0.5, 1.0, 1.959963984540054, 5.0, 12.0, 30.0):
        lines.append(f"    {{{literal(x)}, {literal(normal_tail(x))}}},")
    lines.append("};\nconstexpr NormalPointCase kNormalPointCases[] = {  // p, x of P(Z > x) = p")
    for p in (1e-300, 1e-20, 1e-6, 0.0005, 0.005, 0.025, 0.05, 0.25, 0.4, 0.6, 0.975):
        x = root(lambda t, p=p: normal_tail(t) - mp.mpf(p), stats.norm.isf(p))
        lines.append(f"    {{{literal(p)}, {literal(x)}}},")
    lines.append("};\nconstexpr StudentCase kStudentCases[] = {  // x, df, P(T > x)")
    for df in (1.0, 2.0, 3.5, 9.0, 30.0, 999.0, 1e6):
        for x in (-2.0, 0.3, 1.0, 2.5, 8.0, 25.0):
            lines.append(f"    {{{literal(x)}, {literal(df)}, {literal(student_tail(x, df))}}},")
    lines.append("};\nconstexpr StudentPointCase kStudentPointCases[] = {  // p, df, x")
    for df in (1.0, 2.0, 4.0, 29.0, 999.0, 1e6):
        for p in (0.0005, 0.025, 0.05, 0.25):
            x = root(lambda t, p=p, df=df: student_tail(t, df) - mp.mpf(p), stats.t.isf(p, df))
            lines.append(f"    {{{literal(p)}, {literal(df)}, {literal(x)}}},")
    lines.append("};\nconstexpr ChiSquaredCase kChiSquaredCases[] = {  // x, df, P(X > x)")
    for df in (1.0, 2.0, 5.0, 40.0):
        for x in (0.0, 0.01, 1.0, 3.841458820694124, 30.0, 200.0):
            lines.append(
                f"    {{{literal(x)}, {literal(df)}, {literal(chi_squared_tail(x, df))}}},"
            )
    lines.append("};\nconstexpr BetaPointCase kBetaPointCases[] = {  // p, a, b, lower x, upper x")
    for a, b in ((1.0, 1.0), (1.0, 6.0), (0.5, 10.5), (4.0, 2.0), (30.0, 71.0), (900.0, 12.0)):
        for p in (0.0005, 0.025, 0.05, 0.5, 0.95):
            low = root(
                lambda t, p=p, a=a, b=b: beta_cdf(t, a, b) - mp.mpf(p), stats.beta.ppf(p, a, b)
            )
            # P(X > x) = p is P(1 - X < 1 - x) = p for Beta(b, a).
            high = 1 - root(
                lambda t, p=p, a=a, b=b: beta_cdf(t, b, a) - mp.mpf(p), stats.beta.ppf(p, b, a)
            )
            values = ", ".join(literal(v) for v in (p, a, b, low, high))
            lines.append(f"    {{{values}}},")
    lines.append("};\nconstexpr BinomialCase kBinomialCases[] = {")
    lines.append("    // k, n, p, P(X <= k), P(X >= k), P(X = k)")
    for n in (1, 2, 10, 57, 1000):
        for p in (0.001, 0.25, 0.5, 0.9):
            for k in sorted({0, 1, n // 4, n // 2, n - 1, n}):
                values = (
                    binomial_sum(range(k + 1), n, p),
                    binomial_sum(range(k, n + 1), n, p),
                    binomial_pmf(k, n, p),
                )
                # Below the least normal double precision is lost, here as there.
                text = ", ".join(literal(v) if v > mp.mpf("1e-300") else "0" for v in values)
                lines.append(f"    {{{k}u, {n}u, {literal(p)}, {text}}},")
    lines.append("};\nconstexpr double kSample[] = {")
    sample = np.sort(np.random.default_rng(7).normal(size=13))
    lines += [f"    {literal(x)}," for x in sample]
    lines.append(
        "};\nconstexpr QuantileCase kQuantileCases[] = {  // probability, type 7 of kSample"
    )
    for p in (0.0, 0.01, 0.05, 0.25, 0.4999, 0.5, 0.9, 0.975, 1.0):
        lines.append(f"    {{{literal(p)}, {literal(np.quantile(sample, p))}}},")
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
