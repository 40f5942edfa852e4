"""Define the tables of the sample farm's databases, and the rows that its parts write to them.

The history of a farm is written in bulk, what happens while it runs in transactions. Both use the
functions below, which hold what a change, a buildset or a build consists of.
"""

from __future__ import annotations

import enum
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

import attrs

from buildapi.db.sql import Ref, Statement
from buildapi.sample.catalog import SampleBuilder

BATCH_ROWS = 5000
Row = tuple[object, ...]


class SampleTable(enum.Enum):
    """Name a table that sample data is written to.

    ``database`` is "scheduler" or "status", ``title`` the name in SQL; ``id`` is the column that
    numbers the rows, None if there is none. Rows that agree in the columns ``unique`` are stored
    once.
    """

    CHANGES = (
        "scheduler",
        "changes",
        "changeid",
        "author comments is_dir branch revision revlink when_timestamp category repository project",
    )
    CHANGE_FILES = ("scheduler", "change_files", None, "changeid filename")
    CHANGE_PROPERTIES = (
        "scheduler",
        "change_properties",
        None,
        "changeid property_name property_value",
    )
    SOURCESTAMPS = ("scheduler", "sourcestamps", "id", "branch revision patchid repository project")
    SOURCESTAMP_CHANGES = ("scheduler", "sourcestamp_changes", None, "sourcestampid changeid")
    BUILDSETS = (
        "scheduler",
        "buildsets",
        "id",
        "external_idstring reason sourcestampid submitted_at complete complete_at results",
    )
    PROPERTIES = (
        "scheduler",
        "buildset_properties",
        None,
        "buildsetid property_name property_value",
    )
    REQUESTS = (
        "scheduler",
        "buildrequests",
        "id",
        "buildsetid buildername priority claimed_at claimed_by_name claimed_by_incarnation"
        " complete results submitted_at complete_at",
    )
    BUILDS = ("scheduler", "builds", "id", "number brid start_time finish_time")
    STATUS_MASTERS = ("status", "masters", "id", "url name", "url")
    STATUS_SLAVES = ("status", "slaves", "id", "name", "name")
    STATUS_BUILDERS = ("status", "builders", "id", "name master_id category", "name master_id")
    STATUS_SOURCES = ("status", "sourcestamps", "id", "branch revision patch_id")
    STATUS_BUILDS = (
        "status",
        "builds",
        "id",
        "buildnumber builder_id slave_id master_id starttime endtime result reason source_id lost",
    )
    STATUS_STEPS = (
        "status",
        "steps",
        "id",
        "name description build_id order starttime endtime status",
    )
    # Their source is not compared: one property has one source.
    STATUS_PROPERTIES = ("status", "properties", "id", "name source value", "name value")
    STATUS_BUILD_PROPERTIES = ("status", "build_properties", None, "property_id build_id")
    STATUS_LINKS = (
        "status",
        "schedulerdb_requests",
        None,
        "status_build_id scheduler_request_id scheduler_build_id",
    )

    def __init__(
        self, database: str, title: str, id: str | None, columns: str, unique: str = ""
    ) -> None:
        self.database, self.title, self.id = database, title, id
        self.columns, self.unique = tuple(columns.split()), tuple(unique.split())

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Return the columns of a complete row; that of the id comes first."""
        return self.columns if self.id is None else (self.id, *self.columns)

    def insert(self, row: Sequence[object], binds: str | None = None) -> Statement:
        """Return the statement that inserts a row without its id."""
        values = dict(zip(self.columns, row, strict=True))
        names = ", ".join(f"`{name}`" for name in values)
        marks = ", ".join(f":{name}" for name in values)
        text = f"INSERT INTO {self.title} ({names}) VALUES ({marks})"  # noqa: S608  # constants
        return Statement(text, values, binds=binds)


# --- two ways of writing ---------------------------------------------------------------------

RowId = int | Ref
Id_co = TypeVar("Id_co", bound=RowId, covariant=True)


class RowWriter(Protocol[Id_co]):
    """Collect the rows of one or both databases; the ids are what other rows refer to."""

    def insert(self, table: SampleTable, *row: object) -> Id_co:
        """Add a row of a table that numbers its rows; return its id."""

    def add(self, table: SampleTable, *row: object) -> None:
        """Add a row of a table without ids."""

    def named(self, table: SampleTable, *row: object) -> Id_co:
        """Return the id of a row that is stored once; add it if it is new."""


@attrs.frozen
class RowBatch:
    """Hold complete rows of one table."""

    table: SampleTable
    rows: list[Row]


@attrs.define
class RowIds:
    """Allocate ids above those in use.

    ``names`` holds the ids of masters, slaves, builders and properties by their rows; ``number`` is
    the first build number.
    """

    used: dict[SampleTable, int] = attrs.field(factory=dict)
    names: dict[tuple[object, ...], int] = attrs.field(factory=dict)
    number: int = 0

    def next(self, table: SampleTable) -> int:
        """Return the next id of a table."""
        found = self.used[table] = self.used.get(table, 0) + 1
        return found


@attrs.define
class RowBatches:
    """Collect rows with ids allocated beforehand, until there are enough to write in bulk."""

    ids: RowIds
    _tables: dict[SampleTable, list[Row]] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)

    @property
    def full(self) -> bool:
        """Return whether it is time to write the rows."""
        return self._count >= BATCH_ROWS

    def add(self, table: SampleTable, *row: object) -> None:
        """Add a complete row."""
        self._tables.setdefault(table, []).append(row)
        self._count += 1

    def insert(self, table: SampleTable, *row: object) -> int:
        """Add a row with the next id of its table; return the id."""
        found = self.ids.next(table)
        self.add(table, found, *row)
        return found

    def named(self, table: SampleTable, *row: object) -> int:
        """Return the id of a row that is stored once, adding it if it is new."""
        key = (table, *row)
        if key not in self.ids.names:
            self.ids.names[key] = self.insert(table, *row)
        return self.ids.names[key]

    def drain(self) -> Iterator[RowBatch]:
        """Yield the collected rows and forget them."""
        tables, self._tables, self._count = self._tables, {}, 0
        for table, rows in tables.items():
            yield RowBatch(table, rows)


@attrs.define
class RowStatements:
    """Collect the statements of one transaction; ids are assigned by the database.

    ``names`` holds the ids of rows that are stored once, as in :class:`RowIds`: they are looked up
    before, since no transaction can insert a row if it is missing.
    """

    names: Mapping[tuple[object, ...], int] = attrs.field(factory=dict)
    statements: list[Statement] = attrs.field(factory=list, init=False)

    def add(self, table: SampleTable, *row: object) -> None:
        """Add the insertion of a row."""
        self.statements.append(table.insert(row))

    def insert(self, table: SampleTable, *row: object) -> RowId:
        """Add the insertion of a row; return a reference to its id."""
        # The id is known only when the statement runs: later statements of the transaction refer to
        # it by this name.
        ref = Ref(f"{table.name} {len(self.statements)}")
        self.statements.append(table.insert(row, binds=ref.name))
        return ref

    def named(self, table: SampleTable, *row: object) -> RowId:
        """Return the id of a row; :raises KeyError: it was not looked up."""
        return self.names[table, *row]


# --- what is written -------------------------------------------------------------------------


@attrs.frozen
class SampleChange:
    """Describe a change; ``properties`` are pairs of name and stored text.

    ``when`` is in epoch seconds, None for now.
    """

    author: str
    comments: str
    files: Sequence[str]
    branch: str | None
    revision: str | None
    revlink: str | None
    category: str | None
    repository: str
    project: str
    when: float | None = None
    properties: Sequence[tuple[str, str]] = ()


def insert_change(rows: RowWriter[Id_co], change: SampleChange, now: float) -> Id_co:
    """Insert a change with its files and properties; return its id."""
    found = rows.insert(
        SampleTable.CHANGES,
        change.author,
        change.comments,
        0,
        change.branch,
        change.revision,
        change.revlink,
        now if change.when is None else change.when,
        change.category,
        change.repository,
        change.project,
    )
    for name in change.files:
        rows.add(SampleTable.CHANGE_FILES, found, name)
    for name, text in change.properties:
        rows.add(SampleTable.CHANGE_PROPERTIES, found, name, text)
    return found


def insert_source_stamp(
    rows: RowWriter[Id_co], branch: str, revision: str | None, changes: Sequence[RowId] = ()
) -> Id_co:
    """Insert a source stamp of these changes; return its id."""
    found = rows.insert(SampleTable.SOURCESTAMPS, branch, revision, None, "", "")
    for change in changes:
        rows.add(SampleTable.SOURCESTAMP_CHANGES, found, change)
    return found


def build_id(when: float) -> str:
    """Return the id of the builds that are submitted at a time: its digits, in UTC."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(when))


