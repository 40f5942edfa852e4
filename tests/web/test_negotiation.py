"""The choice of a format, as a function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.web.http.negotiation import HTML, JSON, accepted, lenient, names, requested


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        ("application/json", JSON),
        (" Application/JSON ; charset=utf-8", JSON),
        ("application/json, text/javascript, */*; q=0.01", JSON),
        ("text/html,application/json;q=0.001", JSON),
        ("application/json;q=0, application/json", JSON),
        ("application/json;q=x", JSON),
        ("application/json;v=0", JSON),
        ("", HTML),
        ("*/*", HTML),
        ("application/*", HTML),
        ("text/html, application/json;q=0", HTML),
        ("application/json; Q = 0.000", HTML),
        ("application/jsonp", HTML),
        ("application/ld+json", HTML),
        ("text/plain; x=application/json", HTML),
    ],
)
def test_accept(accept: str, format_: str) -> None:
    assert accepted(accept) == format_


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_format_wins(accept: str) -> None:
    assert requested({"format": ["json"]}, accept) == JSON
    assert requested({"format": ["html"]}, accept) == HTML


@pytest.mark.parametrize(
    "values", [["xml"], ["json", "json"], ["json", "html"], ["Json"], [" json"]]
)
def test_a_wrong_format_is_refused_and_its_error_follows_accept(values: list[str]) -> None:
    with pytest.raises(BadRequest):
        requested({"format": values}, "text/html")
    assert lenient({"format": values}, "application/json") == JSON
    assert lenient({"format": values}, "text/html") == HTML


def test_the_allowed_formats_are_told() -> None:
    with pytest.raises(BadRequest, match=r"xml.*html, json"):
        requested({"format": ["xml"]}, "")


def test_a_huge_format_is_not_repeated_whole() -> None:
    with pytest.raises(BadRequest) as refused:
        requested({"format": ["x" * 5000]}, "")
    assert len(refused.value.msg) < 120


@given(st.text())
def test_any_header_chooses_something(accept: str) -> None:
    assert accepted(accept) in (JSON, HTML)
    assert lenient({"format": [accept]}, accept) in (JSON, HTML)


@pytest.mark.parametrize(
    ("header", "named"),
    [("gzip", True), ("deflate, GZIP;q=0.5", True), ("gzip;q=0", False), ("x-gzip", False)],
)
def test_other_lists_are_read_the_same_way(header: str, named: bool) -> None:
    assert names(header, "gzip") == named
