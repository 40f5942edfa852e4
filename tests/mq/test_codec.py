"""AMQP data on the wire."""

from __future__ import annotations

import datetime
import decimal
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.mq.txamqp import codec
from buildapi.mq.txamqp.spec import SPEC

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | INT64 | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=10,
)


def there_and_back(table: dict[str, Any]) -> dict[Any, Any]:
    return codec.Reader(codec.table(table)).table()


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=5))
def test_a_table_survives_the_way_there_and_back(table: dict[str, Any]) -> None:
    assert there_and_back(table) == table


def test_a_truth_value_stays_one() -> None:
    assert there_and_back({"yes": True, "no": False, "one": 1})["yes"] is True


def test_binary_data_times_and_decimals_have_their_types() -> None:
    when = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    table = {"b": b"\xff\x00", "t": when, "d": decimal.Decimal("-12.34")}
    assert there_and_back(table) == {
        "b": b"\xff\x00",
        "t": int(when.timestamp()),
        "d": decimal.Decimal("-12.34"),
    }


def test_text_that_is_not_utf_8_stays_bytes() -> None:
    raw = b"\x00\x00\x00\x0a\x02kxS\x00\x00\x00\x02\xff\xfe"
    assert codec.Reader(raw).table() == {"kx": b"\xff\xfe"}


@pytest.mark.parametrize(
    ("tag", "data", "value"),
    [
        (b"b", b"\xff", -1),
        (b"B", b"\xff", 255),
        (b"s", b"\xff\xfe", -2),
        (b"u", b"\xff\xfe", 65534),
        (b"i", b"\xff\xff\xff\xff", 2**32 - 1),
        (b"f", b"\x3f\xc0\x00\x00", 1.5),
    ],
)
def test_number_types_that_only_others_send_are_read(tag: bytes, data: bytes, value: Any) -> None:
    entry = b"\x01k" + tag + data
    assert codec.Reader(len(entry).to_bytes(4, "big") + entry).table() == {"k": value}


@pytest.mark.parametrize("value", [object(), {1}, decimal.Decimal("NaN"), 2**63, "\ud800"])
def test_what_amqp_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, struct.error)):
        codec.table({"k": value})


def test_an_unknown_field_type_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown AMQP field type"):
        codec.Reader(b"\x00\x00\x00\x03\x01kZ").table()


def test_a_truncated_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="truncated"):
        codec.read_method(b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\xff")


def test_neighbouring_bits_share_an_octet() -> None:
    declare = SPEC.classes.byname["queue"].methods.byname["declare"]
    args = (0, "q", False, True, False, True, False, {})
    data = codec.method(declare, args)
    assert data == b"\x00\x32\x00\x0a\x00\x00\x01q\x0a\x00\x00\x00\x00"
    assert codec.read_method(data) == (declare, args)


def test_every_method_survives_with_its_defaults() -> None:
    defaults = {"bit": True, "shortstr": "ä", "longstr": "ü", "table": {"a": [1]}}
    for klass in SPEC.classes:
        for method in klass.methods:
            args = tuple(defaults.get(f.type, 7) for f in method.fields)
            assert codec.read_method(codec.method(method, args)) == (method, args)


def test_properties_survive_and_missing_ones_stay_missing() -> None:
    basic = SPEC.classes.byname["basic"]
    properties = {"content-type": "application/json", "delivery-mode": 2, "timestamp": 2**40}
    data = codec.header(basic, 5, properties | {"correlation-id": None})
    assert codec.read_header(data) == (5, properties)


def test_an_unknown_property_is_refused() -> None:
    with pytest.raises(ValueError, match="content_type"):
        codec.header(SPEC.classes.byname["basic"], 0, {"content_type": "x"})


def test_a_short_string_over_255_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="255"):
        codec.header(SPEC.classes.byname["basic"], 0, {"message-id": "ü" * 128})
