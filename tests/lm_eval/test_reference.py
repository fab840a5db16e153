"""The reference script against its definitions, written out for one sample at a time."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import random
from pathlib import Path
from typing import Any

import attach_reference
import make_samples
import pytest

Json = dict[str, Any]


def choices(ll: list[float], golds: list[int], texts: list[str]) -> dict[str, float]:
    """Definitions of the multiple-choice metrics, one sample, no cleverness."""
    k = range(len(ll))
    argmax = ll.index(max(ll))
    q = [math.exp(x) / math.fsum(math.exp(y) for y in ll) for x in ll]
    wrong = [i for i in k if i not in golds]
    best = max(golds, key=lambda g: (ll[g], -g))
    p_gold = math.fsum(math.exp(ll[g]) for g in golds)
    n_bytes = len(texts[best].encode())
    brier = math.fsum((q[i] - (1 / len(golds) if i in golds else 0)) ** 2 for i in k)
    return {
        "acc": float(argmax in golds),
        "log_p_gold": math.log(p_gold),
        "p_gold": p_gold,
        "nll_per_char": -ll[best] / len(texts[best]),
        "nll_per_byte": -ll[best] / n_bytes,
        "bits_per_byte": -ll[best] / n_bytes / math.log(2),
        "log_p_gold_choices": math.log(math.fsum(q[g] for g in golds)),
        "p_gold_choices": math.fsum(q[g] for g in golds),
        "brier_score": brier,
        "brier_mean": brier / len(ll),
        "brier_target": (1 - math.fsum(q[g] for g in golds)) ** 2,
        "brier_top": (max(q) - (argmax in golds)) ** 2,
        "margin": ll[best] - max(ll[i] for i in wrong),
        "p_wrong_mass": math.fsum(math.exp(ll[i]) for i in wrong),
        "rank": 1 + sum(x > ll[best] for x in ll),
    }


def distance(a: str, b: str) -> int:
    """Levenshtein's distance by its recursion."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, old = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, old[j] + 1, old[j - 1] + (x != y)))
    return row[-1]


def write_run(folder: Path, config: Json, rows: list[Json], reported: Json) -> tuple[Path, str]:
    date = "2026-01-02T03-04-05.678900"
    names = {"results": {"t": reported}, "configs": {"t": {"target_delimiter": " ", **config}}}
    counts = {"n-samples": {"t": {"original": len(rows), "effective": len(rows)}}}
    path = folder / f"results_{date}.json"
    path.write_text(json.dumps({**names, **counts, "chat_template": None}), encoding="utf-8")
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / f"samples_t_{date}.jsonl").write_text(lines, encoding="utf-8")
    return path, date


def counterparts(folder: Path, config: Json, rows: list[Json], reported: Json) -> Json:
    path, date = write_run(folder, config, rows, reported)
    (task,) = attach_reference.attach(path, date, None, samples=False)["tasks"]
    return {m["metric"]: m for m in task["metrics"] if m["role"] == "COUNTERPART"} | {"": task}


def choice_row(i: int, ll: list[float], target: object, texts: list[str], acc: float) -> Json:
    return {
        "doc_id": i,
        "doc": {},
        "target": str(target),
        "arguments": {
            f"gen_args_{k}": {"arg_0": "Q", "arg_1": f" {t}"} for k, t in enumerate(texts)
        },
        "filtered_resps": [[repr(x), "False"] for x in ll],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": f"{i:064x}",
        "acc": acc,
    }


