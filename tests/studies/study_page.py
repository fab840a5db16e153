"""What the studies share: the part of a page that a script writes, and its Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDTH = 124


@dataclass(frozen=True)
class Section:
    """The part of a page between two marks, which are lines of their own."""

    begin: str
    end: str
    # Its heading, where the page has no marks yet.
    title: str

    def put(self, text: str, content: str) -> str:
        """The text with `content` between the marks, in a new last section if there are none."""
        if self.begin in text and self.end in text:
            before, _, rest = text.partition(self.begin)
            after = rest.partition(self.end)[2]
        else:
            before, after = f"{text.rstrip()}\n\n{self.title}\n", "\n"
        return f"{before}{self.begin}\n\n{content}\n\n{self.end}{after}"

    def fill(self, page: Path, content: str) -> None:
        """The same in a file."""
        text = self.put(page.read_text(encoding="utf-8"), content)
        page.write_text(text, encoding="utf-8")

    def is_stale(self, text: str, content: str) -> bool:
        return f"{self.begin}\n\n{content}\n\n{self.end}" not in text


def paragraph(text: str, width: int = WIDTH) -> str:
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; a bar in a cell is escaped."""
    return [
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
        *(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows),
    ]
