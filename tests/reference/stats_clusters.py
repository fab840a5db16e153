"""Writes metrics/stats/{clustered,variance_components}_vectors.inc: statsmodels and NumPy.

Run from the repository's root with NumPy, pandas and statsmodels installed (the versions used are
written into the files): `python3 tests/reference/stats_clusters.py`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels
import statsmodels.api as sm
from numpy.typing import NDArray

FOLDER = Path("metrics/stats")


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def write(name: str, lines: list[str]) -> None:
    """Writes `name`_vectors.inc."""
    head = [
        f"// Written by tests/reference/stats_clusters.py with NumPy {np.__version__}, "
        f"statsmodels {statsmodels.__version__}; do not edit.",
        "// clang-format off",
    ]
    text = "\n".join([*head, *lines, "// clang-format on", ""])
    (FOLDER / f"{name}_vectors.inc").write_text(text, encoding="utf-8")


def rows_text(labels: NDArray[np.int64], xs: NDArray[np.float64]) -> str:
    return ", ".join(f"{{{label}u, {literal(x)}}}" for label, x in zip(labels, xs, strict=True))


def mean_squares(
    labels: NDArray[np.int64], xs: NDArray[np.float64]
) -> tuple[float, float, float, float]:
    """Between and within of the one-way analysis of variance, k0, and the variance between."""
    groups = [xs[labels == label] for label in np.unique(labels)]
    n, c = len(xs), len(groups)
    between = sum(len(g) * (g.mean() - xs.mean()) ** 2 for g in groups) / (c - 1)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (n - c)
    k0 = (n - sum(len(g) ** 2 for g in groups) / n) / (c - 1)
    return between, within, k0, (between - within) / k0


def clustered() -> None:
    rng = np.random.default_rng(8)
    lines, cases = [], []
    for name, sizes, spread, offset in (
        ("Passages", rng.integers(1, 9, 25), 0.6, 0.0),
        ("Pairs", np.full(12, 2), 1.0, 0.0),
        ("Unrelated", rng.integers(2, 5, 10), 0.0, 0.0),
        ("Offset", rng.integers(1, 5, 15), 0.5, 2.0**30),
    ):
        labels = np.repeat(np.arange(len(sizes)), sizes)
        xs = spread * rng.normal(size=len(sizes))[labels] + rng.normal(size=len(labels))
        order = rng.permutation(len(labels))
        labels, xs = labels[order], xs[order]
        shifted = xs + offset
        # What the doubles with the offset say, about 0.
        xs = shifted - offset
        fit = sm.OLS(xs, np.ones(len(xs))).fit(cov_type="cluster", cov_kwds={"groups": labels})
        between, within, k0, _ = mean_squares(labels, xs)
        values = [
            xs.mean() + offset,
            fit.bse[0],
            (fit.bse[0] / (np.std(xs, ddof=1) / np.sqrt(len(xs)))) ** 2,
            (between - within) / (between + (k0 - 1) * within),
        ]
        lines.append(f"const std::vector<Row> k{name} = {{{rows_text(labels, shifted)}}};")
        text = ", ".join(literal(v) for v in values)
        cases.append(f"    {{k{name}, {len(sizes)}u, {text}}},")
    lines += ["const std::vector<ClusterCase> kClusterCases = {", *cases, "};"]
    write("clustered", lines)


def variance_components() -> None:
    rng = np.random.default_rng(9)
    lines, cases = [], []
    for name, answers, spread in (
        ("Balanced", np.full(20, 5), 1.0),
        ("Unbalanced", rng.integers(1, 8, 30), 0.7),
        ("NoneBetween", np.full(15, 4), 0.0),
    ):
        labels = np.repeat(np.arange(len(answers)), answers)
        xs = 3 + spread * rng.normal(size=len(answers))[labels] + rng.normal(size=len(labels))
        _, within, _, omega2 = mean_squares(labels, xs)
        means = np.array([xs[labels == label].mean() for label in np.unique(labels)])
        # Restricted maximum likelihood agrees with the analysis of variance on balanced data with a
        # positive estimate; it is iterative.
        reml = [float("nan"), float("nan")]
        if name == "Balanced":
            frame = pd.DataFrame({"x": xs, "item": labels})
            model = sm.MixedLM.from_formula("x ~ 1", groups="item", data=frame)
            fit = model.fit(reml=True, method="bfgs", gtol=1e-10)
            reml = [fit.scale, fit.cov_re.iloc[0, 0]]
        values = [
            means.mean(),
            np.std(means, ddof=1) / np.sqrt(len(means)),
            within,
            omega2,
            np.sqrt((max(omega2, 0) + within / 10) / len(means)),
            *reml,
        ]
        lines.append(f"const std::vector<Row> k{name} = {{{rows_text(labels, xs)}}};")
        text = ", ".join("kNan" if np.isnan(v) else literal(v) for v in values)
        cases.append(f"    {{k{name}, {text}}},")
    lines += ["const std::vector<ComponentsCase> kComponentsCases = {", *cases, "};"]
    write("variance_components", lines)


def main() -> None:
    """Writes the files."""
    clustered()
    variance_components()


if __name__ == "__main__":
    main()
