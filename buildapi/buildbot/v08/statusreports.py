"""Read what reports are computed from off the status database; its times are UTC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from buildapi.buildbot.v08.slices import Reading, likes, slices
from buildapi.buildbot.v08.statusdb import utc_seconds
from buildapi.db.sql import Database, Query, any_of
from buildapi.model.reporting import NO_RESULT, Span, StatusBuild, TestTime, TestTimeFilter

STARTED = "b.starttime >= :start AND b.starttime < :end"
BUILDS = "builds b JOIN builders bu ON bu.id = b.builder_id"


@attrs.frozen
class SQLStatusReports:
    """Read from the status database; one report may take ``rows`` rows."""

    _status: Database
    _rows: int

    async def builds(
        self,
        span: Span,
        *,
        slave_id: int | None = None,
        builder: str | None = None,
        categories: Sequence[str] = (),
    ) -> AsyncIterator[Sequence[StatusBuild]]:
        """Give builds that started in a span; ``categories`` are SQL patterns, none for all."""
        where, params = likes("bu.category", "category", categories) if categories else ("1=1", {})
        named: dict[str, Any] = {"slave": slave_id, "builder": builder}
        where += " AND b.slave_id = :slave" if slave_id is not None else ""
        where += " AND bu.name = :builder" if builder is not None else ""
        used = {key: value for key, value in named.items() if value is not None}
        reading, query = Reading(self._status, self._rows), builds(where)
        for part in slices(span):
            found = await reading.once(query, **stored(part), **params, **used)
            yield [b for b in found if builder in (None, b.builder)]

    async def test_times(self, wanted: TestTimeFilter) -> Sequence[TestTime]:
        """Give mean times of builders whose builds have test steps."""
        query, params = timed_steps(wanted)
        reading, sums = Reading(self._status, self._rows), _Sums(wanted)
        for part in slices(wanted.span):
            for row in await reading.once(query, **stored(part), **params):
                sums.add(*row)
        return sums.means()

    async def slaves(self, span: Span) -> Sequence[str]:
        """List the names of slaves with builds that started in a span."""
        return await Reading(self._status, self._rows).once(SLAVES, **stored(span))


def stored(span: Span) -> Mapping[str, str]:
    """Write a span as the database does; what is stored has no fractions of seconds."""
    return {"start": _text(-int(-span.start // 1)), "end": _text(-int(-span.end // 1))}


def _text(seconds: int) -> str:
    kept = max(0, min(seconds, LAST))
    return datetime.fromtimestamp(kept, UTC).strftime("%Y-%m-%d %H:%M:%S")


LAST = 253_402_300_799
"""The last second of the year 9999."""


def builds(where: str) -> Query[StatusBuild]:
    """Builds that started in ``[:start, :end)``."""
    return Query(
        "SELECT b.slave_id, s.name, b.builder_id, bu.name, b.starttime, b.endtime, b.result"  # noqa: S608  # constants and parameter names
        f" FROM {BUILDS} JOIN slaves s ON s.id = b.slave_id WHERE {STARTED} AND {where}"
        " ORDER BY b.starttime, b.id",
        _build_row,
    )


def _build_row(slave_id: int, slave: str, builder_id: int, builder: str, *c: Any) -> StatusBuild:
    result = NO_RESULT if c[2] is None else c[2]
    start, end = utc_seconds(c[0]), utc_seconds(c[1])
    return StatusBuild(slave_id, slave, builder_id, builder, start, end, result)


SLAVES = Query(
    "SELECT DISTINCT s.name FROM builds b JOIN slaves s ON s.id = b.slave_id"  # noqa: S608  # constants
    f" WHERE {STARTED} ORDER BY s.name",
    str,
)

Step = tuple[int, str, int | None, int | None, int | None, int | None]


def timed_steps(wanted: TestTimeFilter) -> tuple[Query[Step], dict[str, Any]]:
    """Spell builds with each of their test steps: id, builder, times of the build and the step."""
    names, params = any_of("step", wanted.steps)
    like, of_like = likes("st.name", "pattern", wanted.step_patterns)
    categories, of_categories = any_of("category", wanted.categories)
    of_these = f" AND bu.category IN ({categories})" if wanted.categories else ""
    excluded, of_excluded = any_of("excluded", wanted.excluded)
    results, of_results = any_of("result", wanted.results)
    text = (
        "SELECT b.id, bu.name, b.starttime, b.endtime, st.starttime, st.endtime"  # noqa: S608  # constants and parameter names
        f" FROM {BUILDS} JOIN steps st ON st.build_id = b.id AND (st.name IN ({names}) OR {like})"
        f" WHERE {STARTED} AND b.result IN ({results}){of_these}"
        + (f" AND bu.name NOT IN ({excluded})" if wanted.excluded else "")
        + " ORDER BY b.id"
    )
    return Query(text, _step_row), params | of_like | of_categories | of_excluded | of_results


def _step_row(build_id: int, builder: str, *times: Any) -> Step:
    start, end, began, ended = map(utc_seconds, times)
    return build_id, builder, start, end, began, ended


@attrs.define
class _Sums:
    """Add up the builds of each builder: the whole of each, and its test steps."""

    wanted: TestTimeFilter
    wholes: dict[str, dict[int, int]] = attrs.field(factory=dict)
    tests: dict[str, int] = attrs.field(factory=dict)

    def add(self, build_id: int, builder: str, *times: int | None) -> None:
        start, end, began, ended = times
        took = (end or 0) - (start or 0)
        inside = end is not None and end <= self.wanted.span.end
        if not inside or not self.wanted.longer < took < self.wanted.shorter:
            return
        self.wholes.setdefault(builder, {})[build_id] = took
        tested = ended - began if began is not None and ended is not None else 0
        self.tests[builder] = self.tests.get(builder, 0) + tested

    def means(self) -> list[TestTime]:
        return [
            TestTime(
                builder,
                len(wholes),
                sum(wholes.values()) / len(wholes),
                self.tests[builder] / len(wholes),
            )
            for builder, wholes in sorted(self.wholes.items())
        ]
