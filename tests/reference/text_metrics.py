"""Writes the reference values of the text metrics: metrics/{text,kernels}/*_vectors.inc.

By sacrebleu, rouge_score and NLTK; the matches of HELM and SQuAD by their descriptions. Run from
the repository's root with these installed: `python3 tests/reference/text_metrics.py`. The random
comparison, on far more texts, is tests/python/test_text_metrics.py.
"""

from __future__ import annotations

import re
import string
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from nltk.stem.porter import PorterStemmer
from rouge_score import rouge_scorer
from sacrebleu.metrics import BLEU, CHRF
from sacrebleu.metrics.bleu import _get_tokenizer

# Hypothesis and one or two references.
SAMPLES: list[tuple[str, list[str]]] = [
    ("the cat sat on the mat", ["the cat sat on the mat"]),
    ("the cat sat on mat", ["the cat sat on the mat", "a cat was sitting on the mat"]),
    ("The Cat, sat on the mat.", ["the cat sat on the mat .", "The cat sat."]),
    ("the the the the the the the", ["the cat is on the mat", "there is a cat on the mat"]),
    ("It cost $1,000.50 on 2-3 May, i.e. 10% more.", ["It costs 1,000.5 dollars on 2 - 3 May."]),
    ("&quot;A&quot; &amp;lt; B &gt; C", ['"A" < B > C']),
    ("a well-\nknown <skipped>line\nbreak", ["a wellknown line break"]),
    ("running generously towards relational databases", ["runs generous to relate database"]),
    ("Привет, мир! Как дела?", ["Привет мир. Как твои дела?"]),
    ("我喜欢自然语言处理。", ["我爱自然语言的处理。", "自然语言处理很有趣。"]),
    ("日本語　テスト「引用」", ["日本語 テスト （引用）"]),
    ("café ÉCOLE naïve İstanbul", ["CAFÉ école Naïve istanbul"]),
    ("ΟΔΟΣ ΣΟΦΟΣ", ["οδος σοφος"]),
    ("I ❤ 😀 emoji 👍🏽!!", ["I love 😀 emojis 👍!"]),
    ("“quoted” – dash… €5 ± ½", ['"quoted" - dash... €5 + 1/2']),
    ("(brackets) [and] {more} !wow wow! .", ["brackets [and {more !wow wow ! ."]),
    ("one\x1ftwo\u2003three \u00a0", ["one two\u3000three"]),
    ("short", ["short one"]),
    ("x", ["y"]),
    ("", ["not empty"]),
    ("not empty", [""]),
    ("", [""]),
    (" \t\n", ["!?"]),
    ("first line\n\nsecond line here\n", ["second line\nfirst line here\n..."]),
]
# A text that is repeated: the second element says how often.
LONG = (
    "the quick brown fox, jumps over 13 lazy dogs! ",
    400,
    "a quick fox jumps over 13 dogs. ",
    350,
)

TOKENIZERS = {
    "13a": "BleuTokenizer::k13a",
    "none": "BleuTokenizer::kNone",
    "char": "BleuTokenizer::kChar",
    "intl": "BleuTokenizer::kIntl",
}
SMOOTHINGS = {
    "none": "BleuSmoothing::kNone",
    "exp": "BleuSmoothing::kExp",
    "floor": "BleuSmoothing::kFloor",
    "add-k": "BleuSmoothing::kAddK",
}
STEMMED = """caresses ponies ties caress cats feed agreed plastered bled motoring sing conflated
troubled sized hopping tanned falling hissing fizzed failing filing happy sky skies enjoy spied died
dies flies relational conditional rational valenci hesitanci digitizer conformabli radicalli
differentli vileli analogousli vietnamization predication operator feudalism decisiveness
hopefulness callousness formaliti sensitiviti sensibiliti geologi archaeologi hopefulli triplicate
formative formalize electriciti electrical hopeful goodness revival allowance inference airliner
gyroscopic adjustable defensible irritant replacement adjustment dependent adoption homologou
communism activate angulariti homologous effective bowdlerize probate rate cease controll roll
Dying NEWS innings proceed yyyy say sayyid 2nd 1980s ee eed ing ed is a ies died oed"""
ANSWERS = [
    ("The Eiffel Tower!", ["eiffel tower"]),
    ("an apple a day", ["apple day", "apple"]),
    ("Paris, France", ["Paris"]),
    ("  Paris\n", ["Paris"]),
    ("paris", ["Paris", "London"]),
    ("10", ["1"]),
    ("a b b c", ["b b d", "c"]),
    ("the", ["a"]),
    ("the", [""]),
    ("", [""]),
    ("", ["x"]),
    ("x", [""]),
    ("a—b theatre anthem a1 _a", ["b theatre anthem a1"]),
    ("L'Été à Zürich", ["lété à zürich", "l été"]),
    ("中文 答案。", ["中文 答案。", "答案"]),
    ("U.S.", ["us", "U S"]),
    ("a-n apple", ["apple"]),
]


