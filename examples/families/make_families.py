"""Writes examples/families/series.csv: two made families with the same kind of jump.

Both are asked for targets of five tokens by exact match, beside the NLL of the targets. In one the
NLL follows a power law all along; in the other its exponent breaks at 3e9 parameters. Run from the
repository's root: `python3 examples/families/make_families.py`.
"""

import csv
import math
import random
from pathlib import Path

OUTPUT = Path("examples/families/series.csv")
SIZES = [7e7, 1.6e8, 4.1e8, 1e9, 2.8e9, 6.9e9, 1.2e10, 3e10, 7e10]
LENGTH = 5
ITEMS = 1000


def smooth(parameters: float) -> float:
    """NLL a token."""
    return 0.2 * (parameters / 7e10) ** -0.5


def broken(parameters: float) -> float:
    """NLL a token: the exponent is 0.08 up to 3e9 parameters, 0.9 beyond."""
    nll = 0.12 * (3e9 / 7e10) ** -0.9
    return nll * (parameters / 3e9) ** (-0.08 if parameters < 3e9 else -0.9)


def main() -> None:
    """Writes the file."""
    rng = random.Random(3)
    with OUTPUT.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ["family", "task", "model", "scale", "metric", "value", "stderr", "n", "target_length"]
        )
        for family, law in (("smooth", smooth), ("broken", broken)):
            for parameters in SIZES:
                scatter = math.exp(rng.gauss(0, 0.02))
                # Items differ in difficulty: a gamma of mean 1, its spread half of that.
                nlls = [law(parameters) * scatter * rng.gammavariate(4, 0.25) for _ in range(ITEMS)]
                right = sum(rng.random() < math.exp(-LENGTH * nll) for nll in nlls)
                mean = sum(nlls) / ITEMS
                variance = sum((nll - mean) ** 2 for nll in nlls) / (ITEMS - 1)
                share = right / ITEMS
                model = f"{family}-{parameters / 1e9:.2g}b"
                row = [family, "addition", model, f"{parameters:g}"]
                error = math.sqrt(share * (1 - share) / (ITEMS - 1))
                tail = [ITEMS, LENGTH]
                writer.writerow([*row, "exact_match", share, f"{error:.5f}", *tail])
                error = math.sqrt(variance / ITEMS)
                writer.writerow([*row, "nll_per_token", f"{mean:.5f}", f"{error:.5f}", *tail])


if __name__ == "__main__":
    main()
