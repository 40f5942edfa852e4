"""Fill databases with the history of a farm, in parts that are copied.

The sample farm generates one part, a few days.  Every further part is a copy of it that is older by
those days, with ids and revisions of its own, made by the server from the tables of the first.  So
a farm ten times as large has the same present, and only a longer past: what differs between two
such farms is what the past costs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs

from buildapi.progress_bar import progress_bar, progress_lines
from buildapi.sample.farm_schema import scheduler_schema, status_schema
from tests.services.mariadb import MariaDB

PART_MOST = 50_000
"""Builds that are generated; more are copies."""
BUILDS_OF_A_DAY = 5000
PENDING, RUNNING = 480, 250
STATUS_MOST = 40 * BUILDS_OF_A_DAY
"""Builds that the status database has at most, the newest: reports read 30 days."""
DAY = 86_400


@attrs.frozen
class Part:
    """A generated part: its databases, its builds and its days."""

    scheduler: str
    status: str
    builds: int
    days: int


@attrs.frozen
class FarmData:
    """The databases of a farm, and how many builds they have."""

    scheduler: str
    status: str
    builds: int


def part_size(size: int) -> int:
    """Return the builds of the part from which a farm and its tenth are made."""
    tenth = max(100, size // 10)
    return tenth if tenth <= PART_MOST else PART_MOST


def generate(server: MariaDB | None, folder: Path, builds: int) -> Part:
    """Generate the part that others are copied from."""
    days = max(1, round(builds / BUILDS_OF_A_DAY))
    if server is None:
        names = (f"sqlite:///{folder / name}.sqlite" for name in ("scheduler", "status"))
        scheduler, status = names
    else:
        scheduler, status = server.database("part"), server.database("status_part", "latin1")
    shares = max(1, BUILDS_OF_A_DAY * days // max(1, builds))
    command = [sys.executable, "-m", "buildapi.sample", "--scheduler", _sample_url(scheduler)]
    command += ["--status", _sample_url(status), "--builds", str(builds), "--days", str(days)]
    command += ["--pending", str(max(5, PENDING // shares))]
    command += ["--running", str(max(5, RUNNING // shares))]
    subprocess.run(command, check=True)  # noqa: S603  # our own
    return Part(scheduler, status, builds, days)


def _sample_url(url: str) -> str:
    """Return a URL as the sample farm wants it."""
    return url.replace("sqlite:///", "sqlite:")


# --- copies ------------------------------------------------------------------------------------


@attrs.frozen
class CopiedTable:
    """How the rows of a table are copied: ``columns`` maps those that change to expressions.

    In an expression ``{ids[TABLE]}`` is what is added to ids of a table, ``{seconds}`` what is
    taken from times, ``{part}`` the number of the copy.  ``where`` leaves out what is not history.
    """

    name: str
    columns: Mapping[str, str]
    where: str = ""


def _ids(**columns: str) -> dict[str, str]:
    return {column: f"`{column}` + {{ids[{table}]}}" for column, table in columns.items()}


def _times(*columns: str) -> dict[str, str]:
    return {column: f"`{column}` - {{seconds}}" for column in columns}


def _utc(*columns: str) -> dict[str, str]:
    return {column: f"`{column}` - INTERVAL {{seconds}} SECOND" for column in columns}


def _revision() -> dict[str, str]:
    return {"revision": "SHA1(CONCAT(`revision`, '-', {part}))"}


SCHEDULER = (
    CopiedTable("changes", _ids(changeid="changes") | _times("when_timestamp") | _revision()),
    CopiedTable("change_files", _ids(changeid="changes")),
    CopiedTable("sourcestamps", _ids(id="sourcestamps") | _revision()),
    CopiedTable("sourcestamp_changes", _ids(sourcestampid="sourcestamps", changeid="changes")),
    CopiedTable(
        "buildsets",
        _ids(id="buildsets", sourcestampid="sourcestamps") | _times("submitted_at", "complete_at"),
        "complete = 1",
    ),
    CopiedTable("buildset_properties", _ids(buildsetid="buildsets")),
    CopiedTable(
        "buildrequests",
        _ids(id="buildrequests", buildsetid="buildsets")
        | _times("submitted_at", "complete_at")
        | {"claimed_at": "IF(`claimed_at` > 0, `claimed_at` - {seconds}, `claimed_at`)"},
        "complete = 1",
    ),
    CopiedTable(
        "builds",
        _ids(id="builds", brid="buildrequests", number="builds")
        | _times("start_time", "finish_time"),
        "finish_time IS NOT NULL",
    ),
)
# Builders, slaves, masters and properties have each name once, and are shared by all parts.
STATUS = (
    CopiedTable("sourcestamps", _ids(id="sourcestamps") | _revision()),
    CopiedTable(
        "builds",
        _ids(id="builds", buildnumber="builds", source_id="sourcestamps")
        | _utc("starttime", "endtime"),
        "endtime IS NOT NULL",
    ),
    CopiedTable("steps", _ids(id="steps", build_id="builds") | _utc("starttime", "endtime")),
    CopiedTable("build_properties", _ids(build_id="builds")),
    CopiedTable(
        "schedulerdb_requests",
        _ids(
            status_build_id="builds",
            scheduler_request_id="requests of the scheduler",
            scheduler_build_id="builds of the scheduler",
        ),
    ),
)
SHARED = ("builders", "slaves", "masters", "properties")


def _highest(database: Any, name: str, tables: Sequence[CopiedTable]) -> dict[str, int]:
    """Return the highest id of each table that has ids."""
    found = {}
    for table in tables:
        column = "changeid" if table.name == "changes" else "id"
        if column in table.columns:
            [[highest]] = _rows(database, f"SELECT MAX({column}) FROM {name}.{table.name}")  # noqa: S608  # ours
            found[table.name] = int(highest or 0)
    return found


def _rows(database: Any, text: str) -> Sequence[Sequence[Any]]:
    with closing(database.cursor()) as cursor:
        cursor.execute(text)
        rows: Sequence[Sequence[Any]] = cursor.fetchall()
        return rows


class Copier:
    """Copy a part into a farm on the same server, the oldest part first."""

    def __init__(self, server: MariaDB, part: Part) -> None:
        self._database, self._part = server.connect(), part
        self._names = [url.rpartition("/")[2] for url in (part.scheduler, part.status)]
        self._columns: dict[tuple[str, str], list[str]] = {}
        self._most = [
            _highest(self._database, name, tables)
            for name, tables in zip(self._names, (SCHEDULER, STATUS), strict=True)
        ]

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _run(self, text: str) -> None:
        with closing(self._database.cursor()) as cursor:
            cursor.execute(text)

    def share(self, farm: FarmData) -> None:
        """Copy the tables that have each name once."""
        target, source = farm.status.rpartition("/")[2], self._names[1]
        for table in SHARED:
            self._run(f"INSERT INTO {target}.{table} SELECT * FROM {source}.{table}")  # noqa: S608  # ours

    def copy(self, farm: FarmData, number: int, age: int, *, status: bool) -> None:
        """Copy the part as the one with this number, older by ``age`` parts; 0 is the present."""
        of_scheduler, of_status = self._most
        ids = {table: most * number for table, most in of_scheduler.items()}
        self._copy(farm.scheduler, 0, SCHEDULER, ids, age)
        if status:
            more = {table: most * number for table, most in of_status.items()}
            more["builds of the scheduler"] = ids["builds"]
            more["requests of the scheduler"] = ids["buildrequests"]
            self._copy(farm.status, 1, STATUS, more, age)

    def _copy(
        self, url: str, which: int, tables: Sequence[CopiedTable], ids: Mapping[str, int], age: int
    ) -> None:
        target, source = url.rpartition("/")[2], self._names[which]
        for table in tables:
            columns = self._columns_of(source, table.name)
            given = {
                "ids": ids,
                "seconds": age * self._part.days * DAY,
                "part": age,
            }
            chosen = [
                table.columns.get(column, f"`{column}`").format(**given)
                # the present has the revisions of the part
                if age or column != "revision"
                else "`revision`"
                for column in columns
            ]
            where = f" WHERE {table.where}" if table.where and age else ""
            names = ", ".join(f"`{column}`" for column in columns)
            self._run(
                f"INSERT INTO {target}.{table.name} ({names})"  # noqa: S608  # ours
                f" SELECT {', '.join(chosen)} FROM {source}.{table.name}{where}"
            )

    def _columns_of(self, database: str, table: str) -> list[str]:
        if (database, table) not in self._columns:
            found = _rows(self._database, f"SHOW COLUMNS FROM {database}.{table}")
            self._columns[database, table] = [str(row[0]) for row in found]
        return self._columns[database, table]


def grow(server: MariaDB, part: Part, builds: int) -> FarmData:
    """Make a farm of about so many builds from copies of a part; show how far it is."""
    if builds <= part.builds:
        return FarmData(part.scheduler, part.status, part.builds)
    farm = FarmData(server.database("scheduler"), server.database("status", "latin1"), builds)
    names = [url.rpartition("/")[2] for url in (farm.scheduler, farm.status)]
    for name, schema in zip(names, (scheduler_schema, status_schema), strict=True):
        server.execute(*schema("mysql"), database=name)
    parts = max(1, builds // part.builds)
    began = time.monotonic()
    with (
        closing(Copier(server, part)) as copier,
        _progress(builds) as show,
        without_keys(server, names[0], SCHEDULER),
        without_keys(server, names[1], STATUS),
    ):
        copier.share(farm)
        for number in range(parts):
            age = parts - 1 - number
            copier.copy(farm, number, age, status=age * part.builds < STATUS_MOST)
            show((number + 1) * part.builds, builds)
    server.execute(*(f"ANALYZE TABLE {t.name}" for t in SCHEDULER), database=names[0])
    seconds = time.monotonic() - began
    print(f"{builds} builds in {seconds:.0f} s, {builds / seconds:.0f} builds/s", flush=True)
    return farm


@contextmanager
def without_keys(server: MariaDB, database: str, tables: Sequence[CopiedTable]) -> Iterator[None]:
    """Drop the secondary keys of tables; build them once the block has filled the tables.

    Sorted, they are built several times as fast as row by row.
    """
    keys: dict[str, list[str]] = {}
    with closing(server.connect(database)) as connection:
        for table in tables:
            [[_, text]] = _rows(connection, f"SHOW CREATE TABLE {table.name}")
            keys[table.name] = re.findall(r"^\s*(KEY `.*?\)),?$", text, re.MULTILINE)
        for name, found in keys.items():
            drops = ", ".join(f"DROP KEY {key.split()[1]}" for key in found)
            _rows(connection, f"ALTER TABLE {name} {drops}")
    yield
    for name, found in keys.items():
        adds = ", ".join(f"ADD {key}" for key in found)
        server.execute(f"ALTER TABLE {name} {adds}", database=database)


@contextmanager
def _progress(builds: int) -> Iterator[Callable[[int, int], None]]:
    what = f"builds of a farm with {builds}"
    with progress_bar(sys.stderr, "builds", progress_lines(sys.stderr, what)) as show:
        yield show