def quote(text: str) -> str:
    """A C++ literal; octal escapes end by themselves."""
    out = ""
    for byte in text.encode():
        plain = 0x20 <= byte < 0x7F and chr(byte) not in '"\\?'
        out += chr(byte) if plain else f"\\{byte:03o}"
    return f'"{out}"'


def literal(x: float) -> str:
    return f"{float(x):.17g}"


def boolean(x: bool) -> str:
    return "true" if x else "false"


def references(texts: Sequence[str]) -> str:
    return "{" + ", ".join(map(quote, texts)) + "}, " + str(len(texts))


def write(name: str, packages: Sequence[str], lines: Sequence[str]) -> None:
    python = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    by = ", ".join([python, *(f"{p} {version(p)}" for p in packages)])
    head = [f"// Written by tests/reference/text_metrics.py with {by}; do not edit."]
    text = "\n".join([*head, "// clang-format off", *lines, "// clang-format on", ""])
    Path(f"metrics/{name}_vectors.inc").write_text(text, encoding="utf-8")


def bleu_tokenizer() -> None:
    texts = sorted({t for text, refs in SAMPLES for t in (text, *refs)})
    texts += ["...", "a..b", "1..2", "1.,2", ".5", "5.", "5-6--7", "-5-", "''", "&amp;amp;lt;"]
    texts += ["1,2,3,a", "１，２", "१.२", "a\u0301.", "²,³", "$a", "a$,", "=,=", "¿que?"]
    lines = ["constexpr TokenizerCase kTokenizerCases[] = {  // tokenizer, text, tokens"]
    for name in ("13a", "none", "char", "intl"):
        tokenize = _get_tokenizer(name)()
        lines += [f"    {{{TOKENIZERS[name]}, {quote(t)}, {quote(tokenize(t))}}}," for t in texts]
    write("text/bleu_tokenizer", ["sacrebleu", "regex"], [*lines, "};"])


def porter_stemmer() -> None:
    stem = PorterStemmer().stem
    lines = ["constexpr StemCase kStemCases[] = {  // word, stem"]
    lines += [f"    {{{quote(w)}, {quote(stem(w))}}}," for w in STEMMED.split()]
    write("text/porter_stemmer", ["nltk"], [*lines, "};"])


def normalized(text: str, articles: bool = False) -> str:
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join((kept if articles else re.sub(r"\b(a|an|the)\b", " ", kept)).split())


def answer_normalizer() -> None:
    texts = sorted({t for text, golds in [*ANSWERS, *SAMPLES] for t in (text, *golds)})
    texts += ["a a an the the", "athe", "a\u0301 b", "the½ the² the٣", "a_b a", "\u00adthe"]
    lines = ["constexpr NormalizerCase kNormalizerCases[] = {  // text, without articles, with"]
    lines += [
        f"    {{{quote(t)}, {quote(normalized(t))}, {quote(normalized(t, True))}}}," for t in texts
    ]
    write("text/answer_normalizer", [], [*lines, "};"])


