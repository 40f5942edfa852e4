"""Parameters, as functions of texts."""

from __future__ import annotations

import contextlib
from datetime import date
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.web.http.form import Form
from buildapi.web.http.params import (
    all_values,
    bounded,
    day,
    duration,
    form_integer,
    id_of_path,
    integer,
    is_digits,
    only_value,
    single,
    switch,
    tolerant_integer,
    within,
)


@for_any(st.integers(-(10**29), 10**29), st.sampled_from(["", " ", "\t \n"]), st.booleans())
def test_a_whole_number_is_read(number: int, blanks: str, plus: bool) -> None:
    text = f"+{number}" if plus and number >= 0 else str(number)
    assert integer(f"{blanks}{text}{blanks}") == number


@pytest.mark.parametrize(
    "text", ["", " ", "+", "-", "+-1", "1 1", "1.0", "1e3", "0x10", "1_0", "\u0661", "1" * 31, "²"]
)
def test_other_texts_are_no_whole_numbers(text: str) -> None:
    assert integer(text) is None


@for_any(st.text())
def test_a_text_is_a_number_or_not(text: str) -> None:
    assert integer(text) is None or int(text) == integer(text)
    id_ = id_of_path(text)
    assert id_ is None or (is_digits(text) and 0 <= id_ < 2**31)


@pytest.mark.parametrize(
    ("text", "id_"),
    [("11", 11), ("0011", 11), ("2147483647", 2**31 - 1), ("2147483648", None), ("-1", None)],
)
def test_ids_of_paths(text: str, id_: int | None) -> None:
    assert id_of_path(text) == id_


@pytest.mark.parametrize("value", [7, "7", " +7 "])
def test_a_number_of_a_body_may_be_a_text(value: object) -> None:
    assert form_integer(Form({"n": ["x", value]}), "n") == 7


@pytest.mark.parametrize("values", [[], [""]])
def test_a_missing_number_means_the_default_where_there_is_one(values: list[str]) -> None:
    form = Form({"n": values})
    assert form_integer(form, "n", 3) == 3
    with pytest.raises(BadRequest, match=r"^Bad n$"):
        form_integer(form, "n")


@pytest.mark.parametrize("value", [True, 1.0, [], {}, "x", " "])
def test_another_value_of_a_body_is_bad_even_where_there_is_a_default(value: object) -> None:
    with pytest.raises(BadRequest, match=r"^Bad n$"):
        form_integer(Form({"n": [value]}), "n", 3)


def test_a_range_includes_its_ends() -> None:
    assert (within("n", 1, 1, 3), within("n", 3, 1, 3)) == (1, 3)
    for value in (0, 4):
        with pytest.raises(BadRequest, match=r"^Bad n$"):
            within("n", value, 1, 3)


def test_a_parameter_that_may_be_there_once() -> None:
    assert single({"a": ["x"]}, "a") == "x"
    assert single({}, "a") is None
    with pytest.raises(BadRequest, match="a is given 2 times"):
        single({"a": ["x", "x"]}, "a")


@pytest.mark.parametrize(
    ("text", "number"), [("5", 5), ("", 9), ("x", 9), ("-5", -5), ("1.5", 9), ("9" * 40, 9)]
)
def test_some_reads_fall_back(text: str, number: int) -> None:
    assert tolerant_integer({"n": [text]}, "n", 9) == number


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("7", 7), ("50", 50), ("51", 50), ("-1", 10), ("x", 10)]
)
def test_bounded_numbers(text: str, number: int) -> None:
    assert bounded({"n": [text]}, "n", 10, 50) == number


def test_a_default_beyond_the_bound_is_cut_too() -> None:
    assert bounded({}, "n", 100, 50) == 50


def test_a_day_is_read() -> None:
    assert day({"date": ["2011-02-03"]}, "date") == date(2011, 2, 3)
    assert day({"date": [""]}, "date") is None
    assert day({}, "date") is None


@pytest.mark.parametrize(
    "text",
    ["x", "2011-2-3", "20110203", "2011-02-30", "2011-W05-4", " 2011-02-03", "0000-01-01", "２011-02-03"],  # noqa: RUF001, E501  # a digit of another script
)  # fmt: skip
def test_another_text_is_no_day(text: str) -> None:
    with pytest.raises(BadRequest, match="Bad date"):
        day({"date": [text]}, "date")


@for_any(st.text())
def test_any_text_is_a_day_or_refused(text: str) -> None:
    with contextlib.suppress(BadRequest):
        day({"date": [text]}, "date")


def test_a_huge_text_is_not_repeated_whole() -> None:
    with pytest.raises(BadRequest) as refused:
        day({"date": ["x" * 5000]}, "date")
    assert len(refused.value.msg) < 120


# --- what may stand in the query or in the body


def test_a_parameter_may_stand_in_the_query_or_in_the_body() -> None:
    assert list(all_values({"a": ["x", "y"]}, Form({}), "a")) == ["x", "y"]
    assert list(all_values({}, Form({"a": ["x", "y"]}), "a")) == ["x", "y"]
    assert list(all_values({}, Form({"a": [["x", "y"]]}), "a")) == ["x", "y"]
    assert list(all_values({"b": ["x"]}, Form({}), "a")) == []
    with pytest.raises(BadRequest, match="a is given in the query and in the body"):
        all_values({"a": ["x"]}, Form({"a": ["x"]}), "a")


@pytest.mark.parametrize(
    ("query", "values"),
    [({"a": ["x", "x"]}, {}), ({}, {"a": ["x", "x"]}), ({}, {"a": [["x", "x"]]})],
)
def test_a_parameter_that_may_be_given_once(query: Any, values: Any) -> None:
    with pytest.raises(BadRequest, match=r"a is given 2 times \(max 1\)"):
        only_value(query, Form(values), "a")
    assert only_value({"a": ["x"]}, Form({}), "a") == "x"
    assert only_value({}, Form({}), "a") is None


@pytest.mark.parametrize(
    ("value", "on"),
    [
        *((value, True) for value in ("1", "true", "True", True, 1)),
        *((value, False) for value in ("0", "false", "False", False, 0, "")),
    ],
)
def test_a_switch_is_on_or_off(value: object, on: bool) -> None:
    assert switch({}, Form({"a": [value]}), "a") is on


@pytest.mark.parametrize("value", ["maybe", "yes", "on", " 1", "2", 2, 1.0, {}, {"1": 1}, [["1"]]])
def test_anything_else_is_no_switch(value: object) -> None:
    with pytest.raises(BadRequest, match="Bad a: allowed are 1 and 0"):
        switch({}, Form({"a": [value]}), "a")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 0), ("", 0), ("0", 0), ("2.5", 2.5), (3, 3), (0.5, 0.5), ("60", 60), ("060", 60)],
)
def test_a_duration_is_read(value: object, seconds: float) -> None:
    assert duration(value, "wait", 60) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("60.1", "61", "-1", "x", "nan", "inf", "1e1", " 1", "1s", "\u0661", "9" * 5000),
        *(61, -1, True, [], {}, 10**30, float("inf"), float("nan")),
    ],
)
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(BadRequest, match="Bad wait: allowed are 0 to 60 seconds"):
        duration(value, "wait", 60)
