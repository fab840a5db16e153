#!/usr/bin/env python3
"""Writes a large lm-eval run for benchmarks: a results file and one samples file.

    make_samples.py --size 1G --kind mc --out DIR

Rows have the shape of those in `examples/facts` (lm-eval 0.4.13): kind `mc` is multiple choice
with 4 choices, about 1.3 kB a row; `gen` is generate_until with two filters; `ll` is
loglikelihood, both 0.8 kB. Texts and numbers vary, hashes are those lm-eval would write, the
scores follow from the rows, and the numbers in the results file are their means, so every check
of `mirage attach` passes. The same arguments give the same bytes. Needs numpy; 1 GB takes less
than a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 4096
DATE = "2026-11-23T00-00-00.000001"
MODEL = "generated"
UNITS = {"K": 10**3, "M": 10**6, "G": 10**9}
VOCABULARY = (
    "river stone bridge morning table window garden letter market winter summer teacher "
    "engine mountain forest number question answer small large early late quiet bright "
    "Brasília Bogotá Zürich Köln Água été niño straße São Łódź Ålesund Malmö "
    "north south between under after before never always often seldom measure ruler slope "
    "staircase sample model scale metric error choice token figure delta "
    "copper silver carbon planet orbit gravity energy motion sound light water glass paper"
)
WORDS = VOCABULARY.split()


@dataclass
class Block:
    """Lines of some documents, by filter, and the sums of their scores."""

    lines: dict[str, list[str]] = field(default_factory=dict)
    sums: dict[str, list[float]] = field(default_factory=dict)  # "metric,filter" -> row scores
    hashes: list[str] = field(default_factory=list)


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def doc_text(doc: dict[str, Any]) -> str:
    """json.dumps(doc, indent=2, ensure_ascii=False), which lm-eval hashes, but fast: values
    are plain words, integers and lists of plain words."""
    parts = []
    for key, value in doc.items():
        if isinstance(value, list):
            inner = ",\n".join(f'    "{v}"' for v in value)
            parts.append(f'  "{key}": [\n{inner}\n  ]')
        else:
            parts.append(
                f'  "{key}": {value}' if isinstance(value, int) else f'  "{key}": "{value}"'
            )
    return "{\n" + ",\n".join(parts) + "\n}"


def phrases(rng: np.random.Generator, n: int, low: int, high: int) -> list[str]:
    """n phrases of low..high words."""
    counts = rng.integers(low, high + 1, n)
    picks = rng.integers(0, len(WORDS), int(counts.sum())).tolist()
    out, at = [], 0
    for count in counts.tolist():
        out.append(" ".join([WORDS[w] for w in picks[at : at + count]]))
        at += count
    return out


TARGET_HASHES = [sha(str(g)) for g in range(4)]


def mc_block(index: int, n: int) -> Block:
    rng = np.random.Generator(np.random.PCG64([1, index]))
    first = index * BLOCK
    questions = phrases(rng, n, 2, 4)
    tails = phrases(rng, 4 * n, 0, 2)
    heads = rng.integers(0, len(WORDS), n).tolist()  # the choices of a document differ
    choices = [
        f"{WORDS[(head + 17 * k) % len(WORDS)]} {tails[4 * i + k]}".rstrip()
        for i, head in enumerate(heads)
        for k in range(4)
    ]
    gold = rng.integers(0, 4, n)
    ll = -rng.gamma(2.0, 4.0, (n, 4))
    ll[np.arange(n), gold] *= 0.5
    chars = np.array([len(c) for c in choices], dtype=np.float64).reshape(n, 4)
    acc = np.argmax(ll, axis=1) == gold
    acc_norm = np.argmax(ll / chars, axis=1) == gold
    e = np.exp(ll - ll.max(axis=1, keepdims=True))
    q = e / e.sum(axis=1, keepdims=True)
    brier = ((q - np.eye(4)[gold]) ** 2).sum(axis=1)
    greedy = ll > -1.0

    out = Block(lines={"none": []})
    lines = out.lines["none"]
    rows = zip(
        questions, gold.tolist(), ll.tolist(), q.tolist(), acc.tolist(), acc_norm.tolist(),
        greedy.tolist(), strict=True,
    )  # fmt: skip
    for i, (question, g, lls, qs, a, a_norm, greedys) in enumerate(rows):
        doc_id = first + i
        four = choices[4 * i : 4 * i + 4]
        question = f"{question} {doc_id}?"
        prompt = f"Question: {question}\nAnswer:"
        doc_hash = sha(
            doc_text({"question": question, "choices": four, "answer": g, "target": four[g]})
        )
        prompt_hash = sha(prompt)
        target_hash = TARGET_HASHES[g]
        out.hashes.append(doc_hash + prompt_hash + target_hash)
        pairs = [f'["{x!r}", "{y}"]' for x, y in zip(lls, greedys, strict=True)]
        arguments = ", ".join(
            f'"gen_args_{k}": {{"arg_0": "Question: {question}\\nAnswer:", "arg_1": " {c}"}}'
            for k, c in enumerate(four)
        )
        lines.append(
            f'{{"doc_id": {doc_id}, "doc": {{"question": "{question}", "choices": '
            f'["{four[0]}", "{four[1]}", "{four[2]}", "{four[3]}"], "answer": {g}, '
            f'"target": "{four[g]}"}}, "target": "{g}", "arguments": {{{arguments}}}, '
            f'"resps": [[{pairs[0]}], [{pairs[1]}], [{pairs[2]}], [{pairs[3]}]], '
            f'"filtered_resps": [{", ".join(pairs)}], "filter": "none", '
            f'"metrics": ["acc", "acc_norm", "brier_score"], "doc_hash": "{doc_hash}", '
            f'"prompt_hash": "{prompt_hash}", "target_hash": "{target_hash}", '
            f'"acc": {a:.1f}, "acc_norm": {a_norm:.1f}, "brier_score": '
            f'[{g}, "[{qs[0]:.8f} {qs[1]:.8f} {qs[2]:.8f} {qs[3]:.8f}]"]}}\n'
        )
    out.sums = {
        "acc,none": acc.astype(float).tolist(),
        "acc_norm,none": acc_norm.astype(float).tolist(),
        "brier_score,none": brier.tolist(),
    }
    return out


def gen_block(index: int, n: int) -> Block:
    rng = np.random.Generator(np.random.PCG64([2, index]))
    first = index * BLOCK
    questions = phrases(rng, n, 5, 9)
    targets = phrases(rng, n, 1, 8)
    others = phrases(rng, n, 1, 3)
    kind = rng.integers(0, 4, n).tolist()
    place = rng.random(n).tolist()
    out = Block(lines={"strict": [], "loose": []})
    scores: dict[str, list[float]] = {"exact_match,strict": [], "exact_match,loose": []}
    rows = zip(questions, targets, others, kind, place, strict=True)
    for i, (question, target, other, how, where) in enumerate(rows):
        doc_id = first + i
        question = f"{question} {doc_id}?"
        cut = int(where * len(target))
        if how == 0:
            output = target
        elif how == 1:
            output = f"{target[:cut]}{other}{target[cut:]}"
        elif how == 2:
            output = target[:cut] + target[cut + 1 :]
        else:
            output = f"{other} {target[cut:]}"
        output = output.strip() or other
        prompt_hash = sha(f"Question: {question}\nAnswer:")
        doc_hash = sha(doc_text({"question": question, "target": target}))
        target_hash = sha(target)
        out.hashes.append(doc_hash + prompt_hash + target_hash)
        for name, filtered in (("strict", output), ("loose", output.lower())):
            score = float(filtered == target)
            scores[f"exact_match,{name}"].append(score)
            out.lines[name].append(
                f'{{"doc_id": {doc_id}, "doc": {{"question": "{question}", "target": "{target}"}}, '
                f'"target": "{target}", "arguments": {{"gen_args_0": {{"arg_0": '
                f'"Question: {question}\\nAnswer:", "arg_1": {{"until": ["\\n", "."], '
                f'"do_sample": false, "max_gen_toks": 64}}}}}}, "resps": [[" {output}"]], '
                f'"filtered_resps": ["{filtered}"], "filter": "{name}", '
                f'"metrics": ["exact_match"], "doc_hash": "{doc_hash}", '
                f'"prompt_hash": "{prompt_hash}", "target_hash": "{target_hash}", '
                f'"exact_match": {score}}}\n'
            )
    out.sums = scores
    return out


def ll_block(index: int, n: int) -> Block:
    rng = np.random.Generator(np.random.PCG64([3, index]))
    first = index * BLOCK
    questions = phrases(rng, n, 5, 9)
    targets = phrases(rng, n, 1, 6)
    ll = -rng.gamma(1.5, 3.0, n)
    greedy = ll > -1.0
    out = Block(lines={"none": []})
    lines = out.lines["none"]
    rows = zip(questions, targets, ll.tolist(), greedy.tolist(), strict=True)
    for i, (question, target, x, hit) in enumerate(rows):
        doc_id = first + i
        question = f"{question} {doc_id}?"
        prompt_hash = sha(f"Question: {question}\nAnswer:")
        doc_hash = sha(doc_text({"question": question, "target": target}))
        target_hash = sha(f" {target}")
        out.hashes.append(doc_hash + prompt_hash + target_hash)
        lines.append(
            f'{{"doc_id": {doc_id}, "doc": {{"question": "{question}", "target": "{target}"}}, '
            f'"target": " {target}", "arguments": {{"gen_args_0": {{"arg_0": '
            f'"Question: {question}\\nAnswer:", "arg_1": " {target}"}}}}, '
            f'"resps": [[["{x!r}", "{hit}"]]], "filtered_resps": [["{x!r}", "{hit}"]], '
            f'"filter": "none", "metrics": ["perplexity", "acc"], "doc_hash": "{doc_hash}", '
            f'"prompt_hash": "{prompt_hash}", "target_hash": "{target_hash}", '
            f'"perplexity": {x!r}, "acc": {int(hit)}}}\n'
        )
    out.sums = {"perplexity,none": ll.tolist(), "acc,none": greedy.astype(float).tolist()}
    return out


BLOCKS: dict[str, Callable[[int, int], Block]] = {"mc": mc_block, "gen": gen_block, "ll": ll_block}
MEAN_ACC = {"metric": "acc", "aggregation": "mean", "higher_is_better": True}
CONFIGS: dict[str, dict[str, Any]] = {
    "mc": {
        "doc_to_target": "answer",
        "doc_to_choice": "choices",
        "output_type": "multiple_choice",
        "metric_list": [
            MEAN_ACC,
            {"metric": "acc_norm", "aggregation": "mean", "higher_is_better": True},
            {"metric": "brier_score", "higher_is_better": False},
        ],
    },
    "gen": {
        "doc_to_target": "target",
        "output_type": "generate_until",
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "generation_kwargs": {"until": ["\n", "."], "do_sample": False, "max_gen_toks": 64},
        "filter_list": [
            {"name": "strict", "filter": [{"function": "remove_whitespace"}]},
            {"name": "loose", "filter": [{"function": "lowercase"}]},
        ],
    },
    "ll": {
        "doc_to_target": " {{target}}",
        "output_type": "loglikelihood",
        "metric_list": [
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            MEAN_ACC,
        ],
    },
}


def results_of(kind: str, task: str, n: int, numbers: dict[str, float], task_hash: str) -> Any:
    config = {
        "task": task,
        "dataset_path": "json",
        "test_split": "test",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "unsafe_code": False,
        "description": "",
        "target_delimiter": " ",
        "fewshot_delimiter": "\n\n",
        "num_fewshot": 0,
        "repeats": 1,
        "should_decontaminate": False,
        "metadata": {"version": 1.0},
        **CONFIGS[kind],
    }
    listed: dict[str, Any] = {"name": task, "alias": task, "sample_len": n}
    for key, value in numbers.items():
        metric, name = key.split(",")
        listed[key] = value
        binary = metric.startswith(("acc", "exact"))
        stderr = math.sqrt(value * (1 - value) / max(n - 1, 1)) if binary else "N/A"
        listed[f"{metric}_stderr,{name}"] = stderr
    better = {m["metric"]: m["higher_is_better"] for m in config["metric_list"]}
    return {
        "results": {task: listed},
        "group_subtasks": {},
        "configs": {task: config},
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "higher_is_better": {task: better},
        "n-samples": {task: {"original": n, "effective": n}},
        "config": {"model": MODEL, "model_args": {"pretrained": MODEL}, "batch_size": 1},
        "git_hash": None,
        "date": 1795392000.0,
        "lm_eval_version": "0.4.13",
        "task_hashes": {task: task_hash},
        "model_source": MODEL,
        "model_name": MODEL,
        "model_name_sanitized": MODEL,
        "system_instruction": None,
        "chat_template": None,
        "chat_template_sha": None,
        "total_evaluation_time_seconds": "0.0",
    }


def parse_size(text: str) -> int:
    unit = UNITS.get(text[-1:].upper())
    return int(float(text[:-1]) * unit) if unit else int(text)


def make(kind: str, size: int, out: Path) -> tuple[Path, int]:
    """Writes the run; returns the samples file and the number of rows."""
    block = BLOCKS[kind]
    probe = block(0, 512)
    row_bytes = sum(len(line.encode()) for lines in probe.lines.values() for line in lines) / 512
    n = max(1, round(size / row_bytes))
    task = f"bench_{kind}"
    folder = out / MODEL
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{DATE}.jsonl"
    sums: dict[str, list[float]] = {}
    digest = hashlib.sha256()
    n_rows = 0
    with path.open("wb") as file:
        for name in probe.lines:  # rows are grouped by filter
            for index, first in enumerate(range(0, n, BLOCK)):
                part = block(index, min(BLOCK, n - first))
                lines = part.lines[name]
                file.write("".join(lines).encode())
                n_rows += len(lines)
                digest.update("".join(part.hashes).encode())
                for key, values in part.sums.items():
                    if key.endswith(f",{name}"):
                        sums.setdefault(key, []).append(math.fsum(values))
    numbers = {key: math.fsum(parts) / n for key, parts in sums.items()}
    if "perplexity,none" in numbers:
        numbers["perplexity,none"] = math.exp(-numbers["perplexity,none"])
    results = results_of(kind, task, n, numbers, digest.hexdigest())
    target = folder / f"results_{DATE}.json"
    target.write_text(json.dumps(results, indent=2, ensure_ascii=False), encoding="utf-8")
    return path, n_rows


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--size", default="100M", help="bytes, with K, M or G (powers of 1000)")
    parser.add_argument("--kind", choices=sorted(BLOCKS), default="mc")
    parser.add_argument("--out", type=Path, required=True, help="folder; a model folder goes below")
    options = parser.parse_args()
    path, n = make(options.kind, parse_size(options.size), options.out)
    size = path.stat().st_size
    print(f"{path}: {n} rows, {size} bytes, {size / n:.0f} bytes a row")
    return 0


if __name__ == "__main__":
    sys.exit(main())
