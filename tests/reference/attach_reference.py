#!/usr/bin/env python3
"""What `mirage attach` does for lm-evaluation-harness runs, in plain Python.

It is the reference for values (`--compare`, 1e-9 relative) and the peer in the speed
comparison (`tests/benchmarks/attach_vs_python.py`), so it is written as a competent person
would write it for speed with json, numpy and rapidfuzz: one pass over each samples file,
line by line, scores in blocks of rows, memory that does not grow with the file. It shares no
code with the product.

    attach_reference.py RUN...                     writes reference_<date>.json beside each run
    attach_reference.py RUN... --write-dir DIR     writes them there
    attach_reference.py RUN... --samples           adds reference_samples_<task>_<date>.jsonl
    attach_reference.py RUN... --compare M.json    checks the output of `mirage attach`

RUN is a results file or a folder (searched recursively). Requires Python >= 3.11, numpy,
rapidfuzz. Formats: lm-eval 0.4.3 and newer (`samples_<task>_<date>.jsonl`).

Definitions (natural logarithms; values are means over samples unless said). ll_k is the
log-likelihood of choice k, q = softmax(ll), G the accepted choices, g the likeliest of them:

  multiple choice   acc, acc_norm (ll / code points), acc_bytes (ll / UTF-8 bytes),
    acc_mutual_info (ll - ll without the question): argmax, first of ties, is in G;
    log_p_gold = logsumexp over G of ll; p_gold = exp; nll_per_char = -ll_g / code points of g,
    nll_per_byte, bits_per_byte = nll_per_byte / ln 2; log_p_gold_choices = logsumexp over G -
    logsumexp over all; p_gold_choices = exp; brier_score = sum_k (q_k - [k in G]/|G|)^2;
    brier_mean = brier_score / K; brier_target = (1 - p_gold_choices)^2; brier_top =
    (max q - [argmax in G])^2; margin = ll_g - best wrong ll; p_wrong_mass = sum of exp(ll_k)
    over wrong k; rank = 1 + number of choices strictly better than g; ece = expected
    calibration error of max q, 10 equal bins ((b-1)/10, b/10], 0 in the first.
    Lengths are of the choice without the delimiter before it.
  generation   exact_match (the row's own; `rederived` with the task's ignore_* flags),
    token_edit_distance (Levenshtein, code points, filtered output against target, both raw),
    edit_similarity = 1 - distance / longer length (1 if both are empty), prefix_match = common
    prefix / target length, position_accuracy = share of the target's positions that are equal
    (both undefined for an empty target). Several targets: the best one, for each metric;
    several outputs of a document: their mean.
  likelihood   log_p_target, p_target, nll_per_char, nll_per_byte, bits_per_byte (of the scored
    text as it stands), perplexity = exp(-mean log p), expected_accuracy =
    mean exp(log p), expected_edit_distance = mean L (1 - exp(log p / L)), L code points.
  rolling   word_perplexity, byte_perplexity, bits_per_byte as ratios of sums.

Which choice is gold: a score that names it (`brier_score`, `f1`, `mcc`) is believed. Else the
row's `target`: a list of indices, or digits, which are an index unless the task reads the
target from a document field of type string (lm-eval then looks the text up), or the text of a
choice. Tasks with a prompt per choice (winogrande) name no gold: it is the argmax where acc = 1,
the other choice where acc = 0 and K = 2. A row whose own acc contradicts the reading takes the
alternative reading if that fits, else its gold is unverified and it has no gold-based score.
"""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import json
import math
import re
import string
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import eq
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein, Prefix

GENERATOR = "attach_reference 1"
DATE = re.compile(r"_(\d{4}-\d{2}-\d{2}T\d{2}-\d{2}-\d{2}(?:\.\d+)?)\.json$")
DERIVED = ("samples_", "mirage_", "reference_")
BLOCK = 8192
LN2 = math.log(2.0)
RATIOS = ("weighted_perplexity", "bits_per_byte")
Sink = Callable[[dict[str, Any]], None]
NAN = math.nan

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Json = dict[str, Any]

CHOICE_COUNTERPARTS = (
    "log_p_gold",
    "p_gold",
    "nll_per_char",
    "nll_per_byte",
    "bits_per_byte",
    "log_p_gold_choices",
    "p_gold_choices",
    "brier_score",
    "brier_mean",
    "brier_target",
    "brier_top",
    "margin",
    "p_wrong_mass",
    "rank",
)
CHOICE_DECISIONS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")


# ---------------------------------------------------------------- accumulators


class Mean:
    """Sums blocks; NaN marks a sample without the score."""

    def __init__(self) -> None:
        self.sums: list[float] = []
        self.n = 0
        # Sum of squares about the mean, merged block by block (Chan et al. 1979).
        self.center = 0.0
        self.squares = 0.0

    def add_block(self, values: Floats) -> None:
        keep = values[~np.isnan(values)]
        if not keep.size:
            return
        total = float(keep.sum())
        mean = total / keep.size
        from_mean = keep - mean
        n = self.n + int(keep.size)
        shift = mean - self.center
        self.squares += float(from_mean @ from_mean) + shift * shift * self.n * keep.size / n
        self.center += shift * keep.size / n
        self.sums.append(total)
        self.n = n

    def stderr(self) -> float | None:
        """Standard error; None where it is not defined."""
        if self.n < 2 or not math.isfinite(self.squares):
            return None
        return math.sqrt(self.squares / (self.n - 1) / self.n)

    def value(self) -> float | None:
        if not self.n:
            return None
        total = math.fsum(self.sums) if all(map(math.isfinite, self.sums)) else sum(self.sums)
        return total / self.n


