"""Connect to MySQL and MariaDB through PyMySQL: sessions, time limits, errors, parameters.

PyMySQL waits in ``recv`` for each answer, so it runs in the threads of the pool. A server may
close a connection at any time; then the result of the statement is unknown, unless the error
says so.
"""

from __future__ import annotations

import contextlib
import functools
import math
import re
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import pymysql
from pymysql.constants import CLIENT, ER, FIELD_TYPE
from pymysql.converters import conversions

from buildapi.db.driver import (
    DISK_FULL,
    DUPLICATE,
    MISSING,
    READ_ONLY,
    TOO_SLOW,
    VALUE,
    ClassifiedError,
    Cursor,
    DriverDefinition,
    ErrorKind,
    ServerLocation,
)
from buildapi.db.mysql_rows import RowConnection
from buildapi.db.sql import EXACTLY, Params, Row, RowLimitError
from buildapi.errors import ConfigError

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 3306

PING_AFTER = 1.0
"""Idle seconds after which a connection is pinged before use."""
CONNECT_SECONDS = 5.0
IDLE_SECONDS = 5
"""Idle seconds in a transaction after which the server ends it and releases its locks.

Our transactions run in one thread, with milliseconds between two statements.
"""
SILENT_SECONDS = 15
"""Idle seconds for any connection, on servers (MySQL) without a limit for transactions alone."""

READ_GRACE = 1.0
"""Seconds left to the server to report a statement timeout itself before the socket times out."""

LOST = ClassifiedError(ErrorKind.LOST, "does not answer")
UNREACHABLE = ClassifiedError(ErrorKind.UNAVAILABLE, "cannot be reached")
FULL_HOUSE = ClassifiedError(ErrorKind.UNAVAILABLE, "has no free connection")
REFUSED = ClassifiedError(ErrorKind.UNAVAILABLE, "refuses the account")
DENIED = ClassifiedError(ErrorKind.DENIED, "refuses the account a table")
HELD_UP = ClassifiedError(ErrorKind.CONFLICT, "is blocked by locks")
TOO_LARGE = ClassifiedError(ErrorKind.VALUE, "refuses a statement of this size")

