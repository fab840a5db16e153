"""Writes metrics/stats/confidence_sequence_vectors.inc: confidence sequences by their formulas.

Everything is computed anew from all scores at each n, the closed forms with 40 digits by mpmath.
Betting's ends are exact roots in the mean (bisection over the whole history), not points of a grid.
Run from the repository's root with mpmath and NumPy installed (about a minute):
`python3 tests/reference/stats_confidence_sequence.py`.
"""

from collections.abc import Callable
from pathlib import Path

import mpmath as mp
import numpy as np

OUTPUT = Path("metrics/stats/confidence_sequence_vectors.inc")
CHECKPOINTS = (1, 2, 5, 20, 60, 150)
N = 150
mp.mp.dps = 40

Interval = tuple[float, float]
# The interval after the scores given.
Method = Callable[[np.ndarray], Interval]


def literal(x: float) -> str:
    """17 significant digits."""
    text = f"{float(x):.17g}"
    return {"inf": "kInf", "-inf": "-kInf"}.get(text, text)


def mixture_scale(alpha: mp.mpf) -> mp.mpf:
    """r / v: the minimum of the boundary in r, by a root of its derivative."""

    def slope(r: mp.mpf) -> mp.mpf:
        return mp.diff(lambda t: (1 + t) * mp.log((1 + t) / (alpha**2 * t)), r)

    return mp.findroot(slope, (mp.mpf("0.02"), mp.mpf("0.5")), solver="anderson", tol=1e-30)


def normal_mixture(level: float, tuned_n: int) -> Method:
    alpha = 1 - mp.mpf(level)
    scale = mixture_scale(alpha)

    def at(x: np.ndarray) -> Interval:
        n, mean = len(x), mp.fsum(x) / len(x)
        v, r = mp.mpf(n) / 4, scale * tuned_n / 4
        half = mp.sqrt((v + r) * mp.log((v + r) / (alpha**2 * r))) / n
        return mean - half, mean + half

    return at


def stitched(level: float, tuned_n: int) -> Method:
    """The general boundary of theorem 1 with c = 0, s = 1.4, eta = 2 for each side."""
    alpha = (1 - mp.mpf(level)) / 2
    s, eta = mp.mpf(14) / 10, mp.mpf(2)

    def at(x: np.ndarray) -> Interval:
        n, mean, m = len(x), mp.fsum(x) / len(x), mp.mpf(tuned_n) / 4
        v = max(mp.mpf(n) / 4, m)
        height = s * mp.log(mp.log(eta * v / m)) + mp.log(mp.zeta(s) / (alpha * mp.log(eta) ** s))
        k1 = (eta ** (mp.mpf(1) / 4) + eta ** (-mp.mpf(1) / 4)) / mp.sqrt(2)
        half = k1 * mp.sqrt(v * height) / n
        return mean - half, mean + half

    return at


def bet(x: np.ndarray, level: float) -> mp.mpf:
    """The bet on the score after x, without its limit."""
    t = len(x) + 1
    means = [(mp.mpf(1) / 2 + mp.fsum(x[: i + 1])) / (i + 2) for i in range(len(x))]
    squares = mp.fsum((mp.mpf(v) - m) ** 2 for v, m in zip(x, means, strict=True))
    variance = (mp.mpf(1) / 4 + squares) / t
    alpha = 1 - mp.mpf(level)
    return mp.sqrt(2 * mp.log(2 / alpha) / (variance * t * mp.log(1 + t)))


def bets(x: np.ndarray, level: float) -> list[mp.mpf]:
    return [bet(x[:i], level) for i in range(len(x))]


def empirical_bernstein(level: float, population: int, plays: list[mp.mpf]) -> Method:
    def at(x: np.ndarray) -> Interval:
        above = below = cost = mp.mpf(0)
        for i, v in enumerate(x):
            stake = min(plays[i], mp.mpf(1) / 2)
            left, before = population - i, mp.fsum(x[:i])
            above += stake * (mp.mpf(v) + (before / left if population else 0))
            below += stake * (mp.mpf(population) / left if population else 1)
            guess = (mp.mpf(1) / 2 + before) / (i + 1)
            # 4 (x - m)^2 times (-log(1 - l) - l) / 4.
            cost += (mp.mpf(v) - guess) ** 2 * (-mp.log(1 - stake) - stake)
        half = (mp.log(2 / (1 - mp.mpf(level))) + cost) / below
        low, high = above / below - half, above / below + half
        return (
            max(low, mp.fsum(x) / population) if population else low,
            min(high, 1 - mp.fsum(1 - v for v in x) / population) if population else high,
        )

    return at