def test_choices(tmp_path: Path) -> None:
    rng = random.Random(5)
    rows, expected = [], []
    for i in range(300):
        k = rng.randint(2, 6)
        texts = [
            rng.choice(["a", "bé", "ccc", "日本"]) * rng.randint(1, 5) + str(j) for j in range(k)
        ]
        ll = [-rng.expovariate(0.2) for _ in range(k)]
        if i % 7 == 0:
            ll[1] = ll[0]  # a tie
        golds = sorted(rng.sample(range(k), rng.randint(1, k - 1))) if i % 3 else [rng.randrange(k)]
        expected.append(choices(ll, golds, texts))
        target = golds if len(golds) > 1 else golds[0]
        rows.append(choice_row(i, ll, target, texts, expected[-1]["acc"]))
    config = {"output_type": "multiple_choice", "metric_list": [{"metric": "acc"}]}
    found = counterparts(tmp_path, config, rows, {"acc,none": 0.5})
    assert found[""]["n_gold_unverified"] == 0
    for name in expected[0]:
        mean = math.fsum(e[name] for e in expected) / len(expected)
        assert found[name]["value"] == pytest.approx(mean, rel=1e-12), name
        assert found[name]["n"] == len(rows)


def test_calibration_error(tmp_path: Path) -> None:
    """Bins are closed on the right: confidence 1/2 and 1/5 fall into (.4, .5] and (.1, .2]."""
    half = [math.log(0.5)] * 2
    fifth = [math.log(0.2)] * 5
    rows = [
        choice_row(0, half, 0, ["a", "b"], 1.0),
        choice_row(1, half, 1, ["a", "b"], 0.0),
        choice_row(2, [math.log(0.45), math.log(0.45), math.log(0.1)], 0, ["a", "b", "c"], 1.0),
        choice_row(3, fifth, 1, list("abcde"), 0.0),
    ]
    config = {"output_type": "multiple_choice", "metric_list": [{"metric": "acc"}]}
    found = counterparts(tmp_path, config, rows, {"acc,none": 0.5})
    expected = (abs(2 - (0.5 + 0.5 + 0.45)) + abs(0 - 0.2)) / 4
    assert found["ece"]["value"] == pytest.approx(expected, rel=1e-12)


def test_bad_rows_are_counted(tmp_path: Path) -> None:
    rows = [
        choice_row(0, [-1.0, -2.0], 0, ["a", "b"], 1.0),
        choice_row(1, [math.nan, -2.0], 0, ["a", "b"], 1.0),
        choice_row(2, [0.5, -2.0], 0, ["a", "b"], 1.0),
        choice_row(3, [-1.0, -2.0], 7, ["a", "b"], 0.0),  # gold out of range
        choice_row(4, [-1.0, -2.0], 1, ["a", "b"], 1.0),  # acc contradicts the target
        choice_row(0, [-1.0, -2.0], 0, ["a", "b"], 1.0),  # a repeated key
        choice_row(5, [-1.0, -math.inf], 0, ["a", "b"], 1.0),
    ]
    config = {"output_type": "multiple_choice", "metric_list": [{"metric": "acc"}]}
    found = counterparts(tmp_path, config, rows, {"acc,none": 0.5})
    task = found[""]
    assert (task["n_bad"], task["n_lost"], task["n_gold_unverified"]) == (2, 1, 2)
    assert (found["p_gold"]["n"], found["p_gold"]["value"]) == (2, pytest.approx(math.exp(-1)))
    assert found["margin"]["value"] == math.inf


def test_generation(tmp_path: Path) -> None:
    rng = random.Random(6)
    rows, totals = [], [0.0] * 4
    for i in range(200):
        target = "".join(rng.choices("abé日", k=rng.randint(1, 70)))
        output = "".join(rng.choice("abé日") if rng.random() < 0.3 else c for c in target)
        output = output[rng.randint(0, 2) :] + "b" * rng.randint(0, 2)
        edits = distance(output, target)
        prefix = next((j for j, c in enumerate(target) if output[j : j + 1] != c), len(target))
        equal = sum(a == b for a, b in zip(output, target, strict=False))
        scores = (edits, 1 - edits / max(len(output), len(target)), prefix / len(target))
        for j, score in enumerate((*scores, equal / len(target))):
            totals[j] += score
        rows.append(
            {
                "doc_id": i,
                "target": target,
                "filtered_resps": [output],
                "filter": "none",
                "metrics": ["exact_match"],
                "exact_match": float(output == target),
                "doc_hash": f"{i:064x}",
            }
        )
    config = {"output_type": "generate_until", "metric_list": [{"metric": "exact_match"}]}
    found = counterparts(tmp_path, config, rows, {"exact_match,none": 0.0})
    for name, total in zip(attach_reference.GenerationScorer.NAMES, totals, strict=True):
        assert found[name]["value"] == pytest.approx(total / len(rows), rel=1e-12), name


