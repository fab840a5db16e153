"""The real series on which forecasts are tested, and those on which the method was chosen.

Each data set is a list of series of one sharp metric, higher being better, at six scales or more;
families stay apart. Numbers are taken as they stand.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "python"))

from published_series import lamda, rows_of  # noqa: E402

LEAST_SCALES = 6
UNITS = {"m": 1e6, "b": 1e9}


@dataclass
class Series:
    """One metric of one task over one family."""

    name: str
    points: list[dict[str, float]] = field(default_factory=list)
    lower: float = 0.0
    upper: float = 1.0

    def add(self, scale: float, value: float, n: float | None = None) -> None:
        point = {"scale": scale, "value": value}
        self.points.append(point | ({"n": n} if n else {}))

    def scales(self) -> int:
        return len({point["scale"] for point in self.points})

    def json(self) -> dict[str, Any]:
        return {"lower": self.lower, "upper": self.upper, "points": self.points}


class Gathered:
    """Series by name, in the order in which they first appear."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}

    def __getitem__(self, name: str) -> Series:
        return self.series.setdefault(name, Series(name))

    def list(self, least: int = LEAST_SCALES) -> list[Series]:
        return [one for one in self.series.values() if one.scales() >= least]


def zipped_rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path) as file:
        yield from csv.DictReader(io.TextIOWrapper(file, encoding="utf-8"))


def size_of(name: str) -> float:
    return float(name[:-1]) * UNITS[name[-1]]


# Pythia and OPT

SHARP = ("acc", "acc_norm", "pct_stereotype")


def harness(files: Iterable[tuple[float, Path]]) -> list[Series]:
    """lm-eval's results; n is what the standard errors say, the median over the models."""
    found = Gathered()
    implied: dict[str, list[float]] = {}
    for scale, path in files:
        results = json.loads(path.read_text(encoding="utf-8"))["results"]
        for task, metrics in results.items():
            for metric in SHARP:
                if metric not in metrics:
                    continue
                name, value = f"{task} {metric}", metrics[metric]
                error = metrics[f"{metric}_stderr"]
                found[name].add(scale, value)
                if error and error > 0:
                    implied.setdefault(name, []).append(value * (1 - value) / error**2 + 1)
    for name, series in found.series.items():
        if name in implied:
            for point in series.points:
                point["n"] = round(statistics.median(implied[name]))
    return found.list()


def pythia_files(data: Path, step: int, most: float) -> list[tuple[float, Path]]:
    files = []
    for path in (data / "pythia").glob(f"pythia-*-deduped/zero/*_step{step}.json"):
        scale = size_of(path.name.split("-deduped")[0])
        if scale <= most:
            files.append((scale, path))
    return sorted(files)


def pythia(data: Path) -> list[Series]:
    return harness(pythia_files(data, 143000, math.inf))


def opt(data: Path) -> list[Series]:
    paths = (data / "pythia/opt").glob("*.json")
    return harness(sorted((size_of(path.stem.removeprefix("opt-")), path) for path in paths))


# ObsScaling


def observational(data: Path, table: str, least: int = LEAST_SCALES) -> list[Series]:
    """Each family over parameters; neither n nor errors are known."""
    folder = data / "obsscaling"
    about = {row["Model"]: row for row in rows_of(folder / "base_llm_benchmark_eval.csv")}
    ignored = {"Model", "Model Family", "Model Size (B)", "Pretraining Data Size (T)"}
    ignored |= {"FLOPs (1E21)"}
    found = Gathered()
    for row in rows_of(folder / f"{table}.csv"):
        model = about[row["Model"]]
        scale = float(model["Model Size (B)"]) * 1e9
        for column, value in row.items():
            # BLEU is no sharp metric; `norm` is the same number between chance and 1.
            if column in ignored or value == "" or column.endswith(("bleu", ",norm")):
                continue
            found[f"{model['Model Family']} {column}"].add(scale, float(value))
    return found.list(least)


# mlfoundations/scaling


def downstream(data: Path, axis: str) -> list[Series]:
    """By parameters at 20 tokens a parameter, or by tokens at one size; training sets apart."""
    folder = data / "mlfoundations-scaling"
    items = {
        row["Eval Task"]: float(row["#datapoints"]) for row in rows_of(folder / "eval_metadata.csv")
    }
    found = Gathered()
    for row in zipped_rows(folder / "downstream_accuracy.csv.gz"):
        name = f"{row['train_dataset']} {row['task']}"
        if axis == "tokens":
            name += f" {row['params']}"
        elif float(row["chinchilla_multiplier"]) != 1:
            continue
        scale = float(row["params" if axis == "parameters" else "tokens"])
        found[name].add(scale, float(row["accuracy"]), items.get(row["task"]))
    return found.list()


