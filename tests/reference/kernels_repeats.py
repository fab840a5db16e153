"""Writes metrics/kernels/repeats_vectors.inc: repeated samples by SciPy and mpmath.

pass@k, pass^k and the vote are sums of exact fractions or, for many draws, gamma functions with 60
digits; intervals are roots of binomial sums; the beta-binomial fit is scipy.optimize on
scipy.stats.betabinom.
Run from the repository's root with mpmath, NumPy and SciPy installed:
`python3 tests/reference/kernels_repeats.py`.
"""

from fractions import Fraction
from math import comb
from pathlib import Path

import mpmath as mp
import numpy as np
import scipy
from scipy import optimize, stats

OUTPUT = Path("metrics/kernels/repeats_vectors.inc")
mp.mp.dps = 60


def literal(x: float | mp.mpf | Fraction) -> str:
    """17 significant digits."""
    if isinstance(x, Fraction):
        x = mp.mpf(x.numerator) / x.denominator
    return f"{float(x):.17g}"


def none_drawn(n: int, marked: int, k: int) -> mp.mpf:
    """C(n - marked, k) / C(n, k)."""
    if k > n - marked:
        return mp.mpf(0)
    if n <= 2000:
        exact = Fraction(comb(n - marked, k), comb(n, k))
        return mp.mpf(exact.numerator) / exact.denominator
    lg = mp.loggamma
    return mp.exp(lg(n - marked + 1) - lg(n - marked - k + 1) - lg(n + 1) + lg(mp.mpf(n - k + 1)))


def majority(c: int, n: int, k: int) -> Fraction:
    """More than half of k right, ties one half."""
    twice = 0
    for right in range(k + 1):
        weight = 2 if 2 * right > k else 1 if 2 * right == k else 0
        if weight:
            twice += weight * comb(c, right) * comb(n - c, k - right)
    return Fraction(twice, 2 * comb(n, k))