class Ece:
    """Expected calibration error, 10 equal bins closed on the right."""

    EDGES = np.arange(1, 10) / 10.0

    def __init__(self) -> None:
        self.n = 0
        self.right = np.zeros(10)
        self.confidence = np.zeros(10)

    def add_block(self, confidence: Floats, right: Bools) -> None:
        bins = np.searchsorted(self.EDGES, confidence, side="left")
        self.n += int(confidence.size)
        self.right += np.bincount(bins, weights=right, minlength=10)
        self.confidence += np.bincount(bins, weights=confidence, minlength=10)

    def value(self) -> float | None:
        return float(np.abs(self.right - self.confidence).sum()) / self.n if self.n else None


class Ratio:
    """Sum of values over sum of weights."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.weights = 0.0
        self.n = 0

    def add(self, value: float, weight: float) -> None:
        self.values.append(value)
        self.weights += weight
        self.n += 1
        if len(self.values) >= BLOCK:
            self.values = [math.fsum(self.values)]

    def value(self) -> float | None:
        return math.fsum(self.values) / self.weights if self.weights else None


class Reported:
    """One metric that the harness wrote: its rows' scores and how it aggregates them."""

    def __init__(self, aggregation: str) -> None:
        self.aggregation = aggregation
        self.mean = Mean()
        self.ratio = Ratio()
        self.pending: list[float] = []
        self.rederived = Mean()

    def add(self, score: object) -> None:
        if isinstance(score, (int, float)):
            self.pending.append(score)
            if len(self.pending) >= BLOCK:
                self.flush()
        elif isinstance(score, list) and self.aggregation in (
            "weighted_perplexity",
            "bits_per_byte",
        ):
            self.ratio.add(float(score[0]), float(score[1]))

    def flush(self) -> None:
        if self.pending:
            self.mean.add_block(np.array(self.pending, dtype=np.float64))
            self.pending = []

    def value(self) -> float | None:
        self.flush()
        if self.aggregation in ("mean", "nanmean", "brier_score"):
            return self.mean.value()
        if self.aggregation == "perplexity":
            mean = self.mean.value()
            return None if mean is None else exp(-mean)
        ratio = self.ratio.value()
        if ratio is not None and self.aggregation == "weighted_perplexity":
            return exp(-ratio)
        if ratio is not None and self.aggregation == "bits_per_byte":
            return -ratio / LN2
        return None

    @property
    def n(self) -> int:
        self.flush()
        return self.mean.n + self.ratio.n


def exp(x: float) -> float:
    """math.exp without OverflowError."""
    return math.exp(x) if x < 709.0 else float(np.exp(np.float64(x)))


# ------------------------------------------------------------------- the task


@dataclass
class TaskInfo:
    """What the results file says of one task."""

    name: str
    config: Json
    reported: Json  # "metric,filter" -> number
    n_effective: int | None
    delimiter: str

    @property
    def output_type(self) -> str:
        return str(self.config.get("output_type", ""))

    def aggregation(self, metric: str) -> str:
        for entry in self.config.get("metric_list") or []:
            if isinstance(entry, dict) and entry.get("metric") == metric and "aggregation" in entry:
                return str(entry["aggregation"])
        return {
            "perplexity": "perplexity",
            "word_perplexity": "weighted_perplexity",
            "byte_perplexity": "weighted_perplexity",
            "bits_per_byte": "bits_per_byte",
            "brier_score": "brier_score",
            "bypass": "bypass",
            "f1": "f1",
            "mcc": "matthews_corrcoef",
        }.get(metric, "mean")

    @property
    def metrics(self) -> list[str]:
        return [key.split(",", 1)[0] for key in self.reported]

    def metric_arguments(self, metric: str) -> Json:
        for entry in self.config.get("metric_list") or []:
            if isinstance(entry, dict) and entry.get("metric") == metric:
                return entry
        return {}


class Scorer:
    """Rows of one (task, filter) in, sums out. Subclasses know an output type."""

    def __init__(self, task: TaskInfo, filter_name: str, sink: Sink | None) -> None:
        self.task = task
        self.filter = filter_name
        self.sink = sink
        self.n_samples = 0
        self.n_bad = 0
        self.n_gold_unverified = 0
        self.reported: dict[str, Reported] = {}
        self.counterparts: dict[str, Mean] = {}
        self.names: list[str] | None = None

    def metric_names(self, row: Json) -> list[str]:
        """Metrics of the row; a file's rows of one filter have the same ones."""
        names: list[str] | None = row.get("metrics", self.names)
        if names is None:  # before 0.4.5
            names = [m for m in self.task.metrics if m in row]
        self.names = names
        return names

    def score_of(self, metric: str) -> Reported:
        found = self.reported.get(metric)
        if found is None:
            found = self.reported[metric] = Reported(self.task.aggregation(metric))
        return found

    def add(self, row: Json) -> None:
        self.n_samples += 1
        for metric in self.metric_names(row):
            if metric in row and metric != "brier_score":
                self.score_of(metric).add(row[metric])
        self.add_evidence(row)

    def add_evidence(self, row: Json) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        pass

    def emit(self, keys: Sequence[tuple[Any, ...]], columns: dict[str, Floats]) -> None:
        """Per-sample values; a score that a sample lacks is left out."""
        if self.sink is None:
            return
        lists = {name: values.tolist() for name, values in columns.items()}
        for i, (doc_id, doc_hash) in enumerate(keys):
            out: Json = {"doc_id": doc_id, "doc_hash": doc_hash, "filter": self.filter}
            for name, values in lists.items():
                if values[i] == values[i]:
                    out[name] = values[i]
            self.sink(out)

    def add_columns(self, keys: Sequence[tuple[Any, ...]], columns: dict[str, Floats]) -> None:
        for name, values in columns.items():
            mean = self.counterparts.get(name)
            if mean is None:
                mean = self.counterparts[name] = Mean()
            mean.add_block(values)
        self.emit(keys, columns)

    def counterpart_values(self) -> dict[str, tuple[float | None, int]]:
        return {name: (mean.value(), mean.n) for name, mean in self.counterparts.items()}

    def stderr_of(self, metric: str) -> float | None:
        """Standard error of a counterpart that is a mean."""
        mean = self.counterparts.get(metric)
        return None if mean is None else mean.stderr()


