"""The text metrics against the Python packages that define them, on seeded random texts.

Texts are made of words of many scripts, punctuation, numbers, HTML entities, emoji and rare white
space; half of the references are mutations of the hypothesis, so that most n-grams match. Bytes
that are not UTF-8 are what errors="surrogateescape" makes of them.
"""

from __future__ import annotations

import json
import logging
import math
import random
import re
import string
import subprocess
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

TARGET = "//tests/reference:text_metrics_probe"
RELATIVE = 1e-10
Request = dict[str, Any]
Sample = tuple[str, list[str]]


def package(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed: nothing to compare with")


@pytest.fixture(scope="session")
def probe(built: Callable[[str], Path]) -> Callable[[Sequence[Request]], list[Any]]:
    """Sends requests to the probe and returns its answers."""
    binary = built(TARGET)

    def ask(requests: Sequence[Request]) -> list[Any]:
        lines = "".join(json.dumps(request) + "\n" for request in requests)
        done = subprocess.run([binary], input=lines, capture_output=True, text=True, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(answers) == len(requests)
        return answers

    return ask


# Texts

VOCABULARY = """
the a an The A AN cat cats sat on mat Mat running runs ran quickly relational conditional generously
it's don't U.S. e.g. 3.14 1,000 1.000,5 2-3 10-year x-ray a-b -5 5- 1st 2nd 12:30 50% $5 (see)
"quoted" 'single' [x] {y} <tag> a/b C++ foo_bar @user #tag ... .. . , , , - -- & ; : ! ? ?! ~ ^ |
&quot; &amp; &lt; &gt; &amp;lt; &apos; <skipped> naïve Café CAFÉ ÉCOLE Straße ẞ ŒUVRE Σίσυφος
ΟΔΟΣ ΣΑΣ İstanbul ISPARTA ıx ǅ Привет МИР мира שלום مرحبا العالم नमस्ते สวัสดี 中文 测试 日本語
テスト 한국어 ，。！ 「引用」 １２３ ４．５ Ⅳ ½ ² ٣٤ १२ « » “q” ‘s’ — – … • § © € £ ¥ × ÷ ± → ∞ ≤
😀 👍🏽 👨\u200d👩\u200d👧 🇩🇪 ﬁn Å K ℝ 𝒜𝓑 𐐀𐐨 a\u0301 e\u0301tude \u00adsoft zero\u200bwidth
ªº 1\u20e3
"""
WORDS = VOCABULARY.split()
SPACES = [" "] * 40 + ["  ", "\n", "-\n", "\t", "\r\n", "\u00a0", "\u2003", "\u3000", "\u2028"]
SPACES += ["\x1c", "\x1f", "\x0b", "\x85", "", "", ""]
ASSIGNED = [
    chr(c)
    for c in range(0x110000)
    if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co") and c not in range(0x4E00, 0xD7A4)
]


class Maker:
    """Random texts. `invalid` puts bytes in that are not UTF-8."""

    def __init__(self, seed: int, invalid: bool = False) -> None:
        self.random = random.Random(seed)
        self.invalid = invalid

    def word(self) -> str:
        kind = self.random.random()
        if kind < 0.85:
            return self.random.choice(WORDS)
        if kind < 0.95:
            return "".join(self.random.choices(ASSIGNED, k=self.random.randint(1, 3)))
        if self.invalid:
            return "".join(chr(0xDC80 + self.random.randrange(128)) for _ in range(2))
        return "".join(self.random.choices("ab.,-1 '&", k=self.random.randint(1, 6)))

    def join(self, words: Sequence[str]) -> str:
        text = "".join(word + self.random.choice(SPACES) for word in words)
        text = text.rstrip() if self.random.random() < 0.5 else text
        # Adjacent escaped bytes could be UTF-8 together, which they are not for Python.
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")

    def words(self, longest: int) -> list[str]:
        if self.random.random() < 0.04:
            return []
        vocabulary = [self.word() for _ in range(self.random.randint(1, longest))]
        return self.random.choices(vocabulary, k=self.random.randint(1, longest))

    def mutate(self, words: Sequence[str]) -> list[str]:
        out = list(words)
        for _ in range(self.random.randint(0, 1 + len(out) // 4)):
            at = self.random.randint(0, len(out))
            kind = self.random.randrange(4)
            if kind == 0:
                out[at:at] = [self.word()]
            elif kind == 1:
                del out[at : at + self.random.randint(1, 3)]
            elif kind == 2:
                out[at : at + 1] = [self.word()]
            else:
                out[at : at + 2] = [w.swapcase() for w in reversed(out[at : at + 2])]
        return out

    def sample(self, longest: int = 25, most_references: int = 3) -> Sample:
        words = self.words(longest)
        count = self.random.choice([1, 1, 1, *range(1, most_references + 1)])
        references = [
            self.mutate(words) if self.random.random() < 0.6 else self.words(longest)
            for _ in range(count)
        ]
        if self.random.random() < 0.03:
            references[0] = list(words)
        return self.join(words), [self.join(reference) for reference in references]

    def samples(self, count: int, **options: int) -> Iterator[Sample]:
        return (self.sample(**options) for _ in range(count))


def to_hex(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").hex()


def from_hex(text: str) -> str:
    return bytes.fromhex(text).decode("utf-8", "surrogateescape")


def wire(samples: Sequence[Sample]) -> list[Any]:
    return [[to_hex(text), [to_hex(r) for r in references]] for text, references in samples]


def check(actual: Any, expected: Any, *what: object) -> None:
    """Equality to RELATIVE, of all numbers of lists."""
    if isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), what
        for a, e in zip(actual, expected, strict=True):
            check(a, e, *what)
    else:
        assert math.isclose(actual, expected, rel_tol=RELATIVE, abs_tol=1e-13), (
            f"{actual} is not {expected}: {what!r}"
        )


def chosen(maker: Maker, **values: Sequence[Any]) -> dict[str, Any]:
    return {name: maker.random.choice(options) for name, options in values.items()}


# What is compared


@pytest.mark.parametrize("invalid", [False, True])
@pytest.mark.parametrize("tokenizer", ["13a", "none", "char", "intl"])
def test_bleu_tokenizers(tokenizer: str, invalid: bool, probe: Any) -> None:
    package("sacrebleu")
    from sacrebleu.metrics.bleu import _get_tokenizer

    reference = _get_tokenizer(tokenizer)()
    texts = [text for text, _ in Maker(1, invalid).samples(1500)]
    # Each character on its own, beside a letter and between digits.
    texts += [f"{c} a{c}b 1{c}2 {c}{c}" for c in ASSIGNED if ord(c) < 0x3100 or c > "\U00010000"][
        :: 1 if tokenizer == "intl" and not invalid else 16
    ]
    requests = [{"op": "tokenize", "tokenizer": tokenizer, "text": to_hex(t)} for t in texts]
    for text, answer in zip(texts, probe(requests), strict=True):
        assert from_hex(answer["text"]) == reference(text), repr(text)


def bleu_options(maker: Maker) -> dict[str, Any]:
    options = chosen(
        maker,
        tokenizer=["13a", "13a", "none", "char", "intl"],
        lowercase=[False, True],
        max_order=[4, 4, 4, 1, 2, 6],
        smoothing=["exp", "exp", "none", "floor", "add-k"],
        smooth_value=[None, None, 0.25, 2, 0],
        effective_order=[False, True],
    )
    return options


def check_bleu(probe: Any, corpora: Sequence[tuple[dict[str, Any], list[Sample]]]) -> None:
    from sacrebleu.metrics import BLEU

    requests = [
        {"op": "bleu", "samples": wire(samples), "shards": 1 + len(samples) % 5, **options}
        for options, samples in corpora
    ]
    for (options, samples), answer in zip(corpora, probe(requests), strict=True):
        metric = BLEU(
            lowercase=options["lowercase"],
            force=True,
            tokenize=options["tokenizer"],
            smooth_method=options["smoothing"],
            smooth_value=options["smooth_value"],
            max_ngram_order=options["max_order"],
            effective_order=options["effective_order"],
        )
        most = max(len(references) for _, references in samples)
        columns = [[r[i] if i < len(r) else None for _, r in samples] for i in range(most)]
        score = metric.corpus_score([text for text, _ in samples], columns)
        what = (options, samples)
        assert answer.keys() != {"error"}, (answer, what)
        check(answer["score"], score.score, *what)
        check(answer["precisions"], score.precisions, *what)
        check(answer["brevity_penalty"], score.bp, *what)
        check(answer["length_ratio"], score.ratio, *what)
        assert answer["hypothesis_length"] == score.sys_len, what
        assert answer["reference_length"] == score.ref_len, what
        signature = str(metric.get_signature()).rpartition("|version:")[0]
        order = options["max_order"]
        assert answer["signature"] == signature + (f"|order:{order}" if order != 4 else "")


@pytest.mark.parametrize("invalid", [False, True])
def test_bleu(invalid: bool, probe: Any) -> None:
    package("sacrebleu")
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)
    maker = Maker(2, invalid)
    sentences = [(bleu_options(maker), [sample]) for sample in maker.samples(2500)]
    check_bleu(probe, sentences)
    corpora = [
        (bleu_options(maker), list(maker.samples(maker.random.randint(2, 30)))) for _ in range(60)
    ]
    check_bleu(probe, corpora)
    # The metric of lm-evaluation-harness: a corpus with the defaults.
    default = {
        "tokenizer": "13a",
        "lowercase": False,
        "max_order": 4,
        "smoothing": "exp",
        "smooth_value": None,
        "effective_order": False,
    }
    check_bleu(probe, [(default, list(maker.samples(1000)))])


@pytest.mark.parametrize("invalid", [False, True])
def test_chrf(invalid: bool, probe: Any) -> None:
    package("sacrebleu")
    from sacrebleu.metrics import CHRF

    maker = Maker(3, invalid)
    sizes = [1] * 1000 + [maker.random.randint(2, 20) for _ in range(40)] + [300]
    corpora = []
    for size in sizes:
        options = chosen(
            maker,
            char_order=[6, 6, 6, 3],
            word_order=[0, 2, 2, 1],
            beta=[2, 2, 1, 3],
            lowercase=[False, True],
            whitespace=[False, False, True],
            eps_smoothing=[False, False, True],
        )
        corpora.append((options, list(maker.samples(size))))
    requests = [
        {"op": "chrf", "samples": wire(samples), "shards": 1 + len(samples) % 4, **options}
        for options, samples in corpora
    ]
    for (options, samples), answer in zip(corpora, probe(requests), strict=True):
        metric = CHRF(**options)
        most = max(len(references) for _, references in samples)
        columns = [[r[i] if i < len(r) else None for _, r in samples] for i in range(most)]
        score = metric.corpus_score([text for text, _ in samples], columns)
        assert answer.keys() != {"error"}, (answer, options, samples)
        check(answer["score"], score.score, options, samples)
        signature = str(metric.get_signature()).rpartition("|version:")[0]
        beta = options["beta"]
        assert answer["signature"] == signature + (f"|beta:{beta}" if beta != 2 else "")


@pytest.mark.parametrize("stemmer", [False, True])
def test_rouge(stemmer: bool, probe: Any) -> None:
    package("rouge_score")
    from rouge_score import rouge_scorer

    types = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = rouge_scorer.RougeScorer(types, use_stemmer=stemmer)
    maker = Maker(4)
    samples = list(maker.samples(700)) + list(maker.samples(100, longest=200, most_references=1))
    # Few words and many lines, where which of the longest subsequences is taken matters.
    for _ in range(400):
        alphabet = [*"abcd", "\n", "\n"]
        one, two = (
            " ".join(maker.random.choices(alphabet, k=maker.random.randint(0, 100)))
            for _ in range(2)
        )
        samples.append((one, [two]))
    requests = [
        {
            "op": "rouge",
            "stemmer": stemmer,
            "output": to_hex(text),
            "references": [to_hex(r) for r in references],
        }
        for text, references in samples
    ]
    for (text, references), answer in zip(samples, probe(requests), strict=True):
        expected = scorer.score_multi(references, text)
        for name in types:
            check(answer[name], list(expected[name]), name, text, references)


SUFFIXES = """s es ies ied ed eed ing y ay ational tional enci anci izer bli abli alli entli eli
ousli ization ation ator alism iveness fulness ousness aliti iviti biliti fulli logi ologi
icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent sion
tion ion ou ism ate iti ous ive ize e ee ll l at bl iz sses ss tt zz"""


def random_words(count: int) -> list[str]:
    maker = random.Random(5)
    suffixes = SUFFIXES.split()
    letters = "aeiouybcdfghlmnprstvwxz" + "aeiouy" + "0"
    words = set()
    while len(words) < count:
        stem = "".join(maker.choices(letters, k=maker.randint(0, 7)))
        words.add(stem + "".join(maker.choices(suffixes, k=maker.choice([0, 1, 1, 2]))))
    return [*sorted(words), "", "y", "yy", "yyyyy", "skies", "dying", "News", "EXCEED", "howe"]


def test_porter_stemmer(probe: Any) -> None:
    package("nltk")
    from nltk.stem.porter import PorterStemmer

    words = random_words(60000)
    stem = PorterStemmer().stem
    (answer,) = probe([{"op": "stem", "words": words}])
    wrong = [
        (word, stemmed, stem(word))
        for word, stemmed in zip(words, answer["stems"], strict=True)
        if stemmed != stem(word)
    ]
    assert wrong == []


def normalized(text: str, articles: bool = False) -> str:
    """HELM's normalize_text, by its description."""
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join((kept if articles else re.sub(r"\b(a|an|the)\b", " ", kept)).split())


def helm_and_squad(text: str, gold: str) -> dict[str, float]:
    out, ref = normalized(text), normalized(gold)
    out_bag, ref_bag = Counter(out.split()), Counter(ref.split())
    same = sum((out_bag & ref_bag).values())
    distinct = len(set(out_bag) & set(ref_bag))
    token_f1 = 2 * same / (out_bag.total() + ref_bag.total()) if same else 0.0
    if not out_bag or not ref_bag:
        token_f1 = float(out_bag == ref_bag)
    return {
        "exact_match": float(text != "" and text.strip() == gold.strip()),
        "quasi_exact_match": float(text != "" and out == ref),
        "quasi_leave_articles_exact_match": float(
            text != "" and normalized(text, True) == normalized(gold, True)
        ),
        "prefix_exact_match": float(text != "" and text.strip().startswith(gold.strip())),
        "quasi_prefix_exact_match": float(text != "" and out.startswith(ref)),
        "token_f1": token_f1,
        "set_f1": 2 * distinct / (len(out_bag) + len(ref_bag)) if distinct else 0.0,
    }


def test_text_match(probe: Any) -> None:
    maker = Maker(6)
    samples = []
    for _ in range(6000):
        words = maker.words(4)
        text = maker.join(words)
        golds = [
            maker.random.choice(
                [text.upper(), f" {text}\n", f"The {text}!", text[: len(text) // 2]]
            )
            if maker.random.random() < 0.4
            else maker.join(maker.mutate(words))
            for _ in range(maker.random.randint(1, 3))
        ]
        samples.append((text, golds))
    requests = [
        {"op": "match", "output": to_hex(t), "references": [to_hex(g) for g in golds]}
        for t, golds in samples
    ]
    seen: Counter[str] = Counter()
    for (text, golds), answer in zip(samples, probe(requests), strict=True):
        each = [helm_and_squad(text, gold) for gold in golds]
        for name in each[0]:
            expected = max(scores[name] for scores in each)
            check(answer[name], expected, name, text, golds)
            seen[name] += expected == 1
    # Neither outcome is rare.
    assert all(600 < count < 5400 for count in seen.values()), seen


def test_answer_normalizer(probe: Any) -> None:
    texts = [text for text, _ in Maker(7).samples(2000)]
    texts += [f"a{c}the {c}an{c}" for c in ASSIGNED[::7]]
    requests = [{"op": "normalize", "text": to_hex(t)} for t in texts]
    for text, answer in zip(texts, probe(requests), strict=True):
        assert from_hex(answer["text"]) == normalized(text), repr(text)


@pytest.mark.parametrize("unit", ["codepoints", "words"])
def test_edit_distance(unit: str, probe: Any) -> None:
    package("rapidfuzz")
    from rapidfuzz.distance import Levenshtein

    # White space of these units is Unicode's, without U+001C to U+001F.
    split = re.compile(r"(?:(?![\x1c-\x1f])\s)+")
    samples = list(Maker(8, invalid=unit == "codepoints").samples(3000, longest=60))
    requests = [
        {"op": "distance", "unit": unit, "a": to_hex(a), "b": to_hex(b[0])} for a, b in samples
    ]
    for (a, (b, *_)), answer in zip(samples, probe(requests), strict=True):
        sides = (
            (a, b) if unit == "codepoints" else [list(filter(None, split.split(x))) for x in (a, b)]
        )
        assert answer["distance"] == Levenshtein.distance(*sides), (a, b)
