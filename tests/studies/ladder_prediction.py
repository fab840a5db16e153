#!/usr/bin/env python3
"""Predicts OLMo's 7B and 13B models from its ladder of runs up to 3B.

    ladder_prediction.py                 chooses the method by predicting the 3B runs; reads no
                                         run of 7B or 13B
    ladder_prediction.py --large         then predicts 7B and 13B with it, and says how far off
    ladder_prediction.py --large --write the same, and puts it into docs/forecast.md
    ladder_prediction.py --large --check exits 1 where it contradicts docs/forecast.md

The data are allenai/OLMo-ladder's, in the data folder (--data, else MIRAGE_DATA, else
../shared/data). Fits are those of a program, tests/studies/ladder_prediction.cc, that Bazel builds;
its head lists the methods.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import forecast_backtest as backtest
from forecast_backtest_series import rows_of, zipped_rows
from study_page import Section
from study_program import build, measure

SECTION = Section(
    "<!-- written by tests/studies/ladder_prediction.py --large --write -->",
    "<!-- end of ladder_prediction.py -->",
    "## OLMo's ladder",
)
TARGET = "//tests/studies:ladder_prediction"

# The number of items of each of MMLU's test sets: its average is over items.
MMLU = {"stem": 3018, "humanities": 4705, "social_sciences": 3077, "other": 3242}
TASKS: dict[str, dict[str, int]] = {
    "mmlu_avg_test": {f"mmlu_{part}_test": n for part, n in MMLU.items()}
} | {
    task: {task: 1}
    for task in (
        "hellaswag_val",
        "arc_challenge_test",
        "arc_easy_test",
        "piqa_val",
        "csqa_val",
        "socialiqa_val",
        "openbookqa_test",
    )
}
COLUMNS = {
    "bits": "eval/downstream_bpb/{}_rc_5shot_bpb",
    "nll": "eval/downstream_soft_log/{}_rc_5shot_soft_log",
    "accuracy": "eval/downstream/{}_rc_5shot_len_norm",
}
# Parameters as configs/final.json has them; 3B is not there: its 10xC run has 200 tokens each.
SIZES = {"190M": 190354176.0, "370M": 371262464.0, "760M": 758220288.0, "1B": 1279395840.0}
LENGTHS = ("0.5xC", "1xC", "1xC-rerun", "2xC", "5xC", "10xC")
LADDER = (*SIZES, "3B")
# Of a run's checkpoints, those after its first tenth, at most so many, link losses to accuracies.
LINKS_A_RUN = 20
# What the runs' accuracies and losses are taken from.
READINGS = {"last checkpoint": 1, "mean of the last three": 3}
# Path, parameters, FLOPs a token, and tokens where the file does not say them.
LARGE: dict[str, tuple[str, float, float, float | None]] = {
    "7B-4T": ("ladder-runs/peteish7_eval_anneal.csv.gz", 6887575552.0, 49412071424.0, None),
    "13B-5T": ("ladder-runs/peteish13_eval_final.csv.gz", 13202396160.0, 91335915520.0, 5e12),
}
# How often 7B and 13B were looked at, this page's figures included.
LOOKS = 1

Run = dict[str, Any]


def reading(row: dict[str, str], task: str) -> dict[str, float]:
    parts = TASKS[task]
    out = {}
    for name, column in COLUMNS.items():
        total = sum(float(row[column.format(part)]) * n for part, n in parts.items())
        out[name] = total / sum(parts.values())
    out["nll"] = -out["nll"]
    return out


def mean(readings: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(one[name] for one in readings) / len(readings) for name in COLUMNS}


def load(data: Path) -> list[Run]:
    """The ladder's runs; none of 7B or 13B."""
    runs = []
    for size in LADDER:
        for length in LENGTHS:
            rows = list(zipped_rows(data / f"olmo-ladder/ladder-runs/{size}-{length}.csv.gz"))
            last = rows[-1]
            runs.append(
                {
                    "size": size,
                    "length": length,
                    "rows": rows,
                    "tokens": float(last["throughput/total_tokens"]),
                    "flops": float(last["throughput/total_training_Gflops"]) * 1e9,
                }
            )
    (longest,) = (run for run in runs if (run["size"], run["length"]) == ("3B", "10xC"))
    for run in runs:
        run["parameters"] = SIZES.get(run["size"], longest["tokens"] / 200)
    return runs


def place(run: Run) -> dict[str, float]:
    return {name: run[name] for name in ("parameters", "tokens", "flops")}