# ------------------------------------------------------------ multiple choice


@dataclass
class ChoiceBlock:
    """Rows with the same number of choices, waiting to be scored."""

    keys: list[tuple[Any, ...]] = field(default_factory=list)
    lls: list[list[float]] = field(default_factory=list)
    baselines: list[list[float]] = field(default_factory=list)
    chars: list[list[int]] = field(default_factory=list)
    bytes: list[list[int]] = field(default_factory=list)
    golds: list[int] = field(default_factory=list)  # -1: none; the set is in gold_sets
    gold_sets: dict[int, list[int]] = field(default_factory=dict)
    alternatives: list[int] = field(default_factory=list)
    from_acc: list[bool] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)  # CHOICE_DECISIONS, NaN: not reported


class ChoiceScorer(Scorer):
    """Multiple choice."""

    def __init__(self, task: TaskInfo, filter_name: str, sink: Sink | None) -> None:
        super().__init__(task, filter_name, sink)
        self.blocks: dict[tuple[int, bool], ChoiceBlock] = {}
        self.waiting = 0
        self.ece = Ece()
        self.target_field = task.config.get("doc_to_target")

    def add_evidence(self, row: Json) -> None:
        names = self.metric_names(row)
        try:
            pairs = row["filtered_resps"]
            lls = [float(pair[0]) for pair in pairs]
            arguments = list(row["arguments"].values())
            n = len(lls)
            with_baseline = "acc_mutual_info" in names
            k = n // 2 if with_baseline else n
            if k == 0 or len(arguments) != n or (with_baseline and n % 2):
                raise ValueError("choices and requests do not match")
            for ll in lls:
                if not ll <= 0.0:
                    raise ValueError("a log-likelihood is NaN or positive")
            d = len(self.task.delimiter)
            texts = []
            for argument in arguments[:k]:
                text = argument["arg_1"]
                if d and text.startswith(self.task.delimiter):
                    text = text[d:]
                texts.append(text)
            gold, gold_set, alternative, from_acc = self.read_gold(row, names, texts, arguments, k)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            self.n_bad += 1
            return
        block = self.blocks.get((k, with_baseline))
        if block is None:
            block = self.blocks[k, with_baseline] = ChoiceBlock()
        if gold_set is not None:
            block.gold_sets[len(block.golds)] = gold_set
        block.keys.append((row.get("doc_id"), row.get("doc_hash")))
        block.lls.append(lls[:k])
        if with_baseline:
            block.baselines.append(lls[k:])
        block.chars.append([len(t) for t in texts])
        block.bytes.append(
            [len(t) if t.isascii() else len(t.encode("utf-8", "surrogatepass")) for t in texts]
        )
        block.golds.append(gold)
        block.alternatives.append(alternative)
        block.from_acc.append(from_acc)
        block.scores.append([row.get(metric, NAN) for metric in CHOICE_DECISIONS])
        self.waiting += 1
        if self.waiting >= BLOCK:
            self.flush()

    def read_gold(
        self,
        row: Json,
        names: list[str],
        texts: list[str],
        arguments: list[Json],
        k: int,
    ) -> tuple[int, list[int] | None, int, bool]:
        """(gold or -1, gold set, alternative or -1, whether acc must tell it)."""
        for name in ("brier_score", "f1", "mcc"):
            if name in names:
                stated = row[name]
                if isinstance(stated, list) and len(stated) == 2:
                    if isinstance(stated[0], int):
                        return (stated[0] if 0 <= stated[0] < k else -1), None, -1, False
                    if isinstance(stated[0], list):
                        return self.gold_of_list(stated[0], k)
        if k > 1 and texts[0] == texts[1] and arguments[0]["arg_0"] != arguments[1]["arg_0"]:
            return -1, None, -1, True
        target = row["target"]
        if target.isdecimal() and target.isascii():
            index = int(target)
            if index >= k:
                index = -1
            if target not in texts:
                return index, None, -1, False
            text = texts.index(target)
            source = self.target_field
            doc = row.get("doc")
            if isinstance(source, str) and isinstance(doc, dict) and source in doc:
                return (text if isinstance(doc[source], str) else index), None, -1, False
            return index, None, text, False
        if target in texts:
            return texts.index(target), None, -1, False
        if target.startswith("[") and target.endswith("]"):
            values = ast.literal_eval(target)
            if isinstance(values, list):
                return self.gold_of_list(values, k)
        return -1, None, -1, False

    @staticmethod
    def gold_of_list(values: list[Any], k: int) -> tuple[int, list[int] | None, int, bool]:
        golds = sorted({v for v in values if isinstance(v, int) and 0 <= v < k})
        if len(golds) == 1:
            return golds[0], None, -1, False
        return (golds[0] if golds else -1), golds or None, -1, False

    def flush(self) -> None:
        for (k, _), block in self.blocks.items():
            if block.keys:
                self.score(k, block)
        self.blocks = {}
        self.waiting = 0

    def score(self, k: int, block: ChoiceBlock) -> None:
        n = len(block.keys)
        rows = np.arange(n)
        ll = np.array(block.lls, dtype=np.float64)
        chars = np.array(block.chars, dtype=np.float64)
        n_bytes = np.array(block.bytes, dtype=np.float64)
        scores = np.array(block.scores, dtype=np.float64)
        gold = np.array(block.golds)
        alternative = np.array(block.alternatives)

        # Decisions, first of ties.
        with np.errstate(divide="ignore", invalid="ignore"):
            decisions: list[NDArray[np.intp] | None] = [
                np.argmax(ll, axis=1),
                np.argmax(ll / chars, axis=1),
                np.argmax(ll / n_bytes, axis=1),
                None,
            ]
        if block.baselines:
            with np.errstate(invalid="ignore"):
                decisions[3] = np.argmax(ll - np.array(block.baselines), axis=1)
        predicted = decisions[0]
        assert predicted is not None

        # The accepted choices as a mask, checked against the row's own score: acc, or the
        # first of the others that the row has.
        mask = np.zeros((n, k), dtype=np.bool_)
        mask[rows[gold >= 0], gold[gold >= 0]] = True
        for i, golds in block.gold_sets.items():
            mask[i, golds] = True
        acc = scores[:, 0]
        tell = np.array(block.from_acc) & ~np.isnan(acc)
        if tell.any():
            hit = tell & (acc == 1.0)
            mask[rows[hit], predicted[hit]] = True
            if k == 2:
                miss = tell & (acc == 0.0)
                mask[rows[miss], 1 - predicted[miss]] = True
        checked = acc.copy()
        decision = predicted.copy()
        for j in (1, 2, 3):
            other = decisions[j]
            if other is not None:
                use = np.isnan(checked) & ~np.isnan(scores[:, j])
                checked[use] = scores[use, j]
                decision[use] = other[use]
        wrong = ~np.isnan(checked) & (mask[rows, decision] != (checked == 1.0))
        retry = wrong & (alternative >= 0) & ((decision == alternative) == (checked == 1.0))
        if retry.any():
            mask[retry] = False
            mask[rows[retry], alternative[retry]] = True
            wrong &= ~retry
        verified = mask.any(axis=1) & ~wrong
        self.n_gold_unverified += int((~verified).sum())

        # Scores. The gold rows' own log-likelihood is that of the likeliest accepted choice.
        n_golds = mask.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            best = np.argmax(np.where(mask, ll, -np.inf), axis=1)
            best = np.where(mask[rows, best], best, np.argmax(mask, axis=1))
            ll_gold = ll[rows, best]
            top = ll.max(axis=1)
            e = np.exp(ll - top[:, None])
            total = e.sum(axis=1)
            gold_mass = np.where(mask, e, 0.0).sum(axis=1)
            log_total = np.log(total)
            several = n_golds > 1
            log_p = np.where(several, top + np.log(gold_mass), ll_gold)
            log_q = np.where(several, np.log(gold_mass), ll_gold - top) - log_total
            q = e / total[:, None]
            q_gold = gold_mass / total
            share = np.where(mask, 1.0 / np.maximum(n_golds, 1)[:, None], 0.0)
            brier = ((q - share) ** 2).sum(axis=1)
            confidence = q.max(axis=1)
            right = mask[rows, predicted]
            best_wrong = np.where(mask, -np.inf, ll).max(axis=1)
            nll_byte = np.where(n_bytes[rows, best] > 0, -ll_gold / n_bytes[rows, best], NAN)
            columns = {
                "log_p_gold": log_p,
                "p_gold": np.exp(log_p),
                "nll_per_char": np.where(chars[rows, best] > 0, -ll_gold / chars[rows, best], NAN),
                "nll_per_byte": nll_byte,
                "bits_per_byte": nll_byte / LN2,
                "log_p_gold_choices": log_q,
                "p_gold_choices": q_gold,
                "brier_score": brier,
                "brier_mean": brier / k,
                "brier_target": (1.0 - q_gold) ** 2,
                "brier_top": (confidence - right) ** 2,
                "margin": np.where(n_golds < k, ll_gold - best_wrong, NAN),
                "p_wrong_mass": np.where(mask, 0.0, np.exp(ll)).sum(axis=1),
                "rank": 1.0 + (ll > ll_gold[:, None]).sum(axis=1),
            }
        for values in columns.values():
            values[~verified] = NAN
        # With a prompt per choice, acc told the gold, and the lengths that acc_norm and acc_bytes
        # divide by are those of the prompts: neither can be derived again.
        own = {}
        told = np.array(block.from_acc)
        for j, metric in enumerate(CHOICE_DECISIONS):
            chosen = decisions[j]
            if chosen is None:
                continue
            hit = np.where(verified, mask[rows, chosen].astype(np.float64), NAN)
            if j in (1, 2):
                hit[told] = NAN
            own[metric] = hit
            if metric in self.reported:
                # A reading that the row's own score contradicts counts as one that differs.
                given = scores[:, j]
                stated = mask.any(axis=1) & (verified | (alternative < 0)) & ~told
                by_reading = mask[rows, chosen].astype(np.float64)
                same = np.where(stated & ~np.isnan(given), by_reading == given, NAN)
                self.reported[metric].rederived.add_block(same)
        usable = verified & ~np.isnan(confidence)
        self.ece.add_block(confidence[usable], right[usable])
        self.add_columns(block.keys, {**own, **columns})
        if "brier_score" in (self.names or []):
            self.score_of("brier_score").mean.add_block(columns["brier_score"])

    def counterpart_values(self) -> dict[str, tuple[float | None, int]]:
        return {**super().counterpart_values(), "ece": (self.ece.value(), self.ece.n)}


