"""What each check finds in a status document: states, words, performance data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.plugins.answering import Answering, Page, healthy
from tests.plugins.running import Outcome, run

Break = Callable[[dict[str, Any]], Any]


def found(service: Answering, kind: str, change: Break, *options: str) -> Outcome:
    """Run a check on a healthy status with something changed."""
    document = healthy()
    change(document)
    service.status(document)
    return run(kind, "--url", service.url, *options).check(kind)


def put(path: str, value: Any) -> Break:
    """Make a change: a value at a path such as ``farm.pools.0.pending``."""
    *keys, last = [int(key) if key.isdigit() else key for key in path.split(".")]

    def change(document: Any) -> None:
        for key in keys:
            document = document[key]
        document[last] = value

    return change


ALONE = (
    ("pending", "farm.pools.0.pending", 812, 1, "pool linux has 812 pending requests (oldest 2 h"),
    ("pending", "farm.pools.1.pending", 2001, 2, "pool mac has 2001 pending requests (oldest 5 m"),
    ("pending", "farm.pools.0.pending", 1, 0, "pool mac has 12 pending requests"),
    ("pending", "farm.pools", [], 0, "no pending requests"),
    ("pending", "farm.error", "database is away", 3, "cannot tell what is pending: database is"),
    ("pending", "farm.pools.0.pending", "3", 3, "status.farm.pools[0].pending is a text, not a nu"),
    ("pending", "farm.pools.0.pending", 1.5, 3, "is a number with a fraction, not a whole"),
    ("pending", "farm.pools.0.pending", True, 3, "is true or false, not a number"),
    ("pending", "farm.pending", None, 3, "this process does not read the farm"),
    ("backlog", "farm.oldest_pending.age", 14401, 1, "requests has waited 4 h (Linux mozilla-c"),
    ("backlog", "farm.oldest_pending.age", 43201, 2, "has waited 12 h"),
    ("backlog", "farm.oldest_pending.age", -3, 0, "has waited 0 s"),
    ("backlog", "farm.oldest_pending", None, 3, "is null, but 312 requests are pending"),
    ("jobs", "jobs.oldest_open.age", 901, 1, "job 4711 is running for 15 min"),
    ("jobs", "jobs.oldest_open.age", 7200, 2, "2 job requests open; oldest: job 4711"),
    ("jobs", "jobs.oldest_open", None, 3, "is null, but 2 job requests are open"),
    ("jobs", "jobs.error", "away", 3, "cannot tell what is open: away"),
    ("jobs", "now", None, 3, "status.now is null"),
    ("agents", "agents.1.live", False, 1, "1 agent is live (agent1); silent: agent2 for 5 s"),
    ("agents", "agents.1.state", "draining", 1, "1 agent is live (agent1); draining: agent2"),
    ("agents", "agents", [], 2, "no agents are live"),
    ("agents", "agents.1.version", "0.2.0", 0, "of different versions: 0.1.0, 0.2.0"),
    ("agents", "agents_error", "no table", 3, "cannot tell which agents there are: no table"),
    ("queue", "broker.connected", False, 2, "the amqps broker is not connected"),
    ("queue", "broker.blocked", "low on disk", 2, "the broker accepts no messages: low on disk"),
    ("queue", "broker.queues.0.ready", 51, 1, "buildapi-agent has 51 ready"),
    ("queue", "broker.queues.1.ready", 501, 2, "buildapi-web has 501 ready"),
    ("queue", "broker.queues.1.dead", 1, 1, "buildapi-web has 1 dead"),
    ("queue", "broker.queues.0.consumers", 0, 2, "buildapi-agent has 0 consumers"),
    ("queue", "broker.queues.0.error", "no such queue", 3, "buildapi-agent: no such queue"),
    ("queue", "broker.queues", [], 3, "has no queues of the role requests"),
    (
        "queue",
        "dead_letters.returned.recent",
        2,
        1,
        "in the last 1 h: 2 dead letters requeued",
    ),
    ("queue", "dead_letters.failed.recent", 1, 1, "1 job failed by a dead letter (the"),
    ("queue", "dead_letters.failed.recent", 101, 2, "last of job 4700 in buildapi-agent: delive"),
    ("queue", "dead_letters.dropped.recent", 7, 0, "buildapi-agent: 3 ready"),
    ("queue", "dead_letters.failed", {}, 3, "status.dead_letters.failed lacks 'recent'"),
    ("queue", "dead_letters", None, 0, "buildapi-agent: 3 ready"),
    (
        "masters",
        "masters.share",
        0.89,
        1,
        "89 % of 40 masters answer; unreachable: bm07:/builds/tests1",
    ),
    ("masters", "masters.share", 0.4, 2, "40 % of 40 masters"),
    ("masters", "masters.share", None, 3, "no live agent has probed the 40 masters"),
    ("masters", "masters.share", 97, 3, "share is more than 1"),
    ("masters", "directory.0.age", 2000, 1, "branches was read 33 min 20 s ago"),
    ("masters", "directory.2.last_error", "no JSON", 3, "builders was never read (no JSON)"),
    ("db", "databases.1.ok", False, 2, "database scheduler does not answer"),
    ("db", "databases.1.connect_seconds", 1.5, 1, "scheduler took 1.5 s to connect"),
    ("db", "replica.lag_seconds", 61, 1, "the replica is 1 min 1 s behind"),
    ("db", "replica.lag_seconds", None, 0, "replica lag unknown"),
    ("db", "replica.apart", False, 0, "no replica"),
    ("db", "databases", [], 3, "lists no databases"),
    ("reports", "dumps.files.1.age", 901, 1, "builds-pending.js was written 15 min"),
    ("reports", "dumps.files.1.age", None, 2, "not written yet: builds-pending.js"),
    ("reports", "dumps.files", [], 2, "no dump was written yet"),
    ("reports", "dumps", None, 3, "the service writes no dumps"),
    ("reports", "dumps.error", "no folder", 3, "cannot tell how old the dumps are: no folder"),
)


@pytest.mark.parametrize("case", ALONE, ids=lambda case: f"{case[0]}-{case[1]}-{case[2]}")
def test_one_thing_changes_the_state(
    service: Answering, case: tuple[str, str, Any, int, str]
) -> None:
    kind, path, value, code, words = case
    done = found(service, kind, put(path, value))
    assert done.code == code, done
    assert words in done.line, done.line


def test_only_what_is_not_well_is_told_the_worst_first(service: Answering) -> None:
    def change(document: Any) -> None:
        document["broker"]["queues"][0]["ready"] = 100
        document["broker"]["queues"][1]["consumers"] = 0

    done = found(service, "queue", change)
    assert (
        done.line == "QUEUE CRITICAL - buildapi-web has 0 consumers; buildapi-agent has 100 ready"
    )


def test_a_service_that_does_not_look_at_dead_letters_is_asked_for_no_more(
    service: Answering,
) -> None:
    """An older service says nothing of it, and an agent's process null."""

    def older(document: Any) -> None:
        del document["dead_letters"]

    assert found(service, "queue", older).code == 0
    for change in (older, put("dead_letters", None)):
        done = found(service, "queue", change, "--settled-warning", "5")
        assert done.code == 3
        assert "is unknown, and a threshold was given" in done.line