def bleu() -> None:
    lines = ["constexpr BleuCase kBleuCases[] = {"]
    lines.append("    // hypothesis, references, their number, tokenizer, lowercase, max_order,")
    lines.append("    // smoothing, smooth_value (-1: default), effective_order,")
    lines.append("    // score, precisions 1 to 4, brevity penalty, lengths, signature")
    variants = [
        ("13a", False, 4, "exp", None, False),
        ("13a", False, 4, "exp", None, True),
        ("13a", True, 4, "floor", None, True),
        ("intl", False, 4, "add-k", None, False),
        ("char", False, 4, "floor", 0.01, False),
        ("none", True, 2, "add-k", 0.5, True),
        ("intl", False, 3, "none", None, True),
    ]
    for text, refs in SAMPLES:
        for tokenizer, lowercase, order, smoothing, value, effective in variants:
            metric = BLEU(
                lowercase=lowercase,
                tokenize=tokenizer,
                smooth_method=smoothing,
                smooth_value=value,
                max_ngram_order=order,
                effective_order=effective,
                force=True,
            )
            score = metric.corpus_score([text], [[ref] for ref in refs])
            precisions = [*score.precisions, 0, 0, 0][:4]
            signature = str(metric.get_signature()).rpartition("|version:")[0]
            signature += f"|order:{order}" if order != 4 else ""
            fields = [
                quote(text),
                references(refs),
                TOKENIZERS[tokenizer],
                boolean(lowercase),
                str(order),
                SMOOTHINGS[smoothing],
                literal(-1 if value is None else value),
                boolean(effective),
                literal(score.score),
                "{" + ", ".join(map(literal, precisions)) + "}",
                literal(score.bp),
                str(score.sys_len),
                str(score.ref_len),
                quote(signature),
            ]
            lines.append("    {" + ", ".join(fields) + "},")
    lines.append("};")
    metric = BLEU(force=True)
    columns = [[refs[i] if i < len(refs) else None for _, refs in SAMPLES] for i in range(2)]
    score = metric.corpus_score([text for text, _ in SAMPLES], columns)
    lines.append("// Of all hypotheses as a corpus, with the defaults: score, precisions.")
    lines.append(f"constexpr double kCorpusBleu = {literal(score.score)};")
    values = ", ".join(map(literal, score.precisions))
    lines.append(f"constexpr double kCorpusPrecisions[] = {{{values}}};")
    hypothesis, times, reference, reference_times = LONG
    score = metric.corpus_score([hypothesis * times], [[reference * reference_times]])
    lines.append("// hypothesis, how often it is repeated, reference, how often, score")
    lines.append(
        f"constexpr LongCase kLongCase = {{{quote(hypothesis)}, {times}, {quote(reference)}, "
        f"{reference_times}, {literal(score.score)}}};"
    )
    write("kernels/bleu", ["sacrebleu"], lines)


def chrf() -> None:
    lines = ["constexpr ChrfCase kChrfCases[] = {"]
    lines.append("    // hypothesis, references, their number, char_order, word_order, beta,")
    lines.append("    // lowercase, whitespace, eps_smoothing, score, signature")
    variants = [
        (6, 0, 2, False, False, False),
        (6, 2, 2, False, False, False),
        (6, 2, 2, True, False, True),
        (4, 1, 1, True, True, False),
        (0, 2, 3, False, True, True),
    ]
    names = ["char_order", "word_order", "beta", "lowercase", "whitespace", "eps_smoothing"]
    for text, refs in SAMPLES:
        for variant in variants:
            metric = CHRF(**dict(zip(names, variant, strict=True)))
            score = metric.corpus_score([text], [[ref] for ref in refs])
            signature = str(metric.get_signature()).rpartition("|version:")[0]
            signature += f"|beta:{variant[2]}" if variant[2] != 2 else ""
            fields = [quote(text), references(refs), *map(str, variant[:3])]
            fields += [*map(boolean, variant[3:]), literal(score.score), quote(signature)]
            lines.append("    {" + ", ".join(fields) + "},")
    lines.append("};")
    columns = [[refs[i] if i < len(refs) else None for _, refs in SAMPLES] for i in range(2)]
    lines.append("// Of all hypotheses as a corpus: chrF and chrF++.")
    for name, word_order in (("kCorpusChrf", 0), ("kCorpusChrfPlusPlus", 2)):
        score = CHRF(word_order=word_order).corpus_score([text for text, _ in SAMPLES], columns)
        lines.append(f"constexpr double {name} = {literal(score.score)};")
    hypothesis, times, reference, reference_times = LONG
    score = CHRF(word_order=2).corpus_score([hypothesis * times], [[reference * reference_times]])
    lines.append("// hypothesis, how often it is repeated, reference, how often, chrF++")
    lines.append(
        f"constexpr LongCase kLongCase = {{{quote(hypothesis)}, {times}, {quote(reference)}, "
        f"{reference_times}, {literal(score.score)}}};"
    )
    write("kernels/chrf", ["sacrebleu"], lines)


