"""Writes metrics/scaling/least_squares_vectors.inc: robust and bounded fits by SciPy and mpmath.

SciPy finds each minimum (least_squares with the loss and the bounds; minimize for Student's
likelihood), mpmath then takes the root of the gradient to 30 digits, and both must agree to 1e-5.
Covariances: SciPy's curve_fit, statsmodels' RLM for Huber's loss, mpmath's integral of Fisher's
information for Student's.
Run from the repository's root: `python3 tests/reference/scaling_least_squares.py`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import optimize, stats

OUTPUT = Path("metrics/scaling/least_squares_vectors.inc")
mp.mp.dps = 40
Vector = Sequence[float]


def literal(x: Any) -> str:
    value = float(x)
    return (
        "kInf" if value == float("inf") else "-kInf" if value == -float("inf") else f"{value:.17g}"
    )


def list_of(values: Any) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def line(t: Any, x: Any, exp: Any) -> Any:
    return t[0] + t[1] * x


def power_floor(t: Any, x: Any, exp: Any) -> Any:
    return t[0] + t[1] * exp(-t[2] * x)


def logistic(t: Any, x: Any, exp: Any) -> Any:
    return t[0] + t[1] / (1 + exp(-t[2] * (x - t[3])))


MODELS: dict[str, tuple[Callable[[Any, Any, Any], Any], int]] = {
    "kLine": (line, 2),
    "kPowerFloor": (power_floor, 3),
    "kLogistic": (logistic, 4),
}


def rho(r: mp.mpf, loss: str, delta: float, df: float, sigma: mp.mpf) -> mp.mpf:
    if loss == "kSquared":
        return r * r / 2
    if loss == "kHuber":
        return r * r / 2 if abs(r) <= delta else delta * (abs(r) - mp.mpf(delta) / 2)
    df = mp.mpf(df)
    return (
        (df + 1) / 2 * mp.log1p(r * r / (df * sigma**2))
        + mp.log(sigma)
        + mp.loggamma(df / 2)
        - mp.loggamma((df + 1) / 2)
        + mp.log(df * mp.pi) / 2
    )


def objective(model: str, loss: str, x: Vector, y: Vector, delta: float, df: float) -> Any:
    f = MODELS[model][0]

    def value(*t: mp.mpf) -> mp.mpf:
        sigma = mp.exp(t[-1]) if loss == "kStudentT" else mp.mpf(1)
        return mp.fsum(
            rho(f(t, mp.mpf(a), mp.exp) - mp.mpf(b), loss, delta, df, sigma)
            for a, b in zip(x, y, strict=True)
        )

    return value


def case(
    model: str,
    loss: str,
    x: Any,
    y: Any,
    start: Vector,
    bounds: Sequence[tuple[float, float]] = (),
    delta: float = 1.0,
    df: float = 4.0,
) -> str:
    f, p = MODELS[model]
    low = [b[0] for b in bounds] or [-np.inf] * p
    high = [b[1] for b in bounds] or [np.inf] * p
    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "max_nfev": 100_000}
    found = optimize.least_squares(
        lambda t: f(t, x, np.exp) - y,
        start,
        bounds=(low, high),
        loss="huber" if loss == "kHuber" else "linear",
        f_scale=delta,
        x_scale="jac",
        **tight,
    ).x
    on = [abs(v - a) < 1e-6 or abs(v - b) < 1e-6 for v, a, b in zip(found, low, high, strict=True)]
    for j in range(p):
        if on[j]:
            found[j] = low[j] if abs(found[j] - low[j]) < 1e-6 else high[j]
    full = list(found)
    sigma = mp.mpf(1)
    if loss == "kStudentT":
        full.append(np.log(np.std(f(found, x, np.exp) - y) * 0.7))

        def likelihood(t: Any) -> float:
            r = f(t[:-1], x, np.exp) - y
            return float(-stats.t.logpdf(r, df, scale=np.exp(t[-1])).sum())

        for _ in range(5):
            full = list(
                optimize.minimize(
                    likelihood,
                    full,
                    method="Nelder-Mead",
                    options={"maxiter": 20000, "maxfev": 20000, "xatol": 1e-10, "fatol": 1e-13},
                ).x
            )
        on.append(False)
    value = objective(model, loss, x, y, delta, df)
    free = [j for j in range(len(full)) if not on[j]]

    def gradient(*t: mp.mpf) -> list[mp.mpf]:
        whole = [mp.mpf(v) for v in full]
        for j, v in zip(free, t, strict=True):
            whole[j] = v
        out = []
        for j in free:
            order = tuple(1 if k == j else 0 for k in range(len(whole)))
            out.append(mp.diff(value, tuple(whole), order))
        return out

    root = mp.findroot(gradient, [mp.mpf(full[j]) for j in free], tol=1e-25, maxsteps=50)
    exact = [mp.mpf(v) for v in full]
    for j, v in zip(free, root, strict=True):
        assert abs(v - exact[j]) <= 1e-5 * abs(v), (model, loss, v, exact[j])
        exact[j] = v
    best = value(*exact)
    if loss == "kStudentT":
        sigma = mp.exp(exact[-1])
        exact = exact[:-1]

    # d f / d theta at the solution, for the covariance.
    n = len(x)
    jacobian = np.array(
        [
            [
                float(
                    mp.diff(
                        lambda *t, a=a: f(t, mp.mpf(a), mp.exp),
                        tuple(exact),
                        tuple(1 if k == j else 0 for k in range(p)),
                    )
                )
                for j in range(p)
            ]
            for a in x
        ]
    )
    kept = [j for j in range(p) if not on[j]]
    covariance = np.full((p, p), np.nan)
    if loss == "kSquared":

        def partial(a: Any, *t: float) -> Any:
            whole = [float(v) for v in exact]
            for j, v in zip(kept, t, strict=True):
                whole[j] = v
            return f(whole, a, np.exp)

        block = optimize.curve_fit(
            partial,
            x,
            y,
            p0=[float(exact[j]) for j in kept],
            jac=lambda a, *t: jacobian[:, kept],
        )[1]
    elif loss == "kHuber":
        r = np.array([float(f(exact, mp.mpf(a), mp.exp)) - b for a, b in zip(x, y, strict=True)])
        # The linear model at the solution: its fit moves nowhere, its covariance is the fit's.
        z = jacobian[:, kept] @ np.array([float(exact[j]) for j in kept]) - r
        mad = sm.RLM(z, jacobian[:, kept], M=sm.robust.norms.HuberT(t=1.345))
        scale = mad.fit(maxiter=1).scale
        rlm = sm.RLM(z, jacobian[:, kept], M=sm.robust.norms.HuberT(t=delta / scale))
        rlm_fit = rlm.fit(
            update_scale=False,
            tol=1e-15,
            maxiter=100_000,
            scale_est="mad",
            conv="coefs",
            start_params=np.array([float(exact[j]) for j in kept]),
        )
        if abs(rlm_fit.scale - scale) > 1e-12 * scale:
            rlm = sm.RLM(z, jacobian[:, kept], M=sm.robust.norms.HuberT(t=delta / rlm_fit.scale))
            rlm_fit = rlm.fit(
                update_scale=False,
                tol=1e-15,
                maxiter=100_000,
                scale_est="mad",
                conv="coefs",
                start_params=np.array([float(exact[j]) for j in kept]),
            )
        for j, v in zip(kept, rlm_fit.params, strict=True):
            assert abs(v - float(exact[j])) <= 1e-6 * abs(v), (v, exact[j])
        block = rlm_fit.bcov_scaled
    else:

        def density(u: mp.mpf) -> mp.mpf:
            half = mp.mpf(df) / 2
            norm = mp.gamma(half + mp.mpf(1) / 2) / mp.gamma(half) / mp.sqrt(df * mp.pi)
            return norm * (1 + u * u / df) ** (-half - mp.mpf(1) / 2)

        def score(u: mp.mpf) -> mp.mpf:
            return (df + 1) * u / (df + u * u)

        information = mp.quad(lambda u: score(u) ** 2 * density(u), [-mp.inf, -1, 0, 1, mp.inf])
        unscaled = np.linalg.inv(jacobian[:, kept].T @ jacobian[:, kept])
        block = float(sigma**2 / information) * unscaled
    covariance[np.ix_(kept, kept)] = block
    rss = mp.fsum((f(exact, mp.mpf(a), mp.exp) - mp.mpf(b)) ** 2 for a, b in zip(x, y, strict=True))
    likelihood_value = {
        "kSquared": -mp.mpf(n) / 2 * (mp.log(2 * mp.pi * rss / n) + 1),
        "kHuber": mp.mpf(0),
        "kStudentT": -best,
    }[loss]
    errors = [0 if np.isnan(covariance[j, j]) else covariance[j, j] ** 0.5 for j in range(p)]
    corner = covariance[0, p - 1]
    parts = [
        model,
        f"Loss::{loss}",
        literal(delta),
        literal(df),
        list_of(x),
        list_of(y),
        list_of(start),
        list_of(low),
        list_of(high),
        list_of(exact),
        list_of(errors),
        literal(0 if np.isnan(corner) else corner),
        literal(best),
        literal(likelihood_value),
        literal(sigma),
    ]
    return "      {" + ", ".join(parts) + "},"


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(20)
    x8 = np.round(np.linspace(-3, 3, 8), 6)
    x12 = np.round(np.linspace(-2.5, 3.5, 12), 6)
    lines = []
    for k in range(3):
        floor = np.round(0.5 + 1.5 * np.exp(-0.4 * x8) + rng.normal(0, 0.03, 8), 6)
        outlier = floor.copy()
        outlier[2] += 0.6
        climb = np.round(0.1 + 0.8 / (1 + np.exp(-1.5 * (x12 - 0.4))) + rng.normal(0, 0.02, 12), 6)
        straight = np.round(1 + 0.3 * x12 + rng.standard_t(3, 12) * 0.1, 6)
        a = [0.4, 1.0, 0.6]
        b = [0.0, 1.0, 1.0, 0.0]
        lines += [
            case("kPowerFloor", "kSquared", x8, floor, a),
            case("kPowerFloor", "kHuber", x8, outlier, a, delta=0.02 + 0.02 * k),
            case("kPowerFloor", "kStudentT", x8, outlier, a, df=2.0 + 2 * k),
            case("kLogistic", "kSquared", x12, climb, b),
            case("kLogistic", "kHuber", x12, climb, b, delta=0.02),
            case("kLogistic", "kStudentT", x12, climb, b, df=4),
            case("kLine", "kSquared", x12, straight, [0, 0]),
            case("kLine", "kHuber", x12, straight, [0, 0], delta=0.05 * (k + 1)),
            case("kLine", "kStudentT", x12, straight, [0, 0], df=3),
            # The floor wants to be 0.5: held at 0.8, and free of bounds that do not bind.
            case("kPowerFloor", "kSquared", x8, floor, [1.0, 1.0, 0.6],
                 [(0.8, np.inf), (0, np.inf), (0.01, 5)]),
            case("kPowerFloor", "kSquared", x8, floor, [0.2, 1.0, 0.6],
                 [(0, 5), (-np.inf, 10), (0.01, np.inf)]),
            case("kPowerFloor", "kHuber", x8, outlier, [0.2, 1.0, 0.6],
                 [(0, 0.3), (0, np.inf), (0.01, 5)], delta=0.05),
            case("kLogistic", "kSquared", x12, climb, [0.1, 0.7, 1.0, 0.0],
                 [(0, 1), (0, 0.75), (0, 20), (-5, 5)]),
        ]  # fmt: skip
    text = [
        f"// Written by tests/reference/scaling_least_squares.py with SciPy {scipy.__version__}, "
        f"statsmodels {statsmodels.__version__}, mpmath {mp.__version__}; do not edit.",
        "// clang-format off",
        "const std::vector<FitCase>& FitCases() {",
        "  static const auto* cases = new std::vector<FitCase>{",
        *lines,
        "  };",
        "  return *cases;",
        "}",
        "// clang-format on",
        "",
    ]
    OUTPUT.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
