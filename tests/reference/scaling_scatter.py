"""Writes metrics/scaling/scatter_vectors.inc: REML, Q-profile and ML of tau, by mpmath.

Written out as matrices: the restricted likelihood with determinants and the projection P, its
maximum as the root of its derivative, Q's roots and chi-squared's quantiles to 30 digits.
Run from the repository's root with mpmath, NumPy and SciPy:
`python3 tests/reference/scaling_scatter.py`.
"""

from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import scipy
from scipy import optimize, stats

OUTPUT = Path("metrics/scaling/scatter_vectors.inc")
mp.mp.dps = 40


def literal(x: Any) -> str:
    return f"{float(x):.17g}"


def list_of(values: Any) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


class Model:
    """y = X beta + e, Var e_i = s_i^2 + tau^2."""

    def __init__(self, y: Any, s2: Any, x: Any) -> None:
        self.y = mp.matrix([mp.mpf(float(v)) for v in y])
        self.s2 = [mp.mpf(float(v)) for v in s2]
        self.x = mp.matrix(x.tolist()) if x.shape[1] else None
        self.n, self.p = x.shape

    def terms(self, tau2: Any) -> tuple[Any, Any, Any]:
        v = [s + tau2 for s in self.s2]
        w = mp.diag([1 / a for a in v])
        logs = mp.fsum(mp.log(a) for a in v)
        if self.x is None:
            return logs, mp.mpf(0), (self.y.T * w * self.y)[0]
        a = self.x.T * w * self.x
        beta = mp.lu_solve(a, self.x.T * w * self.y)
        r = self.y - self.x * beta
        return logs, mp.log(mp.det(a)), (r.T * w * r)[0]

    def restricted(self, tau2: Any) -> Any:
        logs, determinant, q = self.terms(tau2)
        return (logs + determinant + q) / 2

    def likelihood(self, tau2: Any) -> Any:
        logs, _, q = self.terms(tau2)
        return (logs + q + self.n * mp.log(2 * mp.pi)) / 2

    def minimum(self, f: Any) -> Any:
        grid = np.exp(np.linspace(-25, 12, 150))
        values = [float(f(mp.mpf(t))) for t in grid]
        k = int(np.argmin(values))
        found = optimize.minimize_scalar(
            lambda t: float(f(mp.exp(t))),
            bounds=(np.log(grid[max(k - 1, 0)]), np.log(grid[min(k + 1, len(grid) - 1)])),
            method="bounded",
            options={"xatol": 1e-10},
        )
        if all(s > 0 for s in self.s2) and f(mp.mpf(0)) <= f(mp.exp(found.x)):
            return mp.mpf(0)
        root = mp.findroot(lambda t: mp.diff(lambda u: f(mp.exp(u)), t), found.x)
        assert abs(root - found.x) < 1e-4
        return mp.exp(root)

    def inverse(self, q: Any) -> Any:
        if all(s > 0 for s in self.s2) and self.terms(mp.mpf(0))[2] <= q:
            return mp.mpf(0)
        f = lambda t: float(self.terms(mp.exp(t))[2] - q)  # noqa: E731
        start = optimize.brentq(f, -60, 40)
        return mp.exp(mp.findroot(lambda t: self.terms(mp.exp(t))[2] - q, start))


def quantile(tail: float, df: int) -> Any:
    start = stats.chi2.isf(tail, df)
    return mp.findroot(
        lambda x: mp.gammainc(mp.mpf(df) / 2, x / 2, mp.inf, regularized=True) - mp.mpf(tail), start
    )


def case(y: Any, s2: Any, x: Any, groups: list[int], level: float) -> str:
    design = x
    if groups:
        design = np.zeros((len(y), len(groups)))
        at = 0
        for j, size in enumerate(groups):
            design[at : at + size, j] = 1
            at += size
    model = Model(y, s2 if len(s2) else np.zeros(len(y)), design)
    df = model.n - model.p
    tau2 = model.minimum(model.restricted)
    lower = model.inverse(quantile((1 - level) / 2, df))
    upper = model.inverse(quantile((1 + level) / 2, df))
    ml = model.minimum(model.likelihood)
    columns = [] if groups else x.T.ravel()
    sizes = "{" + ", ".join(str(g) for g in groups) + "}"
    values = (mp.sqrt(tau2), mp.sqrt(lower), mp.sqrt(upper), mp.sqrt(ml), -model.likelihood(ml))
    numbers = ", ".join(literal(v) for v in values)
    return (
        f"      {{{list_of(y)}, {list_of(s2)}, {list_of(columns)}, {sizes}, "
        f"{literal(level)}, {df}u, {numbers}}},"
    )


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(7)
    lines = []
    for k in range(12):
        n = int(rng.integers(5, 14))
        p = int(rng.integers(0, 4))
        tau = [0, 0.05, 0.2, 1.0][k % 4]
        s2 = np.round(np.exp(rng.normal(-4, 1, n)), 8)
        x = np.round(np.vander(np.linspace(-1, 1, n), p, increasing=True), 8)
        y = np.round(x @ rng.normal(0, 1, p) + rng.normal(0, 1, n) * np.sqrt(s2 + tau**2), 8)
        lines.append(case(y, s2, x, [], [0.9, 0.95, 0.99][k % 3]))
    # No sampling errors, equal ones, and replicates.
    y = np.round(rng.normal(0, 0.3, 8), 8)
    x = np.round(np.vander(np.linspace(-1, 1, 8), 2, increasing=True), 8)
    lines.append(case(y, [], x, [], 0.95))
    lines.append(case(y, np.full(8, 0.01), x, [], 0.95))
    lines.append(case(y, np.full(8, 4.0), x, [], 0.95))
    for groups in ([3, 3, 2], [5, 1, 4, 2], [2, 2]):
        n = sum(groups)
        y = np.round(np.repeat(rng.normal(0, 2, len(groups)), groups) + rng.normal(0, 0.2, n), 8)
        s2 = np.round(np.exp(rng.normal(-4, 1, n)), 8)
        lines.append(case(y, s2, np.zeros((n, 0)), groups, 0.95))
        lines.append(case(y, [], np.zeros((n, 0)), groups, 0.9))
    text = [
        f"// Written by tests/reference/scaling_scatter.py with mpmath {mp.__version__}, "
        f"SciPy {scipy.__version__}; do not edit.",
        "// clang-format off",
        "const std::vector<ScatterCase>& ScatterCases() {",
        "  static const auto* cases = new std::vector<ScatterCase>{",
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
