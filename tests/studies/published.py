#!/usr/bin/env python3
"""What `mirage diagnose` and `mirage meta` say of published numbers, data set by data set.

    published.py               prints the tables; half a minute
    published.py --write       the same, and puts them into docs/published.md
    published.py --check       exits 1 where that page is stale

Reads the data folder (--data, else MIRAGE_DATA, else ../shared/data). Every number is the answer of
`mirage`; why a verdict is not what others read is the first reason of that verdict.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study_page import Section, paragraph, table

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "python"))

from published_series import AXES, DATA_SETS, figure5_outliers, write  # noqa: E402

SECTION = Section(
    "<!-- written by tests/studies/published.py --write -->",
    "<!-- end of published.py -->",
    "## Data set by data set",
)
# Above, a table has a row a kind of verdict instead of a series.
MOST_ROWS = 40


@dataclass(frozen=True)
class About:
    """What a data set is, and how others read it."""

    title: str
    reading: str
    # The verdict that is nearest to that reading; none where nobody read it so.
    read_as: str | None = None


ABOUT = {
    "toy-model": About(
        "The paper's toy model (figure 2)",
        "One smooth law, which exact match and a multiple-choice grade make sudden.",
        "MIRAGE",
    ),
    "gpt3-arithmetic": About(
        "GPT-3's arithmetic (figures 3 and 4)",
        "The abilities are the doing of accuracy: under token edit distance they improve smoothly.",
        "MIRAGE",
    ),
    "lamda": About(
        "LaMDA on BIG-bench (figure 6)",
        "The abilities go away where the Brier score takes the place of the multiple-choice grade.",
        "MIRAGE",
    ),
    "lambada": About(
        "Pythia and OPT on LAMBADA",
        "Nobody calls it emergent: a real pair of accuracy and perplexity.",
        "SMOOTH",
    ),
    "obsscaling": About(
        "Seven tasks that were called emergent, over base models (ObsScaling)",
        "Called emergent where they were introduced; the paper holds such claims for the metric's "
        "doing, and Ruan et al. forecast them from smaller models. (Those models count whose "
        "training FLOPs and result are known.)",
        "MIRAGE",
    ),
    "mlfoundations": About(
        "mlfoundations/scaling, over parameters",
        "Its authors predict the average error from the loss, and claim no jumps.",
    ),
    "mlfoundations-loss": About(
        "mlfoundations/scaling, over the validation loss",
        "The same models, of every size and length of training, on the axis on which Du et al. see "
        "jumps persist.",
    ),
}


@dataclass
class Answer:
    """What `mirage` says of one data set."""

    diagnoses: list[dict[str, Any]]
    meta: dict[str, Any]


def run(program: Path, *words: str | Path) -> dict[str, Any]:
    command = [str(program), *map(str, words), "--output-format", "json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} exited {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def ask(program: Path, data: Path) -> tuple[dict[str, Answer], dict[str, Any]]:
    """The answers by data set, and the meta-analysis of all that are over their scales."""
    answers = {}
    together: list[str | Path] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in DATA_SETS.items():
            path = Path(folder, f"{name}.csv")
            with path.open("w", encoding="utf-8", newline="") as file:
                write(rows(data), file)
            words: list[str | Path] = ["--series", path]
            if name in AXES:
                words += ["--x-axis", AXES[name]]
            else:
                together += words
            answers[name] = Answer(
                run(program, "diagnose", *words)["diagnoses"], run(program, "meta", *words)
            )
        return answers, run(program, "meta", *together)


# ---- Words ----


def verdict(diagnosis: dict[str, Any]) -> str:
    strength = diagnosis.get("strength")
    return diagnosis["verdict"] + (f" ({strength})" if strength else "")


def code(diagnosis: dict[str, Any]) -> str:
    return diagnosis["reasons"][0]["code"]


def score(value: float | str | None) -> str:
    if value is None:
        return ""
    return "∞" if value == "Infinity" else f"{value:.3g}"


def span(values: Iterable[int]) -> str:
    found = sorted(set(values))
    if not found:
        return ""
    return str(found[0]) if len(found) == 1 else f"{found[0]} to {found[-1]}"


def items(diagnoses: list[dict[str, Any]]) -> str:
    counts = [scale["n"] for one in diagnoses for scale in one["scales"] if "n" in scale]
    return span(counts) or "unknown"


def series(diagnosis: dict[str, Any]) -> str:
    words = [diagnosis["family"], diagnosis["task"], diagnosis["metric"]]
    if "target_length" in diagnosis:
        words.append(f"length {diagnosis['target_length']}")
    if "shots" in diagnosis:
        words.append(f"{diagnosis['shots']} shots")
    if "temperature" in diagnosis:
        words.append(f"T {diagnosis['temperature']:g}")
    if diagnosis["pooled_over"]:
        words.append(f"{len(diagnosis['pooled_over'])} series pooled")
    return ", ".join(words)


def counted(diagnoses: list[dict[str, Any]]) -> str:
    counts = Counter(map(verdict, diagnoses))
    return ", ".join(f"{n} {name}" for name, n in counts.most_common())


def conclusions(diagnoses: list[dict[str, Any]]) -> str:
    """What the numbers could carry at most, by what they lack."""
    single = [one for one in diagnoses if not one["pooled_over"]]
    out = []
    if all(code(one) == "TOO_FEW_SCALES" for one in single):
        out.append(f"nothing on one curve of {span(one['n_scales'] for one in single)} models")
        if any(one["pooled_over"] for one in diagnoses):
            out.append("at most WEAK on several lengths together")
    elif not any("counterpart" in one for one in single):
        out.append(
            "the shape alone: SMOOTH, or INSUFFICIENT where a rise is sudden; no MIRAGE and no "
            "BREAK_SURVIVES without a counterpart"
        )
    elif any(code(one) == "NO_COMPOSITION" for one in single):
        out.append("no MIRAGE: how the counterpart makes the metric is not known")
    else:
        out.append("every verdict")
    has_errors = any(
        "n" in scale or "interval" in scale for one in single for scale in one["scales"]
    )
    if not has_errors and not all(code(one) == "TOO_FEW_SCALES" for one in single):
        out.append("at most WEAK: neither n nor errors are known")
    return "; ".join(out)


def emergent(meta: dict[str, Any]) -> str:
    return f"{meta['n_emergent']} of {meta['n_evaluated']}"


# ---- Tables ----


def overview(answers: dict[str, Answer]) -> list[str]:
    rows = []
    for name, answer in answers.items():
        single = [one for one in answer.diagnoses if not one["pooled_over"]]
        pooled = [one for one in answer.diagnoses if one["pooled_over"]]
        counterparts = sorted({one["counterpart"] for one in single if "counterpart" in one})
        rows.append(
            (
                ABOUT[name].title,
                str(len(single)),
                span(one["n_scales"] for one in single),
                items(single),
                ", ".join(counterparts) or "none",
                counted(single) + (f"; pooled: {counted(pooled)}" if pooled else ""),
                emergent(answer.meta),
                conclusions(answer.diagnoses),
            )
        )
    head = ("data", "series", "models", "items", "counterpart", "verdicts", "emergent triplets")
    return table((*head, "what it may conclude"), rows)


def is_otherwise(about: About, diagnosis: dict[str, Any]) -> bool:
    return about.read_as is not None and diagnosis["verdict"] != about.read_as


def by_series(about: About, diagnoses: list[dict[str, Any]]) -> list[str]:
    rows = [
        (
            series(one),
            str(one["n_scales"]),
            score(one.get("emergence_score")),
            score(one.get("counterpart_emergence_score")),
            verdict(one),
            "" if about.read_as is None else "no" if is_otherwise(about, one) else "yes",
            one["reasons"][0]["text"],
        )
        for one in diagnoses
    ]
    head = ("series", "models", "score", "counterpart's", "verdict", "as it was read", "why")
    return table(head, rows)


def by_verdict(diagnoses: list[dict[str, Any]]) -> list[str]:
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in diagnoses:
        groups.setdefault((verdict(one), code(one)), []).append(one)
    rows = []
    for (name, reason), found in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        tasks = Counter(one["task"] for one in found)
        everywhere = [task for task, n in sorted(tasks.items()) if n == max(tasks.values())]
        rows.append(
            (
                name,
                reason,
                str(len(found)),
                span(one["n_scales"] for one in found),
                f"{len(tasks)}: {', '.join(everywhere[:5])}{' …' if len(everywhere) > 5 else ''}",
                f"{found[0]['task']}: {found[0]['reasons'][0]['text']}",
            )
        )
    return table(("verdict", "reason", "series", "models", "tasks", "for example"), rows)


def kinds(program: Path) -> dict[str, str]:
    """Sharp, continuous or neither, by the registry's names."""
    out: dict[str, str] = {}
    for one in run(program, "metrics")["metrics"]:
        kind = "sharp" if one["sharp"] else "continuous" if one["continuous"] else "neither"
        out.setdefault(one["metric"], kind)
    return out