def betting(level: float, population: int, plays: list[mp.mpf]) -> Method:
    wanted = float(np.log(2 / (1 - level)))
    all_plays = np.array([float(p) for p in plays])

    def log_capital(x: np.ndarray, m: float) -> float:
        """Of the player who bets on scores above m; infinite for an m that cannot be."""
        stakes, means = all_plays[: len(x)], np.full(len(x), m)
        if population:
            before = np.concatenate([[0.0], np.cumsum(x)[:-1]])
            left = population - np.arange(len(x))
            means = (population * m - before) / left
            if np.any(means < 0):
                return np.inf
        with np.errstate(divide="ignore"):
            stakes = np.minimum(stakes, 0.5 / means)
        return float(np.sum(np.log1p(stakes * (x - means))))

    def lower(x: np.ndarray) -> float:
        low, high = 0.0, 1.0
        if log_capital(x, low) < wanted:
            return low
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if log_capital(x, middle) >= wanted else (low, middle)
        return high

    def at(x: np.ndarray) -> Interval:
        low, high = lower(x), 1 - lower(1 - x)
        if not population:
            return low, high
        # What the scores still to come can make of the mean.
        return max(low, x.sum() / population), min(high, 1 - (1 - x).sum() / population)

    return at


def asymptotic(level: float, tuned_n: int) -> Method:
    alpha = 1 - mp.mpf(level)
    q = 1 / (mixture_scale(alpha) * tuned_n)

    def at(x: np.ndarray) -> Interval:
        n, mean = len(x), mp.fsum(x) / len(x)
        if np.ptp(x) == 0:
            return -np.inf, np.inf
        sd = mp.sqrt(mp.fsum((mp.mpf(v) - mean) ** 2 for v in x) / (n - 1))
        half = sd * mp.sqrt(2 * (n * q + 1) / (n**2 * q) * mp.log(mp.sqrt(n * q + 1) / alpha))
        return mean - half, mean + half

    return at


def rows(x: np.ndarray, method: Method, intersect: bool) -> list[Interval]:
    """The intervals at the checkpoints."""
    found, low, high = [], 0.0, 1.0
    for n in range(1, N + 1):
        if not intersect and n not in CHECKPOINTS:
            continue
        now = method(x[:n])
        low, high = (max(low, now[0]), min(high, now[1])) if intersect else now
        if n in CHECKPOINTS:
            found.append((low, high))
    return found


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(41)
    samples = [
        (rng.uniform(size=N) < 0.3).astype(float),
        rng.beta(1, 6, size=N),
        0.5 + 0.05 * rng.uniform(-1, 1, size=N),
        np.ones(N),
    ]
    lines = [
        "// Written by tests/reference/stats_confidence_sequence.py with "
        f"mpmath {mp.__version__}, NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        f"constexpr uint64_t kCheckpoints[] = {{{', '.join(map(str, CHECKPOINTS))}}};",
        f"constexpr double kScores[{len(samples)}][{N}] = {{",
    ]
    lines += [f"    {{{', '.join(literal(v) for v in x)}}}," for x in samples]
    lines += ["};", "constexpr SequenceCase kSequenceCases[] = {"]
    lines.append("    // kind, scores, level, tuned n or population, intervals at the checkpoints")
    for index, x in enumerate(samples):
        for level in (0.9, 0.95, 0.999):
            plays = bets(x, level)
            cases: list[tuple[str, Method, int]] = [
                ("kNormalMixture", normal_mixture(level, 50), 50),
                ("kNormalMixture", normal_mixture(level, 1000), 1000),
                ("kStitched", stitched(level, 1), 1),
                ("kStitched", stitched(level, 40), 40),
            ]
            if np.ptp(x) > 0:
                cases.append(("kAsymptotic", asymptotic(level, 100), 100))
            for population in (0, 150, 190):
                plugin = empirical_bernstein(level, population, plays)
                cases.append(("kBernstein", plugin, population))
                cases.append(("kBetting", betting(level, population, plays), population))
            for kind, method, number in cases:
                ends = rows(x, method, intersect=kind != "kAsymptotic")
                text = ", ".join(f"{{{literal(low)}, {literal(high)}}}" for low, high in ends)
                lines.append(f"    {{{kind}, {index}, {level}, {number}u, {{{text}}}}},")
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
