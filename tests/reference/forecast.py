"""Writes metrics/emergence/forecast_vectors.inc: forecasts of a few series, the slow way.

Densities are SciPy's multivariate normal ones, forecasts those of conditional normal distributions
by a matrix inverse, quantiles roots; the covariance of the integrated slope is checked against a
double integral first. Run from the repository's root with NumPy and SciPy installed:
`python3 tests/reference/forecast.py`.
"""

from itertools import product
from pathlib import Path

import numpy as np
import scipy
from scipy import integrate, optimize, stats

OUTPUT = Path("metrics/emergence/forecast_vectors.inc")
SLOPES = {"share": (0.003, 0.01, 0.03, 0.1, 0.3), "logit": (0.02, 0.07, 0.2, 0.6, 1.8)}
SCATTERS = {"share": (0.003, 0.01, 0.03, 0.08), "logit": (0.02, 0.07, 0.2, 0.5)}
START = {"share": (0.4, 0.4), "logit": (-0.5, 2.5)}
RISE = {"share": 0.3, "logit": 1.5}
LENGTHS = (0.35, 1, 3, 10, 100)
SLOPE_PRIOR = (
    (0, 0, 1, 1, 1),
    (0, 0.5, 1, 1, 1),
    (0.5, 1, 1, 1, 1),
    (1.5, 1, 0.6, 0.3, 0.2),
    (2, 0.6, 0.15, 0.05, 0.02),
)
SCATTER_PRIOR = (3, 3, 2, 1)
OWN = (0.1, 0.3, 1)
ITEMS = (50, 200, 1000, 5000)
LEVEL = 0.9

# Name, scales, values, items (None: unknown), standard errors, scales of the targets and their
# items, a value to reach.
CASES = (
    (
        "flat, n known",
        (1e8, 3e8, 1e9, 3e9, 1e10),
        (0.26, 0.24, 0.25, 0.27, 0.24),
        (1000,) * 5,
        None,
        ((3e10, 1000), (1e11, 100)),
        0.5,
    ),
    (
        "sudden, n known",
        (7e7, 1.6e8, 4.1e8, 1e9, 1.4e9, 2.8e9),
        (0.0, 0.002, 0.004, 0.03, 0.11, 0.36),
        (500, 500, 500, 500, 500, 500),
        None,
        ((6.9e9, 500), (1.2e10, None)),
        0.55,
    ),
    (
        "n unknown, zeros",
        (1e9, 2e9, 4e9, 8e9),
        (0.0, 0.0, 0.01, 0.2),
        None,
        None,
        ((1.6e10, None), (1e12, 250)),
        0.5,
    ),
    (
        "replicates and standard errors",
        (1e8, 1e8, 1e9, 1e10, 1e11),
        (0.4, 0.44, 0.5, 0.57, 0.61),
        (None, None, 400, None, None),
        (0.02, 0.02, 0.05, 0.02, 0.02),
        ((1e12, None), (1e13, 50)),
        0.65,
    ),
    (
        "one model without n",
        (1e8, 1e9, 1e10, 1e11),
        (0.9, 0.94, 0.97, 1.0),
        (300, 300, None, 300),
        None,
        ((1e12, None), (3e11, 300)),
        0.99,
    ),
)


def covariance(t: np.ndarray, u: np.ndarray, length: float) -> np.ndarray:
    t, u = t[:, None], u[None, :]
    decay = np.exp(-t / length) + np.exp(-u / length) - np.exp(-np.abs(t - u) / length)
    return length**2 * (2 * np.minimum(t, u) / length - 1 + decay)


def check_covariance() -> None:
    for t, u, length in ((1.0, 2.5, 0.35), (0.7, 4.0, 3.0), (2.0, 2.0, 100.0)):
        # In two parts: the integrand has an edge where both places meet.
        def inner(a: float, u: float = u, length: float = length) -> float:
            points = [a] if 0 < a < u else None
            return integrate.quad(
                lambda b: np.exp(-abs(a - b) / length), 0, u, points=points, epsabs=1e-12
            )[0]

        found = integrate.quad(inner, 0, t, epsabs=1e-11)[0]
        expected = covariance(np.array([t]), np.array([u]), length)[0, 0]
        assert abs(found - expected) < 1e-8, (t, u, length, found, expected)


def logit(p: float) -> float:
    return float(np.log(p / (1 - p)))


