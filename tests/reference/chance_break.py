"""Writes metrics/emergence/chance_break_vectors.inc: parts that stay at chance, tested by SciPy.

The rules of chance_break.h written once more, size by size, with scipy.stats.norm. Run from the
repository's root with SciPy installed: `python3 tests/reference/chance_break.py`.
"""

from pathlib import Path

import numpy as np
import scipy
from scipy.stats import norm

OUTPUT = Path("metrics/emergence/chance_break_vectors.inc")
TESTED, FEW_BEFORE, FEW_AFTER, NONE_LEARNED, BACK = range(5)


def literal(x: float) -> str:
    """17 significant digits."""
    return f"{float(x):.17g}"


def braced(values: np.ndarray) -> str:
    return "{" + ", ".join(literal(v) for v in values) + "}"


def chance_break(x: np.ndarray, value: np.ndarray, error: np.ndarray, chance: float) -> dict:
    sizes = np.unique(x)
    value = np.maximum(value, 1e-9 * chance)
    s, e = np.log(chance / value), error / value
    at_chance = np.abs(s) + norm.ppf(0.95) * e <= 0.1
    learned = s - norm.ppf(0.95) * e > 0.1
    of = [x == size for size in sizes]
    all_chance = np.array([at_chance[m].all() for m in of])
    all_learned = np.array([learned[m].all() for m in of])
    mixed = np.array([learned[m].any() for m in of]) & ~all_learned
    gaps = np.sort(np.diff(sizes))
    window = max(np.ptp(sizes) / 3, 2 * gaps[len(gaps) // 2])
    before = len(sizes) if all_chance.all() else int(np.argmin(all_chance))
    result = {"before": before, "after": 0, "p": 1.0, "x": np.nan, "window": window}
    if before < 3:
        return result | {"outcome": FEW_BEFORE}
    last = sizes[before - 1]
    candidates = [k for k in range(before, len(sizes)) if not mixed[k]]
    inside = [k for k in candidates if sizes[k] - last <= window]
    used = inside if len(inside) >= 2 else candidates[:2]
    result["after"] = len(used)
    if len(used) < 2:
        return result | {"outcome": FEW_AFTER}
    if not all_learned.any():
        return result | {"outcome": NONE_LEARNED}
    first = int(np.argmax(all_learned))
    if sum(not mixed[k] and s[of[k]].mean() <= 0.1 for k in range(first, len(sizes))) > 1:
        return result | {"outcome": BACK}
    pools = [np.log(s[of[k]]) for k in range(before, len(sizes)) if all_learned[k]]
    df = sum(len(pool) - 1 for pool in pools)
    squares = sum(((pool - pool.mean()) ** 2).sum() for pool in pools)
    tau = max(0.5, np.sqrt(squares / df)) if df else 0.5
    ps = []
    for k in used:
        own, own_e = s[of[k]], e[of[k]]
        if (own <= 0).any():
            ps.append(1.0)
            continue
        sd = np.sqrt((tau**2 + (own_e / own) ** 2).sum()) / len(own)
        ps.append(norm.sf((np.log(own).mean() - np.log(0.3 * (sizes[k] - last))) / sd))
    ps.sort()
    p = min(1.0, 2 * ps[-2]) if len(ps) >= 3 else ps[-1]
    return result | {"outcome": TESTED, "p": p, "x": (last + sizes[first]) / 2}


def main() -> None:
    rng = np.random.default_rng(7)
    lines = []
    counts = np.zeros(5, int)
    while len(lines) < 120:
        m, r = int(rng.integers(4, 11)), int(rng.choice([1, 1, 1, 3]))
        x = np.repeat(np.cumsum(rng.uniform(0.3, 1.2, m)), r)
        chance = float(rng.choice([2.302585, 0.9, 1.4]))
        threshold = x[r * min(m - 1, int(rng.integers(2, m)))]
        speed = rng.choice([0.25, 0.6, 3])
        s = np.maximum(0, x - threshold + rng.uniform(0, 0.5)) * speed
        s = s * np.exp(rng.normal(0, 0.4, m * r)) + rng.normal(0, 0.01, m * r)
        lapse = rng.random(m * r) < 0.08
        s = np.where(lapse, rng.normal(0, 0.02, m * r), s)
        value = chance * np.exp(-s)
        error = value * rng.uniform(0.003, 0.03, m * r)
        if rng.random() < 0.1:
            value[-1] = 0
            error[-1] = 0
        got = chance_break(x, value, error, chance)
        if counts[got["outcome"]] >= (60 if got["outcome"] == TESTED else 15):
            continue
        counts[got["outcome"]] += 1
        order = rng.permutation(m * r)
        lines.append(
            f"      {{{braced(x[order])}, {braced(value[order])}, {braced(error[order])}, "
            f"{literal(chance)}, {got['outcome']}, {literal(got['p'])}, "
            f"{'kNan' if np.isnan(got['x']) else literal(got['x'])}, {got['before']}, "
            f"{got['after']}, {literal(got['window'])}}},"
        )
    OUTPUT.write_text(
        f"// Written by tests/reference/chance_break.py with SciPy {scipy.__version__}; "
        "do not edit.\n// clang-format off\n"
        "std::vector<ChanceCase> ChanceCases() {\n"
        "  // x, values, errors, chance, outcome, p, place, before, after, window\n  return {\n"
        + "\n".join(lines)
        + "\n  };\n}\n// clang-format on\n"
    )
    print(counts)


if __name__ == "__main__":
    main()
