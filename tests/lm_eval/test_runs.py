"""What the installed lm_eval writes is what the reader and the reference take it to be."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import attach_reference
import dataset
import make_runs
import pytest

pytestmark = pytest.mark.lm_eval

Json = dict[str, Any]
GROUP = ["t_group_a", "t_group_b"]


def results_file(folder: Path) -> tuple[Path, str]:
    (found,) = attach_reference.find_runs(folder)
    return found


def rows(runs: Path, run: str, task: str) -> list[Json]:
    path, date = results_file(runs / run)
    lines = (path.parent / f"samples_{task}_{date}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in lines.split("\n") if line]


def results(runs: Path, run: str) -> Json:
    return json.loads(results_file(runs / run)[0].read_text(encoding="utf-8"))


def scored(runs: Path, run: str, task: str, metric: str, filter_name: str = "none") -> Json:
    path, date = results_file(runs / run)
    summary = attach_reference.attach(path, date, None, samples=False)
    (found,) = (t for t in summary["tasks"] if (t["task"], t["filter"]) == (task, filter_name))
    (value,) = (m for m in found["metrics"] if (m["metric"], m["role"]) == (metric, "COUNTERPART"))
    return {**value, "n_gold_unverified": found["n_gold_unverified"]}


@pytest.mark.parametrize("run", make_runs.RUNS)
def test_every_task_has_samples(runs: Path, run: str) -> None:
    tasks, output, flags = make_runs.RUNS[run]
    path, date = results_file(runs / run)
    names = [n for task in tasks.split(",") for n in (GROUP if task == "t_group" else [task])]
    expected = {f"samples_{name}_{date}.jsonl" for name in names} if flags else set()
    assert {file.name for file in path.parent.glob("samples_*")} == expected
    assert path.parent == (runs / run if output else runs / run / "mirage__tiny")
    assert results(runs, run)["model_name"] == "mirage/tiny"


@pytest.mark.parametrize("run", make_runs.RUNS)
def test_reference_agrees_with_lm_eval(runs: Path, run: str) -> None:
    """Every number of the results file to 1e-12, and every row's score derived again."""
    path, date = results_file(runs / run)
    summary = attach_reference.attach(path, date, None, samples=False)
    problems, checks, skipped = attach_reference.check_reported([summary])
    assert not problems
    without_numbers = run in ("no_samples", "predict_only")
    assert (checks == 0) == without_numbers
    # Of the others only the median has no definition here.
    if not without_numbers:
        assert skipped == (1 if "t_median" in make_runs.RUNS[run][0] else 0)
    assert all(task["n_bad"] == task["n_lost"] == 0 for task in summary["tasks"])


@pytest.mark.parametrize(
    "task", ["t_mc", "t_mi", "t_ragged", "t_digits", "t_norm_only", "t_prefix", "t_wino"]
)
def test_gold_is_the_documents(runs: Path, task: str) -> None:
    """The choice that the reference takes for gold is the one that the document names, which
    the tests know from how they made it."""
    expected = []
    for row in rows(runs, "plain", task):
        doc = row["doc"]
        right = doc["answer"] if "answer" in doc else doc["gold"]
        gold = doc["choices"].index(right) if isinstance(right, str) else right
        expected.append(float(row["filtered_resps"][gold][0]))
    found = scored(runs, "plain", task, "log_p_gold")
    assert found["n_gold_unverified"] == 0
    assert found["n"] == len(expected)
    assert found["value"] == pytest.approx(math.fsum(expected) / len(expected), rel=1e-12)


def test_gold_of_digits_is_a_text(runs: Path) -> None:
    """A reading of all-digit targets as indices would go unnoticed on some rows: it fits acc."""
    fooled = 0
    for row in rows(runs, "plain", "t_digits"):
        lls = [float(pair[0]) for pair in row["filtered_resps"]]
        best = lls.index(max(lls))
        index, text = int(row["target"]), row["doc"]["choices"].index(row["target"])
        if index < len(lls) and index != text and (best == index) == (row["acc"] == 1.0):
            fooled += 1
    assert fooled > 0
    assert scored(runs, "predict_only", "t_digits", "log_p_gold")["value"] == pytest.approx(
        scored(runs, "plain", "t_digits", "log_p_gold")["value"], rel=1e-12
    )