def test_a_pool_can_be_chosen(service: Answering) -> None:
    mac = found(service, "pending", lambda _: None, "--pool", "mac", "-w", "10")
    assert mac.line.startswith("PENDING WARNING - pool mac has 12 pending requests")
    idle = found(service, "pending", lambda _: None, "--pool", "idle")
    assert idle.line == "PENDING OK - pool idle has no pending requests"
    wrong = found(service, "pending", lambda _: None, "--pool", "Mac")
    assert (wrong.code, wrong.line) == (
        3,
        "PENDING UNKNOWN - the farm has no pool Mac: it has idle, linux, mac, try-linux64",
    )

    def nobody_knows(document: dict[str, Any]) -> None:
        document["farm"]["known_pools"] = None

    any_name = found(service, "pending", nobody_knows, "--pool", "Mac")
    assert any_name.line == "PENDING OK - pool Mac has no pending requests"


@pytest.mark.parametrize("kind", ["pending", "backlog"])
def test_an_agent_by_itself_knows_nothing_of_the_farm(service: Answering, kind: str) -> None:
    def only_agent(document: dict[str, Any]) -> None:
        document["farm"] |= {"pending": None, "running": None, "oldest_pending": None, "pools": []}

    done = found(service, kind, only_agent)
    assert done.line == (
        f"{kind.upper()} UNKNOWN - this process does not read the farm: ask one with the role api"
    )


