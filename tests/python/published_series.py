"""Published numbers as tables for `mirage diagnose --series`.

Each function reads one data set of the data folder (MIRAGE_DATA) and returns rows of the table of
series; `write` puts them into a CSV. Numbers are taken as they stand; only names are changed to the
registry's.

    python3 tests/python/published_series.py DATA_FOLDER gpt3-arithmetic > arithmetic.csv
    mirage diagnose --series arithmetic.csv
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

Row = dict[str, object]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def gpt3_arithmetic(data: Path) -> Iterable[Row]:
    """Figures 3 and 4 of the paper: four sizes, target lengths 1 to 5, temperatures 0 and 1."""
    names = {"accuracy": "exact_match", "neg_token_edit_distance": "token_edit_distance"}
    for row in rows_of(data / "paper_figures/fig3_fig4_digitised.csv"):
        if row["figure"] != "fig3":
            continue
        value = float(row["value"])
        yield {
            "family": "toy" if row["series"] == "math_model" else "gpt3",
            "task": row["series"],
            "model": row["model_params"],
            "scale": row["model_params"],
            "metric": names[row["metric"]],
            # The figure shows the negated distance.
            "value": abs(value) if row["metric"].startswith("neg") else max(value, 0.0),
            "target_length": row["target_str_len"],
            "temperature": row["temperature"],
        }


def lamda(data: Path) -> Iterable[Row]:
    """Figure 6: multiple-choice grade beside Brier score, six sizes, 2 and 3 shots."""
    for row in rows_of(data / "paper_figures/fig6_lamda_digitised.csv"):
        is_brier = row["metric"] == "neg_brier_score"
        low, high = float(row["ci_lo_visible"]), float(row["ci_hi_visible"])
        yield {
            "family": "lamda",
            "task": row["task"],
            "model": row["effective_params"],
            "scale": row["effective_params"],
            "metric": "brier_target" if is_brier else "multiple_choice_grade",
            "value": abs(float(row["value"])),
            # Half of a 95 % interval.
            "stderr": (high - low) / 2 / 1.96,
            "shots": row["shots"],
        }


def lambada(data: Path) -> Iterable[Row]:
    """Pythia (deduped, last step) and OPT on lambada_openai: accuracy and perplexity."""
    sizes = {"m": 1e6, "b": 1e9}
    for path in sorted((data / "pythia").glob("*/zero/*_step143000.json")):
        size = path.name.split("-deduped")[0]
        yield from lambada_rows("pythia", size, float(size[:-1]) * sizes[size[-1]], path)
    for path in sorted((data / "pythia/opt").glob("*.json")):
        size = path.stem.removeprefix("opt-")
        yield from lambada_rows("opt", path.stem, float(size[:-1]) * sizes[size[-1]], path)


def lambada_rows(family: str, model: str, scale: float, path: Path) -> Iterable[Row]:
    results = json.loads(path.read_text(encoding="utf-8"))["results"]["lambada_openai"]
    for metric, name in (("acc", "acc"), ("ppl", "perplexity")):
        yield {
            "family": family,
            "task": "lambada_openai",
            "model": model,
            "scale": scale,
            "metric": name,
            "value": results[metric],
            "stderr": results[f"{metric}_stderr"],
        }


def obsscaling(data: Path) -> Iterable[Row]:
    """84 base models on tasks that were called emergent, over training FLOPs: no n, no errors."""
    folder = data / "obsscaling"
    flops = {
        row["Model"]: row["FLOPs (1E21)"]
        for row in rows_of(folder / "base_llm_benchmark_eval.csv")
        if row["FLOPs (1E21)"]
    }
    for row in rows_of(folder / "base_llm_emergent_capability_eval.csv"):
        model = row.pop("Model")
        if model not in flops:
            continue
        for column, value in row.items():
            task, _, metric = column.partition("_2_")
            if value == "":
                continue
            yield {
                "family": "base models",
                "task": task,
                "model": model,
                "scale": float(flops[model]) * 1e21,
                "metric": metric,
                # BLEU is in points there as here.
                "value": value,
                "shots": 2,
            }


DATA_SETS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "gpt3-arithmetic": gpt3_arithmetic,
    "lamda": lamda,
    "lambada": lambada,
    "obsscaling": obsscaling,
}


def write(rows: Iterable[Row], file: TextIO) -> None:
    """The rows as CSV, all their columns in the header."""
    listed = list(rows)
    columns: dict[str, None] = {}
    for row in listed:
        columns.update(dict.fromkeys(row))
    writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)


if __name__ == "__main__":
    write(DATA_SETS[sys.argv[2]](Path(sys.argv[1])), sys.stdout)
