"""Match the revision that a client sent with stored ones [docs/compatibility.md, "Revisions"].

A hash matches by its first digits; anything else (a number of Perforce or Subversion, a tag)
matches only itself: change 1234 is not the beginning of 12345.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TypeVar

import attrs

T = TypeVar("T")

# The short form of Mercurial has 12 digits (hg help templates, short), and so have messages
# [docs/amqp.md, "requests"].
PREFIX = 12
"""Hexadecimal digits of a hash that are compared; a shorter text is not a hash."""

_HASH = re.compile(rf"[0-9A-Fa-f]{{{PREFIX},}}")


def is_hash(revision: str) -> bool:
    """Return whether a revision is a hash, whole or abbreviated."""
    return _HASH.fullmatch(revision) is not None


def same_revision(one: str, other: str) -> bool:
    """Return whether two stored texts are one revision: equal, or a hash and its abbreviation."""
    if one == other:
        return True
    short, long = sorted((one.lower(), other.lower()), key=len)
    return long.startswith(short) and is_hash(one) and is_hash(other)


def longest_spelling(stored: Iterable[str]) -> str | None:
    """Return the longest of several spellings of one revision; None if they are of several."""
    longest = max(stored, key=len)
    return longest if all(same_revision(longest, one) for one in stored) else None


def short_revision(revision: str) -> str:
    """Return the first digits of a hash; any other revision whole."""
    return revision[:PREFIX] if _HASH.fullmatch(revision) else revision


def revision_key(revision: str) -> str:
    """Return what all spellings of a revision share: as many characters as are compared.

    Different revisions may have the same key.
    """
    return revision[:PREFIX].lower()


@attrs.frozen
class RevisionMatch:
    """The revision that a client sent.

    ``prefix`` is the beginning of the revisions it may match, in lower case; None if it matches
    only itself.  With ``search`` any text matches as a beginning.
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
        """Return the text without the digits of a hash beyond those compared."""
        return short_revision(self.text)

    def fits(self, stored: str | None) -> bool:
        """Return whether it may match a stored revision."""
        if stored is None or self.prefix is None:
            return stored == self.text
        return stored.lower().startswith(self.prefix)

    def choose(
        self, items: Iterable[T], revision: Callable[[T], str | None]
    ) -> tuple[list[T], Sequence[str]]:
        """Return the items that match, and the revisions among them if they are several.

        Digits beyond those compared decide only if two revisions have the same first ones.  A hash
        and a longer one that begins with it are one revision.
        """
        found = [item for item in items if self.fits(revision(item))]
        if self.prefix is None or self.search:
            return found, ()
        names = distinct(revision(item) for item in found)
        # Only then: a full hash and its abbreviation are one revision [docs/compatibility.md,
        # "Revisions"].
        if len(names) > 1 and len(self.text) > PREFIX:
            found = [item for item in found if self._agrees(revision(item))]
            names = distinct(revision(item) for item in found)
        return found, names if len(names) > 1 else ()

    def _agrees(self, stored: str | None) -> bool:
        """Return whether a stored revision begins with the text, or the text with it."""
        one, other = (stored or "").lower(), self.text.lower()
        return one.startswith(other) or other.startswith(one)


def distinct(stored: Iterable[str | None]) -> Sequence[str]:
    """Return the different revisions, sorted, without those another one begins with."""
    # Sorted, a text stands directly before those that it begins.
    found = sorted({(text or "").lower(): text or "" for text in stored}.items())
    kept = [text for (key, text), (after, _) in pairwise(found) if not after.startswith(key)]
    return [*kept, *(text for _, text in found[-1:])]


def ambiguity(text: str, names: Sequence[str]) -> str:
    """Return a message that names the revisions a text fits; empty if there are none."""
    if not names:
        return ""
    return f"Revision {text} fits {len(names)} revisions: {', '.join(names[:NAMED])}"


NAMED = 10
"""Maximum number of revisions that the message names."""
