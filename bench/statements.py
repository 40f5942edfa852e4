"""Record the statements that processes send to MariaDB, and send the same ones again.

The server's general log has every statement, its connection and their order, whatever program sent
it: so the reference of a read or of a job follows the program by itself.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import attrs
import pymysql

from tests.buildbot.seed import connect
from tests.services.mariadb import MariaDB

ENDS = re.compile(r"\s*(COMMIT|ROLLBACK)\b", re.IGNORECASE)
BEGINS = re.compile(r"\s*(BEGIN|START TRANSACTION)\b", re.IGNORECASE)
SELECTS = re.compile(r"\s*SELECT\b", re.IGNORECASE)


@attrs.frozen
class Statement:
    """A statement as the server received it, and the database it was for."""

    connection: int
    database: str
    text: str

    @property
    def reads(self) -> bool:
        """Return whether it is a SELECT that takes no locks."""
        return bool(SELECTS.match(self.text)) and not self.text.rstrip().endswith("FOR UPDATE")


@contextmanager
def recorded(server: MariaDB) -> Iterator[list[Statement]]:
    """Record what all connections but this one send meanwhile; the list is filled at the end."""
    found: list[Statement] = []
    with closing(server.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("SET GLOBAL log_output = 'TABLE'")
        cursor.execute("TRUNCATE mysql.general_log")
        before = _databases(cursor)
        cursor.execute("SET GLOBAL general_log = 1")
        try:
            yield found
        finally:
            cursor.execute("SET GLOBAL general_log = 0")
        names = {**before, **_databases(cursor)}
        own = _own(cursor)
        cursor.execute("SELECT thread_id, command_type, argument FROM mysql.general_log")
        for thread, kind, argument in cursor.fetchall():
            text = argument.decode() if isinstance(argument, bytes) else argument
            if kind == "Connect" and " on " in text:
                names[thread] = text.partition(" on ")[2].partition(" ")[0]
            elif kind == "Query" and thread != own:
                found.append(Statement(thread, names.get(thread, ""), text))


def _databases(cursor: Any) -> dict[int, str]:
    cursor.execute("SELECT id, db FROM information_schema.processlist")
    return {int(thread): name or "" for thread, name in cursor.fetchall()}


def _own(cursor: Any) -> int:
    cursor.execute("SELECT CONNECTION_ID()")
    return int(cursor.fetchone()[0])


def transactions(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Return each transaction as one list, in the order in which they ended.

    One connection can send them one after the other then, and never waits for itself.
    """
    open_ones: dict[int, list[Statement]] = {}
    done: list[list[Statement]] = []
    for statement in statements:
        running = open_ones.get(statement.connection)
        if running is not None:
            running.append(statement)
            if ENDS.match(statement.text):
                done.append(open_ones.pop(statement.connection))
        elif BEGINS.match(statement.text):
            open_ones[statement.connection] = [statement]
        else:
            done.append([statement])
    return [*done, *open_ones.values()]


class Raw:
    """Plain connections of PyMySQL, one for each database, that send recorded statements."""

    def __init__(self, server: MariaDB, renamed: dict[str, str] | None = None) -> None:
        """Connect when needed; ``renamed`` are databases that stand for recorded ones."""
        self._server, self._renamed = server, renamed or {}
        self._cursors: dict[str, Any] = {}
        self.failed = 0

    def _cursor(self, database: str) -> Any:
        name = self._renamed.get(database, database)
        if name not in self._cursors:
            connection = connect(self._server.url(name))
            self._cursors[name] = connection.cursor()
        return self._cursors[name]

    def send(self, statements: Sequence[Statement]) -> float:
        """Send statements and read all rows; return the seconds it took.

        A statement that cannot be repeated (a row that exists) is counted and passed over.
        """
        cursors = [(self._cursor(s.database), s.text) for s in statements]
        began = time.perf_counter()
        for cursor, text in cursors:
            try:
                cursor.execute(text)
                cursor.fetchall()
            except pymysql.Error:
                self.failed += 1
        return time.perf_counter() - began

    def close(self) -> None:
        """Close all connections."""
        for cursor in self._cursors.values():
            cursor.connection.close()