# The paper's figures


def paper_lamda(data: Path) -> list[Series]:
    found = Gathered()
    for row in lamda(data):
        if row["metric"] != "multiple_choice_grade":
            continue
        series = found[f"{row['task']} {row['shots']} shots"]
        series.add(float(str(row["scale"])), float(str(row["value"])))
        series.points[-1]["standard_error"] = float(str(row["stderr"]))
    return found.list()


def paper_others(data: Path) -> list[Series]:
    """Figures 7, 8 and 11: BIG-G, and vision."""
    found = Gathered()
    for row in rows_of(data / "paper_figures/fig7_8_11_digitised.csv"):
        if row["metric"] == "test_mse" or row["x"] == "":
            continue
        # Digitised zeros may be a little below.
        value = min(max(float(row["value"]), 0.0), 1.0)
        found[row["series"]].add(float(row["x"]), value)
    return found.list()


# Tiny transformers on arithmetic


def arithmetic(data: Path) -> list[Series]:
    folder = data / "eval_logs/arithmetic_family/a"
    found = Gathered()
    for model in rows_of(folder / "models.csv"):
        (path,) = (folder / model["model"]).glob("results_*.json")
        answer = json.loads(path.read_text(encoding="utf-8"))
        for task, metrics in answer["results"].items():
            for metric in ("exact_match", "acc", "acc_norm"):
                if f"{metric},none" in metrics:
                    n = answer["n-samples"][task]["effective"]
                    value = metrics[f"{metric},none"]
                    found[f"{task} {metric}"].add(float(model["parameters"]), value, n)
    return found.list()


# OLMo's ladder