# Servers have thousands of errors, and each version and fork adds some. One that is in neither
# table is taken for a temporary condition of the server: a Galera node that is not ready (1047), a
# disk error (1026, 1030), a commit that failed (1180), FLUSH TABLES WITH READ LOCK (1223).
# 0 is PyMySQL's own, for a connection that it has closed. pymysql.constants lacks 1586 (duplicate),
# 1698 (no password), 1792 and 1836 (read-only), 1927 (killed, MariaDB), 4031 (idle for too long,
# MySQL), 3118 and 4151 (a locked account, MySQL and MariaDB).
_BY_NUMBER: dict[int, ClassifiedError | None] = {
    number: verdict
    for verdict, numbers in (
        (LOST, (0, 1053, 1159, 1161, 1927, 2006, 2013, 2055, 4031)),
        (UNREACHABLE, (2002, 2003, 2005)),
        (FULL_HOUSE, (1040, 1203, 1226)),
        (
            REFUSED,
            (1044, 1045, 1049, 1129, 1130, 1698, 1820, 1862, 2026, 2059, 3118, 4151),
        ),
        (DENIED, (ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR)),
        (TOO_SLOW, (1317, 1969, 3024)),
        (READ_ONLY, (1290, 1792, 1836)),
        (DISK_FULL, (1021, 1114)),
        # 1020: from MariaDB 11.6 on, of a row that changed since a snapshot [MariaDB manual,
        # innodb_snapshot_isolation]; it is done again, as after a deadlock.
        (HELD_UP, (1020, 1205, 1213)),
        (DUPLICATE, (1062, 1586)),
        (MISSING, (1146,)),
        (TOO_LARGE, (ER.NET_PACKET_TOO_LARGE,)),
        (VALUE, (1264, 1265, 1267, 1270, 1271, 1300, 1366, 1406, 3988)),
        (
            None,  # the statement's own fault: it can never work as it is
            (
                ER.BAD_NULL_ERROR,
                ER.NON_UNIQ_ERROR,
                ER.BAD_FIELD_ERROR,
                ER.WRONG_FIELD_WITH_GROUP,
                ER.WRONG_GROUP_FIELD,
                ER.WRONG_SUM_SELECT,
                ER.WRONG_VALUE_COUNT,
                ER.TOO_LONG_IDENT,
                ER.PARSE_ERROR,
                ER.EMPTY_QUERY,
                ER.NONUNIQ_TABLE,
                ER.UPDATE_TABLE_USED,
                ER.WRONG_TABLE_NAME,
                ER.UNKNOWN_TABLE,
                ER.FIELD_SPECIFIED_TWICE,
                ER.INVALID_GROUP_FUNC_USE,
                ER.WRONG_VALUE_COUNT_ON_ROW,
                ER.REGEXP_ERROR,
                ER.MIX_OF_GROUP_FUNC_AND_FIELDS,
                ER.SYNTAX_ERROR,
                ER.WRONG_COLUMN_NAME,
                ER.KEY_DOES_NOT_EXITS,
                ER.UNKNOWN_SYSTEM_VARIABLE,
                ER.WRONG_ARGUMENTS,
                ER.NO_REFERENCED_ROW,
                ER.ROW_IS_REFERENCED,
                ER.WRONG_USAGE,
                ER.WRONG_NUMBER_OF_COLUMNS_IN_SELECT,
                ER.WRONG_VALUE_FOR_VAR,
                ER.WRONG_TYPE_FOR_VAR,
                ER.OPERAND_COLUMNS,
                ER.SUBQUERY_NO_1_ROW,
                ER.DERIVED_MUST_HAVE_ALIAS,
                ER.NON_UPDATABLE_TABLE,
                ER.TRUNCATED_WRONG_VALUE,
                ER.SP_DOES_NOT_EXIST,
                ER.NO_DEFAULT_FOR_FIELD,
                ER.ROW_IS_REFERENCED_2,
                ER.NO_REFERENCED_ROW_2,
                ER.CONSTRAINT_FAILED,
                3819,  # MySQL's CONSTRAINT_FAILED, ER_CHECK_CONSTRAINT_VIOLATED
            ),
        ),
    )
    for number in numbers
}
"""Meanings of error numbers [pymysql.constants.ER; those from 2000 on are the client's]."""

_VARIABLES = (
    "version",
    "log_bin",
    "binlog_format",
    "tx_isolation",
    "transaction_isolation",
    "tx_read_only",
    "transaction_read_only",
    "max_statement_time",
    "max_execution_time",
    "innodb_lock_wait_timeout",
    "max_allowed_packet",
    "idle_transaction_timeout",
    "wait_timeout",
    "net_read_timeout",
    "net_write_timeout",
)

# Skip strings, quoted names and comments; escape percent signs, which PyMySQL formats with.
_TOKEN = re.compile(
    r"""'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `[^`]*` | --[^\n]* | /\*.*?\*/
    | (?<![:\w]):([A-Za-z_]\w*) | %""",
    re.VERBOSE | re.DOTALL,
)


def _number(text: str) -> int | float:
    return float(text) if "." in text or "e" in text.lower() else int(text)


_CONVERSIONS: dict[Any, Any] = {
    **{
        key: make
        for key, make in conversions.items()
        if key not in (FIELD_TYPE.DATE, FIELD_TYPE.DATETIME, FIELD_TYPE.TIME, FIELD_TYPE.TIMESTAMP)
    },
    # MySQL makes a DECIMAL of SUM over integers [MySQL, "Aggregate Function Descriptions"]; SQLite
    # an integer.
    FIELD_TYPE.DECIMAL: _number,
    FIELD_TYPE.NEWDECIMAL: _number,
}
"""Conversions to what SQLite returns: sums as numbers, dates as ``YYYY-MM-DD HH:MM:SS``."""


@functools.lru_cache(maxsize=2048)
def translate(text: str, foreign: frozenset[str] = frozenset()) -> str:
    """Turn ``:name`` into PyMySQL's ``%(name)s``, except in strings, names and comments.

    A column compared with a ``foreign`` parameter is read as Unicode, since its character set may
    lack the parameter's characters. Avoid backslashes in string literals: MySQL and SQLite read
    them differently.
    """

    def spelled(found: re.Match[str]) -> str:
        name = found[1]
        if not name:
            return found[0].replace("%", "%%")
        return f"(%({name})s{EXACTLY})" if name in foreign else f"%({name})s"

    return _TOKEN.sub(spelled, text)