def case(task: str, train: list[Run], targets: list[Run], last: int) -> dict[str, Any]:
    links = []
    for run in train:
        rows = run["rows"][len(run["rows"]) // 10 :]
        step = -(-len(rows) // LINKS_A_RUN)
        links += [reading(row, task) for row in rows[::-1][::step]]
    return {
        "runs": [
            place(run) | mean([reading(row, task) for row in run["rows"][-last:]]) for run in train
        ],
        "links": links,
        "targets": [place(run) for run in targets],
    }


def predict(program: Path, cases: list[dict[str, Any]]) -> list[dict[str, list[float]]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cases.json")
        path.write_text(json.dumps({"cases": cases}), encoding="utf-8")
        return measure(program, [str(path)])["cases"]


def choose(program: Path, runs: list[Run]) -> dict[tuple[str, str], list[float]]:
    """Mean relative errors over tasks and 3B runs, from the runs up to 1.3B and up to 760M."""
    targets = [run for run in runs if run["size"] == "3B"]
    errors: dict[tuple[str, str], list[float]] = {}
    for name, last in READINGS.items():
        for most in (3, 4):
            train = [run for run in runs if run["size"] in LADDER[:most]]
            answers = predict(program, [case(task, train, targets, last) for task in TASKS])
            found: dict[str, list[float]] = {}
            for task, answer in zip(TASKS, answers, strict=True):
                for method, values in answer.items():
                    for run, value in zip(targets, values, strict=True):
                        true = reading(run["rows"][-1], task)["accuracy"]
                        found.setdefault(method, []).append(abs(value - true) / true)
            for method, values in found.items():
                # A method that fails on a task cannot be chosen.
                if len(values) == len(TASKS) * len(targets):
                    errors.setdefault((method, name), []).append(sum(values) / len(values))
    return {key: values for key, values in errors.items() if len(values) == 2}


def chosen(errors: dict[tuple[str, str], list[float]]) -> tuple[str, str]:
    return min(errors, key=lambda key: sum(errors[key]))


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def choice_lines(errors: dict[tuple[str, str], list[float]]) -> list[str]:
    best = chosen(errors)
    lines = [
        "| method | runs' values | 3B from up to 760M | 3B from up to 1.3B | mean |",
        "|---|---|---|---|---|",
    ]
    for key in sorted(errors, key=lambda key: sum(errors[key])):
        method, name = (f"**{word}**" if key == best else word for word in key)
        small, large = errors[key]
        both = percent((small + large) / 2)
        lines.append(f"| {method} | {name} | {percent(small)} | {percent(large)} | {both} |")
    return lines


def large_lines(data: Path, program: Path, runs: list[Run], best: tuple[str, str]) -> list[str]:
    """The look at 7B and 13B."""
    method, name = best
    folder = data / "olmo-ladder"
    targets, true = [], {}
    for model, (path, parameters, flops, known) in LARGE.items():
        *_, row = zipped_rows(folder / path)
        tokens = known or float(row["throughput/total_tokens"])
        targets.append({"parameters": parameters, "tokens": tokens, "flops": flops * tokens})
        true[model] = {task: reading(row, task)["accuracy"] for task in TASKS}
    published = {row["Task"]: row for row in rows_of(folder / "figures/chained_main.csv")}
    true["13B-5T"] = {task: float(published[f"{task}_5shot"]["Actual"]) for task in TASKS}
    predicted: dict[str, list[list[float]]] = {}
    for ladder in ("1.3B", "3B"):
        train = [run for run in runs if run["size"] != "3B" or ladder == "3B"]
        answers = predict(program, [case(task, train, targets, READINGS[name]) for task in TASKS])
        predicted[ladder] = [answer[method] for answer in answers]
    lines = []
    for i, model in enumerate(LARGE):
        lines += [
            "",
            f"**{model}**, by `{method}`:",
            "",
            "| task | accuracy | from up to 1.3B | relative error | from up to 3B "
            "| relative error |",
            "|---|---|---|---|---|---|",
        ]
        sums = dict.fromkeys(predicted, 0.0)
        for k, task in enumerate(TASKS):
            actual = true[model][task]
            cells = [task, f"{actual:.4f}"]
            for ladder, values in predicted.items():
                error = values[k][i] / actual - 1
                sums[ladder] += abs(error) / len(TASKS)
                cells += [f"{values[k][i]:.4f}", f"{100 * error:+.1f} %"]
            lines.append(f"| {' | '.join(cells)} |")
        means = " | ".join(f"| **{percent(value)}**" for value in sums.values())
        lines.append(f"| mean of absolute values | {means} |")
    return lines


def section(
    errors: dict[tuple[str, str], list[float]], large: list[str], looks: int = LOOKS
) -> str:
    text = backtest.paragraph
    lines = [
        text(
            "Methods, and how far off they are on the 3B runs (mean relative error over eight "
            "tasks and six runs); the least mean was chosen:"
        ),
        "",
        *choice_lines(errors),
    ]
    if large:
        lines += [
            "",
            text(f"7B and 13B were looked at this often, these figures included: {looks}."),
            *large,
        ]
    return "\n".join(lines)


def parse(words: Iterable[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--docs", type=Path, default=backtest.REPOSITORY / "docs/forecast.md")
    parser.add_argument("--program", type=Path, help="instead of building it")
    parser.add_argument("--large", action="store_true", help="also read 7B and 13B")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(None if words is None else list(words))
    if (options.write or options.check) and not options.large:
        parser.error("the page has the figures of --large")
    return options


def main() -> int:
    options = parse()
    data = backtest.data_folder(options.data)
    program = options.program or build(TARGET)
    runs = load(data)
    errors = choose(program, runs)
    large = large_lines(data, program, runs, chosen(errors)) if options.large else []
    content = section(errors, large)
    if options.check:
        text = options.docs.read_text(encoding="utf-8")
        stale = SECTION.is_stale(text, content)
        print(f"{options.docs} is {'stale' if stale else 'as it must be'}")
        return int(stale)
    print(content)
    if options.write:
        SECTION.fill(options.docs, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
