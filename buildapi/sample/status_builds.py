"""Define the builds of the status database: their properties and rows, and who records them.

The properties are those that readers of dumps look for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote

import attrs

from buildapi.db.sql import Database, DuplicateError, Query, Ref, Statement
from buildapi.model.results import WARNINGS
from buildapi.sample.build_steps import SampleStep, steps_of
from buildapi.sample.catalog import (
    BRANCHES,
    BuildType,
    SampleBuilder,
    SampleMaster,
    product_of,
)
from buildapi.sample.sample_rows import (
    Id_co,
    RowId,
    RowStatements,
    RowWriter,
    SampleTable,
    build_id,
)

ARCHIVE = "https://archive.example.org/pub/"
"""Root URL of logs and packages, which do not exist."""

SHARED_PROPERTIES = frozenset(
    (
        *("basedir", "branch", "buildername", "master", "platform", "product", "repo_path"),
        *("repository", "scheduler", "slavename", "stage_platform"),
    )
)
"""Properties with so few values that one row for each is shared by all builds."""

PropertyValue = tuple[object, str]
"""Value and source."""


@attrs.frozen
class SampleBuild:
    """Describe a build, running if it has no finish.

    ``builder`` is None if the catalogue has none of this ``name``, ``submitted`` are the properties
    of its requests and their changes, ``links`` are triples of request, time of its submission, and
    build of the scheduler database.
    """

    master: SampleMaster
    name: str
    builder: SampleBuilder | None
    number: int
    slave: str
    start: int
    finish: int | None
    result: int | None
    reason: str
    branch: str | None
    revision: str | None
    submitted: Mapping[str, PropertyValue]
    links: Sequence[tuple[int, float, int]]

    @property
    def buildid(self) -> str:
        """Return the id by which it was submitted, or else one of its start."""
        return self._submitted("buildid") or build_id(self.start)

    def _submitted(self, name: str) -> str:
        return str(self.submitted.get(name, ("",))[0])

    @property
    def steps(self) -> Sequence[SampleStep]:
        """Return its steps; none of a builder that the catalogue lacks."""
        if self.builder is None:
            return []
        times = self.start, self.finish
        return list(steps_of(self.builder.suite, self.number, *times, self.result))

    @property
    def properties(self) -> Mapping[str, PropertyValue]:
        """Return the properties that it has at its end: at least the name of its builder."""
        if self.builder is None:
            return {"buildername": (self.name, "Builder")}
        set_by_build = self._set_by_build(self.builder)
        others = {n: p for n, p in self.submitted.items() if n not in set_by_build}
        return {**set_by_build, **others}

    def _set_by_build(self, builder: SampleBuilder) -> Mapping[str, PropertyValue]:
        product, branch = product_of(builder.platform), BRANCHES.get(builder.branch)
        stage = builder.platform + ("-debug" if builder.kind is BuildType.DEBUG else "")
        folder, short = _folder_url(builder, self.buildid), _short(builder.name)
        log_url = f"{folder}/{short}-build{self.number}.txt.gz"
        times = {str(request): int(submitted_at) for request, submitted_at, _ in self.links}
        found: dict[str, PropertyValue] = {
            "basedir": (f"/builds/slave/{short}", "slave"),
            "branch": (builder.branch, "Build"),
            "buildername": (builder.name, "Builder"),
            "buildid": (self.buildid, "Scheduler"),
            "buildnumber": (self.number, "Build"),
            "builduid": (self._submitted("builduid"), "Scheduler"),
            "log_url": (log_url, "PostRunner"),
            "master": (f"http://{self.master.host}:8001/", "master.cfg"),
            "platform": (builder.platform, "Builder"),
            "product": (product, "Builder"),
            "repo_path": (builder.stored if branch is None else branch.path, "Builder"),
            "repository": ("", "Build"),
            # Dumps take the requests of a build from these two (docs/commands.md, "`buildapi
            # dump`").
            "request_ids": ([request for request, *_ in self.links], "postrun"),
            "request_times": (times, "postrun"),
            "revision": (self.revision, "Build"),
            "scheduler": (_scheduler(builder), "Scheduler"),
            "slavename": (self.slave, "BuildSlave"),
            "stage_platform": (stage, "Builder"),
        }
        if self.revision is not None:
            found["got_revision"] = (self.revision, "Source")
        if builder.suite is None and self.result is not None and self.result <= WARNINGS:
            for name, end in _PACKAGES.items():
                url = f"{folder}/{product}-{builder.platform}.{end}"
                found[name] = (url, "SetProperty Step")
        return found


_PACKAGES = {"packageUrl": "zip", "symbolsUrl": "symbols.zip", "testsUrl": "tests.zip"}


def _folder_url(builder: SampleBuilder, buildid: str) -> str:
    place = quote(f"{builder.branch}-{builder.platform}")
    return f"{ARCHIVE}{product_of(builder.platform)}/builds/{place}/{buildid}"


def _short(name: str) -> str:
    return quote(name.lower().replace(" ", "-"), safe="")


def _scheduler(builder: SampleBuilder) -> str:
    what = "build" if builder.suite is None else f"{builder.pool} unittest"
    return f"{builder.branch}-{builder.platform} {what}".replace(" ", "-")


# --- rows ------------------------------------------------------------------------------------


def insert_status_source(rows: RowWriter[Id_co], build: SampleBuild) -> Id_co:
    """Insert the source stamp of a build; return its id."""
    # The columns of the status database are short: 50 characters for a branch, 500 for a reason, 40
    # for a property's name.
    branch = (build.branch or "")[:50] or None
    return rows.insert(SampleTable.STATUS_SOURCES, branch, build.revision, None)


def insert_status_build(rows: RowWriter[Id_co], build: SampleBuild, source: RowId) -> Id_co:
    """Insert a build with its properties, steps and links; return its id."""
    master = rows.named(SampleTable.STATUS_MASTERS, *_master_row(build))
    found = rows.insert(
        SampleTable.STATUS_BUILDS,
        build.number,
        rows.named(SampleTable.STATUS_BUILDERS, *_builder_row(build, master)),
        rows.named(SampleTable.STATUS_SLAVES, build.slave),
        master,
        utc(build.start),
        utc(build.finish),
        build.result,
        build.reason[:500],
        source,
        0,
    )
    insert_shared_properties(rows, build, found)
    insert_what_ends(rows, build, found)
    return found


def insert_shared_properties(rows: RowWriter[Id_co], build: SampleBuild, id_: RowId) -> None:
    """Insert the properties of a build that others have as well."""
    for row in _property_rows(build):
        if row[0] in SHARED_PROPERTIES:
            shared = rows.named(SampleTable.STATUS_PROPERTIES, *row)
            rows.add(SampleTable.STATUS_BUILD_PROPERTIES, shared, id_)


def insert_what_ends(rows: RowWriter[Id_co], build: SampleBuild, id_: RowId) -> None:
    """Insert what is known at the end of a build: its other properties, steps and links."""
    for row in _property_rows(build):
        # Not named: remembering those that differ for each build would fill the memory.
        if row[0] not in SHARED_PROPERTIES:
            own = rows.insert(SampleTable.STATUS_PROPERTIES, *row)
            rows.add(SampleTable.STATUS_BUILD_PROPERTIES, own, id_)
    for order, step in enumerate(build.steps):
        words, times = json.dumps(step.description), (utc(step.start), utc(step.finish))
        rows.insert(SampleTable.STATUS_STEPS, step.name, words, id_, order, *times, step.status)
    for request, _, scheduler_build in build.links:
        rows.add(SampleTable.STATUS_LINKS, id_, request, scheduler_build)


def _master_row(build: SampleBuild) -> tuple[str, str]:
    return build.master.url(), build.master.name


def _builder_row(build: SampleBuild, master: RowId) -> tuple[str, RowId, str]:
    return build.name, master, "" if build.builder is None else build.builder.category


def _property_rows(build: SampleBuild) -> Iterator[tuple[str, str, str]]:
    for name, (value, source) in build.properties.items():
        yield name[:40], source[:40], json.dumps(value)


def utc(when: float | None) -> str | None:
    """Format a time as the status database stores it."""
    return None if when is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))


_BEGIN = """INSERT INTO builds (buildnumber, builder_id, slave_id, master_id, starttime, endtime,
 result, reason, source_id, lost)
 VALUES (:number, :builder, :slave, :master, :start, NULL, NULL, :reason, :source, 0)"""
_LEFT: Query[int] = Query(
    "SELECT id FROM builds WHERE buildnumber = :number AND builder_id = :builder"
    " AND master_id = :master AND endtime IS NULL ORDER BY id DESC LIMIT 1",
    int,
)
_RESUME = "UPDATE builds SET slave_id = :slave, starttime = :start WHERE id = :id"
_END = "UPDATE builds SET endtime = :end, result = :result WHERE id = :id"


@attrs.define
class StatusRecorder:
    """Record builds; ids of rows that are stored once are cached."""

    _db: Database
    _ids: dict[tuple[object, ...], int] = attrs.field(factory=dict, init=False)

    async def begin(self, build: SampleBuild) -> int:
        """Insert a running build with the properties it has; return its id.

        One that an earlier process of its master left running goes on.
        """
        master, builder, slave = await self._shared(build)
        key = {"number": build.number, "builder": builder, "master": master}
        times = {"slave": slave, "start": utc(build.start)}
        left = await _LEFT.maybe(self._db, **key)
        if left is not None:
            await self._db.transact([Statement(_RESUME, {**times, "id": left})])
            return left
        rows = RowStatements(self._ids)
        source = insert_status_source(rows, build)
        at = len(rows.statements)
        values = {**key, **times, "reason": build.reason[:500], "source": source}
        rows.statements.append(Statement(_BEGIN, values, binds="begun"))
        insert_shared_properties(rows, build, Ref("begun"))
        return (await self._db.transact(rows.statements))[at]

    async def end(self, build: SampleBuild, id_: int) -> None:
        """Record the end of a build with its other properties, steps and links, all or nothing."""
        rows = RowStatements(self._ids)
        values = {"end": utc(build.finish), "result": build.result, "id": id_}
        rows.statements.append(Statement(_END, values))
        insert_what_ends(rows, build, id_)
        await self._db.transact(rows.statements)

    async def record(self, build: SampleBuild) -> None:
        """Insert a build with its source, properties and links, all or nothing."""
        await self._shared(build)
        rows = RowStatements(self._ids)
        insert_status_build(rows, build, insert_status_source(rows, build))
        # The lookups are transactions of their own: a shared row that is added and then not used
        # does no harm.
        await self._db.transact(rows.statements)

    async def _shared(self, build: SampleBuild) -> tuple[int, int, int]:
        """Look up the rows that a build shares with others; return master, builder and slave."""
        master = await self._look_up(SampleTable.STATUS_MASTERS, *_master_row(build))
        slave = await self._look_up(SampleTable.STATUS_SLAVES, build.slave)
        builder = await self._look_up(SampleTable.STATUS_BUILDERS, *_builder_row(build, master))
        for row in _property_rows(build):
            if row[0] in SHARED_PROPERTIES:
                await self._look_up(SampleTable.STATUS_PROPERTIES, *row)
        return master, builder, slave

    async def _look_up(self, table: SampleTable, *row: object) -> int:
        """Return the id of a row that is stored once, adding it if it is new."""
        key = (table, *row)
        if key not in self._ids:
            self._ids[key] = await self._find(table, row) or await self._add(table, row)
        return self._ids[key]

    async def _find(self, table: SampleTable, row: Sequence[object]) -> int | None:
        values = dict(zip(table.columns, row, strict=True))
        where = " AND ".join(f"{name} = :{name}" for name in table.unique)
        text = f"SELECT id FROM {table.title} WHERE {where} ORDER BY id LIMIT 1"  # noqa: S608  # constants
        return await Query[int](text, int).maybe(self._db, **{n: values[n] for n in table.unique})

    async def _add(self, table: SampleTable, row: Sequence[object]) -> int:
        try:
            [added] = await self._db.transact([table.insert(row)])
        except DuplicateError:  # another master added it since
            return await self._find(table, row) or 0
        return added