def test_a_queue_can_be_chosen(service: Answering) -> None:
    broken = put("broker.queues.0.consumers", 0)
    assert found(service, "queue", broken, "--queue", "finished").code == 0
    assert found(service, "queue", broken, "--queue", "requests").code == 2


def test_what_is_not_known_is_left_out_unless_a_threshold_was_given_for_it(
    service: Answering,
) -> None:
    lag = put("replica.lag_seconds", None)
    assert "lag" not in found(service, "db", lag).values
    asked = found(service, "db", lag, "--lag-warning", "5")
    assert asked.code == 3
    assert "a threshold was given for it" in asked.line
    unacked = found(service, "queue", lambda _: None)
    assert "requests_unacked" in unacked.values
    assert "finished_unacked" not in unacked.values
    assert found(service, "queue", lambda _: None, "--unacked-critical", "9").code == 3


def test_performance_data_have_units_and_thresholds(service: Answering) -> None:
    done = found(service, "db", lambda _: None, "-w", "~:0.5", "--lag-critical", "@10:20")
    assert done.values == {"connect": "0.012s;~:0.5;4;0", "lag": "2s;60;@10:20;0"}
    share = found(service, "masters", lambda _: None).values["reachable"]
    assert share == "97.5%;90:;50:;0"


def test_failures_are_counted_and_a_full_page_says_that_there_may_be_more(
    service: Answering,
) -> None:
    service.pages["/self-serve/jobs"] = Page.of(
        [{"id": n, "state": "failed", "completed_at": 1789999999} for n in range(1, 1001)]
    )
    done = run("jobs", "--url", service.url).check("jobs")
    assert done.code == 2
    assert done.line.endswith(
        "at least 1000 job requests failed in the last 60 min (the last is 1000)"
    )


def test_a_failure_counts_from_when_it_failed(service: Answering) -> None:
    jobs = [
        {"id": 1, "state": "failed", "completed_at": 1789996400},  # an hour ago
        {"id": 2, "state": "failed", "completed_at": 1789996399},
        {"id": 3, "state": "failed", "completed_at": None},
    ]
    service.pages["/self-serve/jobs"] = Page.of(jobs)
    done = run("jobs", "--url", service.url).check("jobs")
    assert done.line.endswith("1 job request failed in the last 60 min (the last is 1)"), done.line


def test_a_page_can_be_chosen_and_has_to_be_as_asked(service: Answering) -> None:
    service.pages["/page"] = Page(b"<h1>Builds</h1>", 203, "text/html")
    asked = ("http", "--url", service.url, "--path", "/page?a=b")
    assert run(*asked).check("http").code == 2
    assert run(*asked, "--status", "203", "--content", "Builds").check("http").code == 0
    lost = run(*asked, "--status", "203", "--content", "Jobs").check("http")
    assert lost.line == "HTTP CRITICAL - /page does not contain 'Jobs'"
    assert service.requests[-1][0] == "/page?a=b"


def test_a_page_that_takes_long_is_told(service: Answering) -> None:
    done = run("http", "--url", service.url, "-c", "600:").check("http")
    assert done.code == 2
    assert "/self-serve/branches took" in done.line
