"""Writes metrics/emergence/emergence_score_vectors.inc: scores of curves and of noise, by NumPy.

Scores as in the definition (numpy.argmax, numpy.median); the paper's GPT-3 values as digitised in
tests/data/paper_figures; percentiles of the score by plain simulation with NumPy's own generator,
each with its standard error. Run from the repository's root with NumPy installed:
`python3 tests/reference/emergence_score.py`.
"""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

OUTPUT = Path("metrics/emergence/emergence_score_vectors.inc")
DIGITISED = Path("tests/data/paper_figures/fig3_fig4_digitised.csv")


def literal(x: float) -> str:
    """17 significant digits."""
    if np.isinf(x):
        return "kInf" if x > 0 else "-kInf"
    return f"{float(x):.17g}"


def braced(values: np.ndarray) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def scores(curves: np.ndarray) -> np.ndarray:
    """Emergence scores of the rows; 0 where nothing changes."""
    change = np.sign(curves.argmax(1) - curves.argmin(1)) * np.ptp(curves, axis=1)
    median = np.median(np.diff(curves, axis=1) ** 2, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(change == 0, 0.0, change / np.sqrt(median))


def linearity(curve: np.ndarray) -> float:
    sign = np.sign(curve.argmax() - curve.argmin())
    return sign * np.ptp(curve) / np.sqrt(np.mean(np.diff(curve) ** 2))


def percentile_95(values: np.ndarray) -> tuple[float, float]:
    """The 95th percentile and its standard error, from 20 parts."""
    parts = [np.quantile(part, 0.95) for part in np.array_split(values, 20)]
    return float(np.quantile(values, 0.95)), float(np.std(parts, ddof=1) / np.sqrt(20))


def power_scatter(mean: np.ndarray, tau: float, rng: np.random.Generator, n: int) -> np.ndarray:
    factor = np.exp(tau * rng.standard_normal((n, len(mean))))
    return mean**factor


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(20230415)
    lines = [
        "// Written by tests/reference/emergence_score.py with "
        f"NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        "std::vector<CurveCase> CurveCases() {  // values, score, linearity",
        "  return {",
    ]
    curves = [rng.normal(size=m) * 10.0 ** rng.integers(-8, 9) for m in (2, 3, 4, 5, 6, 9, 12, 30)]
    curves += [np.sort(rng.uniform(size=m)) for m in (3, 6, 11)]
    curves += [-np.sort(rng.uniform(size=m)) for m in (3, 6, 11)]
    curves += [rng.integers(0, 4, size=m) / 4.0 for m in (4, 5, 7, 8, 16, 25)]
    curves += [np.array(v, float) for v in ([0, 1, 0], [1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 0, 0])]
    for curve in curves:
        score = scores(curve[None])[0]
        lines.append(f"      {{{braced(curve)}, {literal(score)}, {literal(linearity(curve))}}},")
    lines += ["  };", "}"]

    groups = defaultdict(dict)
    with DIGITISED.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["figure"] != "fig3" or row["temperature"] != "0.0":
                continue
            key = (row["series"], int(row["target_str_len"]), row["metric"])
            groups[key][float(row["model_params"])] = float(row["value"])
    lines += [
        "// GPT-3 at temperature 0, digitised from figure 3 of arXiv 2304.15004.",
        "std::vector<PaperCase> PaperCases() {  // task, length, metric, values, score",
        "  return {",
    ]
    for (series, length, metric), points in sorted(groups.items()):
        curve = np.array([points[x] for x in sorted(points)])
        task = "addition" if "addition" in series else "multiplication"
        score = scores(curve[None])[0]
        lines.append(
            f'      {{"{task}", {length}, "{metric}", {braced(curve)}, {literal(score)}}},'
        )
    lines += ["  };", "}"]

    n = 1_000_000
    lines += [
        "// 95th percentiles over 1 000 000 curves: of noise, and of a line with range / sd 10.",
        "constexpr PercentileCase kNoise[] = {  // M, percentile, its standard error",
    ]
    for m in (4, 5, 6, 8, 12, 20):
        value, error = percentile_95(scores(rng.standard_normal((n, m))))
        lines.append(f"    {{{m}, {literal(value)}, {literal(error)}}},")
    lines += ["};", "constexpr PercentileCase kLine[] = {"]
    for m in (6, 8, 12):
        line = np.linspace(0, 10, m)
        value, error = percentile_95(scores(line + rng.standard_normal((n, m))))
        lines.append(f"    {{{m}, {literal(value)}, {literal(error)}}},")
    lines += [
        "};",
        "// p-values under the best line, over 1 000 000 curves with binomial errors and scatter.",
        "std::vector<NullCase> NullCases() {  // scales, values, n, tau, intercept, slope, p",
        "  return {",
    ]
    for scales, counts, items, tau in (
        ([1e6, 3e6, 1e7, 3e7, 1e8, 3e8], [10, 18, 35, 48, 66, 79], 100, 0.0),
        ([1e6, 3e6, 1e7, 3e7, 1e8, 3e8], [10, 18, 35, 48, 66, 79], 100, 0.2),
        ([1e6, 2e6, 1e7, 2e7, 1e8, 2e8, 1e10], [20, 22, 24, 27, 40, 60, 90], 200, 0.1),
        ([3e8, 1e9, 7e9, 2e10, 2e11], [12, 10, 18, 22, 33], 50, 0.05),
    ):
        x = np.log(np.array(scales))
        y = np.array(counts) / items
        slope, intercept = np.polyfit(x, y, 1)
        mean = intercept + slope * x
        assert np.all((mean >= 0) & (mean <= 1))
        shares = power_scatter(mean, tau, rng, n) if tau else np.broadcast_to(mean, (n, len(mean)))
        drawn = scores(rng.binomial(items, shares) / items)
        p = float(np.mean(drawn >= scores(y[None])[0]))
        lines.append(
            f"      {{{braced(np.array(scales))}, {braced(y)}, {items}, {literal(tau)}, "
            f"{literal(intercept)}, {literal(slope)}, {literal(p)}}},"
        )
    lines += ["  };", "}", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
