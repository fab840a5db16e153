"""Writes metrics/scaling/laws_vectors.inc and fit_vectors.inc: the laws by mpmath, fits by SciPy.

A law's values and derivatives are computed from its formula with 40 digits. A fit is SciPy's
least_squares (the loss on the residuals of the error scale) in the law's own parameters, scaled,
from the parameters that made the data and from some near them, the best of these; mpmath then takes
the root of the gradient, and both must agree to 1e-4. The covariance is s^2 (J'J)^-1 with mpmath's
J. Predictive intervals of power_law on its logarithms are statsmodels' of the regression line.
Run from the repository's root: `python3 tests/reference/scaling_laws.py`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import optimize

LAWS = Path("metrics/scaling/laws_vectors.inc")
FITS = Path("metrics/scaling/fit_vectors.inc")
mp.mp.dps = 40


def literal(x: Any) -> str:
    return f"{float(x):.17g}"


def list_of(values: Any) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


class Numpy:
    exp = staticmethod(np.exp)
    log = staticmethod(np.log)
    maximum = staticmethod(np.maximum)


class Mpmath:
    exp = staticmethod(mp.exp)
    log = staticmethod(mp.log)
    maximum = staticmethod(max)


def power_law(m: Any, t: Any, x: Any) -> Any:
    return t[0] * x ** -t[1]


def power_law_floor(m: Any, t: Any, x: Any) -> Any:
    return t[0] + t[1] * x ** -t[2]


def logistic_link(m: Any, t: Any, x: Any) -> Any:
    return t[1] + t[0] / (1 + m.exp(-t[2] * (x - t[3])))


def double_logistic_link(m: Any, t: Any, x: Any) -> Any:
    return t[0] + t[1] / (1 + m.exp(-t[2] * (x - t[3]))) + t[4] / (1 + m.exp(-t[5] * (x - t[6])))


def broken_power_law(m: Any, t: Any, x: Any) -> Any:
    value = t[1] * x ** -t[2]
    for i in range(3, len(t), 3):
        c, d, f = t[i : i + 3]
        value = value * (1 + (x / d) ** (1 / f)) ** (-c * f)
    return t[0] + value


def loss_hinge(m: Any, t: Any, x: Any) -> Any:
    return t[0] + t[1] * m.maximum(0, t[2] - x)


def ladder(m: Any, t: Any, x: Any) -> Any:
    return t[0] / x[0] ** t[2] + t[1] / x[1] ** t[3] + t[4]


def exponential(m: Any, t: Any, x: Any) -> Any:
    return m.exp(-t[0] * x ** -t[1])


Function = Callable[[Any, Any, Any], Any]
# Name, function, parameters of order 1 in steps, x.
CASES: list[tuple[str, Function, list[float], tuple[float, float]]] = [
    ("kPowerLaw", power_law, [12.0, 0.12], (1e6, 1e11)),
    ("kPowerLaw", power_law, [0.003, -0.2], (1e3, 1e8)),
    ("kPowerLawFloor", power_law_floor, [1.7, 400.0, 0.33], (1e6, 1e11)),
    ("kPowerLawFloor", power_law_floor, [0.5, 3.0, 0.9], (0.1, 30)),
    ("kLogisticLink", logistic_link, [-0.7, 0.95, 6.0, 2.6], (1.8, 3.6)),
    ("kLogisticLink", logistic_link, [0.6, 0.25, 1.2, -3.0], (-6.0, 1.0)),
    ("kDoubleLogisticLink", double_logistic_link, [0.1, 0.3, 4.0, 1.0, 0.5, 3.0, 4.0], (-0.5, 6)),
    ("kBrokenPowerLaw", broken_power_law, [0.2, 3.0, 0.15], (1e4, 1e9)),
    ("kBrokenPowerLaw", broken_power_law, [0.2, 30.0, 0.05, 0.5, 1e7, 0.3], (1e4, 1e9)),
    (
        "kBrokenPowerLaw",
        broken_power_law,
        [0.9, -0.8, 0.02, 0.6, 1e6, 0.3, -0.4, 1e8, 0.4],
        (1e4, 1e10),
    ),
    ("kLossHinge", loss_hinge, [0.25, 0.8, 2.4], (1.6, 3.4)),
    ("kLadder", ladder, [300.0, 900.0, 0.33, 0.3, 0.6], (1e8, 1e10)),
    ("kLogAccuracyPowerLaw", exponential, [900.0, 0.16], (1e18, 1e23)),
    ("kPassUntil", exponential, [500.0, 0.3], (1e6, 1e10)),
    ("kNegLogPassAtK", exponential, [3.0, 0.35], (1, 1e4)),
]


def positions(name: str, low: float, high: float, n: int) -> Any:
    if name == "kLadder":
        sizes = np.repeat([1.9e8, 3.7e8, 7.6e8, 1.3e9, 3.2e9], 4)
        tokens = sizes * np.tile([10, 20, 40, 100], 5)
        return np.array([sizes, tokens])
    if low > 0 and high / low > 10:
        return np.array([float(f"{v:.8g}") for v in np.geomspace(low, high, n)])
    return np.round(np.linspace(low, high, n), 8)


def at(name: str, x: Any, i: int) -> Any:
    return [mp.mpf(float(v)) for v in x[:, i]] if name == "kLadder" else mp.mpf(float(x[i]))


def gradient_at(f: Function, t: list[Any], x: Any) -> list[Any]:
    p = len(t)
    return [
        mp.diff(lambda *s: f(Mpmath, s, x), tuple(t), tuple(int(k == j) for k in range(p)))
        for j in range(p)
    ]


def law_lines() -> list[str]:
    lines = []
    for name, f, t, (low, high) in CASES:
        exact = [mp.mpf(v) for v in t]
        x = positions(name, low, high, 9)
        for i in (0, 3, 4, 7):
            here = at(name, x, i)
            xs = list_of(here if name == "kLadder" else [here])
            value = f(Mpmath, exact, here)
            lines.append(
                f"      {{Law::{name}, {list_of(t)}, {xs}, {literal(value)}, "
                f"{list_of(gradient_at(f, exact, here))}}},"
            )
    return lines


SCALES = {
    "kValue": lambda m, v: v,
    "kLog": lambda m, v: m.log(v),
    "kLogMinusLog": lambda m, v: m.log(-m.log(v)),
}


def rho(r: Any, delta: float) -> Any:
    if delta == 0:
        return r * r / 2
    return r * r / 2 if abs(r) <= delta else delta * (abs(r) - mp.mpf(delta) / 2)


def fit_line(
    name: str, f: Function, t: list[float], x: Any, y: Any, scale: str, delta: float, seed: int
) -> str:
    rng = np.random.default_rng(seed)
    p, n = len(t), len(y)
    transform = SCALES[scale]
    target = transform(Numpy, y)
    # In units of the truth; amplitudes of power laws are correlated with exponents: logarithms.
    unit = np.array(t)

    def residuals(s: Any) -> Any:
        with np.errstate(all="ignore"):
            r = transform(Numpy, f(Numpy, s * unit, x)) - target
        return np.where(np.isfinite(r), r, 1e6)

    best = None
    for k in range(12):
        start = np.ones(p) if k == 0 else np.exp(rng.normal(0, 0.05, p))
        found = optimize.least_squares(
            residuals,
            start,
            loss="huber" if delta else "linear",
            f_scale=delta or 1.0,
            x_scale="jac",
            xtol=1e-15,
            ftol=1e-15,
            gtol=1e-15,
            max_nfev=20_000,
        )
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    points = [at(name, x, i) for i in range(n)]
    goal = [transform(Mpmath, mp.mpf(float(v))) for v in y]

    def gradient(*s: Any) -> list[Any]:
        whole = [a * mp.mpf(float(b)) for a, b in zip(s, unit, strict=True)]
        out = [mp.mpf(0)] * p
        for here, there in zip(points, goal, strict=True):
            value = f(Mpmath, whole, here)
            r = transform(Mpmath, value) - there
            psi = max(-mp.mpf(delta), min(mp.mpf(delta), r)) if delta else r
            slope = mp.diff(lambda v: transform(Mpmath, v), value)
            g = gradient_at(f, whole, here)
            for j in range(p):
                out[j] += psi * slope * g[j] * mp.mpf(float(unit[j]))
        return out

    root = mp.findroot(gradient, [mp.mpf(float(v)) for v in best.x], tol=1e-18, maxsteps=30)
    exact = [a * mp.mpf(float(b)) for a, b in zip(root, unit, strict=True)]
    for a, b in zip(root, best.x, strict=True):
        assert abs(a - b) <= 1e-4 * abs(b), (name, scale, delta, root, best.x)
    objective = mp.mpf(0)
    rows = []
    for here, there in zip(points, goal, strict=True):
        value = f(Mpmath, exact, here)
        objective += rho(transform(Mpmath, value) - there, delta)
        slope = mp.diff(lambda v: transform(Mpmath, v), value)
        rows.append([slope * g for g in gradient_at(f, exact, here)])
    errors = [mp.mpf(0)] * p
    aicc = mp.mpf(0)
    if not delta:
        j = mp.matrix(rows)
        covariance = (j.T * j) ** -1 * (2 * objective / (n - p))
        errors = [mp.sqrt(covariance[i, i]) for i in range(p)]
        k = p + 1
        likelihood = -mp.mpf(n) / 2 * (mp.log(2 * mp.pi * 2 * objective / n) + 1)
        aicc = 2 * k - 2 * likelihood + mp.mpf(2 * k * (k + 1)) / (n - k - 1)
    xs = x.T.ravel() if name == "kLadder" else x
    return (
        f"      {{Law::{name}, ErrorScale::{scale}, {literal(delta)}, {list_of(xs)}, "
        f"{list_of(y)}, {list_of(exact)}, {list_of(errors)}, {literal(objective)}, "
        f"{literal(aicc)}}},"
    )


def fit_lines() -> list[str]:
    lines = []
    for k, (name, f, t, (low, high)) in enumerate(CASES):
        rng = np.random.default_rng(100 + k)
        x = positions(name, low, high, 8 + 4 * len(t))
        clean = f(Numpy, np.array(t), x)
        n = len(clean)
        scales = {
            "kPowerLaw": ["kLog", "kValue"],
            "kPowerLawFloor": ["kLog", "kValue"],
            "kLadder": ["kLog"],
            "kLogAccuracyPowerLaw": ["kLog", "kLogMinusLog", "kValue"],
            "kPassUntil": ["kLogMinusLog", "kValue"],
            "kNegLogPassAtK": ["kLogMinusLog", "kValue"],
        }.get(name, ["kValue"])
        for scale in scales:
            noise = rng.normal(0, 0.01, n)
            if scale == "kValue":
                y = clean + noise * (0.1 if "roken" in name else 1) * clean.mean() / 2
            elif scale == "kLog":
                y = clean * np.exp(noise)
            else:
                y = np.exp(np.log(clean) * np.exp(noise * 5))
            y = np.array([float(f"{v:.10g}") for v in y])
            lines.append(fit_line(name, f, t, x, y, scale, 0, k))
            if name in ("kPowerLaw", "kPowerLawFloor", "kLogisticLink", "kLadder"):
                lines.append(fit_line(name, f, t, x, y, scale, 1e-2, k))
                lines.append(fit_line(name, f, t, x, y, scale, 4e-3, k))
    return lines


def band_lines() -> list[str]:
    lines = []
    rng = np.random.default_rng(3)
    for n in (4, 8, 20):
        x = np.array([float(f"{v:.8g}") for v in np.geomspace(1e7, 1e10, n)])
        y = np.array([float(f"{v:.10g}") for v in 8 * x**-0.1 * np.exp(rng.normal(0, 0.03, n))])
        model = sm.OLS(np.log(y), sm.add_constant(np.log(x))).fit()
        for at_x in (3e6, 2e8, 1e11):
            for level in (0.5, 0.9, 0.99):
                row = np.array([[1.0, np.log(at_x)]])
                found = model.get_prediction(row)
                low, high = np.exp(found.conf_int(obs=True, alpha=1 - level)[0])
                mean_low, mean_high = np.exp(found.conf_int(obs=False, alpha=1 - level)[0])
                values = [np.exp(found.predicted_mean[0]), low, high, mean_low, mean_high]
                lines.append(
                    f"      {{{list_of(x)}, {list_of(y)}, {literal(at_x)}, {literal(level)}, "
                    f"{', '.join(literal(v) for v in values)}}},"
                )
    return lines


def write(path: Path, functions: list[tuple[str, str, list[str]]]) -> None:
    text = [
        f"// Written by tests/reference/scaling_laws.py with mpmath {mp.__version__}, SciPy "
        f"{scipy.__version__}, statsmodels {statsmodels.__version__}; do not edit.",
        "// clang-format off",
    ]
    for kind, name, lines in functions:
        text += [
            f"const std::vector<{kind}>& {name}() {{",
            f"  static const auto* cases = new std::vector<{kind}>{{",
            *lines,
            "  };",
            "  return *cases;",
            "}",
        ]
    text += ["// clang-format on", ""]
    path.write_text("\n".join(text), encoding="utf-8")


def main() -> None:
    """Writes the files."""
    write(LAWS, [("LawCase", "LawCases", law_lines())])
    write(
        FITS, [("LawFitCase", "LawFitCases", fit_lines()), ("BandCase", "BandCases", band_lines())]
    )


if __name__ == "__main__":
    main()