# ----------------------------------------------------------------- generation


class GenerationScorer(Scorer):
    """Generated text against target text."""

    NAMES = ("token_edit_distance", "edit_similarity", "prefix_match", "position_accuracy")

    def __init__(self, task: TaskInfo, filter_name: str, sink: Sink | None) -> None:
        super().__init__(task, filter_name, sink)
        arguments = task.metric_arguments("exact_match")
        self.ignore = [re.compile(p) for p in arguments.get("regexes_to_ignore") or []]
        self.fold = bool(arguments.get("ignore_case"))
        removed = string.punctuation if arguments.get("ignore_punctuation") else ""
        removed += string.digits if arguments.get("ignore_numbers") else ""
        self.removed = str.maketrans("", "", removed) if removed else None
        self.choices = task.config.get("doc_to_choice")
        self.custom = bool(self.ignore) or task.config.get("process_results") is not None
        self.keys: list[tuple[Any, ...]] = []
        self.rows: list[tuple[float, ...]] = []
        self.same: list[float] = []

    def normal(self, text: str) -> str:
        for pattern in self.ignore:
            text = pattern.sub("", text)
        if self.fold:
            text = text.lower()
        return text.translate(self.removed) if self.removed else text

    def targets(self, row: Json) -> list[str]:
        """Accepted answers. lm-eval writes a list of them as its Python text."""
        target: str = row["target"]
        if self.choices is not None and target.isdecimal():
            choices = self.choices
            if isinstance(choices, str):
                choices = row["doc"][choices]
            elif isinstance(choices, dict):
                choices = list(choices.values())
            return [choices[int(target)]]
        if target.startswith("[") and target.endswith("]"):
            name = self.task.config.get("doc_to_target")
            doc = row.get("doc")
            if isinstance(name, str) and isinstance(doc, dict) and isinstance(doc.get(name), str):
                return [target]
            try:
                values = ast.literal_eval(target)
            except (SyntaxError, ValueError):
                return [target]
            if isinstance(values, list) and values and all(isinstance(v, str) for v in values):
                return values
        return [target]

    def add_evidence(self, row: Json) -> None:
        try:
            targets = self.targets(row)
            outputs = row["filtered_resps"]
            if len(outputs) == 1 and isinstance(outputs[0], list):
                outputs = outputs[0]
            if not outputs or not all(isinstance(output, str) for output in outputs):
                raise ValueError("no output")
            if len(outputs) == 1 and len(targets) == 1:
                values: tuple[float, ...] = compare_text(outputs[0], targets[0])
            else:
                values = compare_texts(outputs, targets)
        except (KeyError, TypeError, ValueError, IndexError):
            self.n_bad += 1
            return
        if "exact_match" in self.reported and isinstance(row.get("exact_match"), (int, float)):
            accepted = {self.normal(t) for t in targets}
            hits = [self.normal(o) in accepted for o in outputs]
            own = sum(hits) / len(hits) if len(targets) == 1 else float(any(hits))
            same = own == float(row["exact_match"])
            self.same.append(float(same))
            # A target that does not give the harness's score is not what it compared with.
            if not same and len(outputs) == 1 and not self.custom:
                self.n_gold_unverified += 1
                values = (NAN,) * len(values)
        self.keys.append((row.get("doc_id"), row.get("doc_hash")))
        self.rows.append(values)
        if len(self.rows) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            block = np.array(self.rows, dtype=np.float64)
            self.add_columns(self.keys, {name: block[:, j] for j, name in enumerate(self.NAMES)})
        if self.same:
            self.reported["exact_match"].rederived.add_block(np.array(self.same))
        self.keys, self.rows, self.same = [], [], []


