"""docs/published.md: it is not stale, and what it is made of."""

from __future__ import annotations

import copy
import math
import os
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY
from published_series import AXES, DATA_SETS, figure5_outliers

sys.path.insert(0, str(REPOSITORY / "tests/studies"))

import published as study
from study_page import Section, table

Answers = tuple[dict[str, study.Answer], dict]


@pytest.fixture(scope="module")
def data() -> Path:
    folder = os.environ.get("MIRAGE_DATA")
    if not folder:
        pytest.skip("MIRAGE_DATA is not set: the published numbers are not beside this checkout")
    return Path(folder)


@pytest.fixture(scope="module")
def answers(binary: Path, data: Path) -> Answers:
    return study.ask(binary, data)


@pytest.mark.external
def test_the_page_is_not_stale(binary: Path, data: Path, answers: Answers) -> None:
    text = (REPOSITORY / "docs/published.md").read_text(encoding="utf-8")
    known = study.kinds(binary)
    content = study.section(*answers, data, known)
    assert not study.SECTION.is_stale(text, content), (
        "remake it: tests/studies/published.py --write"
    )
    changed = copy.deepcopy(answers)
    changed[0]["lamda"].diagnoses[0]["verdict"] = "MIRAGE"
    assert study.SECTION.is_stale(text, study.section(*changed, data, known))


@pytest.mark.external
def test_every_data_set_is_there(answers: Answers) -> None:
    assert list(answers[0]) == list(DATA_SETS) == list(study.ABOUT)
    assert AXES.keys() < DATA_SETS.keys()


@pytest.mark.external
def test_what_numbers_may_conclude(answers: Answers) -> None:
    words = {name: study.conclusions(answer.diagnoses) for name, answer in answers[0].items()}
    assert words["gpt3-arithmetic"].startswith("nothing on one curve of 4 models")
    assert words["lamda"].startswith("no MIRAGE")
    assert words["lambada"] == "every verdict"
    for name in ("obsscaling", "mlfoundations"):
        assert words[name].startswith("the shape alone")
    assert "neither n nor errors" in words["obsscaling"]
    assert "neither n nor errors" not in words["mlfoundations"]


@pytest.mark.external
def test_all_that_is_emergent_is_sharp_or_bleu(answers: Answers) -> None:
    for one in answers[1]["metrics"]:
        if one["n_emergent"] > 0:
            assert one["sharp"] or one["metric"] == "bleu"
    # Eight columns, one of which is no verdict's.
    obsscaling = answers[0]["obsscaling"]
    assert len(obsscaling.meta["triplets"]) == len(obsscaling.diagnoses) + 1 == 8


@pytest.mark.external
def test_five_metrics_carry_figure_5(data: Path) -> None:
    highest = {names[0]: max(scores) for names, scores in figure5_outliers(data).items()}
    ranked = sorted(highest.items(), key=lambda pair: -pair[1])
    # As read off the figure.
    assert [(name, math.floor(score)) for name, score in ranked[:5]] == [
        ("bleu", 631),
        ("multiple_choice_grade", 199),
        ("normalized_aggregate_score", 186),
        ("rougeLsum", 173),
        ("exact_str_match", 151),
    ]
    assert ranked[5][1] <= 48
    assert sum(map(len, figure5_outliers(data).values())) == 149


def test_a_section_is_put_between_its_marks() -> None:
    section = Section("<!-- b -->", "<!-- e -->", "## T")
    first = section.put("# Kept\n\ntext\n", "one")
    assert first == "# Kept\n\ntext\n\n## T\n<!-- b -->\n\none\n\n<!-- e -->\n"
    second = section.put(f"{first}\n## After\n", "two")
    assert second == first.replace("one", "two") + "\n## After\n"
    assert section.is_stale(second, "one")
    assert not section.is_stale(second, "two")
    assert table(["a", "b"], [["1|2", "3"]]) == ["| a | b |", "|---|---|", "| 1\\|2 | 3 |"]
