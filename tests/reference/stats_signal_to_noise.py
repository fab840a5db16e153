"""Writes metrics/stats/signal_to_noise_vectors.inc: signal, noise and decisions, by NumPy.

Direct formulas over all pairs; the spread divided by n - 1 and, as in the paper's program, by n.
Run from the repository's root with NumPy installed:
`python3 tests/reference/stats_signal_to_noise.py`.
"""

from itertools import combinations
from pathlib import Path

import numpy as np

OUTPUT = Path("metrics/stats/signal_to_noise_vectors.inc")


def literal(x: float) -> str:
    """17 significant digits."""
    return "kNan" if np.isnan(x) else f"{float(x):.17g}"


def braced(values: np.ndarray) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(31)
    lines = [
        "// Written by tests/reference/stats_signal_to_noise.py with "
        f"NumPy {np.__version__}; do not edit.",
        "// clang-format off",
        "std::vector<SignalCase> SignalCases() {",
        "  return {",
    ]
    for scale, shift, n_models, n_checkpoints in (
        (0.1, 0.5, 2, 2),
        (0.02, 0.7, 25, 30),
        (0.3, -2.5, 10, 5),
        (1e-3, 1e6, 7, 5),
        (1e-9, 1e-8, 4, 12),
    ):
        models = shift + scale * rng.normal(size=n_models)
        checkpoints = shift + scale / 4 * rng.normal(size=n_checkpoints)
        signal = max(abs(a - b) for a, b in combinations(models, 2)) / abs(np.mean(models))
        center = abs(np.mean(checkpoints))
        sample, population = (np.std(checkpoints, ddof=d) / center for d in (1, 0))
        values = (signal, sample, signal / sample, signal / population)
        text = ", ".join(literal(v) for v in values)
        lines.append(f"      {{{braced(models)}, {braced(checkpoints)}, {text}}},")
    lines += ["  };", "}", "std::vector<DecisionCase> DecisionCases() {", "  return {"]
    for n, levels in ((2, 0), (5, 0), (25, 0), (12, 4), (30, 3)):
        small = rng.normal(size=n)
        large = small + rng.normal(size=n)
        if levels:
            small, large = np.round(small * levels / 4), np.round(large * levels / 4)
        pairs = list(combinations(range(n), 2))
        tau = sum(np.sign(small[j] - small[k]) * np.sign(large[j] - large[k]) for j, k in pairs)
        accuracy = (1 + tau / len(pairs)) / 2
        alike = np.mean([(small[j] > small[k]) == (large[j] > large[k]) for j, k in pairs])
        paper = np.nan if levels else alike
        text = f"{literal(accuracy)}, {literal(paper)}"
        lines.append(f"      {{{braced(small)}, {braced(large)}, {text}}},")
    lines += ["  };", "}", "// clang-format on", ""]
    OUTPUT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
