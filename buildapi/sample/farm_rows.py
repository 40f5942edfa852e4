"""Collect rows for the two databases of the sample farm, and allocate their ids."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import attrs

BATCH_ROWS = 5000
Row = tuple[Any, ...]


class FarmTable(enum.Enum):
    """Name a table that sample data is written to: database, name, columns."""

    CHANGES = (
        "scheduler",
        "changes",
        "changeid author comments is_dir branch revision revlink when_timestamp category"
        " repository project",
    )
    CHANGE_FILES = ("scheduler", "change_files", "changeid filename")
    SOURCESTAMPS = ("scheduler", "sourcestamps", "id branch revision patchid repository project")
    SOURCESTAMP_CHANGES = ("scheduler", "sourcestamp_changes", "sourcestampid changeid")
    BUILDSETS = (
        "scheduler",
        "buildsets",
        "id external_idstring reason sourcestampid submitted_at complete complete_at results",
    )
    PROPERTIES = (
        "scheduler",
        "buildset_properties",
        "buildsetid property_name property_value",
    )
    REQUESTS = (
        "scheduler",
        "buildrequests",
        "id buildsetid buildername priority claimed_at claimed_by_name claimed_by_incarnation"
        " complete results submitted_at complete_at",
    )
    BUILDS = ("scheduler", "builds", "id number brid start_time finish_time")
    STATUS_MASTERS = ("status", "masters", "id url name")
    STATUS_SLAVES = ("status", "slaves", "id name")
    STATUS_BUILDERS = ("status", "builders", "id name master_id category")
    STATUS_SOURCES = ("status", "sourcestamps", "id branch revision patch_id")
    STATUS_BUILDS = (
        "status",
        "builds",
        "id buildnumber builder_id slave_id master_id starttime endtime result reason source_id"
        " lost",
    )
    STATUS_STEPS = (
        "status",
        "steps",
        "id name description build_id order starttime endtime status",
    )
    STATUS_PROPERTIES = ("status", "properties", "id name source value")
    STATUS_BUILD_PROPERTIES = ("status", "build_properties", "property_id build_id")
    STATUS_LINKS = (
        "status",
        "schedulerdb_requests",
        "status_build_id scheduler_request_id scheduler_build_id",
    )

    def __init__(self, database: str, title: str, columns: str) -> None:
        self.database, self.title, self.columns = database, title, tuple(columns.split())


@attrs.frozen
class RowBatch:
    """Hold rows of one table."""

    table: FarmTable
    rows: list[Row]


@attrs.define
class RowIds:
    """Allocate ids above those in use.

    ``names`` holds the ids of masters, slaves, builders and properties by their keys; ``number`` is
    the first build number.
    """

    used: dict[FarmTable, int] = attrs.field(factory=dict)
    names: dict[tuple[Any, ...], int] = attrs.field(factory=dict)
    number: int = 0

    def next(self, table: FarmTable) -> int:
        """Return the next id of a table."""
        found = self.used[table] = self.used.get(table, 0) + 1
        return found


@attrs.define
class RowBatches:
    """Collect rows until there are enough to write."""

    ids: RowIds
    _tables: dict[FarmTable, list[Row]] = attrs.field(factory=dict, init=False)
    _count: int = attrs.field(default=0, init=False)

    @property
    def full(self) -> bool:
        """Return whether it is time to write the rows."""
        return self._count >= BATCH_ROWS

    def add(self, table: FarmTable, *row: Any) -> None:
        """Add a row with all its columns."""
        self._tables.setdefault(table, []).append(row)
        self._count += 1

    def insert(self, table: FarmTable, *row: Any) -> int:
        """Add a row with the next id of its table; return the id."""
        found = self.ids.next(table)
        self.add(table, found, *row)
        return found

    def named(self, table: FarmTable, *row: Any) -> int:
        """Return the id of a row without duplicates, adding it if it is new."""
        key = (table, *row)
        if key not in self.ids.names:
            self.ids.names[key] = self.insert(table, *row)
        return self.ids.names[key]

    def drain(self) -> Iterator[RowBatch]:
        """Yield the collected rows and forget them."""
        tables, self._tables, self._count = self._tables, {}, 0
        for table, rows in tables.items():
            yield RowBatch(table, rows)