_MIXED = {
    ER.CANT_AGGREGATE_2COLLATIONS,
    ER.CANT_AGGREGATE_3COLLATIONS,
    ER.CANT_AGGREGATE_NCOLLATIONS,
}
_MIXED |= {3988}  # MySQL 8: ER_IMPOSSIBLE_STRING_CONVERSION


def foreign_to(error: BaseException, params: Params) -> frozenset[str]:
    """Return the parameters with characters that a column cannot hold, which made a SELECT fail."""
    if not isinstance(error, pymysql.MySQLError) or not _MIXED.intersection(error.args[:1]):
        return frozenset()
    texts = ((name, value) for name, value in params.items() if isinstance(value, str))
    return frozenset(name for name, text in texts if not text.isascii())


def session(variables: Mapping[str, str], seconds: float, *, read_only: bool) -> dict[str, object]:
    """Return the session settings for a server that has these variables.

    READ COMMITTED is not for a server that logs statements: InnoDB then refuses to write (1665,
    ER_BINLOG_STMT_MODE_AND_ROW_ENGINE).
    """
    chosen: dict[str, object] = {
        # Otherwise what is too long is cut with a warning, and a table whose engine is disabled
        # gets another one [MySQL, "Server SQL Modes"].
        "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
        "time_zone": "+00:00",  # an offset: names need the server's time zone tables
        # MySQL cuts what GROUP_CONCAT makes after 1024 bytes, with a warning that nobody reads.
        "group_concat_max_len": 2**20,
    }
    if not (variables.get("log_bin") == "ON" and variables.get("binlog_format") == "STATEMENT"):
        # MySQL 8 lacks the names with tx_, MariaDB before 11.1 and MySQL before 5.7.20 those
        # without. A search in READ COMMITTED locks no gaps [MySQL, "Transaction Isolation Levels"].
        chosen |= _first(variables, "READ-COMMITTED", "transaction_isolation", "tx_isolation")
    if read_only:
        chosen |= _first(variables, 1, "transaction_read_only", "tx_read_only")
    # Percona 5.6 has max_statement_time too, in milliseconds.
    # In seconds, for every statement [MariaDB, "Aborting Statements that Exceed a Certain Time to
    # Execute"].
    if "MariaDB" in variables.get("version", ""):
        chosen |= _first(variables, seconds, "max_statement_time")
    # In milliseconds, and for SELECT only [MySQL, max_execution_time]: writes have the timeout of
    # the socket.
    chosen |= _first(variables, int(seconds * 1000), "max_execution_time")
    # A third of the time, so that a retry fits in.
    chosen |= _first(variables, max(1, int(seconds / 3)), "innodb_lock_wait_timeout")
    return chosen | _silence(variables)


def _silence(variables: Mapping[str, str]) -> dict[str, object]:
    """Return the settings that make a server end a silent session and release its locks.

    MariaDB 10.3 and later distinguish a session within a transaction from an idle one. MySQL does
    not: there ``wait_timeout`` ends both, and the pool opens a new connection when needed. The
    ``net_`` timeouts end a session whose client falls silent within a statement.
    """
    if "idle_transaction_timeout" in variables:
        chosen: dict[str, object] = {"idle_transaction_timeout": IDLE_SECONDS}
    else:
        chosen = _first(variables, SILENT_SECONDS, "wait_timeout")
    chosen |= _first(variables, IDLE_SECONDS, "net_read_timeout")
    return chosen | _first(variables, SILENT_SECONDS, "net_write_timeout")


def _first(variables: Mapping[str, str], value: object, *names: str) -> dict[str, object]:
    return next(({name: value} for name in names if name in variables), {})


class _Connection(RowConnection):
    """Add the largest statement that the server accepts, in bytes (``max_allowed_packet``)."""

    largest = math.inf
    _sock: socket.socket  # its types lack it


