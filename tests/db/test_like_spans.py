"""Patterns of SQLite that are found by an index: the same rows as without it."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.db.like_spans import SPANS_MAX, spans_of, with_spans
from buildapi.db.sql import like_by_index, like_prefix, like_text

LETTERS = st.text("abAB09%_|é~", max_size=8)


@given(LETTERS, LETTERS, st.booleans(), st.data())
def test_what_is_like_a_pattern_is_within_its_spans(
    text: str, rest: str, is_prefix: bool, data: st.DataObject
) -> None:
    spelled = "".join(data.draw(st.sampled_from([c.lower(), c.upper()])) for c in text)
    wanted = like_prefix(text) if is_prefix else like_text(text)
    spans = spans_of(wanted)
    assert len(spans) <= SPANS_MAX
    stored = spelled + rest
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        [[like]] = db.execute("SELECT ? LIKE ? ESCAPE '|'", (stored, wanted))
    if like:
        assert any(low <= stored < end for low, end in spans)


@pytest.mark.parametrize("text", ["ab12", "0123", "aBcDeF", "a%", "x|y", "", "12"])
def test_the_rows_are_those_without_spans(text: str) -> None:
    stored = [
        *(
            "ab12",
            "AB12f",
            "Ab12",
            "b",
            "0123",
            "01234",
            "012",
            "abcdef1",
            "ABCDEF",
            "aBCDEf",
            None,
        ),
        *("a%", "a%b", "ab", "x|y", "X|Yz", "", "12", "123", "é"),
    ]
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE stamps (id INTEGER, revision VARCHAR(256))")
        db.executemany("INSERT INTO stamps VALUES (?, ?)", list(enumerate(stored)))
        for pattern in (like_prefix(text), like_text(text)):
            plain = "SELECT s.id FROM stamps s WHERE (s.revision LIKE :r ESCAPE '|') ORDER BY id"
            marked = plain.replace(
                "s.revision LIKE :r ESCAPE '|'", like_by_index("stamps", "s.revision", "r")
            )
            found, params = with_spans(marked, {"r": pattern})
            assert found != marked
            assert (
                db.execute(found, params).fetchall() == db.execute(plain, {"r": pattern}).fetchall()
            )


def test_other_statements_stay_as_they_are() -> None:
    text, params = "SELECT a FROM t WHERE a LIKE :a ESCAPE '|'", {"a": "b%"}
    assert with_spans(text, params) == (text, params)
