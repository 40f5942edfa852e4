"""The recorded farm as databases, and what a job changed in them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from buildapi.sample.farm_schema import scheduler_schema, status_schema
from tests.golden.cases import load
from tests.services.mariadb import MariaDB

Rows = Sequence[Mapping[str, Any]]

OLD_JOBS = {
    "sqlite": """CREATE TABLE jobrequests (id INTEGER PRIMARY KEY AUTOINCREMENT,
        action VARCHAR(20) NOT NULL, who VARCHAR(512) NOT NULL, `when` INTEGER NOT NULL,
        completed_at INTEGER, what TEXT NOT NULL, complete_data TEXT)""",
    "mysql": """CREATE TABLE jobrequests (id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,
        action VARCHAR(20) NOT NULL, who VARCHAR(512) NOT NULL, `when` INTEGER NOT NULL,
        completed_at INTEGER, what TEXT NOT NULL, complete_data TEXT) DEFAULT CHARSET=utf8""",
}
"""The table as the old program made it; MySQL cut what did not fit its columns."""

ACTION_WIDTH = 20

KEYS = {"changes": "changeid"} | dict.fromkeys(
    ("buildset_properties", "change_files", "sourcestamp_changes"), None
)
"""The key column of tables where it is not ``id``; None where there is none."""

TABLES = (
    "buildrequests",
    "builds",
    "buildset_properties",
    "buildsets",
    "change_files",
    "changes",
    "sourcestamp_changes",
    "sourcestamps",
)
"""The tables of the scheduler database in which a job may change something."""


@attrs.frozen
class Farm:
    """Rows by table for the scheduler database, and those of the job requests."""

    scheduler: Mapping[str, Rows]
    jobs: Rows

    @classmethod
    def recorded(cls) -> Farm:
        """Parse the recorded one."""
        fixture = load("fixture.json.gz")
        jobs = [
            j | {"action": j["action"][:ACTION_WIDTH]} for j in fixture["buildapi"]["jobrequests"]
        ]
        scheduler = {t: r for t, r in fixture["scheduler"].items() if t != "version"}
        return cls(scheduler, jobs)


@attrs.frozen
class Files:
    """SQLite files of a farm, one for each database."""

    scheduler: Path
    jobs: Path
    status: Path


def make_files(folder: Path) -> Files:
    """Write the recorded farm to files, once for many copies."""
    farm = Farm.recorded()
    files = Files(*(folder / f"{field.name}.sqlite" for field in attrs.fields(Files)))
    _fill_file(files.scheduler, scheduler_schema("sqlite"), farm.scheduler)
    _fill_file(files.jobs, [OLD_JOBS["sqlite"]], {"jobrequests": farm.jobs})
    _fill_file(files.status, status_schema("sqlite"), {})
    return files


def _fill_file(path: Path, schema: Sequence[str], tables: Mapping[str, Rows]) -> None:
    with opened(path) as db:
        for statement in schema:
            db.execute(statement)
        for table, rows in tables.items():
            if rows:
                marks = ", ".join("?" for _ in rows[0])
                values = (tuple(row.values()) for row in rows)
                db.executemany(f"INSERT INTO {table} ({_columns(rows)}) VALUES ({marks})", values)


def _columns(rows: Rows) -> str:
    return ", ".join(f"`{name}`" for name in rows[0])


def fill_server(server: MariaDB) -> dict[str, str]:
    """Put the recorded farm on a server; give the URL of each database."""
    farm = Farm.recorded()
    urls = {name: server.database(name, "utf8mb3") for name in ("scheduler", "jobs", "status")}
    schemas = {
        "scheduler": scheduler_schema("mysql"),
        "jobs": [OLD_JOBS["mysql"]],
        "status": status_schema("mysql"),
    }
    tables = {"scheduler": farm.scheduler, "jobs": {"jobrequests": farm.jobs}, "status": {}}
    for name, url in urls.items():
        database = url.rpartition("/")[2]
        server.execute(*schemas[name], database=database)
        with contextlib.closing(server.connect(database)) as db, db.cursor() as cursor:
            for table, rows in tables[name].items():
                if rows:
                    marks = ", ".join("%s" for _ in rows[0])
                    insert = f"INSERT INTO {table} ({_columns(rows)}) VALUES ({marks})"
                    cursor.executemany(insert, [tuple(row.values()) for row in rows])
    return urls


@contextlib.contextmanager
def opened(path: Path) -> Any:
    """Open a file, past the code under test, for one transaction."""
    with contextlib.closing(sqlite3.connect(path, timeout=60)) as db:
        db.row_factory = sqlite3.Row
        with db:
            yield db


def next_id(path: Path, table: str, number: int) -> None:
    """Have the next row of a table get this id."""
    with opened(path) as db:
        db.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", (number - 1, table))


def changes(before: Path, after: Path) -> dict[str, Any]:
    """List rows added, removed and changed, in the form of the recordings."""
    with opened(after) as db:
        db.execute("ATTACH DATABASE ? AS before", (str(before),))
        found = {table: _table_changes(db, table) for table in TABLES}
    return {table: change for table, change in found.items() if change}


def _table_changes(db: sqlite3.Connection, table: str) -> dict[str, Any]:
    new, old = _other(db, table, "main", "before"), _other(db, table, "before", "main")
    key = KEYS.get(table, "id")
    was, now = ({r[key]: r for r in rows} if key else {} for rows in (old, new))
    both = sorted(was.keys() & now.keys())
    parts = {
        "added": [r for r in new if not key or r[key] not in was],
        "removed": [r for r in old if not key or r[key] not in now],
        "changed": [_row_change(k, was[k], now[k]) for k in both],
    }
    return {name: rows for name, rows in parts.items() if rows}


def _other(db: sqlite3.Connection, table: str, here: str, there: str) -> list[dict[str, Any]]:
    """List the rows of a table that are another, or not at all, in the other file."""
    columns = [row["name"] for row in db.execute(f"PRAGMA {here}.table_info({table})")]
    this, that = (", ".join(f"{t}.{c}" for c in columns) for t in ("a", "b"))
    found = db.execute(
        f"SELECT a.* FROM {here}.{table} a LEFT JOIN {there}.{table} b ON b.rowid = a.rowid"
        f" WHERE b.rowid IS NULL OR ({this}) IS NOT ({that})"
    )
    return [dict(row) for row in found]


def _row_change(key: int, was: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in was if was[name] != now[name]]
    return {
        "key": key,
        "before": {name: was[name] for name in names},
        "after": {name: now[name] for name in names},
    }
