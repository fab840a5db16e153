"""Writes metrics/emergence/arithmetic_parts_vectors.inc: a real family, position by position.

Ten character transformers that add and multiply, evaluated greedily by lm_eval; the folder's README
says what an honest reading finds. Per model the exact match, the mean log p of the target, the edit
distance to it, and at each position, from both ends, the mean NLL of the gold character (by the
token log-probs) and the share of wrong characters (by the generated text). The stop character,
which ends each target, has a position like any other under teacher forcing.

Run from the repository's root: `python3 tests/reference/arithmetic_parts.py FOLDER`, FOLDER being
that of the evaluations (../shared/data/eval_logs/arithmetic_family).
"""

import collections
import csv
import json
import math
import sys
from pathlib import Path

OUTPUT = Path("metrics/emergence/arithmetic_parts_vectors.inc")
TASKS = ("add2", "add3", "add4", "mul2x1", "mul2x2")


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def mean_and_error(values: list[float]) -> tuple[float, float]:
    n = len(values)
    mean = math.fsum(values) / n
    spread = math.fsum((v - mean) ** 2 for v in values) / max(1, n - 1)
    return mean, math.sqrt(spread / n)


def edit_distance(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        before, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            before, row[j + 1] = row[j + 1], min(row[j + 1] + 1, row[j] + 1, before + (x != y))
    return row[-1]


def numbers(values: tuple) -> str:
    return "{" + ", ".join(f"{v:.4g}" for v in values) + "}"


def chance_of(units: collections.Counter, is_generated: bool) -> float:
    shares = [count / units.total() for count in units.values()]
    if is_generated:
        return 1 - max(shares)
    return max(0.0, -math.fsum(share * math.log(share) for share in shares))


def task_of(folder: Path, models: list[dict], task: str) -> str:
    lines = []
    units: dict = collections.defaultdict(collections.Counter)
    values: dict = collections.defaultdict(lambda: [[] for _ in models])
    for j, model in enumerate(models):
        run = folder / "a" / model["model"]
        answers = rows_of(next(run.glob(f"samples_{task}_2*.jsonl")))
        likelihoods = rows_of(next(run.glob(f"samples_{task}_ll_2*.jsonl")))
        log_p = [float(row["filtered_resps"][0][0]) for row in likelihoods]
        texts = [(row["filtered_resps"][0], row["target"]) for row in answers]
        tokens = rows_of(
            folder / "a_token_logprobs" / model["model"] / f"token_logprobs_{task}.jsonl"
        )
        cell = (float(model["parameters"]), len(answers))
        cell += mean_and_error([row["exact_match"] for row in answers])
        cell += mean_and_error(log_p)
        cell += mean_and_error([edit_distance(*pair) for pair in texts])
        lines.append(f"        {numbers(cell)},")

        def add(key: tuple, unit: str, value: float, j: int = j) -> None:
            values[key][j].append(value)
            if j == 0:
                units[key][unit] += 1

        for row in tokens:
            size = len(row["tokens"])
            for k, (unit, value) in enumerate(zip(row["tokens"], row["logprobs"], strict=True)):
                add((False, False, k), unit, -value)
                add((False, True, size - 1 - k), unit, -value)
        for text, target in texts:
            for k, unit in enumerate(target):
                add((True, False, k), unit, float(k >= len(text) or text[k] != unit))
                other = target[-1 - k]
                add((True, True, k), other, float(k >= len(text) or text[-1 - k] != other))
    parts = []
    n_items = max(len(by_model[0]) for by_model in values.values())
    for key, by_model in sorted(values.items()):
        is_generated, from_end, k = key
        cells = ", ".join(numbers((*mean_and_error(v), len(v))) for v in by_model)
        chance = chance_of(units[key], is_generated)
        share = len(by_model[0]) / n_items
        words = (str(k), str(from_end).lower(), str(is_generated).lower())
        parts.append(
            f"        {{{', '.join(words)}, {chance:.6g}, {share:.6g},\n         {{{cells}}}}},"
        )
    return (
        f'      {{"{task}",\n       {{\n'
        + "\n".join(lines)
        + "\n       },\n       {\n"
        + "\n".join(parts)
        + "\n       }},"
    )


def main() -> None:
    folder = Path(sys.argv[1])
    with (folder / "a" / "models.csv").open(encoding="utf-8") as file:
        models = list(csv.DictReader(file))
    tasks = "\n".join(task_of(folder, models, task) for task in TASKS)
    OUTPUT.write_text(
        "// Written by tests/reference/arithmetic_parts.py; do not edit.\n// clang-format off\n"
        "std::vector<ArithmeticTask> ArithmeticTasks() {\n"
        "  // name; by model: parameters, items, exact match, log p, edit distance, each with its\n"
        "  // error; by part: position, from the end?, generated?, chance, share of items, and by\n"
        "  // model: mean, error, items\n"
        "  return {\n" + tasks + "\n  };\n}\n// clang-format on\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