def test_gold_of_three_prompts_is_not_guessed(runs: Path) -> None:
    """With a prompt per choice and three choices, acc = 0 leaves two candidates."""
    missed = [row for row in rows(runs, "plain", "t_wino3") if row["acc"] == 0.0]
    found = scored(runs, "plain", "t_wino3", "log_p_gold")
    assert missed
    assert found["n_gold_unverified"] == len(missed)
    assert found["n"] == len(dataset.WINO) - len(missed)


def test_several_golds_sum(runs: Path) -> None:
    expected = [
        math.log(
            math.fsum(math.exp(float(row["filtered_resps"][g][0])) for g in row["doc"]["golds"])
        )
        for row in rows(runs, "plain", "t_several")
    ]
    assert {row["target"][0] for row in rows(runs, "plain", "t_several")} == {"["}
    found = scored(runs, "plain", "t_several", "log_p_gold")
    assert found["value"] == pytest.approx(math.fsum(expected) / len(expected), rel=1e-12)


def test_shapes_of_filtered_responses(runs: Path) -> None:
    """A filter chain that does not end in take_first leaves a list in the list."""
    shapes: dict[str, set[str]] = {}
    for row in rows(runs, "plain", "t_gen_repeats"):
        assert len(row["resps"][0]) == 3
        (first,) = row["filtered_resps"]
        kind = "text" if isinstance(first, str) else f"list of {len(first)}"
        shapes.setdefault(row["filter"], set()).add(kind)
    assert shapes == {
        "first": {"text"},
        "majority": {"text"},
        "two": {"list of 2"},
        "vote": {"list of 1"},
    }


def test_predict_only_writes_no_scores(runs: Path) -> None:
    """Choices and likelihoods come without any metric and with 0 effective samples, though the
    rows are there; generations come with bypass = 999."""
    written = results(runs, "predict_only")
    assert written["n-samples"]["t_mc"] == {"original": 24, "effective": 0}
    assert not [key for key in written["results"]["t_mc"] if "," in key]
    assert written["results"]["t_gen"]["bypass,strict"] == 999
    assert all(row["metrics"] == [] for row in rows(runs, "predict_only", "t_mc"))
    assert scored(runs, "predict_only", "t_mc", "log_p_gold")["value"] == pytest.approx(
        scored(runs, "plain", "t_mc", "log_p_gold")["value"], rel=1e-12
    )


def test_chat_template_drops_the_delimiter(runs: Path) -> None:
    """Except after a gen_prefix; the choices' lengths are the same either way."""
    for task, delimiter in (("t_mc", ""), ("t_prefix", " ")):
        for row in rows(runs, "chat", task):
            for k, choice in enumerate(row["doc"]["choices"]):
                assert row["arguments"][f"gen_args_{k}"]["arg_1"] == delimiter + choice
        found = scored(runs, "chat", task, "nll_per_char")
        own = [
            -float(row["filtered_resps"][row["doc"]["answer"]][0]) / len(row["doc"]["label"])
            for row in rows(runs, "chat", task)
        ]
        assert found["value"] == pytest.approx(math.fsum(own) / len(own), rel=1e-12)


def test_limit(runs: Path) -> None:
    assert results(runs, "limit")["n-samples"]["t_mc"] == {"original": 24, "effective": 7}
    assert scored(runs, "limit", "t_mc", "log_p_gold")["n"] == 7


def test_group(runs: Path) -> None:
    written = results(runs, "plain")
    assert written["group_subtasks"] == {"t_group": GROUP}
    assert "t_group" not in written["configs"]
    sizes = [written["n-samples"][name]["effective"] for name in GROUP]
    means = [written["results"][name]["acc,none"] for name in GROUP]
    weighted = sum(n * m for n, m in zip(sizes, means, strict=True)) / sum(sizes)
    assert written["groups"]["t_group"]["acc,none"] == pytest.approx(weighted, rel=1e-12)


def test_model_is_a_distribution() -> None:
    """The n-gram's probabilities sum to 1, and greedy decoding takes the likeliest byte."""
    import tiny_lm

    model = tiny_lm.NgramModel(dataset.training_text().encode(), tiny_lm.ORDERS)
    for context in (b"", b"The river", "Brasí".encode(), b"Answer: P", b"\x00\xff"):
        log_probs = [model.log_prob(context, byte) for byte in range(256)]
        assert math.fsum(math.exp(x) for x in log_probs) == pytest.approx(1.0, rel=1e-12)
        assert log_probs[model.greedy(context)] == max(log_probs)
