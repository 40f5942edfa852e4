"""The document of /status: shaped, joined and judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from buildapi.jobs.farm_summary import FarmSummary, GroupLoad
from buildapi.model.farm_rows import PendingEntry
from buildapi.model.messages import BrokerStatus, QueueDepth, SettledAs, SettledLetter
from buildapi.model.ops import DocumentState, DumpState, Heartbeat, PoolState, ProcessState
from buildapi.model.records import Backlog, JobRecord, JobState
from buildapi.ops.dead_letter_tally import RECENT_SECONDS, DeadLetterTally
from buildapi.ops.job_id_guard import JobIdReset
from buildapi.ops.reload import Reload
from buildapi.ops.status_document import UnreadValue
from buildapi.ops.status_parts import QueueRole, ReplicationLag
from tests.openapi.conformity import undocumented
from tests.ops.status import StatusValues, document

NOW = 1_700_000_000
ME = Heartbeat("a:1:1", "a", 1, "1.0", ["api"], ProcessState.RUNNING, NOW - 100, NOW)
AGENT = Heartbeat(
    "b:2:2", "b", 2, "1.1", ["agent"], ProcessState.RUNNING, NOW - 50, NOW - 4, 3, [7, 8], 4, []
)
POOL = PoolState("jobs", "mysql", 1, 0, None, None, connect_seconds=0.002)
WELL = StatusValues(
    now=NOW,
    me=ME,
    versions={"buildapi": "1.0"},
    reasons=[],
    broker_kind="amqp",
    broker=BrokerStatus(connected=True),
    queues=[
        QueueRole("buildapi-agent", "requests", QueueDepth(5, None, 1, 0)),
        QueueRole("buildapi-web", "finished", QueueDepth(0, None, 1, 2)),
    ],
    pools=[POOL],
    lag=None,
    documents=[DocumentState("branches", 12.5)],
    masters_known=5,
    processes=[ME, AGENT],
    beat_seconds=10,
    jobs=Backlog(0, None, 0),
    farm=FarmSummary(0, 0, None, [], [], []),
    dumps=None,
    requests=1,
    connections=2,
    limited={"reads": 3, "jobs": 0, "in_flight": 0, "address": 0},
)


def told(**changes: Any) -> dict[str, Any]:
    found = document(attrs.evolve(WELL, **changes))
    assert [*undocumented("GET", "/status", 200, "application/json", found)] == []
    return found


def part(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    (one,) = [p for p in found["parts"] if p["name"] == name]
    return dict(one)


def test_a_program_that_is_well_says_so() -> None:
    found = told()
    assert (found["status"], found["ready"], found["reasons"]) == ("OK", True, [])
    assert [p["name"] for p in found["parts"] if not p["ok"]] == []
    assert found["process"] == {
        "instance": "a:1:1",
        "name": "a",
        "pid": 1,
        "roles": ["api"],
        "state": "running",
        "started_at": NOW - 100,
        "uptime": 100,
    }


def test_it_tells_what_came_of_reading_the_configuration_again() -> None:
    assert told()["reload"] is None
    last = Reload(NOW - 5.5, False, ["[log] level: no"], [], [])
    assert told(reload=last)["reload"] == {
        "at": NOW - 6,
        "ok": False,
        "errors": ["[log] level: no"],
        "needs_restart": [],
    }


@pytest.mark.parametrize("state", [ProcessState.STARTING, ProcessState.DRAINING])
def test_one_that_does_not_run_says_what_it_does(state: ProcessState) -> None:
    found = told(me=attrs.evolve(ME, state=state), reasons=[state.value])
    assert found["status"] == state.value.upper()
    assert not found["ready"]


def test_one_that_is_not_ready_is_degraded() -> None:
    assert told(reasons=["the broker: away"])["status"] == "DEGRADED"


def test_agents_are_told_with_what_they_have_in_hand() -> None:
    (agent,) = told()["agents"]
    assert agent == {
        "instance": "b:2:2",
        "name": "b",
        "pid": 2,
        "version": "1.1",
        "roles": ["agent"],
        "state": "running",
        "started_at": NOW - 50,
        "beat_at": NOW - 4,
        "age": 4,
        "live": True,
        "in_hand": 3,
        "jobs": [7, 8],
        "masters": 4,
        "unreachable": [],
    }


@pytest.mark.parametrize(("age", "live"), [(0, True), (31, True), (32, False), (-5, True)])
def test_an_agent_that_missed_three_beats_is_gone(age: int, live: bool) -> None:
    found = told(processes=[attrs.evolve(AGENT, beat_at=NOW - age)])
    assert found["agents"][0]["live"] is live
    assert found["agents"][0]["age"] == max(0, age)
    assert part(found, "agents")["ok"] is live


def test_no_agent_at_all_is_trouble() -> None:
    found = told(processes=[ME])
    assert found["agents"] == []
    assert found["status"] == "DEGRADED"
    assert part(found, "agents")["detail"] == "0 live"


def test_what_agents_hold_stands_for_what_the_broker_does_not_tell() -> None:
    other = attrs.evolve(AGENT, instance="c", in_hand=2)
    gone = attrs.evolve(AGENT, instance="d", in_hand=50, beat_at=NOW - 1000)
    requests, reports = told(processes=[AGENT, other, gone])["broker"]["queues"]
    assert requests == {
        "name": "buildapi-agent",
        "role": "requests",
        "ready": 5,
        "unacked": 5,
        "consumers": 1,
        "dead": 0,
        "error": None,
    }
    assert reports["unacked"] is None, "nobody counts the reports in hand"


def test_a_broker_that_tells_is_believed() -> None:
    queue = QueueRole("q", "requests", QueueDepth(5, 9, 1, 0))
    assert told(queues=[queue])["broker"]["queues"][0]["unacked"] == 9


def test_a_queue_that_cannot_be_asked_has_no_numbers_and_a_reason() -> None:
    found = told(queues=[QueueRole("q", "requests", UnreadValue("not connected"))])
    (queue,) = found["broker"]["queues"]
    assert queue == {
        "name": "q",
        "role": "requests",
        "ready": None,
        "unacked": None,
        "consumers": None,
        "dead": None,
        "error": "not connected",
    }
    assert part(found, "queue q") == {
        "name": "queue q",
        "ok": False,
        "detail": "not connected",
        "last_error": None,
        "last_error_at": None,
    }


@pytest.mark.parametrize(
    ("status", "detail"),
    [
        (BrokerStatus(connected=False), "no connection yet"),
        (BrokerStatus(connected=False, last_error="refused", last_error_at=NOW), "refused"),
        (BrokerStatus(connected=True, blocked="low on memory"), "low on memory"),
    ],
)
def test_a_broker_that_takes_nothing_is_trouble(status: BrokerStatus, detail: str) -> None:
    found = told(broker=status)
    assert (part(found, "broker")["ok"], part(found, "broker")["detail"]) == (False, detail)
    assert found["broker"]["blocked"] == status.blocked


def test_an_old_error_is_told_and_is_no_trouble_any_more() -> None:
    pool = attrs.evolve(POOL, last_error="was away", last_error_at=NOW - 61)
    one = part(told(pools=[pool]), "database jobs")
    assert (one["ok"], one["last_error"], one["last_error_at"]) == (True, "was away", NOW - 61)


@pytest.mark.parametrize(
    "pool",
    [
        attrs.evolve(POOL, last_error="is away", last_error_at=NOW - 60),
        attrs.evolve(POOL, connect_seconds=None, error="is away"),
    ],
)
def test_a_database_that_fails_is_trouble(pool: PoolState) -> None:
    found = told(pools=[pool])
    assert part(found, "database jobs")["detail"] == "is away"
    assert found["status"] == "DEGRADED"
    assert found["databases"][0]["ok"] is (pool.error is None)


@pytest.mark.parametrize(
    ("lag", "shown"),
    [
        (None, {"apart": False, "lag_seconds": None, "error": None}),
        (ReplicationLag(None), {"apart": True, "lag_seconds": None, "error": None}),
        (ReplicationLag(7), {"apart": True, "lag_seconds": 7, "error": None}),
        (UnreadValue("away"), {"apart": True, "lag_seconds": None, "error": "away"}),
    ],
)
def test_the_replica(lag: ReplicationLag | UnreadValue | None, shown: dict[str, Any]) -> None:
    assert told(lag=lag)["replica"] == shown


@pytest.mark.parametrize(
    ("state", "detail"),
    [
        (DocumentState("masters", None), "never read"),
        (DocumentState("masters", 700.9, "no JSON", NOW - 3), "read 700 s ago"),
    ],
)
def test_a_document_that_is_not_good_now_is_trouble(state: DocumentState, detail: str) -> None:
    found = told(documents=[state])
    one = part(found, "directory masters")
    assert (one["ok"], one["detail"], one["last_error"]) == (False, detail, state.last_error)


def test_a_master_that_one_live_agent_does_not_reach_is_unreachable() -> None:
    one = attrs.evolve(AGENT, unreachable=["m1", "m2"])
    two = attrs.evolve(AGENT, instance="c", masters=5, unreachable=["m2"])
    gone = attrs.evolve(AGENT, instance="d", unreachable=["m3"], beat_at=NOW - 1000)
    found = told(processes=[one, two, gone])
    masters = {"known": 5, "asked": 5, "unreachable": ["m1", "m2"], "share": 0.6, "disabled": []}
    assert found["masters"] == masters
    assert part(found, "masters")["detail"] == "5 known, 5 probed, unreachable: m1, m2"


def test_without_an_agent_that_asks_nothing_is_known_of_masters() -> None:
    found = told(processes=[attrs.evolve(AGENT, masters=None, unreachable=None)])
    masters = {"known": 5, "asked": 0, "unreachable": [], "share": None, "disabled": []}
    assert found["masters"] == masters


def test_a_master_that_the_masters_file_disables_is_told_and_alarms_nobody() -> None:
    """An agent may have asked it in vain just before the file said so."""
    found = told(
        processes=[ME, attrs.evolve(AGENT, masters=4, unreachable=["off"])],
        masters_disabled=["off"],
    )
    assert found["masters"]["unreachable"] == []
    assert found["masters"]["disabled"] == ["off"]
    assert found["masters"]["share"] == 1
    assert part(found, "masters")["ok"]
    assert part(found, "masters")["detail"] == "5 known, 4 probed, 1 disabled"


def test_entries_that_are_left_out_of_a_document_are_told() -> None:
    some = [f"branch {n} is skipped: no" for n in range(150)]
    found = told(documents=[DocumentState("branches", 7, warnings=some)])
    assert part(found, "directory branches")["detail"] == (
        "read 7 s ago; " + "; ".join(some[:3]) + "; and 147 more"
    )
    assert found["directory"][0]["warnings"] == some[:100]


def test_job_requests_that_wait() -> None:
    job = JobRecord(4711, "cancel_build", "ann", NOW - 30, {}, state=JobState.RUNNING)
    assert told(jobs=Backlog(2, job, 4))["jobs"] == {
        "open": 2,
        "oldest_open": {"id": 4711, "when": NOW - 30, "age": 30, "state": "running"},
        "failed": 4,
        "error": None,
    }


def test_the_farm() -> None:
    oldest = PendingEntry(9, "linux", NOW - 600, "try", None)
    pools = [GroupLoad("linux", 3, 1, NOW - 600), GroupLoad("mac", 0, 2, None)]
    glance = FarmSummary(3, 3, oldest, [], pools, [], ["idle", "linux", "mac"])
    assert told(farm=glance)["farm"] == {
        "pending": 3,
        "running": 3,
        "oldest_pending": {"buildername": "linux", "submitted_at": NOW - 600, "age": 600},
        "pools": [
            {"name": "linux", "pending": 3, "running": 1, "oldest_age": 600},
            {"name": "mac", "pending": 0, "running": 2, "oldest_age": None},
        ],
        "known_pools": ["idle", "linux", "mac"],
        "error": None,
    }


def test_what_cannot_be_read_is_said_and_counts_as_trouble() -> None:
    away = UnreadValue("the database is away")
    found = told(jobs=away, farm=away, processes=away)
    assert found["jobs"]["error"] == found["farm"]["error"] == found["agents_error"] == away.error
    assert (found["jobs"]["open"], found["farm"]["pending"], found["agents"]) == (None, None, [])
    bad = [p["name"] for p in found["parts"] if not p["ok"]]
    assert bad == ["agents", "masters", "job requests", "farm"]


def test_dumps() -> None:
    dumps = [
        DumpState("a.js", 12.5),
        DumpState("b.js", None, "no space left", NOW - 5),
    ]
    found = told(dumps=dumps)
    assert found["dumps"] == {
        "files": [{"name": "a.js", "age": 12.5}, {"name": "b.js", "age": None}],
        "error": "b.js: no space left",
    }
    assert [part(found, f"dump {n}.js")["ok"] for n in "ab"] == [True, False]


@pytest.mark.parametrize("moved", [True, False])
def test_ids_of_jobs_that_began_again_are_warned_about(moved: bool) -> None:
    """A jobs database that was restored: ids that could not be moved on are a fault."""
    seen = attrs.evolve(WELL, renumbered=JobIdReset(WELL.now, 30, 50, moved))
    (part,) = [p for p in document(seen)["parts"] if p["name"] == "job numbers"]
    assert (part["ok"], part["last_error_at"]) == (moved, WELL.now)
    assert "the highest job request is 30" in part["last_error"]
    assert "job numbers" not in str(document(WELL)["parts"])


def settled(*letters: tuple[SettledAs, float], now: float = NOW) -> Any:
    """Count letters that were settled some seconds ago."""
    tally = DeadLetterTally(lambda: now)
    for end, ago in letters:
        tally.note(SettledLetter("buildapi-agent", end, 7, "delivery_limit", NOW - ago))
    return tally.read()


def test_dead_letters_that_were_settled_are_told_with_the_last_of_them() -> None:
    """What the broker dead-letters is noticed: counts since the start, and of the last hour."""
    letters = settled((SettledAs.RETURNED, 4000), (SettledAs.RETURNED, 9), (SettledAs.DROPPED, 8))
    found = told(letters=letters)
    assert found["dead_letters"] == {
        "recent_seconds": 3600,
        "returned": {"count": 2, "recent": 1, "last_at": NOW - 9},
        "failed": {"count": 0, "recent": 0, "last_at": None},
        "dropped": {"count": 1, "recent": 1, "last_at": NOW - 8},
        "last": {
            "queue": "buildapi-agent",
            "end": "dropped",
            "job_id": 7,
            "reason": "delivery_limit",
            "at": NOW - 8,
        },
    }
    assert part(found, "dead letters") == {
        "name": "dead letters",
        "ok": True,
        "detail": "2 requeued (1 in the last hour), 1 dropped because the job had ended"
        " (1 in the last hour)",
        "last_error": "buildapi-agent: dead letter of job 7 (delivery_limit),"
        " dropped because the job had ended",
        "last_error_at": NOW - 8,
    }


def test_a_job_that_a_dead_letter_ended_as_failed_is_a_fault_for_an_hour() -> None:
    found = told(letters=settled((SettledAs.FAILED, RECENT_SECONDS - 1)))
    assert (part(found, "dead letters")["ok"], found["status"]) == (False, "DEGRADED")
    later = told(letters=settled((SettledAs.FAILED, RECENT_SECONDS)))
    assert (part(later, "dead letters")["ok"], later["status"]) == (True, "OK")
    assert later["dead_letters"]["failed"]["count"] == 1


def test_a_process_that_settled_none_says_so_and_one_that_does_not_look_nothing() -> None:
    assert part(told(letters=settled()), "dead letters")["detail"] == (
        "none settled since this process started"
    )
    assert told()["dead_letters"] is None
    assert "dead letters" not in str(told()["parts"])
