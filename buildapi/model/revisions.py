"""Which stored revisions a client means by a revision [docs/compatibility.md, "Revisions"].

Hashes are given by their beginning, everything else (numbers of Perforce and Subversion, tags)
means only itself: change 1234 is not the beginning of 12345.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

import attrs

T = TypeVar("T")

PREFIX = 12
"""Hexadecimal digits of a hash that are compared; fewer are no hash."""

_HASH = re.compile(rf"[0-9A-Fa-f]{{{PREFIX},}}")


def short_revision(revision: str) -> str:
    """Return the shortest text that means this revision: a hash is cut, all else is whole."""
    return revision[:PREFIX] if _HASH.fullmatch(revision) else revision


@attrs.frozen
class RevisionMatch:
    """What a client calls a revision.

    ``prefix`` is how the revisions that it may mean begin, in lower case; None where it means only
    itself.  With ``search`` any text is the beginning of what it means.
    """

    text: str
    search: bool = False
    prefix: str | None = attrs.field(init=False, eq=False)

    @prefix.default
    def _prefix(self) -> str | None:
        if _HASH.fullmatch(self.text):
            return self.text[:PREFIX].lower()
        return self.text.lower() if self.search else None

    @property
    def short(self) -> str:
        """Return the text that means the same without what only tells two hashes apart."""
        return short_revision(self.text)

    def fits(self, stored: str | None) -> bool:
        """Return whether it may mean a stored revision."""
        if stored is None or self.prefix is None:
            return stored == self.text
        return stored.lower().startswith(self.prefix)

    def choose(
        self, items: Iterable[T], revision: Callable[[T], str | None]
    ) -> tuple[list[T], Sequence[str]]:
        """Return the items that it means, and the revisions between which it does not decide.

        More than the compared digits decide only where these fit two revisions.  A shorter hash
        and a longer one that begins with it are one revision.
        """
        found = [item for item in items if self.fits(revision(item))]
        if self.prefix is None or self.search:
            return found, ()
        names = distinct(revision(item) for item in found)
        if len(names) > 1 and len(self.text) > PREFIX:
            found = [item for item in found if self._agrees(revision(item))]
            names = distinct(revision(item) for item in found)
        return found, names if len(names) > 1 else ()

    def _agrees(self, stored: str | None) -> bool:
        """Return whether not only the compared digits are equal, as far as both go."""
        one, other = (stored or "").lower(), self.text.lower()
        return one.startswith(other) or other.startswith(one)


def distinct(stored: Iterable[str | None]) -> Sequence[str]:
    """Return different revisions, sorted; beginnings of others are left out."""
    found = sorted({(text or "").lower(): text or "" for text in stored}.items())
    kept = [text for (key, text), (after, _) in pairwise(found) if not after.startswith(key)]
    return [*kept, *(text for _, text in found[-1:])]


def ambiguity(text: str, names: Sequence[str]) -> str:
    """Return the words that tell between which revisions a text does not decide; else none."""
    if not names:
        return ""
    return f"Revision {text} fits {len(names)} revisions: {', '.join(names[:NAMED])}"


NAMED = 10
"""Revisions that are named at most."""