def compare_text(output: str, target: str) -> tuple[float, float, float, float]:
    """Edit distance, similarity, prefix match, position accuracy of one output."""
    if output == target:
        unit = 1.0 if target else NAN
        return 0.0, 1.0, unit, unit
    distance = Levenshtein.distance(output, target)
    length = len(target)
    similarity = 1.0 - distance / max(len(output), length)
    if not length:
        return float(distance), similarity, NAN, NAN
    prefix = Prefix.similarity(output, target) / length
    return float(distance), similarity, prefix, sum(map(eq, output, target)) / length


def compare_texts(outputs: list[str], targets: list[str]) -> tuple[float, ...]:
    """Best target for each metric, mean over outputs."""
    block = np.array([[compare_text(o, t) for t in targets] for o in outputs])
    best = np.fmax.reduce(block, axis=1)
    best[:, 0] = np.fmin.reduce(block[:, :, 0], axis=1)
    return tuple(best.mean(axis=0).tolist())


# ----------------------------------------------------------------- likelihood


class LikelihoodScorer(Scorer):
    """Log-likelihood of a target."""

    def __init__(self, task: TaskInfo, filter_name: str, sink: Sink | None) -> None:
        super().__init__(task, filter_name, sink)
        self.keys: list[tuple[Any, ...]] = []
        self.rows: list[tuple[float, float, int, int]] = []
        self.acc: list[float] = []

    def add_evidence(self, row: Json) -> None:
        try:
            pair = row["filtered_resps"][0]
            ll = float(pair[0])
            if not ll <= 0.0:
                raise ValueError("a log-likelihood is NaN or positive")
            text = next(iter(row["arguments"].values()))["arg_1"]
            n_bytes = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
            greedy = {"True": 1.0, "False": 0.0}.get(str(pair[1]), NAN)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            self.n_bad += 1
            return
        self.keys.append((row.get("doc_id"), row.get("doc_hash")))
        self.rows.append((ll, greedy, len(text), n_bytes))
        self.acc.append(row.get("acc", NAN))
        if len(self.rows) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        if not self.rows:
            return
        ll, greedy, chars, n_bytes = np.array(self.rows, dtype=np.float64).T
        with np.errstate(divide="ignore", invalid="ignore"):
            p = np.exp(ll)
            nll_byte = np.where(n_bytes > 0, -ll / n_bytes, NAN)
            columns = {
                "log_p_target": ll,
                "p_target": p,
                "nll_per_char": np.where(chars > 0, -ll / chars, NAN),
                "nll_per_byte": nll_byte,
                "bits_per_byte": nll_byte / LN2,
                "expected_accuracy": p,
                "expected_edit_distance": np.where(chars > 0, -chars * np.expm1(ll / chars), NAN),
            }
        if "acc" in self.reported:
            acc = np.array(self.acc, dtype=np.float64)
            same = np.where(np.isnan(acc) | np.isnan(greedy), NAN, greedy == acc)
            self.reported["acc"].rederived.add_block(same)
        if "perplexity" in self.reported:
            self.reported["perplexity"].rederived.add_block(np.ones(len(ll)))
        self.add_columns(self.keys, columns)
        self.keys, self.rows, self.acc = [], [], []

    def counterpart_values(self) -> dict[str, tuple[float | None, int]]:
        found = super().counterpart_values()
        log_p, n = found.get("log_p_target", (None, 0))
        found["perplexity"] = (None if log_p is None else exp(-log_p), n)
        return found


