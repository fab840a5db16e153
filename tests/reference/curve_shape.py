"""Writes metrics/emergence/curve_shape_vectors.inc: shapes of curves, by NumPy and statsmodels.

The rules of curve_shape.h written once more, with numpy.interp for what lies between two scales and
statsmodels' WLS for the extrapolation. Run from the repository's root with both installed:
`python3 tests/reference/curve_shape.py`.
"""

from pathlib import Path

import numpy as np
import statsmodels
import statsmodels.api as sm

OUTPUT = Path("metrics/emergence/curve_shape_vectors.inc")


def literal(x: float) -> str:
    """17 significant digits."""
    return "kNan" if np.isnan(x) else f"{float(x):.17g}"


def braced(values: np.ndarray) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def shape(scales: np.ndarray, values: np.ndarray, n: int, tau: float, hold_out: int) -> dict:
    x = np.log(scales / scales[0])
    smooth = (values * n + 0.5) / (n + 1)
    inner = np.clip(values, 1e-300, 1 - 1e-16)
    scatter = np.where((values > 0) & (values < 1), -tau * inner * np.log(inner), 0)
    error = np.sqrt(smooth * (1 - smooth) / n + scatter**2)
    span = np.ptp(values)
    top = values.argmax()
    slack = np.clip(2 * np.hypot(error, error[top]), 0.05 * span, 0.1 * span)
    ceiling = int(np.flatnonzero(values >= values[top] - slack)[0])
    x, y, error = x[: ceiling + 1], values[: ceiling + 1], error[: ceiling + 1]
    bottom = y.argmin()
    slack = np.clip(2 * np.hypot(error, error[bottom]), 0.05 * span, 0.1 * span)
    above = np.flatnonzero(y > y[bottom] + slack)
    result = {"ceiling": ceiling, "floor": int(above[0]) if len(above) else ceiling}
    rise = y[-1] - y[0]
    result["rise"] = rise
    result["rise_error"] = float(np.hypot(error[0], error[-1]))
    result["h40"] = result["step"] = result["width"] = np.nan
    if rise > 0:
        result["h40"] = (np.interp(0.4 * x[-1], x, y) - y[0]) / rise
        result["step"] = np.diff(y).max() / rise
        fine = np.unique(np.concatenate([np.linspace(0, x[-1], 2_000_001), x]))
        shares = (np.interp(fine, x, y) - y[0]) / rise
        end = np.flatnonzero(shares >= 0.9)[0]
        result["width"] = fine[end] - fine[np.flatnonzero(shares[:end] <= 0.1)[-1]]
    result["z"] = np.full(hold_out, np.nan)
    if len(x) >= 3 + hold_out:
        design = sm.add_constant(x)
        weights = 1 / error**2
        fit = sm.WLS(y[:-hold_out], design[:-hold_out], weights=weights[:-hold_out]).fit()
        scale = max(1.0, fit.scale)
        covariance = fit.normalized_cov_params * scale
        held = design[-hold_out:]
        variance = np.einsum("ij,jk,ik->i", held, covariance, held) + error[-hold_out:] ** 2
        result["z"] = (y[-hold_out:] - held @ fit.params) / np.sqrt(variance)
    return result


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(8)
    lines = [
        "// Written by tests/reference/curve_shape.py with "
        f"NumPy {np.__version__}, statsmodels {statsmodels.__version__}; do not edit.",
        "// clang-format off",
        "std::vector<ShapeCase> ShapeCases() {",
        "  // scales, values, n, tau, ceiling, n_at_floor, rise, its error, h40, largest step,",
        "  // width, z of the held-out points",
        "  return {",
    ]
    for case in range(40):
        m = int(rng.integers(2, 13))
        scales = np.sort(np.exp(rng.uniform(np.log(1e5), np.log(1e11), size=m)))
        n = int(rng.choice([20, 100, 1000]))
        tau = float(rng.choice([0, 0.05, 0.2]))
        middle, width = rng.uniform(13, 25), rng.choice([0.2, 1, 3])
        low, high = rng.uniform(0, 0.3), rng.uniform(0.4, 1)
        truth = low + (high - low) / (1 + np.exp((middle - np.log(scales)) / width))
        if case % 5 == 4:
            truth = np.full(m, 0.3)
        values = rng.binomial(n, truth) / n
        found = shape(scales, values, n, tau, 1 + case % 2)
        numbers = ", ".join(
            literal(found[key]) for key in ("rise", "rise_error", "h40", "step", "width")
        )
        lines.append(
            f"      {{{braced(scales)}, {braced(values)}, {n}, {literal(tau)}, "
            f"{found['ceiling']}, {found['floor']}, {numbers}, {braced(found['z'])}}},"
        )
    lines += ["  };", "}", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
