"""`mirage diagnose` end to end: what README shows, the same bytes by a sidecar, exit codes."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from conftest import REPOSITORY, Mirage, report

EXAMPLE = "examples/families/series.csv"
RUNS = "examples/arithmetic_family"


@pytest.fixture
def diagnose(mirage: Mirage) -> Mirage:
    return partial(mirage, "diagnose")


@pytest.mark.parametrize(
    "words", [f"--series {EXAMPLE}", f"{RUNS} --scales {RUNS}/models.csv"], ids=["series", "runs"]
)
def test_readme_shows_what_it_prints(diagnose: Mirage, tmp_path: Path, words: str) -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    _, _, rest = readme.partition(f"$ ./mirage diagnose {words} --plot curves.svg\n")
    shown = rest.partition("```")[0].splitlines()
    assert len(shown) > 8
    done = diagnose(*words.split(), "--plot", tmp_path / "curves.svg")
    assert done.returncode == 0, done.stderr
    printed = iter(line.rstrip() for line in done.stdout.splitlines())
    for line in shown:
        # In this order, with gaps only where an ellipsis stands.
        assert line == "…" or line in printed, line
    assert "<svg" in (tmp_path / "curves.svg").read_text(encoding="utf-8")


def test_the_example_is_what_its_script_writes(tmp_path: Path) -> None:
    (tmp_path / "examples/families").mkdir(parents=True)
    script = REPOSITORY / "examples/families/make_families.py"
    subprocess.run([sys.executable, script], cwd=tmp_path, check=True)
    made = (tmp_path / EXAMPLE).read_text(encoding="utf-8")
    assert made == (REPOSITORY / EXAMPLE).read_text(encoding="utf-8")


@pytest.mark.parametrize("form", ["json", "table", "markdown", "csv", "vega-lite"])
def test_a_sidecar_gives_the_same_bytes(diagnose: Mirage, sidecar: str, form: str) -> None:
    embedded = diagnose("--series", EXAMPLE, "--output-format", form)
    remote = diagnose("--series", EXAMPLE, "--output-format", form, "--sidecar", sidecar)
    assert embedded.returncode == remote.returncode == 0, remote.stderr
    assert embedded.stdout == remote.stdout
    assert embedded.stdout


def test_the_verdicts_for_machines(diagnose: Mirage) -> None:
    done = diagnose("--series", EXAMPLE, "--output-format", "json")
    verdicts = {d["family"]: d["verdict"] for d in json.loads(done.stdout)["diagnoses"]}
    assert verdicts == {"smooth": "MIRAGE", "broken": "BREAK_SURVIVES"}


@pytest.mark.parametrize(
    "words",
    [
        f"--series {EXAMPLE} --predict-at 1e12",
        f"{RUNS} --scales {RUNS}/models.csv",
        f"{RUNS} --scales {RUNS}/models.csv --x-axis loss",
    ],
    ids=["series", "runs", "loss"],
)
def test_vega_lite_by_its_schema(diagnose: Mirage, words: str) -> None:
    """The schema is the one that altair 5 brings: that of Vega-Lite 5."""
    altair = importlib.util.find_spec("altair")
    if altair is None or not altair.submodule_search_locations:
        pytest.skip("altair is not installed: no schema of Vega-Lite")
    jsonschema = pytest.importorskip("jsonschema")
    folder = Path(next(iter(altair.submodule_search_locations)))
    (path,) = folder.glob("vegalite/v5/schema/vega-lite-schema.json")
    schema = json.loads(path.read_text(encoding="utf-8"))
    spec = report(diagnose(*words.split(), "--output-format", "vega-lite"))
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message[:500] for error in validator.iter_errors(spec)] == []
    # It does refuse what is none.
    spec["vconcat"][0]["vconcat"][0]["layer"][0]["mark"] = "spline"
    assert not validator.is_valid(spec)


def test_exit_codes(diagnose: Mirage, tmp_path: Path) -> None:
    assert diagnose("--series", tmp_path / "none.csv").returncode == 4
    assert diagnose().returncode == 2
    assert diagnose("--series", EXAMPLE, "--x-axis", "depth").returncode == 2
    broken = tmp_path / "broken.csv"
    broken.write_text("family,task\na,b\n", encoding="utf-8")
    done = diagnose("--series", broken)
    assert done.returncode == 4
    assert "no column" in done.stderr
    continuous = tmp_path / "continuous.csv"
    continuous.write_text(
        "task,model,scale,metric,value\nt,a,1,nll_per_token,2\nt,b,2,nll_per_token,1\n",
        encoding="utf-8",
    )
    done = diagnose("--series", continuous)
    assert done.returncode in (2, 4)
    assert "nothing to diagnose" in done.stderr
