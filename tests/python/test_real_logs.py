"""Every real lm-eval log: reported numbers recomputed, counterparts equal the Python reference."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Attach, report

REFERENCE = REPOSITORY / "tests/reference/attach_reference.py"
FOLDERS = ["lm_eval_demo", "lm_eval_facts", "arithmetic_family/a", "arithmetic_family/seeds"]


def logs() -> Path:
    data = os.environ.get("MIRAGE_DATA")
    if not data:
        pytest.skip("MIRAGE_DATA is not set: the real logs are not beside this checkout")
    return Path(data) / "eval_logs"


def compare(attach: Attach, folder: Path, tmp_path: Path) -> str:
    answer = tmp_path / "answer.json"
    done = attach(folder, "--no-write", "--quiet", "--output-format", "json", "-o", answer)
    assert done.returncode == 0, done.stderr
    compared = subprocess.run(
        [sys.executable, str(REFERENCE), str(folder), "--write-dir", str(tmp_path)]
        + ["--compare", str(answer)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert compared.returncode == 0, compared.stdout[-4000:] + compared.stderr[-4000:]
    return compared.stdout


def test_examples_equal_the_reference(attach: Attach, tmp_path: Path) -> None:
    # The reference reads logs alone; what hooks recorded is compared in test_evidence.py.
    logs_alone = tmp_path / "examples"
    shutil.copytree(
        REPOSITORY / "examples", logs_alone, ignore=shutil.ignore_patterns("mirage_*", "library")
    )
    assert " 0 mismatches" in compare(attach, logs_alone, tmp_path)


@pytest.mark.external
@pytest.mark.parametrize("name", FOLDERS)
def test_real_logs_equal_the_reference(attach: Attach, name: str, tmp_path: Path) -> None:
    assert " 0 mismatches" in compare(attach, logs() / name, tmp_path)


@pytest.mark.external
@pytest.mark.parametrize("name", FOLDERS)
def test_recomputed_equals_reported(attach: Attach, name: str) -> None:
    answer: Any = report(attach(logs() / name, "--no-write", "--output-format", "json"))
    n = 0
    for run in answer["runs"]:
        for task in run["tasks"]:
            assert task["n_bad"] == 0
            assert task["n_gold_unverified"] == 0
            assert task["warnings"] == []
            for metric in task["metrics"]:
                if metric["role"] != "REPORTED":
                    continue
                scale = max(1, abs(metric["reported_value"]))
                assert abs(metric["value"] - metric["reported_value"]) <= 1e-12 * scale, metric
                assert metric.get("rederived", 1) == 1, (run["path"], task["task"], metric)
                n += 1
    assert n > 10


@pytest.mark.external
def test_incomplete_run_says_so(attach: Attach) -> None:
    folder = logs() / "every_eval_ever/tests/data/lm_eval"
    answer = report(attach(folder, "--no-write", "--output-format", "json"))
    (run,) = answer["runs"]
    perturbed, rephrased = run["tasks"]
    assert any("10 of 5000 rows" in w for w in perturbed["warnings"])
    assert perturbed["n_samples"] == 10
    assert rephrased["n_samples"] == 0
    assert rephrased["metrics"][0]["reported_value"] == 0.0004
    assert "value" not in rephrased["metrics"][0]
    assert any("no samples file" in w for w in rephrased["warnings"])
    assert rephrased["mirage_risk"]["level"] == "UNKNOWN"


@pytest.mark.external
def test_old_results_are_read(attach: Attach) -> None:
    folder = logs() / "every_eval_ever/other_commits"
    answer = report(attach(folder, "--no-write", "--output-format", "json"))
    values = {
        (t["task"], m["metric"]): m["reported_value"]
        for t in answer["runs"][0]["tasks"]
        for m in t["metrics"]
    }
    assert values["sciq", "acc"] == 0.891
    assert values["arc_easy", "acc_norm"] == json.loads("0.5328282828282829")