def test_likelihood(tmp_path: Path) -> None:
    rng = random.Random(7)
    texts = [f" {'né' * rng.randint(1, 9)}" for _ in range(50)]
    lls = [-rng.expovariate(0.3) for _ in texts]
    rows = [
        {
            "doc_id": i,
            "target": text,
            "arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": text}},
            "filtered_resps": [[repr(ll), "True"]],
            "filter": "none",
            "metrics": ["perplexity", "acc"],
            "perplexity": ll,
            "acc": 1,
            "doc_hash": f"{i:064x}",
        }
        for i, (text, ll) in enumerate(zip(texts, lls, strict=True))
    ]
    config = {"output_type": "loglikelihood", "metric_list": []}
    found = counterparts(tmp_path, config, rows, {"perplexity,none": 1.0})
    pairs = list(zip(texts, lls, strict=True))
    n = len(pairs)
    expected = {
        "log_p_target": math.fsum(lls) / n,
        "perplexity": math.exp(-math.fsum(lls) / n),
        "expected_accuracy": math.fsum(map(math.exp, lls)) / n,
        "nll_per_char": math.fsum(-x / len(t) for t, x in pairs) / n,
        "bits_per_byte": math.fsum(-x / len(t.encode()) for t, x in pairs) / n / math.log(2),
        "expected_edit_distance": math.fsum(
            len(t) * (1 - math.exp(x / len(t))) for t, x in pairs
        ) / n,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-12), name


def test_compare_sees_differences(tmp_path: Path) -> None:
    """The comparison accepts the reference's own answer and finds each kind of fault in it."""
    rows = [choice_row(i, [-1.0 - i, -2.0], i % 2, ["a", "b"], 1.0) for i in range(5)]
    rows[1]["filtered_resps"][0][0] = "-3.0"
    config = {"output_type": "multiple_choice", "metric_list": [{"metric": "acc"}]}
    acc = 0.6
    for i, row in enumerate(rows):
        lls = [float(pair[0]) for pair in row["filtered_resps"]]
        row["acc"] = float(lls.index(max(lls)) == i % 2)
    acc = sum(row["acc"] for row in rows) / len(rows)
    path, date = write_run(tmp_path, config, rows, {"acc,none": acc})
    run = attach_reference.attach(path, date, None, samples=False)
    assert attach_reference.compare({"runs": [run]}, [run])[0] == []

    def kinds(change: Any, **options: Any) -> list[str]:
        other = copy.deepcopy(run)
        change(other)
        problems, _ = attach_reference.compare({"runs": [other]}, [run], **options)
        return sorted({row[4] for row in problems})

    def metric(name: str, role: str, field: str, value: object) -> Any:
        def change(other: Json) -> None:
            for entry in other["tasks"][0]["metrics"]:
                if (entry["metric"], entry["role"]) == (name, role):
                    entry[field] = value

        return change

    value = next(m["value"] for m in run["tasks"][0]["metrics"] if m["metric"] == "p_gold")
    assert kinds(metric("p_gold", "COUNTERPART", "value", value * (1 + 1e-8))) == ["value"]
    assert kinds(metric("p_gold", "COUNTERPART", "value", value * (1 + 1e-10))) == []
    assert kinds(metric("p_gold", "COUNTERPART", "value", "NaN")) == ["value"]
    assert kinds(metric("p_gold", "COUNTERPART", "n", 3)) == ["n"]
    assert kinds(metric("acc", "REPORTED", "reported_value", 0.5)) == [
        "reported_value",
        "value against reported",
    ]
    drop = metric("p_gold", "COUNTERPART", "metric", "acc")
    assert kinds(drop) == ["missing COUNTERPART", "value"]
    assert kinds(lambda r: r["tasks"].clear()) == ["task"]
    assert kinds(lambda r: r["tasks"].clear(), require_all=False) == []
    assert kinds(lambda r: r["tasks"][0].update(n_gold_unverified=1)) == ["n_gold_unverified"]


