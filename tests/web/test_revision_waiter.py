"""Waiting for revisions: one read for all who wait, one at a time, and nothing left behind."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable
from buildapi.web.selfserve import revision_waiter as module
from buildapi.web.selfserve.revision_waiter import REST, SECONDS, RevisionWaiter
from tests.reactor import twisted_test, until
from tests.web.asking import failed, result
from tests.web.client import JSON, request
from tests.web.conftest import Serve, Served
from tests.web.farm import NOW

DONE = "/self-serve/try/rev/abcdef123456/is_done"


@attrs.define
class Around:
    """A waiter on a clock; what is read is a number, which clients want to be high enough."""

    clock: Clock = attrs.field(factory=Clock)
    value: int = 0
    reads: list[str] = attrs.field(factory=list)
    error: Exception | None = None
    held: Deferred[None] | None = None
    waiter: RevisionWaiter[int] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.waiter = RevisionWaiter(self.clock)

    def wait(self, key: str = "a", least: int = 1, seconds: float = 60) -> Deferred[int | None]:
        async def read() -> int:
            self.reads.append(key)
            if self.held is not None:
                await self.held
            if self.error is not None:
                raise self.error
            return self.value

        return ensureDeferred(self.waiter.wait(key, read, lambda found: found >= least, seconds))

    def check_quiet(self) -> None:
        assert not self.waiter._groups
        assert not self.clock.getDelayedCalls()


@pytest.fixture
def around() -> Around:
    return Around()


def test_hundreds_who_wait_for_a_revision_are_one_read_in_a_poll(around: Around) -> None:
    waiting = [around.wait("ab"[n % 2]) for n in range(500)]
    for _ in range(5):
        around.clock.advance(SECONDS)
    assert around.reads == ["a", "b"] * 5
    assert not any(one.called for one in waiting)
    around.value = 1
    around.clock.advance(SECONDS)
    assert [result(one) for one in waiting] == [1] * 500
    around.check_quiet()


def test_each_is_released_by_what_it_waits_for(around: Around) -> None:
    first, second = around.wait(least=1), around.wait(least=2)
    around.value = 1
    around.clock.advance(SECONDS)
    assert (result(first), second.called) == (1, False)
    around.value = 2
    around.clock.advance(SECONDS)
    assert result(second) == 2
    around.check_quiet()


def test_waiting_ends_after_its_time(around: Around) -> None:
    waiting = around.wait(seconds=5)
    for _ in range(9):
        around.clock.advance(0.5)
    assert not waiting.called
    around.clock.advance(0.5)
    assert result(waiting) is None
    around.check_quiet()


def test_who_goes_away_is_forgotten_also_during_a_read(around: Around) -> None:
    gone, stays = around.wait(), around.wait()
    around.held = held = Deferred[None]()
    around.clock.advance(SECONDS)
    gone.cancel()
    assert isinstance(failed(gone), CancelledError)
    around.value = 1
    held.callback(None)
    assert result(stays) == 1
    around.check_quiet()


def test_who_comes_during_a_read_is_in_the_next_poll(around: Around) -> None:
    around.held = held = Deferred[None]()
    first = around.wait()
    around.clock.advance(SECONDS)
    other = around.wait("b")
    around.clock.advance(SECONDS)
    assert around.reads == ["a"], "one read at a time"
    around.value, around.held = 1, None
    held.callback(None)
    assert result(first) == 1
    around.clock.advance(REST * SECONDS)
    assert result(other) == 1
    assert around.reads == ["a", "b"]
    around.check_quiet()


def test_a_slow_database_is_read_more_rarely(around: Around) -> None:
    around.held = held = Deferred[None]()
    waiting = around.wait()
    around.clock.advance(SECONDS)
    around.clock.advance(3)
    around.held = None
    held.callback(None)
    around.clock.advance(3 * REST - 0.1)
    assert len(around.reads) == 1
    around.value = 1
    around.clock.advance(0.1)
    assert result(waiting) == 1
    around.check_quiet()


@pytest.mark.parametrize("error", [DatabaseUnavailable("down"), ValueError("bug")])
def test_a_read_that_fails_is_tried_again(
    around: Around, error: Exception, logged_errors: list[Any]
) -> None:
    waiting = around.wait()
    around.error = error
    around.clock.advance(SECONDS)
    assert not waiting.called
    around.error, around.value = None, 1
    around.clock.advance(SECONDS)
    assert result(waiting) == 1
    assert len(logged_errors) == isinstance(error, ValueError)
    logged_errors.clear()
    around.check_quiet()


def test_only_so_many_wait_and_none_at_shutdown(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    waiting = [around.wait(), around.wait("b")]
    assert result(around.wait()) is None
    around.waiter.close()
    assert [result(one) for one in waiting] == [None, None]
    assert result(around.wait()) is None
    around.check_quiet()


# --- over HTTP


def finish(served: Served) -> None:
    """End every build and request of the revision, ten minutes ago."""
    builds = served.builds
    for id_, details in list(builds.requests.items()):
        ended = replace(details.request, complete=True, complete_at=NOW - 600, results=0)
        builds.requests[id_] = attrs.evolve(details, request=ended)
    for id_, found in list(builds.builds.items()):
        build = replace(found.build, finish_time=found.build.finish_time or NOW - 600)
        builds.builds[id_] = attrs.evolve(found, build=build)


@twisted_test()
async def test_the_answer_comes_when_the_revision_is_complete(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.05)
    wires = []
    for delay in (0, 180, 10**9):
        wires.append(await served.wire())
        wires[-1].send(request("GET", f"{DONE}?wait=60&stableDelay={delay}", JSON))
    waiter = served.live.revisions
    await until(lambda: sum(len(g.waiting) for g in waiter._groups.values()) == 3)
    assert len(waiter._groups) == 1
    assert not served.clients._in_flight
    assert (await served.ask("GET", DONE, JSON)).json["job_complete"] is False
    finish(served)
    for wire in wires[:2]:
        await wire.closed
        answer = await wire.answer()
        assert (answer.status, answer.json["job_complete"]) == (200, True)
    assert not wires[2].received
    assert (await served.ask("GET", DONE, JSON)).json["job_complete"] is True, "none is older"
    wires[2].close()
    await until(lambda: not waiter._groups)


@twisted_test()
async def test_the_answer_comes_after_the_time_otherwise(served: Served) -> None:
    answer = await served.ask("GET", f"{DONE}?wait=0.2", JSON)
    assert (answer.status, answer.json["job_complete"]) == (200, False)
    assert not served.live.revisions._groups


@twisted_test()
async def test_what_is_complete_unknown_or_wrong_is_answered_at_once(served: Served) -> None:
    for wrong in ("61", "-1", "x", "nan"):
        refused = await served.ask("GET", f"{DONE}?wait={wrong}", JSON)
        assert (refused.status, refused.json["code"]) == (400, "bad_request")
    nowhere = DONE.replace("abcdef", "bbbbbb")
    assert (await served.ask("GET", f"{nowhere}?wait=60", JSON)).status == 404
    finish(served)
    served.live.cache.forget()
    assert (await served.ask("GET", f"{DONE}?wait=60", JSON)).json["job_complete"] is True


@twisted_test()
async def test_a_process_that_stops_answers_who_waits(serve: Serve) -> None:
    served = serve(drain_seconds=60)
    wire = await served.wire()
    wire.send(request("GET", f"{DONE}?wait=60", JSON))
    await until(lambda: bool(served.live.revisions._groups))
    stopped = await served.begin_stop()
    await wire.closed
    assert (await wire.answer()).json["job_complete"] is False
    await stopped
