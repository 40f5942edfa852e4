"""Read a long span in slices, so that no single query exhausts memory or blocks the reactor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TypeVar

import attrs

from buildapi.db.sql import Database, Query, RowLimitError
from buildapi.errors import BadRequest
from buildapi.model.report_rows import Span

T = TypeVar("T")

# Two hours [docs/reports.md, "Long reports"].
SLICE = 7200
"""Seconds of a span that one query reads."""

SLICES_MAX = 500
"""Maximum number of queries for one span; longer spans have longer slices."""


def slices(span: Span) -> Iterator[Span]:
    """Split a span into consecutive slices."""
    size = max(SLICE, (span.end - span.start) / SLICES_MAX)
    start = span.start
    while start < span.end:
        end = min(start + size, span.end)
        yield Span(start, end)
        start = end


@attrs.define
class ChunkedRead:
    """Run the queries of one report, which may return ``rows`` rows in all."""

    db: Database
    rows: int
    taken: int = attrs.field(default=0, init=False)

    async def each(
        self, query: Query[T], span: Span, **params: object
    ) -> AsyncIterator[Sequence[T]]:
        """Yield the rows of every slice; the query has ``:start`` and ``:end``.

        :raises BadRequest: there are too many.
        """
        for part in slices(span):
            yield await self.once(query, start=part.start, end=part.end, **params)

    async def once(self, query: Query[T], **params: object) -> Sequence[T]:
        """Return the rows of one query; :raises BadRequest: there are too many."""
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
    """Return the condition "the column is like one of these SQL patterns"; false without any."""
    # "%" and "_" stay what they are: patterns of the classification are SQL's
    # [docs/classification.md, "The other tables"].
    params = {f"{key}{i}": p.replace("|", "||") for i, p in enumerate(patterns)}
    text = " OR ".join(f"{column} LIKE :{name} ESCAPE '|'" for name in params)
    return (f"({text})" if text else "1 = 0"), params


def unlike(column: str, key: str, patterns: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the condition "the column is like none of these"; true for NULL."""
    text, params = likes(column, key, patterns)
    # NOT LIKE is unknown for NULL: the original lost requests without a change or reason
    # [docs/compatibility.md, "Reports"].
    return (f"({column} IS NULL OR NOT {text})" if params else "1 = 1"), params
