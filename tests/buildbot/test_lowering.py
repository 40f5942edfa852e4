"""Plans become guarded statements in an order in which a crash does no harm."""

from __future__ import annotations

import json
from typing import Any

import attrs
import msgspec
import pytest

from buildapi.buildbot.v08.lowered_plan import (
    CompleteRequests,
    CopyBuildset,
    InsertBuildset,
    LoweredPlan,
    WatchDropped,
    Write,
)
from buildapi.buildbot.v08.lowering import lower, made
from buildapi.buildbot.v08.markers import Markers, aside
from buildapi.db.sql import Ref, Statement
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import DropRequest, NewChange, OutcomeLine, SetPriority
from tests.model.values import job

MARKS = Markers("marks")
COPY = CopyBuildset("linux", 4, "Self-serve: Rebuilt by zoe", 55, None, (("a", '["1", "x"]'),))
CHANGE = NewChange("zoe", "try-selfserve", "abc", ("f1", "f2"))
NEW = InsertBuildset("try", "abc", "why", 4, (("a", '["1", "x"]'),), ("linux", "win"), CHANGE)
MANY = CompleteRequests(list(range(1, 1202)), list(range(5000, 5501)))
NOW = 1_700_000_000


def statements(*writes: Write, transactional: bool = True) -> list[Statement]:
    plan = LoweredPlan(Outcome(False, "Ok"), writes)
    return list(lower(plan, job(9), marker="marks", now=NOW, transactional=transactional))


def verbs(found: list[Statement]) -> list[str]:
    return [" ".join(s.text.split()[:3]).removesuffix(" SET") for s in found]


def test_the_marker_comes_first_and_requests_come_last() -> None:
    assert verbs(statements(COPY, COPY)) == [
        "INSERT INTO marks",
        "INSERT INTO buildsets",
        "INSERT INTO buildset_properties",
        "INSERT INTO buildsets",
        "INSERT INTO buildset_properties",
        "INSERT INTO buildrequests",
        "INSERT INTO buildrequests",
    ]


def test_without_transactions_the_marker_says_started_before_and_written_after() -> None:
    found = statements(COPY, transactional=False)
    assert found[0].params["state"] == "started"
    assert verbs(found)[-1] == "UPDATE marks"
    assert (found[-1].params["request_id"], found[-1].params["state"]) == (9, "written")
    assert statements(COPY)[0].params["state"] == "written"


def test_a_copy_without_properties_inserts_none() -> None:
    bare = msgspec.structs.replace(COPY, properties=())
    assert verbs(statements(bare))[1:] == ["INSERT INTO buildsets", "INSERT INTO buildrequests"]


def test_a_new_buildset_comes_after_its_source_and_change_and_before_its_requests() -> None:
    assert verbs(statements(NEW, COPY))[1:] == [
        "INSERT INTO sourcestamps",
        "INSERT INTO changes",
        "INSERT INTO change_files",
        "INSERT INTO sourcestamp_changes",
        "INSERT INTO buildsets",
        "INSERT INTO buildset_properties",
        "INSERT INTO buildsets",
        "INSERT INTO buildset_properties",
        "INSERT INTO buildrequests",
        "INSERT INTO buildrequests",
        "INSERT INTO buildrequests",
    ]
    bare = msgspec.structs.replace(NEW, change=None)
    assert "INSERT INTO changes" not in verbs(statements(bare))
    no_files = msgspec.structs.replace(NEW, change=msgspec.structs.replace(CHANGE, files=()))
    assert "INSERT INTO change_files" not in verbs(statements(no_files))


@pytest.mark.parametrize("transactional", [True, False])
def test_whatever_else_is_written_requests_come_last(transactional: bool) -> None:
    found = verbs(
        statements(
            NEW, SetPriority(7, 1), COPY, DropRequest(7, 70), MANY, transactional=transactional
        )
    )
    first = found.index("INSERT INTO buildrequests")
    rest = [] if transactional else ["UPDATE marks"]
    assert found[first:] == ["INSERT INTO buildrequests"] * 3 + rest


def test_what_refers_to_a_row_comes_after_it() -> None:
    bound: set[str] = set()
    for statement in statements(NEW, NEW, COPY):
        needed = {v.name for v in statement.params.values() if isinstance(v, Ref)}
        assert needed <= bound
        assert statement.binds not in bound
        bound |= {statement.binds} if statement.binds else set()


def test_many_requests_are_dropped_in_few_statements_before_their_buildsets() -> None:
    found = statements(MANY)[1:]
    assert verbs(found) == ["UPDATE buildrequests"] * 3 + ["UPDATE buildsets"] * 2
    dropped = [v for s in found[:3] for k, v in s.params.items() if k.startswith("id")]
    assert dropped == MANY.brids
    ended = [v for s in found[3:] for k, v in s.params.items() if k.startswith("id")]
    assert ended == MANY.buildsetids


