"""A small real language model for the harness: a byte n-gram with Witten-Bell smoothing.

Trained when it is constructed, in well under a second, on `tests/data/lm_eval/corpus.txt` and
on some of the questions that the tasks ask (`dataset.training_text`), so that it is right on
some documents and wrong on others. Probabilities are proper: over the 256 bytes they sum to 1.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import dataset
import lm_eval.models  # noqa: F401  (get_model imports the built-ins only into an empty registry)
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


ORDERS = (0, 1, 2, 3, 6, 18)


class NgramModel:
    """Interpolated byte n-gram: p_n(b | h) = (c(h, b) + t(h) p_{n-1}(b | h')) / (c(h) + t(h)),
    t(h) the number of different bytes after h (Witten and Bell 1991); p_{-1} is uniform. The
    history h' is that of the next lower order: orders are few, so that a phrase seen once is
    likely and not certain, and the longest one reaches back to the question."""

    def __init__(self, text: bytes, orders: tuple[int, ...]) -> None:
        self.orders = orders
        self.counts: dict[bytes, Counter[int]] = defaultdict(Counter)
        for i, byte in enumerate(text):
            for n in orders:
                if n <= i:
                    self.counts[text[i - n : i]][byte] += 1
        self.totals = {h: sum(c.values()) for h, c in self.counts.items()}

    def levels(self, context: bytes) -> list[bytes]:
        """Histories that were seen, shortest first."""
        histories = (context[len(context) - n :] for n in self.orders if n <= len(context))
        return [h for h in histories if h in self.counts]

    def log_prob(self, context: bytes, byte: int) -> float:
        p = 1.0 / 256.0
        for history in self.levels(context):
            counts = self.counts[history]
            p = (counts[byte] + len(counts) * p) / (self.totals[history] + len(counts))
        return math.log(p)

    def candidates(self, context: bytes) -> list[int]:
        """Bytes that can be the likeliest: those seen after some history of the context."""
        return sorted({byte for h in self.levels(context) for byte in self.counts[h]})

    def greedy(self, context: bytes) -> int:
        return max(self.candidates(context), key=lambda b: (self.log_prob(context, b), -b))

    def sample(self, context: bytes, temperature: float, rng: random.Random) -> int:
        options = self.candidates(context)
        weights = [math.exp(self.log_prob(context, b) / temperature) for b in options]
        return rng.choices(options, weights)[0]


@register_model("mirage-tiny")
class TinyLM(LM):
    """The n-gram behind lm-eval's interface, chat template included."""

    def __init__(
        self,
        pretrained: str = "tiny",
        batch_size: int | str | None = 1,
        max_batch_size: int | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self.name = pretrained
        self.model = NgramModel(dataset.training_text().encode(), ORDERS)
        self.calls: Counter[str] = Counter()

    def score(self, context: str, continuation: str) -> tuple[float, bool]:
        history = context.encode()[-64:]
        total, greedy = 0.0, True
        for byte in continuation.encode():
            total += self.model.log_prob(history, byte)
            greedy = greedy and self.model.greedy(history) == byte
            history += bytes([byte])
        return total, greedy

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        return [self.score(*request.args) for request in requests]

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        return [self.score("\n", request.args[0])[0] for request in requests]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        return [self.generate(*request.args) for request in requests]

    def generate(self, context: str, options: dict[str, Any]) -> str:
        stops = options.get("until") or ["\n"]
        temperature = float(options.get("temperature") or 0.0)
        sampled = bool(options.get("do_sample")) and temperature > 0.0
        self.calls[context] += 1
        seed = hashlib.sha256(f"{self.calls[context]} {context}".encode()).digest()
        rng = random.Random(seed)
        history, out = context.encode()[-64:], b""
        for _ in range(int(options.get("max_gen_toks", 24))):
            byte = (
                self.model.sample(history, temperature, rng)
                if sampled
                else self.model.greedy(history)
            )
            history += bytes([byte])
            out += bytes([byte])
            text = out.decode(errors="ignore")
            for stop in stops:
                if stop in text:
                    return text[: text.index(stop)]
        return out.decode(errors="ignore")

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        turns = "".join(f"<|{turn['role']}|>{turn['content']}\n" for turn in chat_history)
        return turns + "<|assistant|>" if add_generation_prompt else turns.rstrip("\n")

    def chat_template(self, chat_template: bool | str = False) -> str | None:
        return "{% for m in messages %}<|{{m.role}}|>{{m.content}}\n{% endfor %}<|assistant|>"

    @property
    def tokenizer_name(self) -> str:
        return "mirage-tiny-bytes"
