"""Documents, training text and lm-eval task files for the tests' real runs.

Each task exercises one shape that the harness can write; the comment beside it says which. Task
files are JSON, which is YAML. Everything is deterministic.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent / "data" / "lm_eval"

CAPITALS = [
    ("France", "Paris"),
    ("Italy", "Rome"),
    ("Spain", "Madrid"),
    ("Brazil", "Brasília"),
    ("Colombia", "Bogotá"),
    ("Paraguay", "Asunción"),
    ("Costa Rica", "San José"),
    ("Iceland", "Reykjavík"),
    ("Moldova", "Chișinău"),
    ("Togo", "Lomé"),
    ("Cameroon", "Yaoundé"),
    ("Norway", "Oslo"),
    ("Japan", "Tokyo"),
    ("Peru", "Lima"),
    ("Kenya", "Nairobi"),
    ("Egypt", "Cairo"),
    ("Cuba", "Havana"),
    ("Greece", "Athens"),
    ("Poland", "Warsaw"),
    ("Austria", "Vienna"),
    ("Ghana", "Accra"),
    ("Chile", "Santiago"),
    ("Finland", "Helsinki"),
    ("Nepal", "Kathmandu"),
]
# Asked, but not always answered right in the training text: the model must err somewhere.
LEARNED_WRONG = {"Spain": "Lisbon", "Kenya": "Cairo", "Chile": "Lima", "Poland": "Oslo"}
UNSEEN = {"Togo", "Ghana", "Nepal", "Finland", "Moldova"}

WINO = [
    (
        "The trophy does not fit in the suitcase because the",
        ["trophy", "suitcase"],
        0,
        "is too big.",
    ),
    (
        "The trophy does not fit in the suitcase because the",
        ["trophy", "suitcase"],
        1,
        "was too small.",
    ),
    ("The ball broke the window because the", ["ball", "window"], 1, "was thin."),
    ("The ball broke the window because the", ["ball", "window"], 0, "was heavy."),
    ("The dog chased the cat because the", ["dog", "cat"], 1, "was fast."),
    ("The dog chased the cat because the", ["dog", "cat"], 0, "was hungry."),
    ("The key opened the door because the", ["key", "door"], 0, "was new."),
    ("She put the cup on the table because the", ["cup", "table"], 1, "was flat."),
    ("He put the book in the bag because the", ["book", "bag"], 1, "was open."),
    ("He put the book in the bag because the", ["book", "bag"], 0, "was old."),
]
SUMS = [(2, 2), (3, 4), (5, 4), (6, 1), (1, 1), (4, 4), (2, 3), (7, 1), (1, 2), (3, 3)]

Doc = dict[str, Any]


def question(country: str) -> str:
    return f"What is the capital of {country}?"


def training_text() -> str:
    """What the model is trained on: prose, then answers, some wrong, some never given."""
    lines = [(DATA / "corpus.txt").read_text(encoding="utf-8")]
    for country, capital in CAPITALS:
        if country not in UNSEEN:
            told = LEARNED_WRONG.get(country, capital)
            lines.append(f"Question: {question(country)}\nAnswer: {told}\n")
    for a, b in SUMS[:6]:
        lines.append(f"Question: How much is {a} + {b}?\nAnswer: {a + b}\n")
    return "\n".join(lines)


def capital_docs(n_choices: int | None) -> list[Doc]:
    """Questions with `n_choices` choices, or 2 to 5 of them (ragged)."""
    rng = random.Random(11)
    docs = []
    for i, (country, capital) in enumerate(CAPITALS):
        k = n_choices or 2 + i % 4
        wrong = [c for _, c in CAPITALS if c != capital]
        told = LEARNED_WRONG.get(country)
        choices = [capital, *([told] if told else []), *rng.sample(wrong, k)][:k]
        choices = list(dict.fromkeys(choices))
        while len(choices) < k:
            choices.append(next(c for c in wrong if c not in choices))
        rng.shuffle(choices)
        docs.append(
            {
                "question": question(country),
                "choices": choices,
                "answer": choices.index(capital),
                "label": capital,
                "accepted": [capital, capital.upper()],
            }
        )
    return docs


def sum_docs() -> list[Doc]:
    """Choices that are digits; `answer` is the text of the right one, not its index."""
    rng = random.Random(12)
    docs = []
    for a, b in SUMS:
        choices = {a + b, 0, 1, 2, 3}
        picked = [str(c) for c in sorted(choices)][:5]
        if str(a + b) not in picked:
            picked[-1] = str(a + b)
        rng.shuffle(picked)
        docs.append(
            {"question": f"How much is {a} + {b}?", "choices": picked, "answer": str(a + b)}
        )
    return docs


def wino_docs(n_options: int) -> list[Doc]:
    """A context for each option and one continuation for all."""
    docs = []
    for stem, options, gold, end in WINO:
        given = options if n_options == 2 else [*options, "old stone bridge"]
        contexts = [f"{stem} {option}" for option in given]
        docs.append({"contexts": contexts, "gold": gold, "end": end})
    return docs


def several_gold_docs() -> list[Doc]:
    """Two or one accepted choices; lm-eval counts golds in document 0."""
    docs = []
    for i, doc in enumerate(capital_docs(4)):
        other = (doc["answer"] + 1 + i % 3) % 4
        golds = sorted({doc["answer"], other}) if i % 3 != 2 else [doc["answer"]]
        docs.append({**doc, "golds": golds})
    return docs


def rolling_docs() -> list[Doc]:
    lines = (DATA / "corpus.txt").read_text(encoding="utf-8").splitlines()
    held_out = ["The bridge was closed on Monday; the ferry ran  twice.", "Der Tag beginnt früh."]
    return [{"page": line} for line in [*lines[:6], *lines[10:13], *held_out]]


def mean(metric: str, **more: Any) -> Doc:
    return {"metric": metric, "aggregation": "mean", "higher_is_better": True, **more}


BRIER = {"metric": "brier_score", "aggregation": "brier_score", "higher_is_better": False}
ASK = "Question: {{question}}\nAnswer:"
GREEDY = {"until": ["\n"], "do_sample": False, "max_gen_toks": 24}

STRIP = [
    {"name": "strip", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}
]


def choice_task(docs: str, target: str, metrics: list[Doc], **more: Any) -> Doc:
    return {
        "docs": docs,
        "output_type": "multiple_choice",
        "doc_to_text": ASK,
        "doc_to_choice": "choices",
        "doc_to_target": target,
        "metric_list": metrics,
        **more,
    }


def text_task(docs: str, target: str, metrics: list[Doc], **more: Any) -> Doc:
    return {
        "docs": docs,
        "output_type": "generate_until",
        "doc_to_text": ASK,
        "doc_to_target": target,
        "generation_kwargs": GREEDY,
        "metric_list": metrics,
        **more,
    }


def document_sets() -> dict[str, list[Doc]]:
    return {
        "capitals": capital_docs(4),
        "ragged": capital_docs(None),
        "sums": sum_docs(),
        "wino": wino_docs(2),
        "wino3": wino_docs(3),
        "several": several_gold_docs(),
        "pages": rolling_docs(),
    }


def tasks() -> dict[str, Doc]:
    acc, norm, exact = mean("acc"), mean("acc_norm"), mean("exact_match")
    loose = mean("exact_match", ignore_case=True, ignore_punctuation=True)
    sampled = {"until": ["\n"], "do_sample": True, "temperature": 1.0, "max_gen_toks": 24}
    wino = {"doc_to_text": "gold", "doc_to_choice": "contexts", "doc_to_target": "end"}
    return {
        # Gold index from an integer field; the Brier row states it too.
        "t_mc": choice_task("capitals", "answer", [acc, norm, BRIER]),
        # Twice the requests; non-ASCII choices; gold index from a template.
        "t_mi": choice_task(
            "capitals", "{{answer}}", [mean("acc_mutual_info"), mean("acc_bytes"), acc]
        ),
        # 2 to 5 choices; gold is the text of a choice.
        "t_ragged": choice_task("ragged", "label", [acc, norm, mean("acc_bytes")]),
        # All-digit choices and targets: the target is a text, not an index.
        "t_digits": choice_task("sums", "answer", [acc, norm]),
        # A prompt for each choice: the row names no gold.
        "t_wino": choice_task("wino", "end", [acc], **wino),
        # The same with three options: gold cannot be recovered where acc = 0.
        "t_wino3": choice_task("wino3", "end", [acc], **wino),
        # One or two accepted choices.
        "t_several": choice_task("several", "golds", [acc, norm]),
        # No plain accuracy in the rows.
        "t_norm_only": choice_task("capitals", "answer", [norm]),
        # Nothing but the Brier score.
        "t_brier_only": choice_task("capitals", "answer", [BRIER]),
        # Greedy exact match of a choice.
        "t_mc_exact": choice_task("capitals", "answer", [acc, exact]),
        # An aggregate that is no mean of the rows.
        "t_median": choice_task(
            "capitals",
            "answer",
            [acc, {"metric": "acc_norm", "aggregation": "median", "higher_is_better": True}],
        ),
        # A prefix before each choice, which keeps the delimiter under a chat template.
        "t_prefix": choice_task("capitals", "answer", [acc, norm], gen_prefix="It is"),
        # Two filters; exact match folds case and drops punctuation.
        "t_gen": text_task(
            "capitals",
            "label",
            [loose],
            filter_list=[
                {
                    "name": "strict",
                    "filter": [
                        {"function": "regex", "regex_pattern": "^ ?(.*)$"},
                        {"function": "take_first"},
                    ],
                },
                {
                    "name": "shout",
                    "filter": [
                        {"function": "uppercase"},
                        {"function": "remove_whitespace"},
                        {"function": "take_first"},
                    ],
                },
            ],
        ),
        # No filter: the delimiter's space stays in the output.
        "t_gen_raw": text_task("capitals", "label", [exact]),
        # Several accepted answers.
        "t_gen_several": text_task("capitals", "accepted", [exact], filter_list=STRIP),
        # The target is an index into choices.
        "t_gen_choice": text_task(
            "capitals", "answer", [exact], doc_to_choice="choices", filter_list=STRIP
        ),
        # Three samples of each document: the first and the majority; the last two filters do not
        # end in take_first, so that a list of outputs remains.
        "t_gen_repeats": text_task(
            "capitals",
            "label",
            [exact],
            generation_kwargs=sampled,
            repeats=3,
            filter_list=[
                {"name": "first", "filter": [{"function": "take_first"}]},
                {
                    "name": "majority",
                    "filter": [
                        {"function": "remove_whitespace"},
                        {"function": "majority_vote"},
                        {"function": "take_first"},
                    ],
                },
                {
                    "name": "two",
                    "filter": [
                        {"function": "remove_whitespace"},
                        {"function": "take_first_k", "k": 2},
                    ],
                },
                {
                    "name": "vote",
                    "filter": [{"function": "remove_whitespace"}, {"function": "majority_vote"}],
                },
            ],
        ),
        # The log-likelihood of a target.
        "t_ll": {
            "docs": "capitals",
            "output_type": "loglikelihood",
            "doc_to_text": ASK,
            "doc_to_target": " {{label}}",
            "metric_list": [
                {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                acc,
            ],
        },
        # Whole documents, no prompt.
        "t_roll": {
            "docs": "pages",
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{page}}",
            "metric_list": [
                {"metric": "word_perplexity"},
                {"metric": "byte_perplexity"},
                {"metric": "bits_per_byte"},
            ],
        },
        # Members of a group, of different size.
        "t_group_a": choice_task("capitals", "answer", [acc, norm]),
        "t_group_b": choice_task("ragged", "answer", [acc, norm], process_size=9),
    }


def group() -> Doc:
    return {
        "group": "t_group",
        "task": ["t_group_a", "t_group_b"],
        "aggregate_metric_list": [
            {"metric": "acc", "aggregation": "mean", "weight_by_size": True},
            {"metric": "acc_norm", "aggregation": "mean", "weight_by_size": True},
        ],
        "metadata": {"version": 1.0},
    }


def write(folder: Path) -> Path:
    """Writes documents and task files; returns the folder for --include_path."""
    folder.mkdir(parents=True, exist_ok=True)
    sets = document_sets()
    for name, config in tasks().items():
        docs = sets[config.pop("docs")][: config.pop("process_size", None)]
        data = folder / f"{name}.jsonl"
        lines = [json.dumps(doc, ensure_ascii=False) for doc in docs]
        data.write_text("\n".join(lines) + "\n", encoding="utf-8")
        source = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}},
            "test_split": "test",
            "fewshot_split": "test",
            "metadata": {"version": 1.0},
        }
        text = json.dumps({**source, **config}, indent=1, ensure_ascii=False)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    (folder / "t_group.yaml").write_text(json.dumps(group(), indent=1), encoding="utf-8")
    return folder
