"""Read the rows of a SELECT from MySQL's protocol, at less than half of what PyMySQL takes.

PyMySQL makes an object of each packet and calls three methods for each value.  Here the rows of a
result are read in one loop; statements, errors and everything that is not a row stay PyMySQL's.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from pymysql.connections import MAX_PACKET_LEN, TEXT_TYPES, Connection, MySQLResult
from pymysql.constants import CR
from pymysql.converters import through
from pymysql.err import OperationalError, raise_mysql_exception

from buildapi.db.sql import Column, Row

BUFFER_BYTES = 65_536
"""Bytes that one ``recv`` reads: each gives up the interpreter lock, and PyMySQL reads 8 KiB."""

BINARY = 63
"""Number of the character set of bytes [MySQL, "Character Sets"]."""

# The tail of a description: character set, length, type, flags, decimals and two bytes that are
# unused [MySQL, "Protocol::ColumnDefinition41"].  What stands before are six names.
_DESCRIPTION = struct.Struct("<HIBHBxx")

# The first byte of a value is its length, or one of these [MySQL, "Length-Encoded Integer"].
_NULL, _TWO, _THREE, _EIGHT = 251, 252, 253, 254
_WIDTHS = {_TWO: 2, _THREE: 3, _EIGHT: 8}
_END, _ERROR = 0xFE, 0xFF
"""First bytes of a packet that is no row; one of the end is shorter than nine bytes."""

Convert = Callable[[bytes], Column]


class _Texts(dict[bytes, str]):
    """Decode each different text of a result once: builders, branches and masters repeat."""

    def __missing__(self, stored: bytes) -> str:
        text = self[stored] = stored.decode("utf-8")  # all connections are utf8mb4
        return text


class RowResult(MySQLResult):
    """A result whose rows are still to be read from the connection."""

    connection: Any  # a Connection until the last row is read, then None
    _converts: list[Convert]

    def _get_descriptions(self) -> None:
        # Instead of PyMySQL's, which takes a description apart into names that nobody asks for.
        texts = _Texts().__getitem__
        self._converts = []
        for _ in range(self.field_count):
            data = self.connection._read_packet()._data
            charset, _length, type_, _flags, _decimals = _DESCRIPTION.unpack(
                data[-_DESCRIPTION.size :]
            )
            self._converts.append(_convert(type_, charset, self.connection.decoders, texts))
        self.connection._read_packet()  # the end of the descriptions

    def take(self, most: int) -> list[Row] | None:
        """Return all rows; None if there are more than ``most``, some of which are left unread."""
        connection, self.connection = self.connection, None
        # PyMySQL would read the rest when the result is collected.
        self.unbuffered_active = False
        read, number, converts = connection._rfile.read, connection._next_seq_id, self._converts
        rows: list[Row] = []
        try:
            while len(rows) <= most:
                data, number = read_packet(read, number)
                if data[0] >= _END and (data[0] == _ERROR or len(data) < 9):
                    break
                rows.append(_row(data, converts))
            else:
                return None
        except (OSError, EOFError) as e:
            connection._force_close()
            raise OperationalError(CR.CR_SERVER_LOST, f"Lost connection during query ({e})") from e
        connection._next_seq_id = number
        if data[0] == _ERROR:
            raise_mysql_exception(data)
        return rows


class RowConnection(Connection):
    """Read the rows of a SELECT fast; everything else as PyMySQL does."""

    _result: Any  # what PyMySQL keeps of the last statement; its types lack it

    def widen(self) -> None:
        """Read from the socket in large pieces from now on; nothing may be under way."""
        self._rfile = self._sock.makefile("rb", BUFFER_BYTES)  # type: ignore[attr-defined]  # its types lack them

    def rows(self, statement: str, most: int) -> list[Row] | None:
        """Run a SELECT; return all rows, or None and a useless connection if they are too many."""
        self.query(statement, unbuffered=True)
        result: RowResult = self._result
        return result.take(most)

    def _read_query_result(self, unbuffered: bool = False) -> int:
        if not unbuffered:
            return super()._read_query_result(unbuffered)  # type: ignore[misc, no-any-return]  # its types lack it
        self._result = None
        result = RowResult(self)
        result.init_unbuffered_query()
        self._result = result
        return 0


def read_packet(read: Callable[[int], bytes], number: int) -> tuple[bytes, int]:
    """Return the next packet, and the number of the one after it.

    :raises EOFError: the connection ended, or the packet is not the next one.
    """
    parts: list[bytes] = []
    while True:
        head = read(4)
        if len(head) < 4:
            raise EOFError("no more bytes")
        size = head[0] | head[1] << 8 | head[2] << 16
        if head[3] != number:
            raise EOFError(f"packet {head[3]} instead of {number}")
        number = number + 1 & 255
        data = read(size)
        if len(data) < size:
            raise EOFError("no more bytes")
        if size < MAX_PACKET_LEN and not parts:
            return data, number
        parts.append(data)
        if size < MAX_PACKET_LEN:
            return b"".join(parts), number


def _row(data: bytes, converts: list[Convert]) -> Row:
    row: list[Column] = []
    at = 0
    for convert in converts:
        size = data[at]
        at += 1
        if size < _NULL:
            end = at + size
        elif size == _NULL:
            row.append(None)
            continue
        else:
            width = _WIDTHS[size]
            end = at + width + int.from_bytes(data[at : at + width], "little")
            at += width
        row.append(convert(data[at:end]))
        at = end
    return tuple(row)


def _convert(
    type_: int,
    charset: int,
    decoders: dict[int, Callable[[Any], Any]],
    texts: Callable[[bytes], str],
) -> Convert:
    """Return what makes a value of the bytes of a column; PyMySQL's for all but texts and ints."""
    decoder = decoders.get(type_)
    if decoder is None or decoder is through:
        return bytes if type_ in TEXT_TYPES and charset == BINARY else texts
    if decoder is int:
        return int  # which reads ASCII digits from bytes as well
    if type_ in TEXT_TYPES and charset == BINARY:
        return decoder
    return lambda stored: decoder(texts(stored))