@pytest.mark.parametrize("kind", ["mc", "gen", "ll"])
def test_generated_samples_hold_together(tmp_path: Path, kind: str) -> None:
    """What `make_samples.py` writes for benchmarks: means, hashes, size, the same bytes again."""
    paths = []
    for name in ("one", "two"):
        path, n = make_samples.make(kind, 400_000, tmp_path / name)
        paths.append(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert abs(paths[0].stat().st_size / 400_000 - 1) < 0.05
    ((results, date),) = attach_reference.find_runs(tmp_path / "one")
    run = attach_reference.attach(results, date, None, samples=False)
    problems, checks, skipped = attach_reference.check_reported([run])
    assert (problems, skipped) == ([], 0)
    assert checks == {"mc": 3, "gen": 2, "ll": 2}[kind]
    assert all(t["n_bad"] == t["n_lost"] == t["n_gold_unverified"] == 0 for t in run["tasks"])
    assert sum(t["n_samples"] for t in run["tasks"]) == n

    def sha(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    task_hash = hashlib.sha256()
    for line in paths[0].read_text(encoding="utf-8").split("\n")[:-1]:
        row = json.loads(line)
        assert row["doc_hash"] == sha(json.dumps(row["doc"], indent=2, ensure_ascii=False))
        assert row["prompt_hash"] == sha(row["arguments"]["gen_args_0"]["arg_0"])
        assert row["target_hash"] == sha(row["target"])
        task_hash.update((row["doc_hash"] + row["prompt_hash"] + row["target_hash"]).encode())
    written = json.loads(results.read_text(encoding="utf-8"))
    assert written["task_hashes"] == {f"bench_{kind}": task_hash.hexdigest()}


DATA = os.environ.get("MIRAGE_DATA", str(Path(__file__).resolve().parents[3] / "shared" / "data"))
FOLDERS = {"lm_eval_demo": 90, "lm_eval_facts": 17, "arithmetic_family": 306}


@pytest.mark.external
@pytest.mark.parametrize("name", FOLDERS)
def test_reference_agrees_with_given_logs(name: str) -> None:
    folder = Path(DATA) / "eval_logs" / name
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist (MIRAGE_DATA)")
    runs = [
        attach_reference.attach(path, date, None, samples=False)
        for path, date in attach_reference.find_runs(folder)
    ]
    problems, checks, skipped = attach_reference.check_reported(runs)
    assert (problems, checks, skipped) == ([], FOLDERS[name], 0)


@pytest.mark.external
def test_reference_holds_the_published_figures() -> None:
    """The lm-eval column at the top of `ground_harnesses.md`, and its mean log p over choices."""
    folder = Path(DATA) / "eval_logs" / "lm_eval_facts" / "out_plain"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist (MIRAGE_DATA)")
    ((path, date),) = attach_reference.find_runs(folder)
    tasks = attach_reference.attach(path, date, None, samples=False)["tasks"]
    values = {(t["task"], m["metric"]): m["value"] for t in tasks for m in t["metrics"]}
    assert values["demo_mc", "brier_score"] == pytest.approx(0.37741850753620404, abs=1e-15)
    assert values["demo_mc", "log_p_gold"] == pytest.approx(-1.3658687732809884, abs=1e-14)
    assert values["demo_mc", "log_p_gold_choices"] == pytest.approx(-0.595289000128935, abs=1e-14)
    assert values["demo_mc", "acc"] == 0.775
    assert values["demo_ll", "perplexity"] == pytest.approx(3.9191264057133712, abs=1e-13)
