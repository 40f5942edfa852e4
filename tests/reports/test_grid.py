"""What reports are written as: CSV, the chart protocol, and kept for who asks again."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import defer, task

from buildapi.errors import BadRequest
from buildapi.reports.grid import Column, Grid, GvizTable, Link, csv_text, percent
from buildapi.reports.gviz import request_id, response
from buildapi.web.http.computed import ReportCache

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


class Work:
    """Something that is computed when the test says so."""

    def __init__(self) -> None:
        self.clock, self.calls = task.Clock(), 0
        self.computed: ReportCache[str] = ReportCache(self.clock.seconds, 2, 10, len)
        self.done: defer.Deferred[str] = defer.Deferred()

    def get(self, key: str = "a") -> defer.Deferred[str]:
        return defer.ensureDeferred(self.computed.get(key, 10, self.compute))

    async def compute(self) -> str:
        self.calls += 1
        return await self.done


def result(deferred: defer.Deferred[str]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found[0] if found else None


def test_who_asks_at_once_shares_one_computation() -> None:
    work = Work()
    first, second = work.get(), work.get()
    assert result(first) is None
    work.done.callback("x")
    assert (result(second), work.calls) == ("x", 1)
    assert (result(work.get()), work.calls) == ("x", 1)


def test_what_is_still_computed_when_all_is_forgotten_is_not_kept() -> None:
    work = Work()
    before, old = work.get(), work.done
    work.computed.forget()
    work.done = defer.Deferred()
    after, new = work.get(), work.done
    old.callback("old")
    assert (result(before), result(work.get()), work.calls) == ("old", None, 2)
    new.callback("new")
    assert (result(after), result(work.get()), work.calls) == ("new", "new", 2)


def test_it_is_kept_for_as_long_as_was_said() -> None:
    work = Work()
    work.done.callback("x")
    assert result(work.get()) == "x"
    work.clock.advance(9.9)
    assert (result(work.get()), work.calls) == ("x", 1)
    work.clock.advance(0.2)
    work.done = defer.succeed("y")
    assert (result(work.get()), work.calls) == ("y", 2)


def test_who_goes_away_disturbs_nobody() -> None:
    work = Work()
    first, second = work.get(), work.get()
    first.addErrback(lambda f: f.trap(defer.CancelledError))
    first.cancel()
    work.done.callback("x")
    assert result(second) == "x"


def test_an_error_is_for_all_who_wait_and_is_not_kept() -> None:
    work = Work()
    waiting = [work.get(), work.get()]
    work.done.errback(ValueError("no"))
    for each in waiting:
        assert isinstance(result(each).value, ValueError)
    work.done = defer.succeed("y")
    assert result(work.get()) == "y"


def test_no_more_is_kept_than_may_be() -> None:
    work = Work()
    for key, value in (("a", "x"), ("b", "x"), ("c", "x")):
        work.done = defer.succeed(value)
        assert result(work.get(key)) == value
    work.done = defer.succeed("new")
    assert [result(work.get(key)) for key in ("b", "c", "a")] == ["x", "x", "new"]
    work.done = defer.succeed("heavier than all")
    assert result(work.get("d")) == "heavier than all"
    work.done = defer.succeed("z")
    assert result(work.get("d")) == "z"