class RollingScorer(Scorer):
    """Log-likelihood of whole documents: ratios of sums."""

    def __init__(self, task: TaskInfo, filter_name: str, sink: Sink | None) -> None:
        super().__init__(task, filter_name, sink)
        self.words = Ratio()
        self.bytes = Ratio()

    def add_evidence(self, row: Json) -> None:
        try:
            ll = row["filtered_resps"][0]
            while isinstance(ll, list):
                ll = ll[0]
            ll = float(ll)
            if not ll <= 0.0:
                raise ValueError("a log-likelihood is NaN or positive")
            text = next(iter(row["arguments"].values()))["arg_0"]
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            self.n_bad += 1
            return
        # The harness's own counts where the row has them: a task may count another text.
        own = row.get("word_perplexity")
        words = own[1] if own else len(re.split(r"\s+", text))
        own = row.get("byte_perplexity") or row.get("bits_per_byte")
        n_bytes = own[1] if own else len(text.encode("utf-8", "surrogatepass"))
        self.words.add(ll, words)
        self.bytes.add(ll, n_bytes)
        if self.sink is not None:
            nll = -ll / n_bytes if n_bytes else NAN
            columns = {"log_p_target": np.array([ll]), "bits_per_byte": np.array([nll / LN2])}
            self.emit([(row.get("doc_id"), row.get("doc_hash"))], columns)

    def counterpart_values(self) -> dict[str, tuple[float | None, int]]:
        words, n_bytes = self.words.value(), self.bytes.value()
        return {
            "word_perplexity": (None if words is None else exp(-words), self.words.n),
            "byte_perplexity": (None if n_bytes is None else exp(-n_bytes), self.bytes.n),
            "bits_per_byte": (None if n_bytes is None else -n_bytes / LN2, self.bytes.n),
        }


class PlainScorer(Scorer):
    """An output type without counterparts: the rows' own scores only."""

    def add_evidence(self, row: Json) -> None:
        pass


SCORERS: dict[str, type[Scorer]] = {
    "multiple_choice": ChoiceScorer,
    "generate_until": GenerationScorer,
    "loglikelihood": LikelihoodScorer,
    "loglikelihood_rolling": RollingScorer,
}


# ----------------------------------------------------------------------- runs


def find_runs(path: Path) -> list[tuple[Path, str]]:
    """Results files under `path` with their date ids."""
    if path.is_file():
        match = DATE.search(path.name)
        return [(path, match.group(1) if match else "")]
    found = []
    for file in sorted(path.rglob("*.json")):
        match = DATE.search(file.name)
        if match and not file.name.startswith(DERIVED):
            found.append((file, match.group(1)))
    return found


def choice_delimiter(results: Json, config: Json) -> str:
    """What lm-eval put before each choice."""
    delimiter = str(config.get("target_delimiter", " "))
    if results.get("chat_template") is None:
        return delimiter
    prefix = config.get("gen_prefix")
    return delimiter if prefix and not prefix[-1].isspace() else ""


def tasks_of(results: Json) -> list[TaskInfo]:
    tasks = []
    for name, numbers in results.get("results", {}).items():
        config = results.get("configs", {}).get(name)
        if config is None:  # a group
            continue
        reported = {
            key: value
            for key, value in numbers.items()
            if "," in key
            and "_stderr," not in key
            and not key.startswith("bypass,")  # --predict_only: 999, which measures nothing
            and isinstance(value, (int, float))
        }
        count = results.get("n-samples", {}).get(name, {}).get("effective")
        tasks.append(TaskInfo(name, config, reported, count, choice_delimiter(results, config)))
    return tasks


