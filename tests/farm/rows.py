"""The scheduler database as a test sees it: plain blocking SQL, none of it the code under test."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import pymysql

T = TypeVar("T")
Execute = Callable[..., Any]


@attrs.frozen
class RequestRow:
    """A row of ``buildrequests``."""

    id: int
    buildsetid: int
    buildername: str
    priority: int
    claimed_at: float
    claimed_by_name: str | None
    complete: int
    results: int | None


@attrs.frozen
class BuildRow:
    """A row of ``builds``."""

    id: int
    number: int
    brid: int
    start_time: float
    finish_time: float | None


@attrs.frozen
class SchedulerRows:
    """Read and write rows of a scheduler database given by its Buildbot URL."""

    url: str

    def submit(
        self,
        builder: str,
        *,
        branch: str = "try",
        revision: str | None = None,
        reason: str = "test",
        priority: int = 0,
        properties: Mapping[str, Any] | None = None,
        submitted_at: float | None = None,
    ) -> int:
        """Ask for a build of one builder; give the id of the build request."""
        return self.submit_set(
            [builder],
            branch=branch,
            revision=revision,
            reason=reason,
            priority=priority,
            properties=properties,
            submitted_at=submitted_at,
        )[0]

    def submit_set(
        self,
        builders: Sequence[str],
        *,
        branch: str = "try",
        revision: str | None = None,
        reason: str = "test",
        priority: int = 0,
        properties: Mapping[str, Any] | None = None,
        submitted_at: float | None = None,
    ) -> list[int]:
        """Ask for one buildset with a request per builder; give the ids of the requests."""
        now = time.time() if submitted_at is None else submitted_at
        with self._transaction() as execute:
            stamp = _insert(
                execute, "sourcestamps", branch=branch, revision=revision, repository="", project=""
            )
            buildset = _insert(
                execute, "buildsets", reason=reason, sourcestampid=stamp, submitted_at=now
            )
            common = {"buildsetid": buildset, "priority": priority, "submitted_at": now}
            for name, value in (properties or {}).items():
                text = json.dumps([value, "test"])
                row = {"buildsetid": buildset, "property_name": name, "property_value": text}
                _insert(execute, "buildset_properties", **row)
            return [_insert(execute, "buildrequests", buildername=b, **common) for b in builders]

    def request(self, request_id: int) -> RequestRow:
        """Read a build request."""
        columns = ", ".join(attrs.fields_dict(RequestRow))
        (row,) = self.select(f"SELECT {columns} FROM buildrequests WHERE id = %s", request_id)
        return RequestRow(*row)

    def builds(self, request_id: int) -> list[BuildRow]:
        """Read the builds of a build request, oldest first."""
        columns = ", ".join(attrs.fields_dict(BuildRow))
        text = f"SELECT {columns} FROM builds WHERE brid = %s ORDER BY id"
        return [BuildRow(*row) for row in self.select(text, request_id)]

    def wait_running(self, request_id: int, seconds: float = 180) -> BuildRow:
        """Wait until a request has a build without an end; give it."""
        return self._wait(
            lambda: next((b for b in self.builds(request_id) if b.finish_time is None), None),
            f"request {request_id} runs",
            seconds,
        )

    def wait_complete(self, request_id: int, seconds: float = 180) -> RequestRow:
        """Wait until a request is complete; give it."""
        return self._wait(
            lambda: row if (row := self.request(request_id)).complete else None,
            f"request {request_id} is complete",
            seconds,
        )

    def select(self, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a SELECT with ``%s`` place holders; committed rows only."""
        with self._transaction() as execute:
            return [tuple(row) for row in execute(text, *parameters).fetchall()]

    def execute(self, text: str, *parameters: Any) -> int:
        """Run one write with ``%s`` place holders; give the number of rows it touched."""
        with self._transaction() as execute:
            return int(execute(text, *parameters).rowcount)

    @staticmethod
    def _wait(ask: Callable[[], T | None], what: str, seconds: float) -> T:
        end = time.monotonic() + seconds
        while (answer := ask()) is None:
            assert time.monotonic() < end, f"not so after {seconds} s: {what}"
            time.sleep(0.05)
        return answer

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Execute]:
        """Commit what is executed inside, or roll back where it raises."""
        parts = urllib.parse.urlsplit(self.url)
        connect = {"sqlite": _sqlite, "mysql": _mysql}[parts.scheme]
        with contextlib.closing(connect(parts)) as connection:
            try:
                yield _executor(connection)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()


def _sqlite(parts: urllib.parse.SplitResult) -> Any:
    # A master writes with short locks; ours wait for them.
    return sqlite3.connect(parts.path.removeprefix("/"), timeout=60)


def _mysql(parts: urllib.parse.SplitResult) -> Any:
    return pymysql.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=parts.username,
        password=parts.password or "",
        database=parts.path.removeprefix("/"),
        charset="utf8mb4",
        connect_timeout=5,
        read_timeout=30,
    )


def _executor(connection: Any) -> Execute:
    def execute(text: str, *parameters: Any) -> Any:
        if isinstance(connection, sqlite3.Connection):
            text = text.replace("%s", "?")
        cursor = connection.cursor()
        cursor.execute(text, parameters)
        return cursor

    return execute


def _insert(execute: Execute, table: str, **row: Any) -> int:
    marks = ", ".join(["%s"] * len(row))
    text = f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})"
    return int(execute(text, *row.values()).lastrowid)
