"""Writes metrics/emergence/item_composition_vectors.inc: links by SciPy's isotonic regression.

What item_composition.h estimates from the items of a family under greedy decoding, written once
more with scipy.optimize.isotonic_regression and numpy.interp, and the heterogeneity by the formula
of DerSimonian and Laird. Run from the repository's root with SciPy installed:
`python3 tests/reference/item_composition.py`.
"""

from pathlib import Path

import numpy as np
import scipy
from scipy.optimize import isotonic_regression
from scipy.stats import beta

OUTPUT = Path("metrics/emergence/item_composition_vectors.inc")
EDGE, WIDTH, BINS, PRIOR, STEP = np.log(1e-6), 0.1, 208, 0.1, 0.05
MIDDLES = EDGE + WIDTH * (np.arange(BINS) + 0.5)


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def braced(values: np.ndarray) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def bins_of(log_u: np.ndarray) -> np.ndarray:
    return np.clip(np.floor((log_u - EDGE) / WIDTH), 0, BINS - 1).astype(int)


def link_without(log_u: list, scores: list, j: int) -> object:
    u = np.concatenate([v for k, v in enumerate(log_u) if k != j])
    s = np.concatenate([v for k, v in enumerate(scores) if k != j])
    counts = np.bincount(bins_of(u), minlength=BINS)
    sums = np.bincount(bins_of(u), weights=s, minlength=BINS)
    values = (sums + PRIOR * np.exp(-np.exp(MIDDLES))) / (counts + PRIOR)
    return isotonic_regression(values, weights=counts + PRIOR, increasing=False)


def main() -> None:
    rng = np.random.default_rng(3)
    lines = []
    for case in range(12):
        m, n = int(rng.integers(4, 8)), int(rng.choice([15, 40]))
        log_u = [np.log(rng.gamma(2, np.exp(2 - 0.7 * j) / 2, n)) for j in range(m)]
        logit = [4 - 4 * np.exp(v - 1 + rng.normal(0, 0.4)) for v in log_u]
        scores = [(rng.random(n) < 1 / (1 + np.exp(-v))).astype(float) for v in logit]
        if case % 4 == 3:
            scores = [np.round(0.7 * s + 0.3 * rng.random(n), 2) for s in scores]
        links, shifts, variances, zs = [], [], [], []
        for j in range(m):
            link = link_without(log_u, scores, j)
            values = link.x

            def mean(log_rho: float, u: np.ndarray = log_u[j], v: np.ndarray = values) -> float:
                return np.interp(u + log_rho, MIDDLES, v).mean()

            value = np.interp(log_u[j], MIDDLES, values)
            share = np.bincount(bins_of(log_u[j]), minlength=BINS) / n
            variance = (1 + (value * (1 - value)).sum()) / n**2
            shares = np.add.reduceat(share, link.blocks[:-1])
            of_block = values[link.blocks[:-1]]
            right = of_block * link.weights
            variance += (shares**2 * beta(1 + right, 1 + link.weights - right).var()).sum()
            slope = (mean(-STEP) - mean(STEP)) / (2 * STEP)
            difference = scores[j].mean() - mean(0)
            links.append((mean(0), mean(0.7), mean(-0.7)))
            zs.append(difference / np.sqrt(variance))
            if slope > 0:
                shifts.append(difference / slope)
                variances.append(variance / slope**2)
        weights, shifts = 1 / np.array(variances), np.array(shifts)
        q = (weights * (shifts - np.average(shifts, weights=weights)) ** 2).sum()
        spare = weights.sum() - (weights**2).sum() / weights.sum()
        tau = np.sqrt(max(0, (q - len(shifts) + 1) / spare))
        log_p = "{" + ", ".join(braced(-np.exp(v)) for v in log_u) + "}"
        score = "{" + ", ".join(braced(s) for s in scores) + "}"
        means = "{" + ", ".join(braced(np.array(v)) for v in links) + "}"
        lines.append(f"      {{{log_p}, {score}, {means}, {braced(zs)}, {literal(tau)}}},")
    OUTPUT.write_text(
        f"// Written by tests/reference/item_composition.py with SciPy {scipy.__version__}; "
        "do not edit.\n// clang-format off\n"
        "std::vector<LinkCase> LinkCases() {\n"
        "  // log p and scores by model; mean link at ln rho = 0, .7, -.7; z; heterogeneity\n"
        "  return {\n" + "\n".join(lines) + "\n  };\n}\n// clang-format on\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