def scheduler_properties(
    builder: SampleBuilder, revision: str | None, when: float, builduid: str
) -> Mapping[str, str | None]:
    """Return the properties that a scheduler sets on a buildset of builders like this one."""
    return {
        "branch": builder.branch,
        "revision": revision,
        "buildid": build_id(when),
        "builduid": builduid,
    }


def insert_buildset(
    rows: RowWriter[Id_co],
    source: RowId,
    reason: str,
    submitted_at: int,
    properties: Mapping[str, object],
    *,
    complete_at: int | None = None,
    results: int | None = None,
) -> Id_co:
    """Insert a buildset with the properties that its scheduler sets; return its id.

    It is complete if there is a ``complete_at``.
    """
    complete = int(complete_at is not None)
    found = rows.insert(
        SampleTable.BUILDSETS, None, reason, source, submitted_at, complete, complete_at, results
    )
    for name, value in properties.items():
        # Anything but a pair of value and source would block the builder on every 0.8 master.
        rows.add(SampleTable.PROPERTIES, found, name, json.dumps([value, "Scheduler"]))
    return found


@attrs.frozen
class MasterProcess:
    """Name a master and its present process."""

    name: str
    incarnation: str


def insert_request(
    rows: RowWriter[Id_co],
    buildset: RowId,
    builder: str,
    submitted_at: int,
    *,
    priority: int = 0,
    claimed_at: int = 0,
    claimed_by: MasterProcess | None = None,
    complete_at: int | None = None,
    results: int | None = None,
) -> Id_co:
    """Insert a request, pending unless it says otherwise; return its id."""
    return rows.insert(
        SampleTable.REQUESTS,
        buildset,
        builder,
        priority,
        # Masters never claim a request whose claimed_at is NULL.
        claimed_at,
        None if claimed_by is None else claimed_by.name,
        None if claimed_by is None else claimed_by.incarnation,
        int(complete_at is not None),
        results,
        submitted_at,
        complete_at,
    )


def insert_build(
    rows: RowWriter[Id_co], number: int, request: int, start: int, finish: int | None = None
) -> Id_co:
    """Insert a build of one request, running if it has no finish; return its id."""
    return rows.insert(SampleTable.BUILDS, number, request, start, finish)


def insert_submission(
    rows: RowWriter[Id_co],
    changes: Sequence[RowId],
    revision: str | None,
    builders: Sequence[SampleBuilder],
    now: int,
) -> None:
    """Insert what a scheduler submits for changes: a buildset with a request for each builder.

    The builders have one branch in their source stamps.
    """
    source = insert_source_stamp(rows, builders[0].stored, revision, changes)
    properties = scheduler_properties(builders[0], revision, now, (revision or "")[:32])
    buildset = insert_buildset(rows, source, "scheduler", now, properties)
    for builder in builders:
        insert_request(rows, buildset, builder.name, now)
