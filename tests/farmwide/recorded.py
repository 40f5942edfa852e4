"""The recorded farm with its status database, and what the rows of the old program stood for."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.buildbot.seed import connect
from tests.golden.cases import load
from tests.golden.compare import NAMES, belongs
from tests.golden.databases import fill_server, make_files
from tests.services.mariadb import MariaDB

STATUS = ("masters", "slaves", "builders", "builds", "properties", "build_properties", "steps")
"""The tables of the status database that are read."""


def in_files(folder: Path) -> dict[str, str]:
    """Put the farm into SQLite files; give the URL of each database."""
    files = make_files(folder)
    urls = {"scheduler": f"sqlite:///{files.scheduler}", "status": f"sqlite:///{files.status}"}
    _fill_status(urls["status"], "?")
    return urls


def on_server(server: MariaDB) -> dict[str, str]:
    """Put the farm on a server; give the URL of each database."""
    urls = fill_server(server)
    _fill_status(urls["status"], "%s")
    return urls


def _fill_status(url: str, mark: str) -> None:
    tables = load("fixture.json.gz")["status"]
    with contextlib.closing(connect(url)) as db:
        cursor = db.cursor()
        cursor.execute("BEGIN")
        for table in STATUS:
            rows: Sequence[Mapping[str, Any]] = tables[table]
            names = ", ".join(f"`{name}`" for name in rows[0])
            marks = ", ".join(mark for _ in rows[0])
            cursor.execute(f"DELETE FROM {table}")
            cursor.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})",
                [tuple(row.values()) for row in rows],
            )
        cursor.execute("COMMIT")


@cache
def stored_branches() -> Mapping[int, str | None]:
    """Return the stored branch of each request, by its id."""
    tables = load("fixture.json.gz")["scheduler"]
    stamps = {row["id"]: row["branch"] for row in tables["sourcestamps"]}
    sets = {row["id"]: stamps[row["sourcestampid"]] for row in tables["buildsets"]}
    return {row["id"]: sets[row["buildsetid"]] for row in tables["buildrequests"]}


def chosen(stored: str | None, asked: str) -> bool:
    """Return whether a stored branch is one that is asked for, as it is asked for now."""
    if asked in NAMES:
        return belongs(stored or "", asked)
    return stored is not None and asked.lower() in stored.lower()


@cache
def pushes() -> Sequence[tuple[str, int, tuple[Any, ...]]]:
    """List pushes: branch and time of the change, and what makes pushes the same."""
    tables = load("fixture.json.gz")["scheduler"]
    stamps = {row["id"]: (row["revision"], row["branch"]) for row in tables["sourcestamps"]}
    changes = {row["changeid"]: row for row in tables["changes"]}
    found = []
    for row in tables["sourcestamp_changes"]:
        change = changes[row["changeid"]]
        if change["branch"] and not change["branch"].endswith(("unittest", "talos")):
            same = (change["author"], *stamps[row["sourcestampid"]])
            found.append((change["branch"], change["when_timestamp"], same))
    return found


def push_counts(asked: str, start: int = 0, end: float = float("inf")) -> dict[str, int]:
    """Count pushes to what is asked for."""
    within = {same for branch, at, same in pushes() if start <= at <= end and chosen(branch, asked)}
    counts = Counter(author for author, *_ in within)
    return {**counts, "TOTAL": counts.total()}