def rouge() -> None:
    types = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    lines = ["constexpr RougeCase kRougeCases[] = {"]
    lines.append("    // output, references, their number, stemmer, {precision, recall, f1} of")
    lines.append("    // ROUGE-1, -2, -L and -Lsum")
    summaries = [
        (
            "police killed the gunman\nthe gunman was old\nkill the lights",
            ["the gunman police killed\nwas the old man lights out", "kill the gunman"],
        ),
        ("w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", ["w1 w2 w3 w4 w5"]),
        ("b a c b\na b\n\n...\nc a", ["a b c a b\nc b a\nb b"]),
        ("\nno tokens: \u4e2d\u6587", ["\u4e2d\u6587\n\u7b54\u6848"]),
    ]
    for text, refs in [*SAMPLES, *summaries]:
        for stemmer in (False, True):
            scores = rouge_scorer.RougeScorer(types, use_stemmer=stemmer).score_multi(refs, text)
            values = ", ".join("{" + ", ".join(map(literal, scores[t])) + "}" for t in types)
            fields = [quote(text), references(refs), boolean(stemmer), "{" + values + "}"]
            lines.append("    {" + ", ".join(fields) + "},")
    lines.append("};")
    hypothesis, _, reference, _ = LONG
    times, reference_times = 30, 40
    scores = rouge_scorer.RougeScorer(types).score(
        (reference + "\n") * reference_times, (hypothesis + "\n") * times
    )
    lines.append("// hypothesis, how often it is repeated, reference, how often (with line feeds)")
    values = ", ".join("{" + ", ".join(map(literal, scores[t])) + "}" for t in types)
    lines.append(
        f"constexpr LongCase kLongCase = {{{quote(hypothesis)}, {times}, {quote(reference)}, "
        f"{reference_times}, {{{values}}}}};"
    )
    write("kernels/rouge", ["rouge_score", "nltk"], lines)


def text_match() -> None:
    lines = ["constexpr MatchCase kMatchCases[] = {"]
    lines.append("    // output, golds, their number, exact, quasi-exact, quasi with articles,")
    lines.append("    // prefix, quasi-prefix, token F1, set F1")
    for text, golds in ANSWERS:
        rows = []
        for gold in golds:
            out, ref = normalized(text), normalized(gold)
            mine, theirs = out.split(), ref.split()
            same = sum((Counter(mine) & Counter(theirs)).values())
            distinct = len({*mine} & {*theirs})
            f1 = 2 * same / (len(mine) + len(theirs)) if mine or theirs else 1.0
            set_f1 = 2 * distinct / (len({*mine}) + len({*theirs})) if distinct else 0.0
            matches = [
                text.strip() == gold.strip(),
                out == ref,
                normalized(text, True) == normalized(gold, True),
                text.strip().startswith(gold.strip()),
                out.startswith(ref),
            ]
            rows.append([float(match and text != "") for match in matches] + [f1, set_f1])
        best = ", ".join(literal(max(column)) for column in zip(*rows, strict=True))
        lines.append(f"    {{{quote(text)}, {references(golds)}, {best}}},")
    write("kernels/text_match", [], [*lines, "};"])


def main() -> None:
    """Writes all files."""
    bleu_tokenizer()
    porter_stemmer()
    answer_normalizer()
    bleu()
    chrf()
    rouge()
    text_match()


if __name__ == "__main__":
    main()
