"""Read a long span in portions, so that neither memory nor the reactor is taken by one query."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, TypeVar

import attrs

from buildapi.db.sql import Database, Query, RowLimitError
from buildapi.errors import BadRequest
from buildapi.model.reporting import Span

T = TypeVar("T")

SLICE = 7200
"""Seconds of a span that one query reads."""

SLICES_MAX = 500
"""Queries for one span: those of longer ones read more each."""


def slices(span: Span) -> Iterator[Span]:
    """Cut a span into pieces that follow each other."""
    size = max(SLICE, (span.end - span.start) / SLICES_MAX)
    start = span.start
    while start < span.end:
        end = min(start + size, span.end)
        yield Span(start, end)
        start = end


@attrs.define
class Reading:
    """Run queries of one report, which may take ``rows`` rows in all."""

    db: Database
    rows: int
    taken: int = attrs.field(default=0, init=False)

    async def each(self, query: Query[T], span: Span, **params: Any) -> AsyncIterator[Sequence[T]]:
        """Give the rows of every slice; the query has ``:start`` and ``:end``.

        :raises BadRequest: there are too many.
        """
        for part in slices(span):
            yield await self.once(query, start=part.start, end=part.end, **params)

    async def once(self, query: Query[T], **params: Any) -> Sequence[T]:
        """Give the rows of one query; :raises BadRequest: there are too many."""
        try:
            found = await query.many(self.db, **params)
        except RowLimitError as e:
            raise self._too_many() from e
        self.taken += len(found)
        if self.taken > self.rows:
            raise self._too_many()
        return found

    def _too_many(self) -> BadRequest:
        return BadRequest(
            f"This report would take more than {self.rows} rows: choose a shorter time,"
            " or a branch ([reports] rows in the configuration)"
        )


def likes(column: str, key: str, patterns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Spell "the column is like one of these SQL patterns"; without any, nothing is."""
    params = {f"{key}{i}": p.replace("|", "||") for i, p in enumerate(patterns)}
    text = " OR ".join(f"{column} LIKE :{name} ESCAPE '|'" for name in params)
    return (f"({text})" if text else "1 = 0"), params


def unlike(column: str, key: str, patterns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Spell "the column is like none of these"; NULL is like nothing."""
    text, params = likes(column, key, patterns)
    return (f"({column} IS NULL OR NOT {text})" if params else "1 = 1"), params
