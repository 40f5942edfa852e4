"""Record finished builds of the sample masters in the status database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from buildapi.db.sql import Database, DuplicateError, Query, Ref, Statement
from buildapi.sample.build_properties import OF_MANY, PropertyValue
from buildapi.sample.catalog import SampleMaster
from buildapi.sample.history_recorder import utc


@attrs.frozen
class FinishedBuild:
    """Describe a finished build.

    ``links`` are pairs of request and build of the scheduler database, ``properties`` are values
    and their sources, by name.
    """

    builder: str
    category: str
    number: int
    slave: str
    start: int
    finish: int
    result: int
    reason: str
    branch: str | None
    revision: str | None
    links: Sequence[tuple[int, int]]
    properties: Mapping[str, PropertyValue] = attrs.field(factory=dict)


@attrs.frozen
class _NameTable:
    """Hold the SQL that finds or adds a row of a table without duplicates."""

    find: str
    add: str


_MASTERS = _NameTable(
    "SELECT id FROM masters WHERE url = :url",
    "INSERT INTO masters (url, name) VALUES (:url, :name)",
)
_SLAVES = _NameTable(
    "SELECT id FROM slaves WHERE name = :name", "INSERT INTO slaves (name) VALUES (:name)"
)
_BUILDERS = _NameTable(
    "SELECT id FROM builders WHERE name = :name AND master_id = :master",
    "INSERT INTO builders (name, master_id, category) VALUES (:name, :master, :category)",
)
_ADD_PROPERTY = "INSERT INTO properties (name, source, value) VALUES (:name, :source, :value)"
_PROPERTIES = _NameTable(
    "SELECT id FROM properties WHERE name = :name AND value = :value ORDER BY id LIMIT 1",
    _ADD_PROPERTY,
)
_SOURCE = "INSERT INTO sourcestamps (branch, revision) VALUES (:branch, :revision)"
_BUILD = (
    "INSERT INTO builds (buildnumber, builder_id, slave_id, master_id, starttime, endtime, result,"
    " reason, source_id, lost) VALUES (:number, :builder, :slave, :master, :start, :finish,"
    " :result, :reason, :source, 0)"
)
_PROPERTY = "INSERT INTO build_properties (property_id, build_id) VALUES (:property, :build)"
_LINK = (
    "INSERT INTO schedulerdb_requests (status_build_id, scheduler_request_id, scheduler_build_id)"
    " VALUES (:build, :request, :scheduler_build)"
)


@attrs.define
class StatusRecorder:
    """Record the finished builds of one master; ids of names are cached."""

    _db: Database
    _master: SampleMaster
    _ids: dict[tuple[str, tuple[Any, ...]], int] = attrs.field(factory=dict, init=False)

    async def record(self, build: FinishedBuild) -> None:
        """Insert a build with its source, properties and links, all or nothing."""
        master = await self._id(_MASTERS, {"url": self._master.url(), "name": self._master.name})
        ids = {
            "master": master,
            "slave": await self._id(_SLAVES, {"name": build.slave}),
            "builder": await self._id(
                _BUILDERS, {"name": build.builder, "master": master, "category": build.category}
            ),
        }
        shared = [
            await self._id(_PROPERTIES, row)
            for row in _property_rows(build)
            if row["name"] in OF_MANY
        ]
        await self._db.transact(_inserts(build, ids, shared))

    async def _id(self, table: _NameTable, params: Mapping[str, Any]) -> int:
        key = (table.find, tuple(params.values()))
        if key not in self._ids:
            self._ids[key] = await self._find(table, params) or await self._add(table, params)
        return self._ids[key]

    async def _find(self, table: _NameTable, params: Mapping[str, Any]) -> int | None:
        used = {k: v for k, v in params.items() if f":{k}" in table.find}
        return await Query[int](table.find, int).maybe(self._db, **used)

    async def _add(self, table: _NameTable, params: Mapping[str, Any]) -> int:
        try:
            [added] = await self._db.transact([Statement(table.add, params)])
        except DuplicateError:
            return await self._find(table, params) or 0
        return added


def _property_rows(build: FinishedBuild) -> list[dict[str, str]]:
    """Return the rows of the properties: at least the name of the builder."""
    found = {"buildername": (build.builder, "Builder"), **build.properties}
    return [
        {"name": name[:40], "source": source[:40], "value": json.dumps(value)}
        for name, (value, source) in found.items()
    ]


def _inserts(
    build: FinishedBuild, ids: Mapping[str, int], shared: Sequence[int]
) -> list[Statement]:
    ref = Ref("build")
    values = {
        **ids,
        "number": build.number,
        "start": utc(build.start),
        "finish": utc(build.finish),
        "result": build.result,
        "reason": build.reason[:500],
        "source": Ref("source"),
    }
    source = {"branch": (build.branch or "")[:50] or None, "revision": build.revision}
    return [
        Statement(_SOURCE, source, binds="source"),
        Statement(_BUILD, values, binds="build"),
        *(Statement(_PROPERTY, {"property": property_, "build": ref}) for property_ in shared),
        *_own_properties(build, ref),
        *(
            Statement(_LINK, {"build": ref, "request": request, "scheduler_build": id_})
            for request, id_ in build.links
        ),
    ]


def _own_properties(build: FinishedBuild, ref: Ref) -> Iterator[Statement]:
    """Insert the properties that no other build has with these values."""
    for row in _property_rows(build):
        if row["name"] not in OF_MANY:
            added = Ref(f"property {row['name']}")
            yield Statement(_ADD_PROPERTY, row, binds=added.name)
            yield Statement(_PROPERTY, {"property": added, "build": ref})