def passes() -> list[str]:
    lines = ["constexpr PassCase kPassCases[] = {  // c, n, k, pass@k, pass^k, variance or -1"]
    small = [
        (c, n, k)
        for n in (1, 2, 5, 10, 37, 200)
        for c in sorted({0, 1, n // 3, n - 1, n})
        for k in sorted({1, 2, n // 2, n})
        if 1 <= k <= n
    ]
    large = [
        (1, 10**9, 1), (1, 10**9, 10**6), (3, 10**9, 10**8), (10**4, 10**9, 10**4),
        (10**5, 10**9, 10**4), (10**9 - 1, 10**9, 10**5), (31_000, 10**9, 31_000),
        (5, 10**6, 999_990), (999_000, 10**6, 400), (2, 10**9, 5 * 10**8), (10**9, 10**9, 10**9),
    ]  # fmt: skip
    for c, n, k in small + large:
        missed = none_drawn(n, c, k)
        variance = literal(missed**2 - none_drawn(n, c, 2 * k)) if 2 * k <= n else "-1"
        lines.append(
            f"    {{{c}u, {n}u, {k}u, {literal(1 - missed)}, {literal(none_drawn(n, n - c, k))}, "
            f"{variance}}},"
        )
    return lines


def majorities() -> list[str]:
    lines = ["};\nconstexpr MajorityCase kMajorityCases[] = {  // c, n, k, share"]
    for n in (1, 2, 7, 40, 300):
        for c in sorted({0, 1, n // 3, n // 2, n - 1, n}):
            for k in sorted({1, 2, 5, n // 2, n - 1, n}):
                if 1 <= k <= n:
                    lines.append(f"    {{{c}u, {n}u, {k}u, {literal(majority(c, n, k))}}},")
    for c, n, k in ((499_000, 1_000_000, 1001), (300_000, 1_000_000, 200)):
        lines.append(f"    {{{c}u, {n}u, {k}u, {literal(majority(c, n, k))}}},")
    return lines


def at_most(s: int, n: int, p: mp.mpf) -> mp.mpf:
    return mp.fsum(mp.binomial(n, i) * p**i * (1 - p) ** (n - i) for i in range(s + 1))


def share_at_most(s: int, n: int, tail: mp.mpf) -> mp.mpf:
    """The p at which s or fewer of n draws succeed with probability `tail`."""
    start = mp.mpf(stats.beta.isf(float(tail), s + 1, n - s))
    x = mp.findroot(lambda p: at_most(s, n, p) - tail, (start, start * (1 + mp.mpf("1e-6"))))
    assert abs(x - start) <= abs(start) * mp.mpf("1e-6"), (x, start)
    return x


def until() -> list[str]:
    lines = [
        "};\nconstexpr UntilCase kUntilCases[] = {",
        "    // wanted, seen, n, level, lower, upper; one-sided upper where seen < wanted",
    ]
    for wanted, seen, n in (
        (1, 1, 1), (1, 1, 40), (2, 2, 2), (2, 2, 9), (8, 8, 412), (8, 8, 20), (30, 30, 31),
        (8, 0, 50), (8, 3, 500), (8, 7, 7), (1, 0, 1),
    ):  # fmt: skip
        for level in (0.5, 0.95, 0.999):
            tail = (1 - mp.mpf(level)) / 2
            if seen < wanted:
                upper = share_at_most(seen, n, 2 * tail) if seen < n else mp.mpf(1)
                lines.append(f"    {{{wanted}u, {seen}u, {n}u, {level}, 0, {literal(upper)}}},")
                continue
            # n or fewer draws: at least r of n succeed; n or more: fewer than r of n - 1.
            lower = share_at_most(seen - 1, n, 1 - tail)
            upper = share_at_most(seen - 1, n - 1, tail) if seen < n else mp.mpf(1)
            lines.append(
                f"    {{{wanted}u, {seen}u, {n}u, {level}, {literal(lower)}, {literal(upper)}}},"
            )
    return lines


def fits() -> list[str]:
    rng = np.random.default_rng(5)
    lines, cases = [], []
    for index, (a, b, n, items) in enumerate(
        ((0.3, 2.0, 20, 400), (2.0, 5.0, 10, 300), (0.1, 0.1, 50, 200), (30.0, 20.0, 400, 500),
         (0.5, 60.0, 1000, 300))
    ):  # fmt: skip
        ns = rng.integers(n // 2, n + 1, items)
        cs = rng.binomial(ns, rng.beta(a, b, items))
        pairs, counts = np.unique(np.stack([cs, ns]), axis=1, return_counts=True)
        lines.append(f"}};\nconstexpr PairCount kPairs{index}[] = {{  // c, n, items")
        text = [f"{{{c}u, {n_}u, {k}u}}" for (c, n_), k in zip(pairs.T, counts, strict=True)]
        lines += ["    " + ", ".join(text[i : i + 5]) + "," for i in range(0, len(text), 5)]

        def loss(log_ab: np.ndarray, pairs=pairs, counts=counts) -> float:
            alpha, beta = np.exp(log_ab)
            return -np.sum(counts * stats.betabinom.logpmf(pairs[0], pairs[1], alpha, beta))

        start = np.log([a, b])
        best = optimize.minimize(
            loss,
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-12, "fatol": 1e-12, "maxiter": 10_000},
        )
        # The simplex ends where the loss no longer changes; the gradient's root is sharper.
        mp_a, mp_b = sharpen(pairs, counts, *np.exp(best.x))
        shares = cs / ns
        s2 = np.var(shares, ddof=1)
        between = s2 - np.mean(shares * (1 - shares) / (ns - 1))
        k = 10 * n
        fitted = 1 - mp.beta(mp_a, mp_b + k) / mp.beta(mp_a, mp_b)
        far = 1 - mp.beta(mp_a, mp_b + 10**8) / mp.beta(mp_a, mp_b)
        least = int(ns.min())
        unbiased = np.array(
            [float(1 - none_drawn(int(m), int(c), least)) for c, m in zip(cs, ns, strict=True)]
        )
        values = (
            mp_a,
            mp_b,
            between,
            fitted,
            far,
            np.mean(unbiased),
            np.std(unbiased, ddof=1) / np.sqrt(items),
            np.mean(shares),
        )
        cases.append(f"    {{kPairs{index}, {k}u, {least}u, "
                     + ", ".join(literal(v) for v in values) + "},")  # fmt: skip
    lines += [
        "};\nconst FitCase kFitCases[] = {",
        "    // k of the fit, least n, alpha, beta, between-item variance, fitted pass@k and",
        "    // pass@1e8, mean pass@(least n) and its error, mean share",
    ]
    return lines + cases


def sharpen(pairs: np.ndarray, counts: np.ndarray, a: float, b: float) -> tuple[mp.mpf, mp.mpf]:
    """The root of the likelihood's gradient next to (a, b)."""
    psi = mp.digamma

    def gradient(x: mp.mpf, y: mp.mpf) -> list[mp.mpf]:
        rows = [(int(c), int(n), int(k)) for (c, n), k in zip(pairs.T, counts, strict=True)]
        common = mp.fsum(k * (psi(x + y) - psi(x + y + n)) for c, n, k in rows)
        gx = mp.fsum(k * (psi(x + c) - psi(x)) for c, n, k in rows)
        gy = mp.fsum(k * (psi(y + n - c) - psi(y)) for c, n, k in rows)
        return [gx + common, gy + common]

    with mp.workdps(30):
        solution = mp.findroot(gradient, (mp.mpf(a), mp.mpf(b)))
    assert abs(solution[0] - a) < 1e-3 * a and abs(solution[1] - b) < 1e-3 * b, (solution, a, b)
    return solution[0], solution[1]


def main() -> None:
    """Writes the file."""
    lines = [
        f"// Written by tests/reference/kernels_repeats.py with mpmath {mp.__version__}, "
        f"NumPy {np.__version__},",
        f"// SciPy {scipy.__version__}; do not edit.",
        "// clang-format off",
        *passes(),
        *majorities(),
        *until(),
        *fits(),
        "};",
        "// clang-format on",
        "",
    ]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
