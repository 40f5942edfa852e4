"""Types of parameters, as functions of the values that clients send."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.parameters.texts import id_of_path, integer, is_digits
from buildapi.parameters.types import (
    AsSent,
    Choice,
    Day,
    Id,
    Integer,
    JSONObject,
    JSONTexts,
    Listed,
    ParamType,
    PathId,
    Patterns,
    Seconds,
    Switch,
    TerseInteger,
    Text,
    Texts,
    TolerantInteger,
)
from buildapi.parameters.view_parameters import WORDS_MAX, SearchWords, Tolerant

TYPES: Sequence[ParamType[Any]] = (
    Integer(1, 9),
    Integer(0, cut=50),
    TerseInteger(1, 9, tells_range=True),
    TolerantInteger(0, 9),
    Id(),
    PathId(),
    Seconds(60),
    Choice(("a", "b")),
    Choice(lambda: ("a", "b")),
    Switch(),
    Text(),
    Text(1, 9),
    Texts(2),
    Listed(("a", "b")),
    Day(),
    JSONObject(),
    JSONTexts(),
    AsSent(Choice(("a",))),
    Patterns(5, 10),
    Tolerant(Integer(1)),
    SearchWords(),
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
    assert PathId().parse("n", [text]) == id_


# --- all types

VALUES = st.one_of(
    st.text(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.text()),
    st.dictionaries(st.text(), st.integers()),
)


@for_any(st.sampled_from(TYPES), st.lists(VALUES, max_size=3))
def test_any_values_are_read_or_refused_in_a_short_text(
    kind: ParamType[Any], values: Sequence[object]
) -> None:
    told = ""
    try:
        kind.parse("n", values)
    except BadRequest as e:
        told = e.msg
    assert len(told) < 200


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: type(kind).__name__)
def test_nothing_and_an_empty_text_count_as_missing(kind: ParamType[Any]) -> None:
    assert not kind.parse("n", [])
    if not isinstance(kind, Patterns):  # the action refuses an empty one
        assert kind.parse("n", [""]) is None


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: type(kind).__name__)
def test_a_value_that_may_be_there_once(kind: ParamType[Any]) -> None:
    lenient = TolerantInteger | Tolerant | SearchWords | JSONObject | JSONTexts
    if kind.repeats or isinstance(kind, lenient):
        return
    with pytest.raises(BadRequest, match=r"^Parameter n is given 2 times \(max 1\)$"):
        kind.parse("n", ["1", "1"])


# --- numbers


@pytest.mark.parametrize("value", [7, "7", " +7 "])
def test_a_number_of_a_body_may_be_a_text(value: object) -> None:
    assert TerseInteger().parse("n", [value]) == 7


@pytest.mark.parametrize("value", [True, 1.0, [], {}, "x", " "])
def test_another_value_of_a_job_request_is_bad_in_few_words(value: object) -> None:
    with pytest.raises(BadRequest, match=r"^Bad n$"):
        TerseInteger().parse("n", [value])


def test_a_range_includes_its_ends() -> None:
    for kind in (TerseInteger(1, 3), Integer(1, 3), Integer(lambda: 1, lambda: 3)):
        assert [kind.parse("n", [text]) for text in ("1", "3")] == [1, 3]
        for value in ("0", "4"):
            with pytest.raises(BadRequest, match=r"^Bad n"):
                kind.parse("n", [value])
    with pytest.raises(BadRequest, match=r"^Bad n$"):
        TerseInteger(1, 3).parse("n", ["4"])
    with pytest.raises(BadRequest, match=r"^Bad n: allowed are 1 to 3$"):
        TerseInteger(1, 3, tells_range=True).parse("n", ["4"])
    with pytest.raises(BadRequest, match=r"^Bad n: '4'; allowed are whole numbers from 1 to 3$"):
        Integer(1, 3).parse("n", ["4"])


def test_a_number_of_which_more_is_the_most() -> None:
    assert Integer(0, cut=50).parse("n", ["51"]) == 50


@pytest.mark.parametrize(
    ("text", "number"), [("5", 5), ("", None), ("x", None), ("-5", -5), ("1.5", None)]
)
def test_some_reads_fall_back(text: str, number: int | None) -> None:
    assert TolerantInteger().parse("n", [text]) == number


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("7", 7), ("50", 50), ("51", 50), ("-1", None), ("x", None)]
)
def test_bounded_numbers(text: str, number: int | None) -> None:
    assert TolerantInteger(0, 50).parse("n", [text]) == number


@pytest.mark.parametrize(
    ("value", "seconds"), [("0", 0), ("2.5", 2.5), (3, 3), (0.5, 0.5), ("60", 60), ("060", 60)]
)
def test_a_duration_is_read(value: object, seconds: float) -> None:
    assert Seconds(60).parse("wait", [value]) == seconds


@pytest.mark.parametrize(
    "value",
    [
        *("60.1", "61", "-1", "x", "nan", "inf", "1e1", " 1", "1s", "\u0661", "9" * 5000),
        *(61, -1, True, [], {}, 10**30, float("inf"), float("nan")),
    ],
)
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(BadRequest, match=r"^Bad wait: allowed are 0 to 60 seconds$"):
        Seconds(60).parse("wait", [value])


# --- days


def test_a_day_is_read() -> None:
    assert Day().parse("date", ["2011-02-03"]) == date(2011, 2, 3)


@pytest.mark.parametrize(
    "text",
    ["x", "2011-2-3", "20110203", "2011-02-30", "2011-W05-4", " 2011-02-03", "0000-01-01", "２011-02-03"],  # noqa: RUF001, E501  # a digit of another script
)  # fmt: skip
def test_another_text_is_no_day(text: str) -> None:
    with pytest.raises(BadRequest, match="Bad date"):
        Day().parse("date", [text])


def test_a_huge_text_is_not_repeated_whole() -> None:
    with pytest.raises(BadRequest) as refused:
        Day().parse("date", ["x" * 5000])
    assert len(refused.value.msg) < 120


# --- words, texts and switches


def test_a_word_is_one_of_those_allowed() -> None:
    for kind in (Choice(("a", "b")), Choice(lambda: ("a", "b"))):
        assert kind.parse("n", ["a"]) == "a"
        with pytest.raises(BadRequest, match=r"^Bad n: 'c'; allowed are a, b$"):
            kind.parse("n", ["c"])
        assert kind.missing("n").msg == "Bad n: ''; allowed are a, b"


def test_a_list_of_words_has_each_once() -> None:
    assert Listed(("a", "b")).parse("n", ["b, a,b,"]) == ("b", "a")
    with pytest.raises(BadRequest, match=r"^Bad n: 'c'; allowed are a, b$"):
        Listed(("a", "b")).parse("n", ["a,c"])


def test_a_short_text_is_stripped_and_printable() -> None:
    assert Text(1, 3).parse("n", [" abc "]) == "abc"
    for value in ("  ", "abcd", "a\nb", 5):
        with pytest.raises(BadRequest, match=r"^Bad n: allowed are 1 to 3 printable characters$"):
            Text(1, 3).parse("n", [value])


def test_texts_may_be_several_each_once() -> None:
    assert Texts(3).parse("n", ["b", "a", "b"]) == ("b", "a")
    assert Texts(3).parse("n", ["", "a"]) == ("a",)
    assert Texts(3, keeps_empty=True).parse("n", ["", "a"]) == ("", "a")
    with pytest.raises(BadRequest, match=r"^Parameter n is given 4 times \(max 3\)$"):
        Texts(3).parse("n", ["a"] * 4)


@pytest.mark.parametrize(
    ("value", "on"),
    [
        *((value, True) for value in ("1", "true", "True", True, 1)),
        *((value, False) for value in ("0", "false", "False", False, 0)),
    ],
)
def test_a_switch_is_on_or_off(value: object, on: bool) -> None:
    assert Switch().parse("a", [value]) is on


@pytest.mark.parametrize("value", ["maybe", "yes", "on", " 1", "2", 2, 1.0, {}, {"1": 1}, ["1"]])
def test_anything_else_is_no_switch(value: object) -> None:
    with pytest.raises(BadRequest, match=r"^Bad a: allowed are 1 and 0$"):
        Switch().parse("a", [value])


# --- JSON


@pytest.mark.parametrize("value", [{"a": 1}, '{"a": 1}'])
def test_an_object_may_be_a_text(value: object) -> None:
    assert JSONObject().parse("p", [value]) == {"a": 1}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("{", "Bad p: it is not JSON"),
        ("[" * 100_000, "Bad p: it is not JSON"),
        ("[]", "Bad p: it is not a JSON object"),
        (5, "Bad p: it is not a JSON object"),
        ('{"a": 1, "a": 2}', "'a' is given more than once in a JSON object (max 1)"),
    ],
)
def test_anything_else_is_no_object(value: object, told: str) -> None:
    with pytest.raises(BadRequest) as refused:
        JSONObject().parse("p", [value])
    assert refused.value.msg == told


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ((), None),
        (("2",), 2),
        (("2", "3"), 3),
        (("3", "x"), None),
        (("0",), None),
        (("\u00b2",), None),
    ],
)
def test_what_a_tolerant_type_does_not_allow_counts_as_missing(
    values: Sequence[str], found: int | None
) -> None:
    assert Tolerant(Integer(1)).parse("page", values) == found


def test_a_search_has_the_first_characters_of_its_last_text() -> None:
    assert SearchWords().parse("q", ["a", "  b c "]) == "b c"
    assert SearchWords().parse("q", ["x" * 300]) == "x" * WORDS_MAX
    assert SearchWords().parse("q", []) is None
