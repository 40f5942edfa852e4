"""Read the data of reports from the status database; its times are UTC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import attrs

from buildapi.buildbot.v08.chunked_reads import ChunkedRead, likes, slices
from buildapi.buildbot.v08.recent_builds import utc_seconds
from buildapi.db.sql import Column, Database, Query, any_of, chunks, exact
from buildapi.model.durations import elapsed
from buildapi.model.report_rows import JobTime, JobTimeFilter, Span, StatusBuild
from buildapi.model.results import NO_RESULT

STARTED = "b.starttime >= :start AND b.starttime < :end"
BUILDS = "builds b JOIN builders bu ON bu.id = b.builder_id"


@attrs.frozen
class SQLStatusReports:
    """Read from the status database; one report may read ``rows`` rows."""

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
        """Yield builds that started in a span; ``categories`` are SQL patterns, none for all."""
        where, params = _of(slave_id, builder, categories)
        reading, query = ChunkedRead(self._status, self._rows), builds(where)
        builders, slaves = _Names(self._status, "builders"), _Names(self._status, "slaves")
        for part in slices(span):
            rows = await reading.once(query, **stored(part), **params)
            # By their ids, not by a join: with one, a month of builds took half a minute.
            await builders.learn({row.builder_id for row in rows})
            await slaves.learn({row.slave_id for row in rows})
            named = [_named(row, slaves.known, builders.known) for row in rows]
            # The condition ignores case on MySQL: the name is compared again.
            yield [b for b in named if builder in (None, b.builder)]

    async def test_times(self, wanted: JobTimeFilter) -> Sequence[JobTime]:
        """Return average times of builders whose builds have test steps."""
        reading, sums = ChunkedRead(self._status, self._rows), _Sums()
        builders = _Names(self._status, "builders")
        query, params = timed_builds(wanted)
        for part in slices(wanted.span):
            rows = await reading.once(query, **stored(part), **params)
            whole = {
                id_: (builder, took)
                for id_, builder, took in rows
                if took is not None and wanted.longer < took < wanted.shorter
            }
            await builders.learn({builder for builder, _ in whole.values()})
            for ids in chunks(list(whole)):
                # By the ids of builds, which are indexed: by their names, a month took half a
                # minute.
                steps, of_steps = steps_of(ids, wanted)
                for build_id, tested in await reading.once(steps, **of_steps):
                    builder, took = whole[build_id]
                    name = builders.known.get(builder, str(builder))
                    sums.add(name, build_id, took, tested or 0)
        return sums.means()

    async def slaves(self, span: Span) -> Sequence[str]:
        """List the names of slaves with builds that started in a span."""
        return await ChunkedRead(self._status, self._rows).once(SLAVES, **stored(span))


def stored(span: Span) -> Mapping[str, str]:
    """Format a span as the database does, which stores whole seconds."""
    # Rounded up: a whole second is at or after 10.3 if it is at or after 11, and before it
    # otherwise.
    return {"start": _text(-int(-span.start // 1)), "end": _text(-int(-span.end // 1))}


def _text(seconds: int) -> str:
    # DATETIME ends with the year 9999, and so does Python's datetime.
    kept = max(0, min(seconds, LAST))
    return datetime.fromtimestamp(kept, UTC).strftime("%Y-%m-%d %H:%M:%S")


LAST = 253_402_300_799
"""Last second of the year 9999."""


def _of(
    slave_id: int | None, builder: str | None, categories: Sequence[str]
) -> tuple[str, dict[str, object]]:
    """Return a condition on builds without a join, so that they are found by their time."""
    wanted, params = ["1 = 1"], dict[str, object]()
    if slave_id is not None:
        wanted.append("b.slave_id = :slave")
        params["slave"] = slave_id
    if builder is not None:
        wanted.append("b.builder_id IN (SELECT id FROM builders WHERE name = :builder)")
        params["builder"] = builder
    if categories:
        like, of_like = likes("category", "category", categories)
        wanted.append(f"b.builder_id IN (SELECT id FROM builders WHERE {like})")  # noqa: S608  # parameter names
        params |= of_like
    return " AND ".join(wanted), params


@attrs.frozen
class _Row:
    """Hold a build with the ids of its slave and its builder."""

    slave_id: int
    builder_id: int
    start: int | None
    end: int | None
    result: int


def builds(where: str) -> Query[_Row]:
    """Select builds that started in ``[:start, :end)``."""
    return Query(
        "SELECT b.slave_id, b.builder_id, b.starttime, b.endtime, b.result FROM builds b"  # noqa: S608  # constants and parameter names
        f" WHERE {STARTED} AND {where} ORDER BY b.starttime, b.id",
        _row,
    )


# Any in row functions: the columns of a driver have no types until these give them one.
def _row(slave_id: int, builder_id: int, start: Column, end: Column, result: int | None) -> _Row:
    code = NO_RESULT if result is None else result
    return _Row(slave_id, builder_id, utc_seconds(start), utc_seconds(end), code)


def _named(row: _Row, slaves: Mapping[int, str], builders: Mapping[int, str]) -> StatusBuild:
    """Add the names of slave and builder to a build; a missing name is replaced by the id."""
    slave = slaves.get(row.slave_id, f"slave {row.slave_id}")
    builder = builders.get(row.builder_id, f"builder {row.builder_id}")
    return StatusBuild(row.slave_id, slave, row.builder_id, builder, row.start, row.end, row.result)


@attrs.frozen
class _Names:
    """Cache the names of a table by id."""

    _db: Database
    _table: str
    known: dict[int, str] = attrs.field(factory=dict)

    async def learn(self, ids: Iterable[int]) -> None:
        """Query the names that are not known yet."""
        for part in chunks(sorted(set(ids) - self.known.keys())):
            marks, params = any_of("id", part)
            text = f"SELECT id, name FROM {self._table} WHERE id IN ({marks})"  # noqa: S608  # constants
            self.known.update(await Query(text, _pair).many(self._db, **params))


def _pair(id_: int, name: str) -> tuple[int, str]:
    return id_, name


SLAVES = Query(
    f"SELECT DISTINCT {exact('s.name')} AS name FROM builds b JOIN slaves s ON s.id = b.slave_id"  # noqa: S608  # constants
    f" WHERE {STARTED} ORDER BY name",
    str,
)


def timed_builds(
    wanted: JobTimeFilter,
) -> tuple[Query[tuple[int, int, int | None]], dict[str, object]]:
    """Select the counted builds: id, id of the builder, and seconds if they are known."""
    results, params = any_of("result", wanted.results)
    categories, of_categories = any_of("category", wanted.categories)
    excluded, of_excluded = any_of("excluded", wanted.excluded)
    # Entirely in the window [docs/reports.md, "What is counted"].
    where = f"b.result IN ({results}) AND b.endtime <= :latest"
    if wanted.categories:
        where += f" AND b.builder_id IN (SELECT id FROM builders WHERE category IN ({categories}))"  # noqa: S608  # parameter names
    if wanted.excluded:
        where += f" AND b.builder_id NOT IN (SELECT id FROM builders WHERE name IN ({excluded}))"  # noqa: S608  # parameter names
    text = (
        "SELECT b.id, b.builder_id, b.starttime, b.endtime FROM builds b"  # noqa: S608  # constants and parameter names
        f" WHERE {STARTED} AND {where} ORDER BY b.id"
    )
    latest = {"latest": _text(int(wanted.span.end))}
    return Query(text, _timed_row), params | of_categories | of_excluded | latest


def _timed_row(
    id_: int, builder_id: int, start: Column, end: Column
) -> tuple[int, int, int | None]:
    return id_, builder_id, _seconds(start, end)


def _seconds(start: Column, end: Column) -> int | None:
    return elapsed(utc_seconds(start), utc_seconds(end))


def steps_of(
    ids: Sequence[int], wanted: JobTimeFilter
) -> tuple[Query[tuple[int, int | None]], dict[str, object]]:
    """Select the test steps of builds: id of the build, and seconds if they are known."""
    marks, params = any_of("id", ids)
    names, of_names = any_of("step", wanted.steps)
    like, of_like = likes("st.name", "pattern", wanted.step_patterns)
    text = (
        "SELECT st.build_id, st.starttime, st.endtime FROM steps st"  # noqa: S608  # constants and parameter names
        f" WHERE st.build_id IN ({marks}) AND (st.name IN ({names}) OR {like}) ORDER BY st.id"
    )
    return Query(text, _step_row), params | of_names | of_like


def _step_row(build_id: int, start: Column, end: Column) -> tuple[int, int | None]:
    return build_id, _seconds(start, end)


@attrs.define
class _Sums:
    """Sum up the builds of each builder: their total and their test steps."""

    wholes: dict[str, dict[int, int]] = attrs.field(factory=dict)
    tests: dict[str, int] = attrs.field(factory=dict)

    def add(self, builder: str, build_id: int, took: int, tested: int) -> None:
        self.wholes.setdefault(builder, {})[build_id] = took
        self.tests[builder] = self.tests.get(builder, 0) + tested

    def means(self) -> list[JobTime]:
        return [
            JobTime(
                builder,
                len(wholes),
                sum(wholes.values()) / len(wholes),
                self.tests[builder] / len(wholes),
            )
            for builder, wholes in sorted(self.wholes.items())
        ]
