"""Encode and decode AMQP frames, methods, content headers and tables.

Everything on the wire is a frame: type, channel and size, a payload, and the octet 0xCE [AMQP
0-9-1 4.2.3]. A method frame has the numbers of class and method and then the arguments, without
names: sender and receiver know their types from the specification [4.2.4]. A method with content
is followed by a header frame (size of the body, flags, properties) and as many body frames as
needed [4.2.6].
"""

from __future__ import annotations

import datetime
import decimal
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from buildapi.mq.txamqp.amqp_types import AMQPClass, AMQPMethod, Argument, Arguments
from buildapi.mq.txamqp.spec import SPEC

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
FRAME_END = 0xCE
FRAME_OVERHEAD = 8
"""Bytes of a frame beside its payload: seven before it, one after."""

NUMBERS = {
    "octet": ">B",
    "short": ">H",
    "long": ">I",
    "longlong": ">Q",
    "timestamp": ">Q",
}
"""Struct formats of numeric fields in methods and headers."""

TABLE_NUMBERS = {
    b"b": ">b",
    b"B": ">B",
    b"s": ">h",
    b"u": ">H",
    # The tags of the specification [4.2.1] are not those that servers use: RabbitMQ's errata page.
    b"U": ">h",
    b"I": ">i",
    b"i": ">I",
    b"l": ">q",
    b"L": ">q",
    b"f": ">f",
    b"d": ">d",
    b"T": ">Q",
}
"""Struct formats of numbers in tables by their tags, as RabbitMQ writes them."""


# --- encoding -------------------------------------------------------------------------------


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Return a frame with a payload."""
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def _bytes(value: str | bytes | bytearray) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _short_string(value: str | bytes) -> bytes:
    data = _bytes(value)
    if len(data) > 255:  # its length is one octet [4.2.5.3]
        raise ValueError("AMQP short string longer than 255 bytes")
    return bytes((len(data),)) + data


def _long_string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return struct.pack(">ci", b"I", value)
    return struct.pack(">cq", b"l", value)


def _decimal(value: decimal.Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError("an AMQP table cannot hold NaN or infinity")
    # The scale is an octet and cannot be negative [4.2.1]: write the zeros out.
    number = int("".join(map(str, digits))) * 10 ** max(exponent, 0) * (-1 if sign else 1)
    return struct.pack(">cBi", b"D", max(-exponent, 0), number)


def _time(value: datetime.datetime) -> bytes:
    # Seconds of UTC without fractions [4.2.5.4].
    return struct.pack(">cQ", b"T", int(value.timestamp()))


# The tag x, of bytes, is not in the specification [4.2.1]: RabbitMQ, "AMQP 0-9-1 Errata".
_TABLE_TYPES: list[tuple[type | tuple[type, ...], Callable[[Any], bytes]]] = [
    (bool, lambda v: b"t\x01" if v else b"t\x00"),  # before int, which it is too
    (str, lambda v: b"S" + _long_string(v.encode())),
    (int, _integer),
    (float, lambda v: struct.pack(">cd", b"d", v)),
    ((bytes, bytearray), lambda v: b"x" + _long_string(bytes(v))),
    (datetime.datetime, _time),
    (decimal.Decimal, _decimal),
    (Mapping, lambda v: b"F" + table(v)),
    ((list, tuple), lambda v: b"A" + _long_string(b"".join(map(_value, v)))),
]


def _value(value: object) -> bytes:
    if value is None:
        return b"V"
    for kind, encode in _TABLE_TYPES:
        if isinstance(value, kind):
            return encode(value)
    raise TypeError(f"an AMQP table cannot hold a {type(value).__name__}")


def table(values: Mapping[str, object]) -> bytes:
    """Encode a field table."""
    return _long_string(b"".join(_short_string(k) + _value(v) for k, v in values.items()))


def _field(kind: str, value: Argument) -> bytes:
    if kind == "shortstr":
        return _short_string(value)
    if kind == "longstr":
        return _long_string(_bytes(value))
    if kind == "table":
        return table(value)
    return struct.pack(NUMBERS[kind], value)


def method(m: AMQPMethod, args: Iterable[object]) -> bytes:
    """Encode a method of the specification with its arguments; adjacent bits share octets."""
    out = [struct.pack(">HH", m.klass.id, m.id)]
    # Adjacent bits fill octets from the lowest on [4.2.5.2].
    bits = count = 0
    for field, value in zip(m.fields, args, strict=True):
        if field.type == "bit" and count < 8:
            bits |= bool(value) << count
            count += 1
            continue
        if count:
            out.append(bytes((bits,)))
            bits = count = 0
        if field.type == "bit":
            bits, count = int(bool(value)), 1
        else:
            out.append(_field(field.type, value))
    return b"".join(out) + (bytes((bits,)) if count else b"")


def header(klass: AMQPClass, size: int, properties: Mapping[str, object]) -> bytes:
    """Encode a content header without the properties that are None.

    :raises ValueError: a property that AMQP does not define.
    """
    unknown = set(properties) - set(klass.fields.byname)
    if unknown:
        raise ValueError(f"unknown message properties: {sorted(unknown)}")
    flags, out = 0, []
    for n, field in enumerate(klass.fields):  # 14 fields: one word of flags
        if (value := properties.get(field.name)) is not None:
            # The first property has the highest bit; the lowest would announce more flags
            # [4.2.6.1].
            flags |= 1 << (15 - n)
            out.append(_field(field.type, value))
    # The 0 is the weight, which is unused [4.2.6.1].
    return struct.pack(">HHQH", klass.id, 0, size, flags) + b"".join(out)


# --- decoding -------------------------------------------------------------------------------


def text(data: bytes) -> str | bytes:
    """Decode UTF-8; return other data as bytes."""
    try:
        # Long strings may hold any bytes [4.2.5.3], whoever sent them.
        return data.decode()
    except UnicodeDecodeError:
        return data


NESTED_MAX = 64
"""Tables and arrays in each other; RabbitMQ's own headers, such as ``x-death``, have three."""


