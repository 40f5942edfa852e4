"""The fenced blocks of the documentation, and what the comment before each says about it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]

MARKS = {
    "not run",
    "answer",
    "answers",
    "output",
    "error output",
    "configured",
    "same as",
    "saved as",
    "message",
    "needs",
}
_MARK = re.compile(r"<!--\s*([a-z ]+?)(?::\s*(.*?))?\s*-->", re.DOTALL)


@attrs.frozen
class Block:
    """A block of code; ``line`` is that of its fence, ``marks`` the comments before it."""

    page: Path
    line: int
    language: str
    text: str
    marks: dict[str, str]
    indented: bool

    @property
    def where(self) -> str:
        """Name page and line, as editors understand it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    def __str__(self) -> str:
        return f"{self.where} {self.language or 'no language'}"


def blocks_of(page: Path, text: str | None = None) -> Sequence[Block]:
    """List the blocks of a page in their order."""
    source = page.read_text(encoding="utf-8") if text is None else text
    return list(_blocks(page, MarkdownIt("commonmark").parse(source)))


def _blocks(page: Path, tokens: Sequence[Token]) -> Iterator[Block]:
    marks: dict[str, str] = {}
    for token in tokens:
        if token.type == "html_block":
            marks |= marks_in(token.content)
        elif token.type in ("fence", "code_block") and token.map is not None:
            language = (token.info.split() or [""])[0]
            indented = token.type == "code_block"
            yield Block(page, token.map[0] + 1, language, token.content, marks, indented)
            marks = {}
        elif not token.type.endswith("_close"):
            marks = {}


def marks_in(comment: str) -> dict[str, str]:
    """Read ``<!-- name -->`` and ``<!-- name: value -->``; other comments say nothing."""
    found = {m[1]: " ".join((m[2] or "").split()) for m in _MARK.finditer(comment)}
    return {name: value for name, value in found.items() if name in MARKS}


ALL = [block for page in PAGES for block in blocks_of(page)]