def test_what_was_made_is_told_by_request_with_its_buildset() -> None:
    found = statements(NEW, COPY, SetPriority(7, 1))
    ids = list(range(100, 100 + len(found)))
    sets = [i for s, i in zip(found, ids, strict=True) if "INTO buildsets" in s.text]
    requests = [i for s, i in zip(found, ids, strict=True) if "INTO buildrequests" in s.text]
    assert made(found, ids) == [
        Item("done", f"submitted to {builder}", request_id=request, buildset_id=set_)
        for builder, request, set_ in zip(
            ("linux", "win", "linux"), requests, (sets[0], sets[0], sets[1]), strict=True
        )
    ]


def test_each_request_refers_to_its_own_buildset() -> None:
    found = statements(COPY, COPY)
    sets = [s.binds for s in found if "INTO buildsets" in s.text]
    requests = [s.params["buildsetid"] for s in found if "INTO buildrequests" in s.text]
    assert requests == [Ref(name or "") for name in sets]
    assert len(set(sets)) == 2


@pytest.mark.parametrize(
    ("write", "guards"),
    [
        (SetPriority(7, -2), [None, 1]),
        (DropRequest(7, 70), [None, 1, None]),
        (COPY, [None, None, None, None]),
        (CompleteRequests([7, 8], [70]), [None, None, None]),
    ],
)
def test_what_was_decided_about_is_guarded_by_its_row_count(
    write: Write, guards: list[int | None]
) -> None:
    assert [s.rows for s in statements(write)] == guards


def test_guards_look_at_the_row_itself() -> None:
    priority, drop, many = (
        statements(write)[1]
        for write in (SetPriority(7, 1), DropRequest(7, 70), CompleteRequests([7], [70]))
    )
    for statement in (priority, drop, many):
        assert "complete = 0 AND (claimed_at = 0 OR claimed_at IS NULL)" in statement.text


def test_statements_are_printable_and_hold_values_as_parameters_only() -> None:
    odd = msgspec.structs.replace(
        COPY, reason="it's; DROP", buildername="50% :x", properties=(("n'", '["v\'%s"]'),)
    )
    new = msgspec.structs.replace(
        NEW,
        branch="it's; DROP",
        builders=("50% :x",),
        change=NewChange("it's; DROP", "n'", "50% :x", ("n'",)),
    )
    drops = (DropRequest(7, 70), CompleteRequests([7], [70]))
    for statement in statements(odd, new, SetPriority(7, 1), *drops):
        printed = repr(statement)
        assert statement.text in printed or statement.text.replace("'", "\\'") in printed
        for value in ("DROP", "50%", "n'", '["v'):
            assert value not in statement.text
        for name in statement.params:
            assert f":{name}" in statement.text
        assert attrs.asdict(statement)


def test_the_marker_holds_the_plan() -> None:
    lines = (OutcomeLine(7, "7: Ok", "No luck"),)
    plan = LoweredPlan(Outcome(False, ""), (DropRequest(7, 70), NEW), (WatchDropped((7,)),), lines)
    mark = lower(plan, job(9), marker="marks", now=NOW)[0]
    assert (mark.params["request_id"], mark.params["now"]) == (9, NOW)
    stored: Any = msgspec.json.decode(mark.params["plan"], type=LoweredPlan)
    assert msgspec.json.encode(stored) == msgspec.json.encode(plan)


def test_the_plan_in_a_marker_begins_with_the_identity_of_its_job() -> None:
    plan = LoweredPlan(Outcome(False, ""), (NEW,))
    mark = lower(plan, job(9), marker="marks", now=NOW)[0]
    assert json.loads(mark.params["plan"])["identity"] == job(9).identity
    assert mark.params["plan"].startswith(MARKS.unmark(job(9)).params["own"].rstrip("%"))


def test_marker_rows_move_on_and_go() -> None:
    settled = MARKS.settle(job(9), Outcome(False, "Ok")).params
    assert (settled["request_id"], settled["state"]) == (9, "settled")
    assert json.loads(settled["outcome"]) == {"errors": False, "msg": "Ok"}
    assert MARKS.unmark(job(9)).text.startswith("DELETE FROM marks WHERE request_id IN")
    assert MARKS.forget(5).params == {"state": "settled", "before": 5}


def test_markers_that_are_moved_aside_get_ids_that_no_job_has() -> None:
    ids = {aside(job(n).identity) for n in range(1000)}
    assert len(ids) == 1000
    assert all(-(2**31) < id_ < 0 for id_ in ids)