class Reader:
    """Read values in sequence; :raises ValueError: past the end, or nested too deep."""

    __slots__ = ("_bits", "_bits_left", "_data", "_nested", "_position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self._data, self._position = data, position
        self._bits = self._bits_left = self._nested = 0

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        start = self._position
        self._position = start + count
        if self._position > len(self._data):
            raise ValueError("truncated frame")
        return self._data[start : self._position]

    def number(self, form: str) -> Argument:
        """Read a number with a struct format."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def field(self, kind: str) -> Argument:
        """Read a field of a method or header."""
        if kind == "bit":
            return self._bit()
        self._bits_left = 0
        if kind == "shortstr":
            return text(self.take(self.take(1)[0]))
        if kind == "longstr":
            return text(self.take(self.number(">I")))
        if kind == "table":
            return self.table()
        return self.number(NUMBERS[kind])

    def table(self) -> dict[str | bytes, object]:
        """Read a field table."""
        end = self.number(">I") + self._position
        found = {}
        while self._position < end:
            key = text(self.take(self.take(1)[0]))
            found[key] = self._value()
        return found

    def _bit(self) -> bool:
        if not self._bits_left:
            self._bits, self._bits_left = self.take(1)[0], 8
        bit = bool(self._bits & 1)
        self._bits >>= 1
        self._bits_left -= 1
        return bit

    def _array(self) -> list[object]:
        end = self.number(">I") + self._position
        found = []
        while self._position < end:
            found.append(self._value())
        return found

    def _decimal(self) -> decimal.Decimal:
        scale = self.number(">B")
        return decimal.Decimal(self.number(">i")).scaleb(-scale)

    def _value(self) -> object:
        tag = self.take(1)
        if form := TABLE_NUMBERS.get(tag):
            return self.number(form)
        if read := _TABLE_READERS.get(tag):
            # Each level of a table in a table takes two calls, and a frame has room for thousands.
            if self._nested >= NESTED_MAX:
                raise ValueError(f"more than {NESTED_MAX} AMQP tables in each other")
            self._nested += 1
            found = read(self)
            self._nested -= 1
            return found
        raise ValueError(f"unknown AMQP field type {tag!r}")


_TABLE_READERS: dict[bytes, Callable[[Reader], object]] = {
    b"S": lambda r: text(r.take(r.number(">I"))),
    b"x": lambda r: r.take(r.number(">I")),
    b"t": lambda r: r.take(1) != b"\0",
    b"V": lambda _: None,
    b"F": Reader.table,
    b"A": Reader._array,
    b"D": Reader._decimal,
}


def read_method(payload: bytes) -> tuple[AMQPMethod, Arguments]:
    """Decode a method frame into the method of the specification and its arguments."""
    reader = Reader(payload)
    klass = SPEC.classes.byid[reader.number(">H")]
    m = klass.methods.byid[reader.number(">H")]
    return m, tuple([reader.field(f.type) for f in m.fields])


def read_header(payload: bytes) -> tuple[int, dict[str, object]]:
    """Decode a header frame into the size of the body and the properties."""
    reader = Reader(payload)
    klass = SPEC.classes.byid[reader.number(">H")]
    reader.take(2)  # the weight, which is unused
    size, flags = reader.number(">Q"), reader.number(">H")
    fields = (f for n, f in enumerate(klass.fields) if flags >> (15 - n) & 1)
    return size, {f.name: reader.field(f.type) for f in fields}
