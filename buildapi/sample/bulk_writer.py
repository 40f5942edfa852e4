"""Write the rows of a sample farm to databases: blocking connections, one transaction each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import attrs
import pymysql

from buildapi.db.sql import Row
from buildapi.sample.farm_schema import scheduler_schema, status_schema
from buildapi.sample.sample_rows import RowBatch, RowIds, SampleTable

MYSQL_PORT = 3306
CONNECT_SECONDS, ANSWER_SECONDS = 10, 300


class NotEmptyError(Exception):
    """A database holds builds already, and adding to it was not forced."""


class BadURLError(ValueError):
    """A text is not the URL of a database."""


@attrs.define
class BulkWriter:
    """Write to a database: ``schema`` creates its tables; it is empty if ``main`` has no rows.

    ``mark`` is the driver's mark of a parameter.
    """

    connection: Any  # of sqlite3 or PyMySQL, which have no type in common
    mark: str
    schema: Sequence[str]
    main: SampleTable

    def run(self, statement: str) -> Sequence[Row]:
        """Run one statement without parameters; return its rows."""
        with closing(self.connection.cursor()) as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def prepare(self) -> None:
        """Create the tables if there are none."""
        try:
            self.run(f"SELECT 1 FROM {self.main.title} LIMIT 1")  # noqa: S608  # a constant
        # What the drivers raise for a table that does not exist (MySQL's ER_NO_SUCH_TABLE).
        except (sqlite3.OperationalError, pymysql.err.ProgrammingError):
            for statement in self.schema:
                self.run(statement)

    @property
    def empty(self) -> bool:
        """Return whether nothing was written yet."""
        return not self.run(f"SELECT 1 FROM {self.main.title} LIMIT 1")  # noqa: S608  # a constant

    def insert(self, batch: RowBatch) -> None:
        """Insert all rows of a batch."""
        # Quoted: "order" of the status database is a reserved word; SQLite accepts MySQL's quotes.
        columns = ", ".join(f"`{c}`" for c in batch.table.all_columns)
        marks = ", ".join([self.mark] * len(batch.table.all_columns))
        with closing(self.connection.cursor()) as cursor:
            cursor.executemany(
                f"INSERT INTO {batch.table.title} ({columns}) VALUES ({marks})",  # noqa: S608  # constants
                batch.rows,
            )


def scheduler_writer(url: str) -> AbstractContextManager[BulkWriter]:
    """Open a scheduler database; commit if the block succeeds."""
    return _writer(url, scheduler_schema, SampleTable.REQUESTS)


def status_writer(url: str) -> AbstractContextManager[BulkWriter]:
    """Open a status database; commit if the block succeeds."""
    return _writer(url, status_schema, SampleTable.STATUS_BUILDS)


def fill(
    scheduler_url: str,
    status_url: str | None,
    batches: Callable[[RowIds], Iterable[RowBatch]],
    *,
    force: bool = False,
    progress: Callable[[RowBatch], None] | None = None,
) -> None:
    """Write what ``batches`` yields, in one transaction in each database.

    :raises NotEmptyError: there are requests or builds, and ``force`` is false.
    :raises BadURLError: a URL is not one of a database.
    """
    with ExitStack() as stack:
        writers = {"scheduler": stack.enter_context(scheduler_writer(scheduler_url))}
        if status_url is not None:
            writers["status"] = stack.enter_context(status_writer(status_url))
        # Both are checked before rows are written to either.
        for name, writer in writers.items():
            writer.prepare()
            if not force and not writer.empty:
                raise NotEmptyError(f"the {name} database is not empty")
        for batch in batches(ids_in_use(writers)):
            if batch.table.database in writers:
                writers[batch.table.database].insert(batch)
            if progress is not None:
                progress(batch)


def is_filled(scheduler_url: str) -> bool:
    """Return whether a scheduler database holds requests."""
    with scheduler_writer(scheduler_url) as writer:
        writer.prepare()
        return not writer.empty


def ids_in_use(writers: Mapping[str, BulkWriter]) -> RowIds:
    """Read from databases which ids, names and build numbers are taken."""
    ids = RowIds()
    for table in SampleTable:
        writer = writers.get(table.database)
        if writer is not None and table.id is not None:
            [[highest]] = writer.run(f"SELECT MAX({table.id}) FROM {table.title}")  # noqa: S608  # constants
            # Ids are given explicitly, so that rows can refer to each other without a query for
            # each.
            ids.used[table] = highest or 0
    [[number]] = writers["scheduler"].run("SELECT MAX(number) FROM builds")
    # Above all numbers in use: a build is identified by master, builder and number.
    ids.number = 0 if number is None else number + 1
    if status := writers.get("status"):
        ids.names |= _names(status)
    return ids


def _names(status: BulkWriter) -> dict[tuple[object, ...], int]:
    found: dict[tuple[object, ...], int] = {}
    for table in SampleTable:
        if table.unique:
            columns = ", ".join(table.all_columns)
            for id_, *row in status.run(f"SELECT {columns} FROM {table.title}"):  # noqa: S608  # constants
                found[table, *row] = id_
    return found


@contextmanager
def _writer(
    url: str, schema: Callable[[str], Sequence[str]], main: SampleTable
) -> Iterator[BulkWriter]:
    scheme, _, rest = url.partition(":")
    known = _DRIVERS.get(scheme)
    if known is None or not rest:
        raise BadURLError("expected sqlite:FILE or mysql://USER:PASSWORD@HOST:PORT/NAME")
    connect, dialect, mark = known
    with closing(connect(url)) as connection:
        writer = BulkWriter(connection, mark, schema(dialect), main)
        # MySQL ends the transaction at each CREATE TABLE (implicit commit): only the rows are all
        # or nothing then.
        writer.run("BEGIN")
        try:
            yield writer
        # KeyboardInterrupt as well.
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _sqlite(url: str) -> sqlite3.Connection:
    path = url.removeprefix("sqlite:")
    # Without an isolation level the module begins no transactions of its own.
    return sqlite3.connect(path, timeout=CONNECT_SECONDS, isolation_level=None)


def _mysql(url: str) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
    parts = urlsplit(url)
    socket = parse_qs(parts.query).get("unix_socket", [None])[0]
    return pymysql.connect(
        host=parts.hostname or "localhost",
        port=parts.port or MYSQL_PORT,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.removeprefix("/")),
        unix_socket=socket,
        charset="utf8mb4",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        write_timeout=ANSWER_SECONDS,
    )


# Any: a connection, as in BulkWriter.
_DRIVERS: dict[str, tuple[Callable[[str], Any], str, str]] = {
    "sqlite": (_sqlite, "sqlite", "?"),
    "mysql": (_mysql, "mysql", "%s"),
    "mysql+pymysql": (_mysql, "mysql", "%s"),
}
