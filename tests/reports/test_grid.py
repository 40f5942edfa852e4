"""What reports are written as: CSV, the chart protocol, and kept for who asks again."""

from __future__ import annotations

import csv
import io
import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.reports.grid import Column, Grid, GvizTable, Link, csv_text, percent
from buildapi.reports.gviz import request_id, response

Texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.lists(st.tuples(Texts, Texts), max_size=6))
def test_csv_is_read_as_it_was_written(rows: list[tuple[str, str]]) -> None:
    grid = Grid("g", "G", (Column("a", "A"), Column("b", "B")), rows)
    head, *read = csv.reader(io.StringIO(csv_text(grid), newline=""))
    assert head == ["A", "B"]
    plain = [[cell.removeprefix("'") for cell in row] for row in read]
    assert plain == [[cell.removeprefix("'") for cell in row] for row in rows]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "=cmd|' /C calc'!A0"])
def test_no_text_is_a_formula(text: str) -> None:
    written = csv_text(Grid("g", "G", (Column("a", "A"),), [(text,), (Link(text, "/x"),)]))
    assert [row[0] for row in csv.reader(io.StringIO(written))][1:] == ["'" + text] * 2


def test_values_in_csv() -> None:
    columns = (Column("t", "T", "time"), Column("n", "N", "number"), Column("x", "X"))
    grid = Grid("g", "G", columns, [(0, -1, None), (1_700_000_000, 2.5, Link("a", "/b"))])
    assert csv_text(grid) == "T,N,X\r\n,-1,\r\n2023-11-14T22:13:20+00:00,2.5,a\r\n"


def test_shares_of_nothing_are_none() -> None:
    assert (percent(1, 0), percent(1, 3)) == (0, 33.33)


@given(Texts)
def test_a_chart_is_json_in_a_call_whatever_names_there_are(text: str) -> None:
    name = text + "</script>&"
    table = GvizTable([(name, name, "string"), ("t", "T", "datetime")], [[name, 1_434_564_000]])
    written = response(table, "7", ZoneInfo("US/Pacific"))
    assert "</" not in written
    found = json.loads(written.removeprefix("google.visualization.Query.setResponse(")[:-2])
    assert found["reqId"] == "7"
    assert found["table"]["cols"][0] == {"id": name, "label": name, "type": "string"}
    assert found["table"]["rows"] == [{"c": [{"v": name}, {"v": "Date(2015,5,17,11,0,0)"}]}]


@pytest.mark.parametrize(
    ("tqx", "id_"), [("", "0"), ("reqId:7", "7"), ("out:json;reqId:x;", "x"), ("version:0.6", "0")]
)
def test_the_id_of_a_request(tqx: str, id_: str) -> None:
    assert request_id(tqx) == id_


@pytest.mark.parametrize("tqx", ["x", "a:b:c", "reqId:1;x"])
def test_what_is_no_pair_is_refused(tqx: str) -> None:
    with pytest.raises(BadRequest, match="is not key:value"):
        request_id(tqx)
