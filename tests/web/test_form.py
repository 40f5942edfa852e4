"""Bodies, as functions of bytes."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.web.http.form import FIELDS_MAX, Form, parse_form

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"


def read(kind: str, body: bytes) -> dict[str, list[Any]]:
    return {
        name: list(values) for name, values in parse_form(kind, io.BytesIO(body)).values.items()
    }


def part(name: str, value: bytes, head: str = "") -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    return f"--b\r\n{disposition}{head}\r\n\r\n".encode() + value + b"\r\n"


def test_the_last_value_counts() -> None:
    form = Form({"a": ["1", "2"], "n": [3], "none": []})
    assert (form.get("a"), form.text("a")) == ("2", "2")
    assert (form.get("n"), form.text("n")) == (3, None)
    assert form.get("none") is form.text("other") is None


@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=20))
def test_what_a_browser_encodes_is_read(fields: dict[str, str]) -> None:
    clean = {k.encode(errors="replace"): v.encode(errors="replace") for k, v in fields.items()}
    wanted = {k.decode(): [v.decode()] for k, v in clean.items()}
    assert read(URLENCODED, urlencode(clean).encode()) == wanted
    body = json.dumps({k: v[0] for k, v in wanted.items()}).encode()
    assert read("application/json", body) == wanted


@pytest.mark.parametrize("kind", [URLENCODED, "Application/X-WWW-Form-URLencoded ; charset=x"])
def test_urlencoded(kind: str) -> None:
    assert read(kind, b"a=1&a=2&b=+%2B%C3%BC&c=&d") == {
        "a": ["1", "2"],
        "b": [" +ü"],
        "c": [""],
        "d": [""],
    }


@pytest.mark.parametrize("kind", [MULTIPART, 'Multipart/Form-Data; charset=utf-8; Boundary="b"'])
def test_multipart(kind: str) -> None:
    body = part("a", b"1") + part("a", b"2\r\n3") + part("ü", "ü".encode()) + b"--b--\r\n"
    assert read(kind, body) == {"a": ["1", "2\r\n3"], "ü": ["ü"]}


def test_a_multipart_value_of_a_megabyte_stays_in_memory() -> None:
    body = part("a", b"x" * 2**20) + b"--b--"
    assert read(MULTIPART, body) == {"a": ["x" * 2**20]}


def test_values_of_json_stay_what_they_are() -> None:
    body = b'{"n": 1, "t": "x", "l": ["a"], "none": null, "big": 12345678901234567890123}'
    assert read("application/json", body) == {
        "n": [1],
        "t": ["x"],
        "l": [["a"]],
        "big": [12345678901234567890123],
    }


def test_a_json_list_is_its_entries_and_has_no_values() -> None:
    form = parse_form("application/json", io.BytesIO(b'[{"a": 1}, null]'))
    assert (form.values, form.entries) == ({}, [{"a": 1}, None])
    assert parse_form("application/json", io.BytesIO(b"{}")).entries is None


@pytest.mark.parametrize("kind", [URLENCODED, "application/json", "text/plain", ""])
def test_no_body_has_no_values(kind: str) -> None:
    assert read(kind, b"") == {}


@pytest.mark.parametrize("kind", ["", "text/plain", "application/octet-stream", "application/xml"])
def test_a_body_of_another_kind_is_refused(kind: str) -> None:
    """If it were ignored, the cancel of a revision would do more than its sender meant."""
    assert read(kind, b" \r\n") == {}
    with pytest.raises(BadRequest, match="send application/x-www-form-urlencoded, multipart") as e:
        read(kind, b"a=1")
    assert (repr(kind) in str(e.value)) == bool(kind)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (URLENCODED, b"\xff"),
        (URLENCODED, b"a=%ff"),
        (URLENCODED, b"a&" * (FIELDS_MAX + 1)),
        (MULTIPART, b""),
        (MULTIPART, b"--b"),
        (MULTIPART, part("a", b"1")),
        (MULTIPART, part("a", b"\xff") + b"--b--"),
        (MULTIPART, part("a", b"1", "\r\nContent-Type: text/plain; charset=rot13") + b"--b--"),
        (MULTIPART, part("a", b"1", "\r\nContent-Type: text/plain; charset=nope") + b"--b--"),
        (MULTIPART, part("a", b"1", "\r\nContent-Type: text/plain; charset=hex") + b"--b--"),
        (MULTIPART, part("a", b"1", "\r\nContent-Type: text/plain; charset=undefined") + b"--b--"),
        (MULTIPART, part("a", b"1") * (FIELDS_MAX + 1) + b"--b--"),
        (MULTIPART, b"--b\r\n\r\n1\r\n--b--"),
        ("multipart/form-data", b"--b--"),
        ("multipart/form-data; boundary=", b"--b--"),
        ('multipart/form-data; boundary="ü\n"', b"--b--"),
        ("application/json", b"{"),
        ("application/json", b"11"),
        ("application/json", b"\xff\xfe\x00"),
        ("application/json", b"[" * 100_000),
        ("application/json", b'{"a": ' + b"9" * 5000 + b"}"),
    ],
)
def test_what_cannot_be_read_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(BadRequest):
        read(kind, body)


KINDS = st.sampled_from(
    [
        URLENCODED,
        MULTIPART,
        "application/json",
        'multipart/form-data; boundary="',
        'multipart/form-data; boundary="\\"";;=',
    ]
)
PIECES = st.lists(
    st.sampled_from(
        [
            b"--b", b"--", b"\r\n", b"\n", b"a=1", b"&", b"%", b"%ff", b"{", b"}", b'"', b":", b"1",
            b"\\ud800", b"null", b"[", b"]", b",", b"\x00", b"\xff",
            b"Content-Disposition: form-data; name=", b"; filename=x", b"Content-Type: text/plain",
            b"; charset=", b"utf-16", b"idna", b"zip", b"Content-Length: ", b"99",
        ]
    )
)  # fmt: skip


@given(kind=KINDS | st.text(), body=st.binary() | PIECES.map(b"".join))
def test_garbage_is_a_form_or_refused(kind: str, body: bytes) -> None:
    try:
        form = parse_form(kind, io.BytesIO(body))
    except BadRequest:
        return
    assert isinstance(form, Form)
    assert all(isinstance(name, str) for name in form.values)


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "us-ascii", '"ASCII"'])
def test_a_part_of_a_form_may_say_that_it_is_utf_8(charset: str) -> None:
    body = part("a", b"1", f"\r\nContent-Type: text/plain; charset={charset}") + b"--b--\r\n"
    assert read(MULTIPART, body) == {"a": ["1"]}


@pytest.mark.parametrize("charset", ["punycode", "idna", "latin-1", "utf-16", "rot13", "no-such"])
def test_a_part_of_a_form_in_another_charset_than_utf_8_is_refused_by_its_name(
    charset: str,
) -> None:
    """No codec is looked up by a client's word: decoding punycode takes quadratic time."""
    body = part("a", b"x" * 20_000, f"\r\nContent-Type: text/plain; charset={charset}") + b"--b--"
    with pytest.raises(
        BadRequest, match=f"part 'a' is in charset '{charset}'; only UTF-8 is allowed"
    ):
        read(MULTIPART, body)
