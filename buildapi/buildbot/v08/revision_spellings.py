"""Find rows by revisions however they are spelled: whole hashes and their abbreviations.

Change sources tell whole hashes, and masters that look at a checkout may send back the first 12
digits of it [docs/compatibility.md, "Revisions"].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from buildapi.db.sql import any_of, like_by_index, like_prefix
from buildapi.model.revisions import PREFIX, is_hash, revision_key, same_revision

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
    """Some revisions, to be found by any spelling of theirs."""

    _by_key: dict[str, list[str]]

    @classmethod
    def of(cls, revisions: Iterable[str]) -> Spellings:
        """Return those of revisions."""
        by_key: dict[str, list[str]] = {}
        for revision in revisions:
            by_key.setdefault(revision_key(revision), []).append(revision)
        return cls(by_key)

    def meant_by(self, stored: str | None) -> Sequence[str]:
        """Return the revisions that a stored one is the same as."""
        if stored is None:
            return ()
        found = self._by_key.get(revision_key(stored), ())
        return [revision for revision in found if same_revision(revision, stored)]
