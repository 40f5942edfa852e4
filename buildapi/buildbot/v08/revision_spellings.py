"""Find rows by revisions however they are spelled: whole hashes and their abbreviations.

Change sources tell whole hashes, and masters that look at a checkout may send back the first 12
digits of it [docs/compatibility.md, "Revisions"].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from buildapi.db.sql import any_of, like_by_index, like_prefix
from buildapi.model.revisions import PREFIX, is_hash, revision_key

WHOLE = 40
"""Digits of a whole hash, which abbreviates no other."""

REVISIONS_MAX, ABBREVIATIONS_MAX = 250, 20
"""Maximum numbers of revisions and, among them, of abbreviations in one condition.

SQLite before 3.32 has at most 999 parameters in a statement: two for each revision, and up to 16
more for an abbreviation (``like_spans.py``).
"""


def portions(revisions: Iterable[str]) -> Iterator[Sequence[str]]:
    """Split revisions into lists that fit into one condition each."""
    part, short = list[str](), 0
    for revision in revisions:
        if len(part) == REVISIONS_MAX or short == ABBREVIATIONS_MAX:
            yield part
            part, short = [], 0
        part.append(revision)
        short += _is_abbreviation(revision)
    if part:
        yield part


def spelled_as(table: str, column: str, revisions: Sequence[str]) -> tuple[str, dict[str, object]]:
    """Return the condition "is one of these revisions, abbreviated to 12 digits, or longer".

    ``column`` has an alias of the table, and an index, which finds other spellings as well:
    ``Spellings`` says which rows are meant.
    """
    texts = [*revisions, *(r[:PREFIX] for r in revisions if is_hash(r))]
    equal, params = any_of("revision", list(dict.fromkeys(texts)))
    parts = [f"{column} IN ({equal})"]
    for number, revision in enumerate(filter(_is_abbreviation, revisions)):
        name = f"longer{number}"
        params[name] = like_prefix(revision)
        parts.append(like_by_index(table, column, name))
    return f"({' OR '.join(parts)})", params


def _is_abbreviation(revision: str) -> bool:
    return len(revision) < WHOLE and is_hash(revision)


@attrs.frozen
class Spellings:
    """Some revisions, to be found by any spelling of theirs.

    Thousands may begin with the same characters, so that not each is compared with each.
    """

    _others: frozenset[str]
    _hashes: Mapping[str, Sequence[str]]
    _by_key: Mapping[str, Sequence[str]]
    _lengths: Sequence[int]

    @classmethod
    def of(cls, revisions: Iterable[str]) -> Spellings:
        """Return those of revisions."""
        given = list(dict.fromkeys(revisions))
        hashes: dict[str, list[str]] = {}
        for revision in filter(is_hash, given):
            hashes.setdefault(revision.lower(), []).append(revision)
        by_key: dict[str, list[str]] = {}
        for text in sorted(hashes, key=len, reverse=True):
            by_key.setdefault(revision_key(text), []).append(text)
        others = frozenset(revision for revision in given if not is_hash(revision))
        return cls(others, hashes, by_key, sorted({len(text) for text in hashes}))

    def meant_by(self, stored: str | None) -> Sequence[str]:
        """Return the revisions that a stored one is the same as, as ``same_revision`` says."""
        if stored is None:
            return ()
        if not is_hash(stored):
            return (stored,) if stored in self._others else ()
        text = stored.lower()
        found = [text[:length] for length in self._lengths if length <= len(text)]
        for longer in self._by_key.get(revision_key(text), ()):  # the longest first
            if len(longer) <= len(text):
                break
            if longer.startswith(text):
                found.append(longer)
        return [revision for one in found for revision in self._hashes.get(one, ())]