def shares(meta: dict[str, Any]) -> list[str]:
    rows = []
    for one in meta["metrics"]:
        kind = "sharp" if one["sharp"] else "continuous" if one["continuous"] else "neither"
        interval = one.get("interval")
        rows.append(
            (
                one["metric"],
                kind,
                f"{one['n_emergent']} of {one['n_evaluated']}",
                f"{100 * interval['lower']:.0f} to {100 * interval['upper']:.0f} %"
                if interval
                else "",
                score(one.get("max_emergence_score")),
                str(one["n_infinite"]),
            )
        )
    head = ("metric", "kind", "emergent", "95 % interval of the share", "highest score")
    return table((*head, "infinite scores"), rows)


def figure5(data: Path, known: dict[str, str]) -> list[str]:
    rows = []
    outliers = figure5_outliers(data)
    for (metric, ours), scores in sorted(outliers.items(), key=lambda pair: -max(pair[1])):
        kind = known.get(ours, "not in the registry")
        name = metric if ours in (metric, "") else f"{metric} ({ours})"
        rows.append((name, kind, str(len(scores)), score(max(scores))))
    return table(("metric", "kind", "outliers", "highest score"), rows)


def section(
    answers: dict[str, Answer], together: dict[str, Any], data: Path, known: dict[str, str]
) -> str:
    odds = together["odds_ratio"]
    lines = [
        *overview(answers),
        "",
        paragraph(
            "OLMo's ladder is a matter of forecasts, not of verdicts: "
            "[forecast.md](forecast.md) has the predictions beside the published ones."
        ),
    ]
    for name, answer in answers.items():
        about = ABOUT[name]
        otherwise = [one for one in answer.diagnoses if is_otherwise(about, one)]
        words = f"How it was read: {about.reading}"
        if about.read_as is not None:
            words += (
                f" That is {about.read_as}; the verdict is another one for {len(otherwise)} of "
                f"{len(answer.diagnoses)}."
            )
        lines += ["", f"### {about.title}", "", paragraph(words), ""]
        if len(answer.diagnoses) > MOST_ROWS:
            lines += by_verdict(answer.diagnoses)
        else:
            lines += by_series(about, answer.diagnoses)
        unseen = [
            one for one in answer.meta["triplets"] if not one["sharp"] and not one["continuous"]
        ]
        for one in unseen:
            lines += [
                "",
                paragraph(
                    f"{one['task']} has {one['metric']}, too, over {one['n_scales']} scales: it is "
                    "neither sharp nor continuous, so that it gets no verdict and is nobody's "
                    f"counterpart; its emergence score is {score(one.get('emergence_score'))}."
                ),
            ]
    lines += [
        "",
        "### Which metrics carry the emergence",
        "",
        paragraph(
            f"`mirage meta` over all of these that are over their scales: {emergent(together)} "
            f"triplets are emergent, under {together['n_metrics_emergent']} of "
            f"{together['n_metrics']} metrics; of sharp metrics {odds['n_sharp_emergent']} of "
            f"{odds['n_sharp']}, of continuous ones {odds['n_continuous_emergent']} of "
            f"{odds['n_continuous']}. {odds['n_tasks']} tasks have both kinds; stratified by them "
            f"the odds ratio is {score(odds.get('value'))}"
            + (f", p = {odds['p_value']:.2g}" if "p_value" in odds else "")
            + ". Triplets that share models are not independent."
        ),
        "",
        *shares(together),
        "",
        paragraph(
            "The paper's figure 5 asks the same of BIG-bench. What it prints are the outliers of "
            "each metric's emergence scores, and these alone can be read off it: neither the "
            "curves, nor how many there are, nor their errors. So no share, no p-value and no "
            "verdict can be remade; what can is which metrics have the highest scores."
        ),
        "",
        *figure5(data, known),
    ]
    return "\n".join(lines)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--program", type=Path, default=REPOSITORY / "mirage")
    parser.add_argument("--docs", type=Path, default=REPOSITORY / "docs/published.md")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--write", action="store_true")
    group.add_argument("--check", action="store_true")
    return parser.parse_args(arguments)


def main() -> int:
    options = parse()
    data = options.data or Path(os.environ.get("MIRAGE_DATA") or REPOSITORY.parent / "shared/data")
    answers, together = ask(options.program, data)
    content = section(answers, together, data, kinds(options.program))
    if options.check:
        stale = SECTION.is_stale(options.docs.read_text(encoding="utf-8"), content)
        print(f"{options.docs} is {'stale' if stale else 'as it must be'}")
        return int(stale)
    print(content)
    if options.write:
        SECTION.fill(options.docs, content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
