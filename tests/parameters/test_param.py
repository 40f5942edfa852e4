"""Declared parameters: where their values are read from, and what the documentation has."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from buildapi.errors import BadRequest
from buildapi.parameters.param import Param, Place
from buildapi.parameters.types import Choice, Integer, JSONObject, Patterns, Switch, TerseInteger
from buildapi.web.http.auth import NOBODY
from buildapi.web.http.call import Call
from buildapi.web.http.form import Form


def call(query: Any = None, values: Any = None, path: Any = None) -> Call:
    return Call(path or {}, query or {}, Form(values or {}), NOBODY)


A = Param("a", "an a", Integer(1, 9), Place.EITHER, default=3)
MANY = Param("a", "many", Patterns(9, 9), Place.EITHER, default=())


def test_a_parameter_may_stand_in_the_query_or_in_the_body() -> None:
    assert MANY.of(call({"a": ["x", "y"]})) == ("x", "y")
    assert MANY.of(call({}, {"a": ["x", "y"]})) == ("x", "y")
    assert MANY.of(call({}, {"a": [["x", "y"]]})) == ("x", "y")
    assert MANY.of(call({"b": ["x"]})) == ()
    with pytest.raises(BadRequest, match="a is given in the query and in the body"):
        MANY.of(call({"a": ["x"]}, {"a": ["x"]}))


@pytest.mark.parametrize(
    ("query", "values"),
    [({"a": ["1", "1"]}, {}), ({}, {"a": ["1", "1"]}), ({}, {"a": [["1", "1"]]})],
)
def test_a_parameter_that_may_be_given_once(query: Any, values: Any) -> None:
    for read in (A.of, A.raw):
        with pytest.raises(BadRequest, match=r"a is given 2 times \(max 1\)"):
            read(call(query, values))
    assert A.raw(call({"a": ["1"]})) == "1"
    assert A.raw(call()) is None


def test_a_parameter_is_read_where_it_is_declared() -> None:
    sent = call({"a": ["1"]}, {"a": ["2"]}, {"a": "3"})
    read = {place: A.changed(place=place).of(sent) for place in set(Place) - {Place.EITHER}}
    assert read == {Place.QUERY: 1, Place.BODY: 2, Place.PATH: 3}


def test_a_missing_value_is_the_default() -> None:
    assert A.of(call()) == 3
    assert Param("a", "", Integer()).of(call()) is None
    highest = [7]
    late = Param("a", "", Integer(), default=lambda: highest[0])
    highest[0] = 8
    assert late.of(call()) == 8


def test_a_needed_one_is_refused_without_a_value() -> None:
    needed = Param("a", "", TerseInteger(), Place.BODY, needed=True)
    with pytest.raises(BadRequest, match=r"^Bad a$"):
        needed.of(call())


def test_a_body_that_cannot_be_read_matters_to_those_that_may_be_in_it() -> None:
    unreadable = attrs.evolve(call(), body=BadRequest("The body is not JSON"))
    assert A.changed(place=Place.QUERY).of(unreadable) == 3
    for place in (Place.BODY, Place.EITHER):
        with pytest.raises(BadRequest, match="The body is not JSON"):
            A.changed(place=place).of(unreadable)


@pytest.mark.parametrize(
    ("param", "text", "schema"),
    [
        (
            A,
            "an a; a whole number from 1 to 9; default 3",
            {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
        ),
        (
            Param("b", "a word", Choice(("x", "y", "z")), deprecated=True),
            "a word; x, y or z",
            {"type": "string", "enum": ["x", "y", "z"], "deprecated": True},
        ),
        (
            Param("c", "try it", Switch(), default=False),
            "try it; 1 or 0; default 0",
            {"enum": [1, 0, True, False, "1", "true", "0", "false"], "default": False},
        ),
        (
            MANY,
            "many; may be repeated (max 9)",
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 9},
                "maxItems": 9,
                "default": [],
            },
        ),
    ],
)
def test_type_bounds_and_default_are_documented(
    param: Param[Any], text: str, schema: object
) -> None:
    assert (param.text(), param.schema()) == (text, schema)


def test_the_default_in_a_form_is_spelled_as_in_a_form() -> None:
    off = Param("c", "try it", Switch(), default=False)
    none = Param("d", "more", JSONObject(), Place.BODY, default=dict)
    assert [p.form_schema()["default"] for p in (A, off, none)] == [3, "0", "{}"]
    assert [p.schema()["default"] for p in (A, off, none)] == [3, False, {}]
