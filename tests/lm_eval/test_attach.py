"""`mirage attach` on the runs that the tests made with the installed lm_eval."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attach_reference
import make_runs
import pytest
from conftest import digests
from test_runs import GROUP, results, results_file

pytestmark = [pytest.mark.lm_eval, pytest.mark.mirage]

Json = dict[str, Any]
COMPLETE = [run for run in make_runs.RUNS if run not in ("predict_only", "no_samples")]
METRIC_FIELDS = {"metric", "role", "n", "n_bad", "higher_is_better", "signature", "counterpart_of"}
TASK_FIELDS = {
    "task",
    "filter",
    "n_samples",
    "members",
    "metrics",
    "unavailable",
    "warnings",
    "n_gold_unverified",
}
RISKS = {"NONE", "LOW", "HIGH", "UNKNOWN"}
CODES = {
    # Beyond the contract, see docs/risk.md.
    "COMPOSITION",
    "COUNTERPARTS_AGREE",
    "COUNTERPARTS_DISAGREE",
    "CONTINUOUS",
    "EDIT_DISTANCE_ONLY",
    "NO_COUNTERPART",
    "UNREGISTERED_METRIC",
    "DISTORTS",
    "RESOLUTION",
    "AT_FLOOR",
    "AT_CEILING",
    "NEAR_CHANCE",
    "GOLD_UNVERIFIED",
    "NO_SAMPLES",
}


@dataclass
class Attached:
    """One call of `mirage attach` on a copy of a run."""

    folder: Path
    before: dict[str, str]
    done: subprocess.CompletedProcess[str]
    answer: Json

    @property
    def tasks(self) -> list[Json]:
        (run,) = self.answer["runs"]
        return run["tasks"]

    def metrics(self, task: str, filter_name: str = "none") -> list[Json]:
        (found,) = (t for t in self.tasks if (t["task"], t["filter"]) == (task, filter_name))
        return found["metrics"]


def call(binary: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(binary), "attach", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)


@pytest.fixture(scope="session")
def attached(
    runs: Path, mirage_bin: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Attached]:
    out = {}
    for run in make_runs.RUNS:
        folder = tmp_path_factory.mktemp("attached") / run
        shutil.copytree(runs / run, folder)
        before = digests(folder)
        done = call(mirage_bin, folder, "--output-format", "json", "--samples")
        assert done.returncode == 0, f"{run}: exit {done.returncode}\n{done.stderr}"
        out[run] = Attached(folder, before, done, json.loads(done.stdout))
    return out


def reference(folder: Path) -> list[Json]:
    found = attach_reference.find_runs(folder)
    return [attach_reference.attach(path, date, None, samples=False) for path, date in found]


@pytest.mark.parametrize("run", make_runs.RUNS)
def test_contract_fields(attached: dict[str, Attached], run: str) -> None:
    """Section 4 of the design: fields that scripts outside the project read."""
    answer = attached[run].answer
    assert len(answer["runs"]) == 1
    for one in answer["runs"]:
        assert {"model", "harness", "harness_version", "path", "tasks"} <= set(one)
        assert (one["model"], one["harness"]) == ("mirage/tiny", "lm-eval")
        assert one["tasks"]
        for task in one["tasks"]:
            assert set(task) >= TASK_FIELDS
            for metric in task["metrics"]:
                check_metric(metric)
            reported = [m for m in task["metrics"] if m["role"] == "REPORTED"]
            assert all("mirage_risk" in m for m in reported)
            if reported:
                assert task["mirage_risk"]["level"] in RISKS
            for missing in task["unavailable"]:
                assert missing["metric"]
                assert missing["reason"]


def check_metric(metric: Json) -> None:
    assert set(metric) >= METRIC_FIELDS
    assert metric["role"] in ("REPORTED", "COUNTERPART")
    if metric["role"] == "COUNTERPART":
        assert metric["counterpart_of"]
        assert "reported_value" not in metric
    if "interval" in metric:
        interval = metric["interval"]
        assert {"lower", "upper", "level", "method"} <= set(interval)
        assert interval["level"] == 0.95
        # Without samples the interval is that of the harness's own number.
        value = attach_reference.number(metric.get("value", metric.get("reported_value")))
        lower, upper = map(attach_reference.number, (interval["lower"], interval["upper"]))
        if not any(x is None or math.isnan(x) for x in (lower, value, upper)):
            assert lower <= value <= upper
    if "mirage_risk" in metric:
        risk = metric["mirage_risk"]
        assert risk["level"] in RISKS
        for reason in risk["reasons"]:
            assert reason["code"] in CODES
            assert reason["text"]
            assert all({"name", "value"} <= set(v) for v in reason["values"])


@pytest.mark.parametrize("run", COMPLETE)
def test_value_equals_what_lm_eval_reported(attached: dict[str, Attached], run: str) -> None:
    """To 1e-12, for every metric of every task that is a mean, a ratio or a perplexity; Brier
    scores among them."""
    written = results(attached[run].folder.parent, run)["results"]
    checked = set()
    for task in attached[run].tasks:
        for metric in task["metrics"]:
            if metric["role"] != "REPORTED":
                continue
            told = written[task["task"]][f"{metric['metric']},{task['filter']}"]
            assert attach_reference.number(metric["reported_value"]) == told
            if (task["task"], metric["metric"]) == ("t_median", "acc_norm"):
                continue
            if task["members"] and "value" not in metric:
                continue  # a group's number comes from its members
            value = attach_reference.number(metric["value"])
            assert attach_reference.close(value, told, 1e-12), (task["task"], metric)
            checked.add(metric["metric"])
            if "rederived" in metric and not task["n_gold_unverified"]:
                assert metric["rederived"] == 1.0, (task["task"], metric)
    expected = {"acc", "exact_match"} | ({"brier_score"} if "t_mc" in written else set())
    assert checked >= expected


@pytest.mark.parametrize("run", make_runs.RUNS)
def test_values_equal_the_reference(attached: dict[str, Attached], run: str) -> None:
    """Every counterpart to 1e-9, with its number of samples."""
    folder = attached[run].folder
    problems, checks = attach_reference.compare(
        attached[run].answer, reference(folder), require_all=run != "predict_only"
    )
    assert not problems, "\n".join("  ".join(row) for row in problems)
    assert checks > 0


@pytest.mark.parametrize("run", make_runs.RUNS)
def test_originals_stay_and_derived_files_lie_beside(
    attached: dict[str, Attached], run: str
) -> None:
    one = attached[run]
    after = digests(one.folder)
    assert {name: after.get(name) for name in one.before} == one.before
    path, date = results_file(one.folder)
    new = {one.folder / name for name in set(after) - set(one.before)}
    derived = path.parent / f"mirage_{date}.json"
    assert derived in new
    content = json.loads(derived.read_text(encoding="utf-8"))
    assert content["generator"]
    (stored,) = content["runs"]
    assert stored["tasks"] == one.answer["runs"][0]["tasks"]
    samples = {p for p in new if p.name.startswith("mirage_samples_")}
    assert new == {derived} | samples
    logged = {p.name.removeprefix("samples_") for p in path.parent.glob("samples_*")}
    assert {p.name.removeprefix("mirage_samples_") for p in samples} == logged
    for file in samples:
        lines = file.read_text(encoding="utf-8").split("\n")
        assert all(isinstance(json.loads(line), dict) for line in lines if line)


def test_attaching_again_changes_nothing(attached: dict[str, Attached], mirage_bin: Path) -> None:
    one = attached["json_path"]
    before = digests(one.folder)
    again = call(mirage_bin, one.folder, "--output-format", "json", "--samples")
    assert (again.returncode, again.stdout) == (0, one.done.stdout)
    assert digests(one.folder) == before


def test_write_dir_and_no_write(runs: Path, mirage_bin: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(runs / "limit", folder)
    before = digests(folder)
    assert call(mirage_bin, folder, "--no-write").returncode == 0
    out = tmp_path / "out"
    out.mkdir()
    assert call(mirage_bin, folder, "--write-dir", out).returncode == 0
    assert digests(folder) == before
    _, date = results_file(folder)
    assert [p.name for p in out.iterdir()] == [f"mirage_{date}.json"]


def test_a_folder_of_runs_is_taken_whole(runs: Path, mirage_bin: Path) -> None:
    done = call(mirage_bin, runs / "limit", runs / "chat", "--no-write", "--output-format", "json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["runs"]) == 2


def test_group(attached: dict[str, Attached]) -> None:
    """A group shows its members and the harness's numbers."""
    (group,) = (t for t in attached["plain"].tasks if t["task"] == "t_group")
    assert group["members"] == GROUP
    written = results(attached["plain"].folder.parent, "plain")["results"]["t_group"]
    told = {m["metric"]: m["reported_value"] for m in group["metrics"] if m["role"] == "REPORTED"}
    assert told == {"acc": written["acc,none"], "acc_norm": written["acc_norm,none"]}


