"""Plans become guarded statements in an order in which a crash does no harm."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest

from buildapi.buildbot.v08.lower import forget, lower, settle, unmark
from buildapi.db.sql import Ref, Statement
from buildapi.model.outcome import Outcome
from buildapi.model.steps import DropRequest, Plan, Requeue, SetPriority, WatchDropped, Write

COPY = Requeue("linux", 4, "Self-serve: Rebuilt by zoe", 55, None, (("a", '["1", "x"]'),))
NOW = 1_700_000_000


def statements(*writes: Write, transactional: bool = True) -> list[Statement]:
    plan = Plan(Outcome(False, "Ok"), writes)
    return list(lower(plan, 9, marker="marks", now=NOW, transactional=transactional))


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
    assert found[-1].params == {"request_id": 9, "state": "written"}
    assert statements(COPY)[0].params["state"] == "written"


def test_a_copy_without_properties_inserts_none() -> None:
    bare = msgspec.structs.replace(COPY, properties=())
    assert verbs(statements(bare))[1:] == ["INSERT INTO buildsets", "INSERT INTO buildrequests"]


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
    ],
)
def test_what_was_decided_about_is_guarded_by_its_row_count(
    write: Write, guards: list[int | None]
) -> None:
    assert [s.rows for s in statements(write)] == guards


def test_guards_look_at_the_row_itself() -> None:
    priority, drop = statements(SetPriority(7, 1))[1], statements(DropRequest(7, 70))[1]
    assert "complete = 0 AND claimed_at = 0" in priority.text
    assert "complete = 0 AND (claimed_at = 0 OR claimed_at IS NULL)" in drop.text


def test_statements_are_printable_and_hold_values_as_parameters_only() -> None:
    odd = msgspec.structs.replace(
        COPY, reason="it's; DROP", buildername="50% :x", properties=(("n'", '["v\'%s"]'),)
    )
    for statement in statements(odd, SetPriority(7, 1), DropRequest(7, 70)):
        printed = repr(statement)
        assert statement.text in printed or statement.text.replace("'", "\\'") in printed
        for value in ("DROP", "50%", "n'", '["v'):
            assert value not in statement.text
        for name in statement.params:
            assert f":{name}" in statement.text
        assert attrs.asdict(statement)


def test_the_marker_holds_the_plan() -> None:
    plan = Plan(Outcome(False, "7: Ok"), (DropRequest(7, 70),), (WatchDropped(7),), "No luck")
    mark = lower(plan, 9, marker="marks", now=NOW)[0]
    assert (mark.params["request_id"], mark.params["now"]) == (9, NOW)
    stored: Any = msgspec.json.decode(mark.params["plan"], type=Plan)
    assert msgspec.json.encode(stored) == msgspec.json.encode(plan)


def test_marker_rows_move_on_and_go() -> None:
    assert settle("marks", 9, b"{}").params == {
        "request_id": 9,
        "state": "settled",
        "outcome": "{}",
    }
    assert unmark("marks", 9).text == "DELETE FROM marks WHERE request_id = :request_id"
    assert forget("marks", 5).params == {"state": "settled", "before": 5}
