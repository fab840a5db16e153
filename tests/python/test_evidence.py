"""Evidence of a hook beside a real run: log p of the gold beside exact match."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import token_logprobs_to_evidence
from conftest import REPOSITORY, Attach, report

DATA = Path(os.environ.get("MIRAGE_DATA", REPOSITORY.parent / "shared/data"))
FAMILY = DATA / "eval_logs/arithmetic_family"
MODEL = "A-d016"
TASKS = ["add2", "add3", "add4", "mul2x1", "mul2x2"]


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (FAMILY / "a_token_logprobs").is_dir():
        pytest.skip(f"no {FAMILY}: set MIRAGE_DATA to the folder of evaluation logs")
    out = tmp_path_factory.mktemp("evidence")
    arguments = [FAMILY / "a_token_logprobs", FAMILY / "a", out]
    assert token_logprobs_to_evidence.main([str(a) for a in arguments]) == 0
    return out


def likelihoods(task: str) -> list[float]:
    """What the companion task's rows say, by document."""
    (path,) = (FAMILY / "a" / MODEL).glob(f"samples_{task}_ll_2*.jsonl")
    rows = map(json.loads, path.read_text().splitlines())
    by_document = {r["doc_id"]: float(r["filtered_resps"][0][0]) for r in rows}
    return [by_document[i] for i in sorted(by_document)]


@pytest.mark.external
def test_log_p_is_that_of_the_companion_task(attach: Attach, evidence: Path) -> None:
    """`add3_ll` scores ' 238' and no stop token; the evidence has one and no delimiter.

    So both are log p of the same digits: the means agree to the six digits that were kept of each
    token, and would be off by the stop token's mean otherwise.
    """
    answer = report(
        attach(
            FAMILY / "a" / MODEL, "--no-write", "--evidence", evidence, "--output-format", "json"
        )
    )
    tasks = {t["task"]: t for t in answer["runs"][0]["tasks"]}
    for task in TASKS:
        metrics = {m["metric"]: m for m in tasks[task]["metrics"]}
        log_p = metrics["log_p_target"]
        assert log_p["role"] == "COUNTERPART"
        assert log_p["counterpart_of"] == ["exact_match"]
        assert log_p["signature"] == "log_p_target|gold_tokens|v1"
        expected = likelihoods(task)
        assert abs(log_p["value"] - math.fsum(expected) / len(expected)) < 1e-4
        assert log_p["n"] == len(expected) == tasks[task]["n_samples"]
        risk = metrics["exact_match"]["mirage_risk"]
        assert "EDIT_DISTANCE_ONLY" not in {r["code"] for r in risk["reasons"]}
        # The stop token is in none of them: with it NLL per token would be another number.
        (source,) = (FAMILY / "a_token_logprobs" / MODEL).glob(f"token_logprobs_{task}.jsonl")
        rows = [json.loads(line)["logprobs"] for line in source.read_text().splitlines()]
        own = math.fsum(-math.fsum(r[:-1]) / (len(r) - 1) for r in rows) / len(rows)
        every = math.fsum(-math.fsum(r) / len(r) for r in rows) / len(rows)
        assert abs(metrics["nll_per_token"]["value"] - own) < 1e-12
        assert abs(metrics["nll_per_token"]["value"] - every) > 1e-4


@pytest.mark.external
def test_a_run_with_evidence_is_another_run(attach: Attach, evidence: Path) -> None:
    arguments = [FAMILY / "a" / MODEL, "--no-write", "--output-format", "json"]
    without = report(attach(*arguments))["runs"][0]
    with_it = report(attach(*arguments, "--evidence", evidence))["runs"][0]
    assert without["run"] != with_it["run"]
    assert without["run"] == report(attach(*arguments))["runs"][0]["run"]


@pytest.mark.external
def test_files_of_other_runs_are_named(attach: Attach, evidence: Path) -> None:
    done = attach(FAMILY / "a" / MODEL, "--no-write", "--evidence", evidence)
    assert done.returncode == 0
    assert done.stderr.count("belongs to none of the runs") == 5
    assert "and 40 more files" in done.stderr


def test_the_help_shows_it(attach: Attach) -> None:
    done = attach("--help")
    assert "mirage attach results/ --evidence hooks/" in done.stdout