class Forecast:
    def __init__(self, scales, values, items, errors) -> None:
        self.x = np.log(scales) - np.log(scales[0])
        self.first = np.log(scales[0])
        y = np.array(values)
        known = []
        for i, p in enumerate(values):
            n = items[i] if items else None
            if errors and 0 < p < 1:
                implied = max(1, p * (1 - p) / errors[i] ** 2)
                n = implied if n is None else min(n, implied)
            known.append(n)
        self.known = None if None in known else known
        self.usual = float(np.median(known)) if self.known else None
        noises = [(own, None) for own in OWN] if self.known else [(1, n) for n in ITEMS]
        self.parts = []
        weights = []
        for on, (s, slope), (k, length), (t, scatter), (own, assumed) in product(
            ("share", "logit"),
            enumerate(range(5)),
            enumerate(LENGTHS),
            enumerate(range(4)),
            noises,
        ):
            if SLOPE_PRIOR[s][k] == 0:
                continue
            slope, scatter = SLOPES[on][s], SCATTERS[on][t]
            n = np.array([assumed if one is None else one for one in known], dtype=float)
            p = np.clip((y * n + 0.5) / (n + 1), 1e-5, 1 - 1e-5)
            if on == "share":
                z, variance, jacobian = y, p * (1 - p) / n, 0.0
            else:
                z = np.log(p / (1 - p))
                variance = 1 / ((n + 1) * p * (1 - p))
                jacobian = -np.log(p * (1 - p) * (n + 1) / n).sum()
            mean, sd = START[on]
            prior = sd**2 + slope**2 * covariance(self.x, self.x, length)
            noisy = prior + np.diag(scatter**2 + own * variance)
            density = stats.multivariate_normal(np.full(len(y), mean), noisy).logpdf(z)
            weights.append(np.log(SLOPE_PRIOR[s][k] * SCATTER_PRIOR[t]) + density + jacobian)
            self.parts.append((on, slope, length, scatter, own, assumed, np.linalg.inv(noisy), z))
        weights = np.array(weights)
        self.weights = np.exp(weights - weights.max())
        self.weights /= self.weights.sum()

    def mixture(self, x: float, measured: bool, items: float | None):
        """(scale, weight, mean, sd, items)"""
        h = x - self.x[-1]
        risen = 1 - np.exp(-0.02 * h)
        for weight, part in zip(self.weights, self.parts, strict=True):
            if weight < 1e-9:
                continue
            on, slope, length, scatter, own, assumed, inverse, z = part
            mean, sd = START[on]
            at = np.array([x])
            k = sd**2 + slope**2 * covariance(self.x, at, length)[:, 0]
            m = mean + k @ inverse @ (z - mean)
            v = sd**2 + slope**2 * covariance(at, at, length)[0, 0] - k @ inverse @ k
            n = None
            if measured:
                n = assumed if items is None else items
                v += scatter**2
                if on == "logit":
                    p = 1 / (1 + np.exp(-m))
                    v += own / ((n + 1) * max(p * (1 - p), 0.5 / (n + 1)))
                else:
                    p = np.clip(m, 0.5 / (n + 1), 1 - 0.5 / (n + 1))
                    v += own * p * (1 - p) / n
            size = RISE[on] * np.sqrt(h)
            yield on, weight * (1 - risen), m, np.sqrt(v), n
            yield on, weight * risen, m + 0.8 * size, np.sqrt(v + (0.6 * size) ** 2), n

    @staticmethod
    def below(parts, p: float) -> float:
        if p >= 1:
            return 1.0
        total = 0.0
        for on, weight, mean, sd, n in parts:
            if on == "share":
                z = p
            elif n is not None:
                z = logit((p * n + 0.5) / (n + 1))
            else:
                z = logit(p) if p > 0 else -np.inf
            total += weight * stats.norm.cdf((z - mean) / sd)
        return total

    def quantile(self, parts, probability: float) -> float:
        if self.below(parts, 0.0) >= probability:
            return 0.0
        if self.below(parts, 1 - 1e-15) < probability:
            return 1.0
        return optimize.brentq(
            lambda p: self.below(parts, p) - probability, 0.0, 1 - 1e-15, xtol=1e-14
        )

    def at(self, scale: float, items: float | None) -> tuple[float, float, float]:
        items = self.usual if items is None else items
        parts = list(self.mixture(np.log(scale) - self.first, True, items))
        value, low, high = (
            self.quantile(parts, q) for q in (0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2)
        )
        if items is not None:
            p = (value * items + 0.5) / (items + 1)
            half = stats.norm.isf((1 - LEVEL) / 2) * np.sqrt(p * (1 - p) / items)
            low = min(low, max(value - half, 0.0))
            high = max(high, min(value + half, 1.0))
        return value, low, high

    def reached(self, x: float, value: float) -> float:
        return 1 - self.below(list(self.mixture(x, False, None)), value)

    def place(self, value: float) -> float:
        """Where it is reached with probability 1/2; 0 where it is nowhere."""
        last = self.x[-1]
        steps = last + np.log(1e6) * np.arange(141) / 140
        if self.reached(last, value) >= 0.5:
            return float(np.exp(last + self.first))
        for before, after in zip(steps, steps[1:], strict=False):
            if self.reached(after, value) >= 0.5:
                root = optimize.brentq(
                    lambda x: self.reached(x, value) - 0.5, before, after, xtol=1e-13
                )
                return float(np.exp(root + self.first))
        return 0.0


def braces(values) -> str:
    return "{" + ", ".join("-1" if v is None else repr(float(v)) for v in values) + "}"


def main() -> None:
    """Writes the file."""
    check_covariance()
    lines = [
        f"// Written by tests/reference/forecast.py with NumPy {np.__version__} and SciPy "
        f"{scipy.__version__}; do not edit.",
        "// clang-format off",
        "// -1 stands for what is unknown, as a scale for never.",
        "const std::vector<ForecastCase> kCases = {",
    ]
    for name, scales, values, items, errors, targets, goal in CASES:
        forecast = Forecast(scales, values, items, errors)
        lines += [
            f'    {{"{name}",',
            f"     {braces(scales)}, {braces(values)},",
            f"     {braces(items or [None] * len(scales))}, "
            f"{braces(errors or [None] * len(scales))},",
            "     {  // scale, n, value, lower, upper",
        ]
        for scale, n in targets:
            lines.append(f"         {braces((scale, n, *forecast.at(scale, n)))},")
        reached, place = forecast.reached(forecast.x[-1], goal), forecast.place(goal)
        lines += ["     },", f"     {goal}, {float(reached)!r}, {place or -1!r}}},"]
    lines += ["};", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