class TaskHash:
    """lm-eval's task_hashes: SHA-256 over the hashes of all rows in their order."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.is_whole = True

    def add(self, row: Json) -> None:
        try:
            hashes = row["doc_hash"] + row["prompt_hash"] + row["target_hash"]
            self.sha.update(hashes.encode())
        except (KeyError, TypeError, AttributeError):
            self.is_whole = False

    def value(self) -> str | None:
        return self.sha.hexdigest() if self.is_whole else None


def rows_of(path: Path, lost: list[int], task_hash: TaskHash) -> Iterator[Json]:
    """Rows of a samples file; a repeated key or a line that is no JSON object is lost."""
    seen: set[int] = set()
    decode = json.JSONDecoder().decode
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        for line in file:
            try:
                row = decode(line)
                key = hash((row.get("filter"), row.get("doc_id"), row.get("doc_hash")))
            except (ValueError, AttributeError, TypeError):
                lost[0] += bool(line.strip())
                continue
            task_hash.add(row)
            if key in seen:
                lost[0] += 1
                continue
            seen.add(key)
            yield row


def score_task(
    task: TaskInfo, path: Path, samples: Path | None
) -> tuple[dict[str, Scorer], int, str | None]:
    """Scores one samples file; one scorer for each filter, the number of rows that were lost,
    and the hash of the task."""
    kind = SCORERS.get(task.output_type, PlainScorer)
    scorers: dict[str, Scorer] = {}
    lost = [0]
    task_hash = TaskHash()
    out = samples.open("w", encoding="utf-8") if samples else None

    def sink(row: Json) -> None:
        assert out is not None
        out.write(json.dumps(row, ensure_ascii=False) + "\n")

    try:
        for row in rows_of(path, lost, task_hash):
            name = row.get("filter", "none")
            scorer = scorers.get(name)
            if scorer is None:
                scorer = scorers[name] = kind(task, name, sink if out else None)
            scorer.add(row)
        for scorer in scorers.values():
            scorer.flush()
    finally:
        if out:
            out.close()
    return scorers, lost[0], task_hash.value()


def summarize(task: TaskInfo, scorers: dict[str, Scorer], n_lost: int) -> list[Json]:
    """One object a (task, filter), in the shape of the contract."""
    filters = list(scorers)
    for key in task.reported:
        name = key.split(",", 1)[1]
        if name not in filters:
            filters.append(name)
    out = []
    for name in filters:
        scorer = scorers.get(name)
        metrics: list[Json] = []
        reported = {
            key.split(",", 1)[0]: value
            for key, value in task.reported.items()
            if key.split(",", 1)[1] == name
        }
        for metric, value in reported.items():
            own = scorer.reported.get(metric) if scorer else None
            entry: Json = {"metric": metric, "role": "REPORTED", "reported_value": value}
            entry["value"] = own.value() if own else None
            entry["n"] = own.n if own else 0
            if own and own.aggregation in ("mean", "nanmean", "brier_score"):
                entry["stderr"] = own.mean.stderr()
            if own and own.rederived.n:
                entry["rederived"] = own.rederived.value()
            metrics.append(entry)
        if scorer:
            for metric, (computed, n) in scorer.counterpart_values().items():
                entry = {"metric": metric, "role": "COUNTERPART", "value": computed, "n": n}
                entry["stderr"] = scorer.stderr_of(metric)
                metrics.append(entry)
        out.append(
            {
                "task": task.name,
                "filter": name,
                "output_type": task.output_type,
                "n_samples": scorer.n_samples if scorer else 0,
                "n_expected": task.n_effective,
                "n_bad": scorer.n_bad if scorer else 0,
                "n_lost": n_lost,
                "n_gold_unverified": scorer.n_gold_unverified if scorer else 0,
                "metrics": metrics,
            }
        )
    return out


def attach(path: Path, date: str, write_dir: Path | None, samples: bool) -> Json:
    """Scores one run; writes per-sample values if asked to."""
    with path.open(encoding="utf-8") as file:
        results = json.load(file)
    tasks = []
    for task in tasks_of(results):
        file_path = path.parent / f"samples_{task.name}_{date}.jsonl"
        scorers: dict[str, Scorer] = {}
        n_lost = 0
        if file_path.is_file():
            out = None
            if samples:
                out = (write_dir or path.parent) / f"reference_samples_{task.name}_{date}.jsonl"
            scorers, n_lost, found_hash = score_task(task, file_path, out)
            stated = (results.get("task_hashes") or {}).get(task.name)
            if stated and found_hash and not n_lost and found_hash != stated:
                print(f"{file_path}: not the rows of these results (task hash)", file=sys.stderr)
        tasks.extend(summarize(task, scorers, n_lost))
    return {
        "model": results.get("model_name") or path.parent.name,
        "harness": "lm-eval",
        "harness_version": results.get("lm_eval_version", ""),
        "path": str(path),
        "date": date,
        "tasks": tasks,
    }


# ------------------------------------------------------------------ comparing


def number(value: object) -> float | None:
    """A number of ProtoJSON: non-finite ones are strings."""
    if value is None:
        return None
    if isinstance(value, str):
        return float(value.replace("Infinity", "inf"))
    return float(value)  # type: ignore[arg-type]


def close(a: float | None, b: float | None, relative: float, absolute: float = 1e-12) -> bool:
    if a is None or b is None:
        return a is b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= max(relative * max(abs(a), abs(b)), absolute)


def same_run(theirs: Json, ours: list[Json]) -> Json | None:
    path = Path(theirs.get("path") or ".").resolve()
    exact = [run for run in ours if Path(run["path"]).resolve() == path]
    dated = [
        run
        for run in ours
        if run["date"] and (theirs.get("date") == run["date"] or run["date"] in path.name)
    ]
    folder = [run for run in ours if Path(run["path"]).resolve().parent == path]
    for found in (exact, dated, folder):
        if len(found) == 1:
            return found[0]
    return ours[0] if len(ours) == 1 else None


def compare(
    theirs: Json, ours: list[Json], tolerance: float = 1e-9, require_all: bool = True
) -> tuple[list[list[str]], int]:
    """Mismatches as table rows (run, task, filter, metric, what, mirage, reference), and the
    number of comparisons. Values agree to `tolerance`, relative, or 1e-12; what the harness
    reported agrees with `value` to 1e-12 where no sample is missing. With `require_all`, every
    metric here must be there, or be named among its `unavailable`."""
    problems: list[list[str]] = []
    checks = 0
    seen: set[int] = set()
    for run in theirs.get("runs", []):
        mine = same_run(run, ours)
        if mine is None:
            problems.append([str(run.get("path")), "", "", "", "run", "present", "not found"])
            continue
        seen.add(id(mine))
        label = mine["date"]
        tasks = {(t["task"], t["filter"]): t for t in mine["tasks"]}
        met = set()
        for task in run.get("tasks", []):
            key = (task.get("task"), task.get("filter"))
            reference = tasks.get(key)
            if reference is None:
                if not task.get("members"):
                    problems.append([label, *map(str, key), "", "task", "present", "absent"])
                continue
            met.add(key)

            where = [label, *map(str, key)]

            def report(
                metric: str, what: str, a: object, b: object, where: list[str] = where
            ) -> None:
                problems.append([*where, metric, what, repr(a), repr(b)])

            for count in ("n_samples", "n_gold_unverified"):
                checks += 1
                if task.get(count, 0) != reference[count]:
                    report("", count, task.get(count), reference[count])
            complete = (
                reference["n_samples"] == reference["n_expected"]
                and not reference["n_lost"]
                and not reference["n_bad"]
            )
            known = {(m["role"], m["metric"]): m for m in reference["metrics"]}
            given = set()
            for metric in task.get("metrics", []):
                name, role = str(metric.get("metric")), metric.get("role")
                given.add(name)
                if name == "bypass":
                    continue
                own = known.get((role, name)) or (
                    known.get(("REPORTED", name)) if role == "COUNTERPART" else None
                )
                if own is None:
                    report(name, f"unknown {role}", number(metric.get("value")), None)
                    continue
                value = number(metric.get("value"))
                checks += 2
                if own["value"] is not None and not close(value, own["value"], tolerance):
                    report(name, "value", value, own["value"])
                if own["value"] is not None and metric.get("n", 0) != own["n"]:
                    report(name, "n", metric.get("n"), own["n"])
                if own.get("stderr") is not None and metric.get("stderr") is not None:
                    checks += 1
                    if not close(number(metric["stderr"]), own["stderr"], tolerance):
                        report(name, "stderr", metric["stderr"], own["stderr"])
                if role != "REPORTED":
                    continue
                checks += 1
                told = number(metric.get("reported_value"))
                if told != own["reported_value"]:
                    report(name, "reported_value", told, own["reported_value"])
                if complete and value is not None:
                    checks += 1
                    if not close(value, told, 1e-12):
                        report(name, "value against reported", value, told)
                if (
                    metric.get("rederived") is not None
                    and own.get("rederived") is not None
                    and not reference["n_gold_unverified"]
                ):
                    checks += 1
                    if not close(number(metric["rederived"]), own["rederived"], 1e-12):
                        report(name, "rederived", metric["rederived"], own["rederived"])
            excused = {str(u.get("metric")) for u in task.get("unavailable", [])}
            for (role, name), own in known.items():
                counted = role == "REPORTED" or (
                    own["n"] and (name not in CHOICE_DECISIONS or name in given)
                )
                if require_all and counted and name not in given and name not in excused:
                    report(name, f"missing {role}", None, own["value"])
        for key, reference in tasks.items():
            if require_all and key not in met:
                problems.append([label, *key, "", "task", "absent", str(reference["n_samples"])])
    for mine in ours:
        if id(mine) not in seen:
            problems.append([mine["date"], "", "", "", "run", "absent", mine["path"]])
    return problems, checks


def check_reported(runs: list[Json]) -> tuple[list[list[str]], int, int]:
    """This script's own numbers against the harness's: mismatches, checks, what was skipped."""
    problems: list[list[str]] = []
    checks = skipped = 0
    for run in runs:
        for task in run["tasks"]:
            complete = task["n_samples"] == task["n_expected"] and not task["n_bad"]
            for metric in task["metrics"]:
                if metric["role"] != "REPORTED":
                    continue
                if not complete or metric["value"] is None:
                    skipped += 1
                    continue
                checks += 1
                if not close(metric["value"], float(metric["reported_value"]), 1e-12):
                    where = [run["date"], task["task"], task["filter"], metric["metric"]]
                    values = [repr(metric["value"]), repr(metric["reported_value"])]
                    problems.append([*where, "value against reported", *values])
                if metric.get("rederived", 1.0) != 1.0:
                    where = [run["date"], task["task"], task["filter"], metric["metric"]]
                    problems.append([*where, "rederived", repr(metric["rederived"]), "1.0"])
    return problems, checks, skipped


def print_table(rows: list[list[str]]) -> None:
    head = ["run", "task", "filter", "metric", "what", "mirage", "reference"]
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )


# ----------------------------------------------------------------------- main


def json_safe(value: Any) -> Any:
    """Non-finite numbers as ProtoJSON writes them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {k: json_safe(v) for k, v in value.items()}
    if isinstance(value, list):
        return [json_safe(v) for v in value]
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    description = (__doc__ or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--write-dir", type=Path, help="write there instead of beside each run")
    parser.add_argument("--no-write", action="store_true")
    parser.add_argument("--samples", action="store_true", help="also write per-sample values")
    parser.add_argument(
        "--compare",
        type=Path,
        action="append",
        default=[],
        metavar="JSON",
        help="output of `mirage attach`; without RUN, the runs beside that file",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="with --compare: metrics that are only here are no mismatch",
    )
    parser.add_argument(
        "--check-reported",
        action="store_true",
        help="check the recomputed metrics against the harness's numbers (1e-12)",
    )
    parser.add_argument("--quiet", action="store_true")
    options = parser.parse_args(arguments)

    paths: list[Path] = options.runs or [file.resolve().parent for file in options.compare]
    if not paths:
        parser.error("no RUN")
    if options.write_dir:
        options.write_dir.mkdir(parents=True, exist_ok=True)
    runs = []
    gc.disable()  # rows have no cycles, and collecting costs a tenth of the time
    found = {file: date for path in paths for file, date in find_runs(path)}
    if not found:
        print(f"no lm-eval results under {', '.join(map(str, paths))}", file=sys.stderr)
        return 4
    for file, date in found.items():
        run = attach(file, date, options.write_dir, options.samples and not options.no_write)
        runs.append(run)
        if not options.no_write and not options.compare:
            target = (options.write_dir or file.parent) / f"reference_{date}.json"
            content = {"generator": GENERATOR, "runs": [json_safe(run)]}
            target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    status = 0
    for path in options.compare:
        theirs = json.loads(path.read_text(encoding="utf-8"))
        chosen = runs
        if not options.runs:
            dates = [run.get("date") or str(run.get("path")) for run in theirs.get("runs", [])]
            chosen = [r for r in runs if any(r["date"] in d for d in dates)] or runs
        problems, checks = compare(theirs, chosen, require_all=not options.allow_missing)
        if problems:
            print_table(problems)
            status = 1
        print(f"{path}: {checks} comparisons, {len(problems)} mismatches")
    if options.check_reported:
        problems, checks, skipped = check_reported(runs)
        if problems:
            print_table(problems)
            status = 1
        print(
            f"{len(runs)} runs: {checks} reported metrics recomputed, {len(problems)} mismatches, "
            f"{skipped} without complete samples or without a definition here"
        )
    elif not options.compare and not options.quiet:
        for run in runs:
            print(run["model"], run["date"])
            for task in run["tasks"]:
                print(f"  {task['task']},{task['filter']}  n={task['n_samples']}")
                for metric in task["metrics"]:
                    mark = "" if metric["role"] == "REPORTED" else "    "
                    print(f"    {mark}{metric['metric']:28s} {metric['value']}")
    return status


if __name__ == "__main__":
    sys.exit(main())
