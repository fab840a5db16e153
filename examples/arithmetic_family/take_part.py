"""Cuts a small family out of a large one: the first documents of a few tasks of every model.

    python3 take_part.py FAMILY [--evidence FOLDER] [--tasks add3 add3_ll] [--documents 150]

FAMILY is a folder with one folder a model, as lm-evaluation-harness 0.4.13 writes them
(`--log_samples`), and a models.csv. The part is what `lm_eval --limit 150` would have written:
the rows are unchanged, and the results say 150 documents and their means. Standard errors that
the harness draws at random are left out ("N/A"). FOLDER has one folder a model with what hooks
recorded, mirage_evidence_<task>_<date>.jsonl; the same documents are taken from there.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from pathlib import Path

# Entries of a results file that have one value a task.
BY_TASK = (
    "results",
    "group_subtasks",
    "configs",
    "versions",
    "n-shot",
    "higher_is_better",
    "n-samples",
    "task_hashes",
)
# Columns of the table of scales.
SCALES = ("model", "parameters", "train_tokens", "flops", "final_train_loss", "seed", "family")


def numbers(rows: list[dict], metric: str) -> tuple[float, float | str]:
    """Mean and standard error of a metric as the harness makes them of its rows."""
    values = [float(row[metric]) for row in rows]
    n = len(values)
    mean = sum(values) / n
    if metric == "perplexity":
        return math.exp(-mean), "N/A"
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    return mean, deviation / math.sqrt(n)


def take_evidence(path: Path, out: Path, n: int) -> None:
    """Writes the header and the first documents of a hook's file, where there is one."""
    if not path.exists():
        return
    header, *rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [row for row in rows if json.loads(row)["doc_id"] < n]
    (out / path.name).write_text("".join([header, *kept]), encoding="utf-8")


def take(model: Path, evidence: Path | None, out: Path, tasks: list[str], n: int) -> None:
    """Writes the part of one model."""
    (results_path,) = model.glob("results_*.json")
    results = json.loads(results_path.read_text(encoding="utf-8"))
    date = results_path.stem.removeprefix("results_")
    out.mkdir(parents=True, exist_ok=True)
    for entry in BY_TASK:
        results[entry] = {t: v for t, v in results[entry].items() if t in tasks}
    # Digests are over all documents of a task.
    results["task_hashes"] = {}
    results["config"]["limit"] = n
    for task in tasks:
        name = f"samples_{task}_{date}.jsonl"
        lines = (model / name).read_text(encoding="utf-8").splitlines(keepends=True)[:n]
        (out / name).write_text("".join(lines), encoding="utf-8")
        rows = [json.loads(line) for line in lines]
        about = results["results"][task]
        about["sample_len"] = n
        for key in [k for k in about if k.endswith(",none") and "_stderr" not in k]:
            metric = key.removesuffix(",none")
            about[key], about[f"{metric}_stderr,none"] = numbers(rows, metric)
        results["n-samples"][task]["effective"] = n
        if evidence is not None:
            take_evidence(evidence / model.name / f"mirage_evidence_{task}_{date}.jsonl", out, n)
    text = json.dumps(results, indent=2, ensure_ascii=False)
    (out / results_path.name).write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("family", type=Path, help="folder with one folder a model and models.csv")
    parser.add_argument("--evidence", type=Path, help="folder of what hooks recorded")
    parser.add_argument("--tasks", nargs="+", default=["add3", "add3_ll"])
    parser.add_argument("--documents", type=int, default=150)
    arguments = parser.parse_args()
    here = Path(__file__).parent
    for model in sorted(path for path in arguments.family.iterdir() if path.is_dir()):
        take(model, arguments.evidence, here / model.name, arguments.tasks, arguments.documents)
    with (arguments.family / "models.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    with (here / "models.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, SCALES, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