@attrs.frozen
class MySQLDriver:
    """Connect to a server; ``options`` holds the password and is never shown."""

    options: Mapping[str, Any] = attrs.field(repr=False)  # Any: keywords of pymysql.connect
    seconds: float
    read_only: bool = False
    dialect: str = "mysql"
    module: str = "pymysql"
    one_writer: bool = False
    shared: bool = False
    # An engine that is not loaded is missing in ENGINES, and counts as one without transactions.
    foreign_engines: str | None = """SELECT COUNT(*) FROM information_schema.TABLES t
 LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
 WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_TYPE = 'BASE TABLE'
 AND t.TABLE_NAME IN ({tables}) AND COALESCE(e.TRANSACTIONS, 'NO') <> 'YES'"""

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        name: str,
        seconds: float,
        read_only: bool,
        password: str | None,
        tls_ca: str | None,
    ) -> MySQLDriver:
        """Create a driver from ``mysql://user@host:port/dbname?unix_socket=...``.

        With ``tls_ca`` the connection is encrypted and the server's certificate is verified;
        without it the connection is plain: "encrypt if possible" would fail at old servers and
        prove nothing.

        :raises ConfigError: the URL is wrong; the message names the database, never the password.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise ConfigError(f"{name}: the host or port of the database URL is wrong") from None
        query = dict(parse_qsl(parts.query))
        if unknown := set(query) - {"unix_socket"}:
            raise ConfigError(
                f"{name}: {sorted(unknown)} in the database URL; allowed: unix_socket"
            )
        database = unquote(parts.path.strip("/"))
        if not database:
            raise ConfigError(f"{name}: the database URL lacks the name of the database")
        tls = {"ssl_ca": tls_ca, "ssl_verify_cert": True, "ssl_verify_identity": True}
        return cls(
            {
                "host": parts.hostname or DEFAULT_HOST,
                "port": port,
                "user": unquote(parts.username or ""),
                "password": password or unquote(parts.password or ""),
                "database": database,
                "unix_socket": query.get("unix_socket"),
                **(tls if tls_ca else {"ssl_disabled": True}),
            },
            seconds,
            read_only,
        )

    def connect(self) -> _Connection:
        """Open a connection with our time limits, UTC, strict mode and matched row counts."""
        connection = _Connection(
            charset="utf8mb4",
            # PEP 249's default would open a transaction with the first SELECT, and keep its
            # snapshot and metadata locks until a commit that no read makes.
            autocommit=True,
            # Rows matched, not changed [MySQL, mysql_affected_rows()]: a guard must not fail
            # because an UPDATE sets what is there.
            client_flag=CLIENT.FOUND_ROWS,
            connect_timeout=CONNECT_SECONDS,
            # connect_timeout ends with the TCP connection: a hung server accepts it and sends no
            # greeting.
            read_timeout=self._greeting_seconds,
            write_timeout=self._greeting_seconds,
            conv=_CONVERSIONS,
            **self.options,
        )
        try:
            self._set_up(connection)
        except BaseException:
            self.close(connection)
            raise
        connection.widen()
        _give(connection, self.seconds + READ_GRACE)
        return connection

    @property
    def _greeting_seconds(self) -> float:
        """Return the seconds allowed for what a healthy server does at once."""
        return min(self.seconds + READ_GRACE, CONNECT_SECONDS)

    def _set_up(self, connection: _Connection) -> None:
        with connection.cursor() as cursor:
            # Which exist differs, and one that is unknown fails the whole SET
            # (ER_UNKNOWN_SYSTEM_VARIABLE).
            cursor.execute("SHOW VARIABLES WHERE Variable_name IN %s", (_VARIABLES,))
            variables = dict(cursor.fetchall())
            connection.largest = float(variables.get("max_allowed_packet", math.inf))
            chosen = session(variables, self.seconds, read_only=self.read_only)
            settings = ", ".join(f"SESSION {key} = %({key})s" for key in chosen)
            cursor.execute(f"SET {settings}", chosen)

    def ready(self, connection: _Connection, idle: float) -> bool:
        """Ping a connection that was idle, so that a server restart fails no request."""
        if idle < PING_AFTER:
            return True
        started = time.monotonic()
        _give(connection, self._greeting_seconds)
        try:
            # reconnect=True would bring back a connection without its session settings.
            connection.ping(reconnect=False)
        except pymysql.MySQLError:
            hung = time.monotonic() - started >= self._greeting_seconds
            if hung:  # a new one would, too
                raise
            return False
        _give(connection, self.seconds + READ_GRACE)
        return True

    def usable(self, connection: _Connection) -> bool:
        """Return whether PyMySQL considers the connection open."""
        return bool(connection.open)

    def close(self, connection: _Connection) -> None:
        """Send COM_QUIT and close the socket."""
        with contextlib.suppress(Exception):
            connection.close()

    def cut(self, connection: _Connection) -> None:
        """Shut down the socket in both directions, which wakes up a thread that reads from it."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # the thread may close it
            # Not close(): a thread that waits in recv would not notice [Linux, close(2),
            # "Multithreaded processes and close()"].
            connection._sock.shutdown(socket.SHUT_RDWR)

    def begin(self, connection: _Connection) -> None:
        """Start a transaction."""
        connection.begin()

    def begin_snapshot(self, connection: _Connection, *, writes: bool = False) -> None:
        """Start a transaction that sees everything as of one moment, read-only unless it writes.

        A consistent snapshot needs REPEATABLE READ, for this transaction only [MySQL manual, "START
        TRANSACTION"]; READ ONLY exists from MySQL 5.6.5 and MariaDB 10.0 on.
        """
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            read_only = "" if writes else " /*!50605 , READ ONLY */"
            cursor.execute(f"START TRANSACTION WITH CONSISTENT SNAPSHOT{read_only}")

    def execute(self, cursor: Cursor, text: str, params: Params) -> None:
        """Execute a statement with ``:name`` parameters.

        Refuse statements larger than ``max_allowed_packet``: the server would close the connection,
        mostly before it can report why, which looks like an outage and would be retried for ever.
        """
        cursor.execute(self._spelled(cursor, translate(text), params))

    def _spelled(self, cursor: Cursor, text: str, params: Params) -> str:
        query: str = cursor.mogrify(text, dict(params))
        size = len(query.encode(errors="surrogateescape")) + 1  # with the byte of the command
        if size >= cursor.connection.largest:
            raise pymysql.DataError(ER.NET_PACKET_TOO_LARGE, f"{size} bytes in one statement")
        return query

    def select(
        self, connection: _Connection, text: str, params: Params, max_rows: int
    ) -> Sequence[Row]:
        """Run a SELECT, reading no more rows than allowed.

        A text that a column cannot hold equals none of its rows.
        """
        try:
            return self._select(connection, translate(text), params, max_rows)
        except pymysql.MySQLError as e:
            foreign = foreign_to(e, params)
            if not foreign:
                raise
        return self._select(connection, translate(text, foreign), params, max_rows)

    def _select(
        self, connection: _Connection, text: str, params: Params, max_rows: int
    ) -> Sequence[Row]:
        try:
            query = self._spelled(connection.cursor(), text, params)
            rows = connection.rows(query, max_rows)
            if rows is None:
                raise RowLimitError(f"more than {max_rows} rows")
        except BaseException as e:
            # The rows that nobody reads are still to come on this connection.
            if not isinstance(e, pymysql.MySQLError):
                self.close(connection)
            raise
        return rows

    def verdict(self, error: BaseException) -> ClassifiedError | None:
        """Classify by the error number; a number in neither table is UNKNOWN."""
        if isinstance(error, UnicodeEncodeError):
            return VALUE
        if not isinstance(error, pymysql.MySQLError):
            return None
        number = error.args[0] if error.args else None
        if not isinstance(number, int):  # "Already closed", "Packet sequence number wrong"
            return LOST
        if number in _BY_NUMBER:
            return _BY_NUMBER[number]
        return ClassifiedError(ErrorKind.UNKNOWN, f"fails with error {number}")


def _give(connection: Any, seconds: float) -> None:  # Any: its types lack these attributes
    """Set the timeout of each read and write; PyMySQL reads these attributes every time."""
    connection._read_timeout = connection._write_timeout = seconds


def locate(url: str) -> ServerLocation:
    """Return the server and the database that a URL names."""
    parts = urlsplit(url)
    socket = dict(parse_qsl(parts.query)).get("unix_socket")
    server = socket or f"{parts.hostname or DEFAULT_HOST}:{parts.port or DEFAULT_PORT}"
    return ServerLocation(server, unquote(parts.path.strip("/")))


DEFINITION = DriverDefinition("mysql", MySQLDriver.from_url, locate)
