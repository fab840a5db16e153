"""Published numbers as tables for `mirage diagnose --series`.

Each function reads one data set of the data folder (MIRAGE_DATA) and returns rows of the table of
series; `write` puts them into a CSV. Numbers are taken as they stand; only names are changed to the
registry's.

    python3 tests/python/published_series.py DATA_FOLDER gpt3-arithmetic > arithmetic.csv
    mirage diagnose --series arithmetic.csv
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

Row = dict[str, object]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def zipped_rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def toy_model(data: Path) -> Iterable[Row]:
    """Figure 2: the paper's model at its four sizes, targets of 1 to 5 tokens, without noise.

    Beside exact match the expected edit distance, L(1 - p); beside the grade of two choices, which
    is 1 once p is above 1/2, the Brier score, (1 - p)^2.
    """
    given = {
        row["parameter"]: float(row["value"])
        for row in rows_of(data / "paper_figures/fig2_toy_model_parameters.csv")
        if row["parameter"] in ("c", "alpha", "N1", "N2", "N3", "N4")
    }
    for name in ("N1", "N2", "N3", "N4"):
        p = math.exp(-((given[name] / given["c"]) ** given["alpha"]))
        common = {"family": "toy model", "model": name, "scale": given[name]}
        for length in range(1, 6):
            for metric, value in (
                ("exact_match", p**length),
                ("token_edit_distance", length * (1 - p)),
            ):
                yield common | {
                    "task": "tokens",
                    "metric": metric,
                    "value": value,
                    "target_length": length,
                }
        for metric, value in (
            ("multiple_choice_grade", 1.0 if p > 1 / 2 else 1 / 2),
            ("brier_target", (1 - p) ** 2),
        ):
            yield common | {"task": "choices", "metric": metric, "value": value}


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


def mlfoundations(data: Path) -> Iterable[Row]:
    """Three training sets, each over parameters at 20 tokens a parameter: accuracies alone."""
    for row in downstream(data):
        if float(row["chinchilla_multiplier"]) == 1:
            yield series_row(row, float(row["params"]))


def mlfoundations_loss(data: Path) -> Iterable[Row]:
    """All models of a training set, over their loss on C4's validation set."""
    losses = {
        row["model"]: float(row["loss"])
        for row in zipped_rows(data / "mlfoundations-scaling/losses.csv.gz")
        if "c4_val" in row["val_set"]
    }
    for row in downstream(data):
        yield series_row(row, float(row["params"])) | {
            "tokens": row["tokens"],
            "loss": losses[row["model"]],
        }


def downstream(data: Path) -> Iterable[dict[str, str]]:
    folder = data / "mlfoundations-scaling"
    about = {row["Eval Task"]: row for row in rows_of(folder / "eval_metadata.csv")}
    for row in zipped_rows(folder / "downstream_accuracy.csv.gz"):
        yield row | about[row["task"]]


def series_row(row: dict[str, str], scale: float) -> Row:
    is_choice = row["Task Type"] in ("multiple choice", "schema")
    chance = float(row["Random baseline"] or 0) / 100
    return {
        "family": row["train_dataset"],
        "task": row["task"],
        "model": row["model"],
        "scale": scale,
        # What is not a choice is right when the gold continuation is what greedy decoding gives.
        "metric": "acc" if is_choice else "exact_match",
        "value": row["accuracy"],
        "n": row["#datapoints"],
        "shots": row["#shots"],
        "chance": chance if is_choice else "",
    }


# Figure 5's names that are not the registry's.
FIGURE5_NAMES = {"exact_str_match": "exact_match", "rougeLsum": "rouge_lsum", "accuracy": "acc"}


def figure5_outliers(data: Path) -> dict[tuple[str, str], list[float]]:
    """The outliers of the emergence score by metric: its name there, and the registry's."""
    out: dict[tuple[str, str], list[float]] = {}
    path = data / "paper_figures/fig5a_emergence_score_outliers_digitised.csv"
    for row in rows_of(path):
        name = row["metric"]
        key = (name, FIGURE5_NAMES.get(name, name))
        out.setdefault(key, []).append(float(row["emergence_score_outlier_marker"]))
    return out


DATA_SETS: dict[str, Callable[[Path], Iterable[Row]]] = {
    "toy-model": toy_model,
    "gpt3-arithmetic": gpt3_arithmetic,
    "lamda": lamda,
    "lambada": lambada,
    "obsscaling": obsscaling,
    "mlfoundations": mlfoundations,
    "mlfoundations-loss": mlfoundations_loss,
}
# Those that are not over the column `scale`.
AXES = {"mlfoundations-loss": "loss"}


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
