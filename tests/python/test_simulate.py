"""`mirage simulate`, then `mirage diagnose` on what it wrote: is the verdict that of truth.json?"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest


def simulate(binary: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(binary), "simulate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def diagnose(binary: Path, family: Path) -> list[dict[str, Any]]:
    """The diagnoses of a family that was simulated."""
    done = subprocess.run(
        [str(binary), "diagnose", str(family), "--scales", str(family / "models.csv")]
        + ["--output-format", "json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["warnings"] == []
    diagnoses: list[dict[str, Any]] = report["diagnoses"]
    return diagnoses


def digests(folder: Path) -> dict[str, str]:
    """Every file below the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("preset", ["mirage", "break", "staggered_breaks", "multiple_choice"])
def test_the_verdict_is_acceptable(binary: Path, preset: str, tmp_path: Path) -> None:
    family = tmp_path / preset
    done = simulate(binary, "--truth", preset, "-o", family, "--seed", "5")
    assert done.returncode == 0, done.stderr
    truth = json.loads((family / "truth.json").read_text())
    (found,) = diagnose(binary, family)
    assert found["verdict"] in truth["acceptable"], found["reasons"]
    # An abstention would do, but these are clear cases; choices have no law of composition.
    if preset != "multiple_choice":
        assert found["verdict"] == truth["verdict"], found["reasons"]
    assert found["family"] == preset
    assert found["n_scales"] == len(truth["spec"]["scales"])
    assert found["metric"] == ("acc" if preset == "multiple_choice" else "exact_match")
    if preset == "staggered_breaks":
        positions = {b["position"] for b in found["breaks"] if b["where"] == "POSITION"}
        assert len(positions) >= 2


def test_the_same_flags_give_the_same_bytes(binary: Path, sidecar: str, tmp_path: Path) -> None:
    flags = ["--truth", "mirage", "--samples", "30", "--scales", "1e7,1e8,1e9", "--seeds", "2"]
    assert simulate(binary, *flags, "-o", tmp_path / "a").returncode == 0
    assert simulate(binary, *flags, "-o", tmp_path / "b", "--sidecar", sidecar).returncode == 0
    first = digests(tmp_path / "a")
    assert len(first) == 6 * 4 + 2
    assert first == digests(tmp_path / "b")


def test_hashes_are_those_that_lm_eval_would_make(binary: Path, tmp_path: Path) -> None:
    family = tmp_path / "family"
    done = simulate(binary, "--truth", "paper", "--samples", "5", "-o", family)
    assert done.returncode == 0, done.stderr
    for results in family.glob("*/results_*.json"):
        stated = json.loads(results.read_text())["task_hashes"]
        date = results.stem.removeprefix("results_")
        for task, stated_hash in stated.items():
            rows = (results.parent / f"samples_{task}_{date}.jsonl").read_text().splitlines()
            together = ""
            for row in map(json.loads, rows):
                document = json.dumps(row["doc"], indent=2, ensure_ascii=False)
                texts = [document, row["arguments"]["gen_args_0"]["arg_0"], row["target"]]
                hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
                assert hashes == [row["doc_hash"], row["prompt_hash"], row["target_hash"]]
                together += "".join(hashes)
            assert hashlib.sha256(together.encode()).hexdigest() == stated_hash


def test_exit_codes(binary: Path, tmp_path: Path) -> None:
    listed = simulate(binary, "--list")
    assert listed.returncode == 0
    assert "staggered_breaks" in listed.stdout
    usage = simulate(binary)
    assert usage.returncode == 2
    assert "--list" in usage.stderr
    unknown = simulate(binary, "--truth", "mirrage", "-o", tmp_path / "x")
    assert unknown.returncode == 2
    assert not (tmp_path / "x").exists()
    (tmp_path / "notes.txt").write_text("mine")
    full = simulate(binary, "--truth", "mirage", "-o", tmp_path)
    assert full.returncode == 4
    assert "not empty" in full.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