def ladder_runs(data: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Size, length and last checkpoint of the runs from 190M to 3B; larger ones are not read."""
    for size in ("190M", "370M", "760M", "1B", "3B"):
        for length in ("0.5xC", "1xC", "1xC-rerun", "2xC", "5xC", "10xC"):
            *_, last = zipped_rows(data / f"olmo-ladder/ladder-runs/{size}-{length}.csv.gz")
            yield size, length, last


def ladder(data: Path) -> list[Series]:
    """Over training FLOPs."""
    found = Gathered()
    for _, _, last in ladder_runs(data):
        for column, value in last.items():
            if column.startswith("eval/downstream/"):
                scale = float(last["throughput/total_training_Gflops"]) * 1e9
                found[column.removeprefix("eval/downstream/")].add(scale, float(value))
    return found.list()


DATA_SETS: dict[str, Callable[[Path], list[Series]]] = {
    "Pythia, last checkpoint": pythia,
    "OPT": opt,
    "ObsScaling, benchmarks": lambda data: observational(data, "base_llm_benchmark_eval"),
    "ObsScaling, emergent tasks": lambda data: observational(
        data, "base_llm_emergent_capability_eval"
    ),
    "ObsScaling, post-training tasks": lambda data: observational(
        data, "base_llm_post_training_eval"
    ),
    "ObsScaling, leaderboard 2": lambda data: observational(data, "base_llm_leaderboard_v2_eval"),
    "mlfoundations, by parameters": lambda data: downstream(data, "parameters"),
    "mlfoundations, by tokens": lambda data: downstream(data, "tokens"),
    "LaMDA (figure 6)": paper_lamda,
    "BIG-G and vision (figures 7, 8, 11)": paper_others,
    "Tiny transformers on arithmetic": arithmetic,
    "OLMo's ladder, by FLOPs": ladder,
}

# What the method was chosen on


def early_pythia(data: Path, step: int) -> list[Series]:
    """Checkpoints that are not the last one, of sizes that are never held out above."""
    return harness(pythia_files(data, step, 2.8e9))


def without_items(series: list[Series]) -> list[Series]:
    for one in series:
        for point in one.points:
            point.pop("n", None)
    return series


def five_sizes(data: Path, table: str) -> list[Series]:
    """Families that are too short for the back-test."""
    return [one for one in observational(data, table, 5) if one.scales() == 5]


def downstream_five(data: Path) -> list[Series]:
    """Five sizes at 80 tokens a parameter; the held-out one is in no series above."""
    folder = data / "mlfoundations-scaling"
    items = {
        row["Eval Task"]: float(row["#datapoints"]) for row in rows_of(folder / "eval_metadata.csv")
    }
    found = Gathered()
    for row in zipped_rows(folder / "downstream_accuracy.csv.gz"):
        if row["train_dataset"] == "c4_original" and float(row["chinchilla_multiplier"]) == 4:
            n = items.get(row["task"])
            found[row["task"]].add(float(row["params"]), float(row["accuracy"]), n)
    return found.list(5)


def expit(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z > 0 else math.exp(z) / (1 + math.exp(z))


def simulated_curve(draw: random.Random) -> Callable[[float, float], float]:
    """The value at x nats of a span of 1, with a scatter on the logit or its like."""
    kinds = ("flat", "erratic", "logistic", "power", "line", "hinge", "saturating")
    (kind,) = draw.choices(kinds, (25, 10, 25, 15, 8, 9, 8))
    chance = draw.choice((0, 0, 0.1, 0.25, 0.25, 0.5))
    place = draw.uniform(0, 1.3)
    if kind in ("flat", "erratic"):
        level = math.exp(draw.uniform(math.log(0.002), math.log(0.6)))
        start = math.log(level / (1 - level))
        erratic = draw.uniform(0.1, 1) if kind == "erratic" else 0.0
        slope = draw.uniform(-0.6, 1.8) if kind == "erratic" else 0.0
        return lambda x, e: expit(start + slope * x + erratic * draw.gauss(0, 1) + e)
    if kind == "logistic":
        width, top = math.exp(draw.uniform(math.log(0.05), math.log(0.5))), draw.uniform(0.5, 1)
        return lambda x, e: chance + max(top - chance, 0) * expit((x - place) / width + e)
    if kind == "power":
        exponent, length = draw.uniform(0.6, 3.5), draw.choice((1, 2, 5, 10, 20))
        return lambda x, e: (
            chance
            + (1 - chance) * math.exp(-length * 0.3 * math.exp(-exponent * (x - place + 0.3) + e))
        )
    if kind == "line":
        start, slope = draw.uniform(chance, 0.5), draw.uniform(-0.06, 0.36)
        return lambda x, e: start + slope * x + 0.15 * e
    if kind == "hinge":
        slope = draw.uniform(0.2, 2.4)
        return lambda x, e: chance + 0.02 + slope * max(x - place, 0) * math.exp(e)
    gap, rate = draw.uniform(0.3, 0.9), draw.uniform(0.6, 3)
    return lambda x, e: chance + (1 - chance) * (1 - gap * math.exp(-rate * x + e))


def simulated(count: int, seed: int, know_items: bool) -> list[Series]:
    """Curves of many shapes; models scatter with Student's tails of 3 degrees of freedom."""
    draw = random.Random(seed)
    out = []
    for place in range(count):
        models, span = draw.randint(6, 10), draw.uniform(3, 8.5)
        n = draw.choice((60, 200, 250, 500, 1000, 2000, 5000))
        tau = math.exp(draw.uniform(math.log(0.01), math.log(0.4)))
        curve = simulated_curve(draw)
        series = Series(f"simulated {place}")
        for i in range(models):
            x = (i + draw.uniform(-0.3, 0.3)) / (models - 1)
            squares = sum(draw.gauss(0, 1) ** 2 for _ in range(3))
            scatter = tau * draw.gauss(0, 1) / math.sqrt(squares / 3)
            p = min(max(curve(x, max(min(scatter, 20), -20)), 0.0), 1.0)
            k = sum(draw.random() < p for _ in range(n))
            series.add(1e8 * math.exp(span * x), k / n, n if know_items else None)
        out.append(series)
    return out


DEVELOPMENT: dict[str, Callable[[Path], list[Series]]] = {
    "Pythia up to 2.8B, step 1000": lambda data: early_pythia(data, 1000),
    "Pythia up to 2.8B, step 13000": lambda data: early_pythia(data, 13000),
    "Pythia up to 2.8B, step 63000, n withheld": lambda data: without_items(
        early_pythia(data, 63000)
    ),
    "ObsScaling, five sizes, benchmarks": lambda data: five_sizes(data, "base_llm_benchmark_eval"),
    "ObsScaling, five sizes, emergent tasks": lambda data: five_sizes(
        data, "base_llm_emergent_capability_eval"
    ),
    "ObsScaling, five sizes, post-training tasks": lambda data: five_sizes(
        data, "base_llm_post_training_eval"
    ),
    "ObsScaling, five sizes, leaderboard 2": lambda data: five_sizes(
        data, "base_llm_leaderboard_v2_eval"
    ),
    "mlfoundations, five sizes": downstream_five,
    "simulated": lambda data: simulated(300, 1, True),
    "simulated, n withheld": lambda data: simulated(300, 2, False),
}
