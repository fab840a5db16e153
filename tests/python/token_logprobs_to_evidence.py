#!/usr/bin/env python3
"""Writes token log-probabilities that some other program recorded as evidence for Mirage.

LOGPROBS holds <model>/token_logprobs_<task>.jsonl, one object a document:
{"doc_id": 0, "tokens": ["2", "\\n"], "logprobs": [-0.06, -0.0], "greedy": [true, true]}.
RUNS holds <model>/results_<date>.json of lm-eval. OUT gets
<model>/mirage_evidence_<task>_<date>.jsonl: the run's newest results file gives date and model.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def results_of(folder: Path) -> tuple[str, str]:
    """Date id and model's name of the newest run in a folder."""
    found = sorted(folder.glob("results_*.json"))
    if not found:
        raise SystemExit(f"{folder} holds no results_<date>.json")
    date = found[-1].stem.removeprefix("results_")
    return date, json.loads(found[-1].read_text())["model_name"]


def convert(source: Path, target: Path, header: dict[str, object]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open() as rows, target.open("w") as out:
        out.write(json.dumps(header) + "\n")
        for line in rows:
            row = json.loads(line)
            evidence = {
                "doc_id": row["doc_id"],
                "tokens": row["tokens"],
                "log_probs": row["logprobs"],
                "greedy": row["greedy"],
            }
            out.write(json.dumps(evidence) + "\n")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logprobs", type=Path, metavar="LOGPROBS")
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("out", type=Path, metavar="OUT")
    options = parser.parse_args(arguments)
    sources = sorted(options.logprobs.glob("*/token_logprobs_*.jsonl"))
    if not sources:
        parser.error(f"{options.logprobs} holds no <model>/token_logprobs_<task>.jsonl")
    for source in sources:
        folder = source.parent.name
        task = source.stem.removeprefix("token_logprobs_")
        date, model = results_of(options.runs / folder)
        header = {
            "generator": Path(__file__).name,
            "kind": "mirage_evidence",
            "version": 1,
            "task": task,
            "date": date,
            "model": model,
        }
        convert(source, options.out / folder / f"mirage_evidence_{task}_{date}.jsonl", header)
    return 0


if __name__ == "__main__":
    sys.exit(main())
