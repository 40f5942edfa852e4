"""What travels over the broker: any action survives it, and nothing malformed gets further."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi import tracing
from buildapi.model.actions import (
    Action,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.outcome import Item, Outcome
from buildapi.model.wire import (
    JobMessage,
    Malformed,
    action_from,
    decode_finished,
    decode_request,
    encode_finished,
    encode_request,
    finished,
    trace_of,
    what,
)
from tests.model.accepted import ACTIONS, IDS

MESSAGES = st.builds(JobMessage, IDS, st.text(min_size=1), st.integers(0, 2**33), ACTIONS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
BODY_KEYS = st.sampled_from(
    ["request_id", "when", "brid", "bid", "priority", "count", "branch", "x"]
)
NAMES = st.sampled_from(["reprioritize", "cancel_build", "cancel_revision", "new_build_for_builde"])
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "action": NAMES | JSON,
        "who": st.text(max_size=3) | JSON,
        "body": st.dictionaries(BODY_KEYS, st.integers(-2, 2**40) | JSON) | JSON,
        "request_id": JSON,
    },
)


def message(**changes: Any) -> bytes:
    """Encode a good reprioritize with changes; a None takes the key away."""
    body = {"request_id": 9, "when": 5, "brid": 7, "priority": 3}
    good: dict[str, Any] = {"action": "reprioritize", "who": "zoe", "body": body}
    for key, value in changes.items():
        inside = key in body
        (body if inside else good)[key] = value
        if value is None:
            del (body if inside else good)[key]
    return json.dumps(good).encode()


# --- requests -------------------------------------------------------------------------------


@given(MESSAGES)
def test_a_request_survives_the_wire(job: JobMessage) -> None:
    assert decode_request(encode_request(job)) == job


def test_a_request_is_spelled_as_old_agents_expect() -> None:
    job = JobMessage(12, "zoe@example.org", 1700000000, RebuildBuild(11, 0, 2))
    assert json.loads(encode_request(job)) == {
        "action": "rebuild_build",
        "who": "zoe@example.org",
        "body": {"request_id": 12, "when": 1700000000, "bid": 11, "priority": 0, "count": 2},
    }


@given(ACTIONS)
def test_an_action_is_made_again_from_what_the_table_stores(action: Action) -> None:
    assert action_from(action.name, json.loads(json.dumps(what(action)))) == action


OLD = {
    CancelRevision("try", "beaeaf6b2fa5"): {"branch": "try", "revision": "beaeaf6b2fa5"},
    NewBuild("try", "a"): {"branch": "try", "revision": "a"},
    NewPGOBuild("try", "a", 4): {"branch": "try", "revision": "a", "priority": 4},
    NewNightly("try", "a"): {"branch": "try", "revision": "a", "priority": 0},
}


@pytest.mark.parametrize("action", OLD, ids=lambda a: a.name)
def test_what_older_programs_do_not_know_is_left_out_where_it_says_nothing(action: Action) -> None:
    assert what(action) == OLD[action]


def test_a_build_of_one_builder_is_spelled_out() -> None:
    assert what(NewBuilderBuild("try-selfserve", "a", "Linux")) == {
        "branch": "try-selfserve",
        "revision": "a",
        "builder_name": "Linux",
        "priority": 0,
        "properties": {},
        "files": [],
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("only", "pending"),
        ("builders", ["*pgo*"]),
        ("exclude_builds", True),
        ("reason", "bad push"),
    ],
)
def test_what_was_added_is_sent_where_it_says_something(field: str, value: Any) -> None:
    action = CancelRevision("try", "abcd", **{field: value})
    assert what(action) == {"branch": "try", "revision": "abcd", field: value}


@pytest.mark.parametrize(
    ("cut", "cls"),
    [
        ("new_build_at_revisio", NewBuild),
        ("new_pgobuild_at_revi", NewPGOBuild),
        ("new_nightly_at_revis", NewNightly),
        ("new_build_for_builde", NewBuilderBuild),
    ],
)
def test_names_that_old_tables_cut_are_read(cut: str, cls: type[Action]) -> None:
    body = {"branch": "try-selfserve", "revision": "a", "builder_name": "Linux"}
    assert type(action_from(cut, body)) is cls
    assert type(action_from(cls.name, body)) is cls


@pytest.mark.parametrize("name", ["new_build_at_revisi", "new_build_at_revision_", "new_", ""])
def test_other_names_are_not_guessed(name: str) -> None:
    with pytest.raises(LookupError, match="unknown action"):
        action_from(name, {"branch": "try", "revision": "a"})


@pytest.mark.parametrize("depth", [1, 20, 480])
def test_properties_of_any_depth_that_is_accepted_survive(depth: int) -> None:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    action = NewBuilderBuild("try-selfserve", "a", "Linux", properties={"deep": nested})
    assert decode_request(encode_request(JobMessage(1, "zoe", 5, action))).action == action


@pytest.mark.parametrize(
    ("name", "body", "action"),
    [
        ("rebuild_build", {"bid": 4}, RebuildBuild(4, 0, 1)),
        ("rebuild_request", {"brid": 4}, RebuildRequest(4, 0, 1)),
        ("rebuild_request", {"brid": 4, "priority": 2}, RebuildRequest(4, 2, 1)),
        ("new_nightly_at_revision", {"branch": "b", "revision": "a"}, NewNightly("b", "a", 0)),
        (
            "new_build_for_builder",
            {"branch": "b-selfserve", "revision": "a", "builder_name": "Linux"},
            NewBuilderBuild("b-selfserve", "a", "Linux", 0, {}, ()),
        ),
    ],
)
def test_messages_of_older_web_processes_lack_count_and_priority(
    name: str, body: dict[str, Any], action: Action
) -> None:
    data = json.dumps({"action": name, "who": "z", "body": {"request_id": 1, **body}})
    assert decode_request(data.encode()).action == action


def test_keys_nobody_knows_are_ignored() -> None:
    data = message(trace="x")
    more = json.loads(data)
    more["body"]["comment"] = {"deep": [1]}
    assert decode_request(json.dumps(more).encode()).action == Reprioritize(7, 3)


@pytest.mark.parametrize(
    ("data", "reason", "request_id"),
    [
        (b"", "not JSON", None),
        (b"{", "not JSON", None),
        (b"\xff\xfe\x00", "not JSON", None),
        (b"9" * 5000, "not JSON", None),
        (b"[" * 100_000, "not JSON", None),
        (b'{"body":' * 100_000, "not JSON", None),
        (b"[]", "not a JSON object", None),
        (b'"text"', "not a JSON object", None),
        (b"null", "not a JSON object", None),
        (b"{}", "no body", None),
        (message(body=None), "no body", None),
        (message(body=[1]), "no body", None),
        (message(request_id=None), "no whole number as body.request_id", None),
        (message(request_id="9"), "no whole number as body.request_id", None),
        (message(request_id=9.0), "no whole number as body.request_id", None),
        (message(request_id=True), "no whole number as body.request_id", None),
        (message(who=None), "no who", 9),
        (message(who=""), "no who", 9),
        (message(who=5), "no who", 9),
        (message(action=None), "unknown action None", 9),
        (message(action="make_coffee"), "unknown action 'make_coffee'", 9),
        (message(action=["reprioritize"]), "unknown action ['reprioritize']", 9),
        (message(brid=None), "reprioritize without brid", 9),
        (message(brid="7"), "brid must be a whole number from 1 to 2147483647", 9),
        (message(brid=0), "brid must be a whole number", 9),
        (message(brid=10**30), "brid must be a whole number", 9),
        (message(priority=2**31), "priority must be a whole number", 9),
    ],
    ids=lambda x: repr(x)[:40],
)
def test_a_malformed_request_says_why_and_whose(
    data: bytes, reason: str, request_id: int | None
) -> None:
    with pytest.raises(Malformed) as caught:
        decode_request(data)
    assert reason in caught.value.reason
    assert caught.value.request_id == request_id
    assert len(caught.value.reason) < 250


def test_the_reason_does_not_repeat_a_long_name() -> None:
    with pytest.raises(Malformed) as caught:
        decode_request(message(action="x" * 10_000))
    assert len(caught.value.reason) < 100


@given(st.binary() | NEARLY.map(lambda m: json.dumps(m).encode()))
def test_whatever_comes_is_a_request_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert isinstance(decode_request(data), JobMessage)


@pytest.mark.parametrize("depth", range(850, 1010, 5))
def test_no_depth_of_nesting_gets_past_malformed(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for data in (
        f'{{"action": {nested}, "who": "z", "body": {{"request_id": 1}}}}',
        f'{{"action": "cancel_build", "who": "z", "body": {{"request_id": 1, "bid": {nested}}}}}',
    ):
        with pytest.raises(Malformed):
            decode_request(data.encode())


@pytest.mark.parametrize("when", ["1e999", "-1e999", "NaN", "Infinity"])
def test_a_time_that_is_no_number_of_seconds_counts_as_unknown(when: str) -> None:
    data = message(when=77).replace(b"77", when.encode())
    assert decode_request(data).when == 0


@pytest.mark.parametrize("request_id", [0, -1, 2**31, 2**63, 10**400], ids=lambda n: str(n)[:12])
def test_a_request_id_no_database_gave_out_is_malformed(request_id: int) -> None:
    with pytest.raises(Malformed) as caught:
        decode_request(message(request_id=request_id))
    assert caught.value.request_id is None
    with pytest.raises(Malformed):
        decode_finished(json.dumps({"request_id": request_id, "body": {}}).encode())


# --- reports --------------------------------------------------------------------------------


def test_a_report_is_spelled_as_old_web_processes_expect() -> None:
    assert finished(3, Outcome(False, "Ok")) == {
        "body": {"errors": False, "msg": "Ok"},
        "request_id": 3,
    }


def test_a_report_adds_items_and_agent_beside_the_body() -> None:
    item = Item("done", "stopped", build_id=4, master="m1")
    assert finished(3, Outcome(True, "No", (item,)), "agent-1") == {
        "body": {"errors": True, "msg": "No"},
        "request_id": 3,
        "items": [{"state": "done", "detail": "stopped", "build_id": 4, "master": "m1"}],
        "agent": "agent-1",
    }


@given(IDS, st.booleans(), st.text(), st.text())
def test_a_report_survives_the_wire(job: int, errors: bool, msg: str, detail: str) -> None:
    report = finished(job, Outcome(errors, msg, (Item("done", detail, request_id=job),)), "a")
    assert decode_finished(encode_finished(report)) == (job, report)


@pytest.mark.parametrize(
    ("data", "reason", "request_id"),
    [
        (b"nonsense", "not JSON", None),
        (b"[1]", "not a JSON object", None),
        (b'{"body": {}}', "no whole number as request_id", None),
        (b'{"body": {}, "request_id": "3"}', "no whole number as request_id", None),
        (b'{"request_id": 3}', "no body", 3),
        (b'{"request_id": 3, "body": "Ok"}', "no body", 3),
    ],
)
def test_a_malformed_report_says_why(data: bytes, reason: str, request_id: int | None) -> None:
    with pytest.raises(Malformed, match=reason) as caught:
        decode_finished(data)
    assert caught.value.request_id == request_id


@given(st.binary() | NEARLY.map(lambda m: json.dumps(m).encode()))
def test_whatever_comes_is_a_report_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert isinstance(decode_finished(data)[1]["body"], dict)


# --- the id of the HTTP request


TRACED = JobMessage(4711, "zoe", 1700000000, Reprioritize(7, 5), "rid-1:2")


def test_an_id_travels_beside_the_rest() -> None:
    assert json.loads(encode_request(TRACED))["trace"] == "rid-1:2"
    assert decode_request(encode_request(TRACED)) == TRACED
    assert finished(4711, Outcome(False, "Ok"), "h", "rid-1:2")["trace"] == "rid-1:2"


def test_no_id_is_no_key() -> None:
    assert "trace" not in json.loads(encode_request(attrs.evolve(TRACED, trace="")))
    assert "trace" not in finished(4711, Outcome(False, "Ok"))


@pytest.mark.parametrize("odd", [5, None, True, [], {}, "a b", "x" * 65, "\n", ""])
def test_an_odd_id_counts_as_none(odd: Any) -> None:
    message = json.loads(encode_request(TRACED)) | {"trace": odd}
    assert decode_request(json.dumps(message).encode()).trace == ""
    assert trace_of({"trace": odd}) == ""


@given(st.text(max_size=70))
def test_what_fits_is_what_tracing_lets_through(text: str) -> None:
    assert trace_of({"trace": text}) == tracing.acceptable(text)


def test_warnings_are_in_a_report_where_there_are_any() -> None:
    assert finished(3, Outcome(False, "Ok", warnings=("it may wait",)))["warnings"] == [
        "it may wait"
    ]
    assert "warnings" not in finished(3, Outcome(False, "Ok"))