def test_gold_that_is_not_in_the_log(attached: dict[str, Attached]) -> None:
    """Three prompts and acc = 0: counted, warned of, never guessed."""
    (task,) = (t for t in attached["plain"].tasks if t["task"] == "t_wino3")
    assert 0 < task["n_gold_unverified"] < task["n_samples"]
    # The rows that are left are those that the harness scored as right: no mean over them.
    assert all(m["role"] == "REPORTED" for m in task["metrics"])
    assert (
        "would be biased" in {m["metric"]: m["reason"] for m in task["unavailable"]}["log_p_gold"]
    )
    assert any("no counterparts" in warning for warning in task["warnings"])
    assert task["mirage_risk"]["level"] == "UNKNOWN"
    reasons = [
        reason["code"]
        for m in task["metrics"]
        if m["role"] == "REPORTED"
        for reason in m["mirage_risk"]["reasons"]
    ]
    assert "GOLD_UNVERIFIED" in reasons


def test_predict_only_is_no_score(attached: dict[str, Attached]) -> None:
    """lm-eval writes bypass = 999 for what it did not score."""
    for task in attached["predict_only"].tasks:
        for metric in task["metrics"]:
            assert attach_reference.number(metric.get("value")) != 999.0


def test_without_samples(attached: dict[str, Attached]) -> None:
    """Aggregates only, saying what is missing and which flag gives it."""
    one = attached["no_samples"]
    for metric in one.metrics("t_mc"):
        assert metric["role"] == "REPORTED"
        assert "value" not in metric
        assert "reported_value" in metric
        if metric["metric"] == "brier_score":
            # Continuous in log p whatever the samples say.
            assert metric["mirage_risk"]["level"] == "NONE"
            continue
        assert metric["mirage_risk"]["level"] == "UNKNOWN"
        codes = [reason["code"] for reason in metric["mirage_risk"]["reasons"]]
        assert "NO_SAMPLES" in codes
    said = json.dumps(one.answer, ensure_ascii=False) + one.done.stderr
    assert "--log_samples" in said


def test_table_names_every_task(attached: dict[str, Attached], mirage_bin: Path) -> None:
    done = call(mirage_bin, attached["plain"].folder, "--no-write")
    assert done.returncode == 0, done.stderr
    for task in attached["plain"].tasks:
        assert task["task"] in done.stdout
