"""Events: one stream of queries for all who listen, nothing told twice, nothing lost."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThread

from buildapi.errors import BadRequest, Unavailable
from buildapi.model.pushes import Change
from buildapi.model.records import JobRecord
from buildapi.web.events import changes as changes_module
from buildapi.web.events import streams as module
from buildapi.web.events.changes import FarmChanges, JobChanges
from buildapi.web.events.streams import (
    ASKED_SECONDS,
    GRACE_SECONDS,
    HEARTBEAT_SECONDS,
    LOOK_SECONDS,
    EventStreams,
    StreamLimits,
)
from buildapi.web.http.auth import NOBODY, Identity
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.form import Form
from buildapi.web.selfserve.row_pushes import RowPushes
from tests.reactor import twisted_test, until
from tests.web.asking import failed, result
from tests.web.client import request as spelled
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import (
    NOW,
    PENDING,
    MemoryBuilds,
    MemoryDirectory,
    MemoryJobs,
    MemoryPushes,
    a_request,
    database_down,
)

COMPLETE = {"complete": True, "complete_at": NOW, "results": 0}


class Line:
    """A request as far as a stream uses it."""

    method = b"GET"
    identity, client_address = Identity("zoë"), "192.0.2.1"
    who = identity.who

    def __init__(self, last: str = "") -> None:
        self.written, self.headers = b"", dict[str, str]()
        self.channel: Any = object()
        self.producer: Any = None
        self.wrote: Callable[[], None] = lambda: None
        self._last = last

    def text_header(self, name: str) -> str:
        return self._last if name == "last-event-id" else ""

    def setHeader(self, name: str, value: str) -> None:
        self.headers[name] = value

    def write(self, data: bytes) -> None:
        self.written += data
        self.wrote()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def told(self) -> list[tuple[str, Any]]:
        """Return what came since the last time, as kinds and data."""
        found = []
        for block in self.written.decode().split("\n\n"):
            fields = dict(
                line.partition(": ")[::2] for line in block.splitlines() if line[:1] != ":"
            )
            if "event" in fields:
                self.last_id = fields["id"]
                found.append((fields["event"], json.loads(fields["data"])))
        self.written = b""
        return found


class Turns(Clock):
    """A clock that counts the calls which a reactor would make in its next turn."""

    turn = 0

    def callLater(self, delay: float, *args: Any, **kw: Any) -> Any:
        self.turn += delay == 0
        return Clock.callLater(self, delay, *args, **kw)


@attrs.define
class Around:
    """Events over a farm in memory, with a clock that is moved by hand."""

    clock: Turns = attrs.field(factory=Turns)
    most: int = 3
    builds: MemoryBuilds = attrs.field(factory=MemoryBuilds.small)
    jobs: MemoryJobs = attrs.field(factory=MemoryJobs)
    pushes: MemoryPushes = attrs.field(init=False)
    events: EventStreams = attrs.field(init=False)
    streams: list[Deferred[bytes]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        directory = MemoryDirectory()
        self.pushes = MemoryPushes(self.builds)
        pushes = RowPushes(self.pushes, self.builds, directory, Deadline(self.clock, 10))
        farm, jobs = FarmChanges(directory, self.builds, pushes), JobChanges(self.jobs)
        self.events = EventStreams(
            self.clock, directory, farm, jobs, StreamLimits(*[self.most] * 3)
        )

    def listen(self, last: str = "", **query: str) -> Line:
        line = Line(last)
        asked = {name: [value] for name, value in query.items()}
        reply = result(
            ensureDeferred(self.events.events(Call({}, asked, Form({}), Identity("zoë"))))
        )
        self.streams.append(ensureDeferred(reply.stream(line)))
        return line

    def part(self, number: int = 0) -> None:
        self.streams[number].addErrback(lambda f: f.trap(CancelledError) and None)
        self.streams[number].cancel()

    def poll(self) -> None:
        self.clock.advance(LOOK_SECONDS)

    def change(self, brid: int = 21, **changes: Any) -> None:
        details = self.builds.requests[brid]
        request = replace(details.request, **changes)
        self.builds.requests[brid] = attrs.evolve(details, request=request)

    def ask(self) -> None:
        """Ask for a look at the jobs, and wait until one is due."""
        self.events.poll()
        self.clock.advance(ASKED_SECONDS)

    def job_reads(self) -> int:
        return len([call for call in self.jobs.reading.calls if call[0] == "marks"])

    def reads(self, what: str = "marks") -> int:
        return len([call for call in self.builds.failing.calls if call[0] == what])


@pytest.fixture
def around() -> Any:
    around = Around()
    yield around
    around.events.close()
    assert not around.clock.getDelayedCalls()


def kinds(line: Line) -> list[str]:
    return [kind for kind, _ in line.told()]


def test_who_listens_is_told_what_changes_and_nothing_twice(around: Around) -> None:
    line = around.listen()
    assert kinds(line) == ["hello"]
    around.poll()
    assert kinds(line) == []
    around.change(priority=7)
    around.poll()
    ((kind, data),) = line.told()
    assert (kind, data["request_id"], data["priority"], data["branch_name"]) == (
        "request",
        21,
        7,
        "try",
    )
    around.poll()
    assert kinds(line) == []


def test_a_build_is_told_from_its_beginning_to_its_end(around: Around) -> None:
    line = around.listen(branch="try")
    around.builds.builds[12] = attrs.evolve(
        around.builds.builds[12],
        build=replace(around.builds.builds[12].build, finish_time=NOW),
    )
    around.poll()
    assert [(k, d["endtime"]) for k, d in line.told()[1:]] == [("build", NOW)]
    around.change(22, **COMPLETE)
    around.poll()
    assert [(k, d["status"]) for k, d in line.told()] == [("build", 0)]


def test_an_event_says_whose_push_it_is_about(around: Around) -> None:
    line = around.listen()
    around.pushes.known = [Change(1, "try", PENDING.revision or "", "ann", "fix\nmore", NOW)]
    around.change(priority=1)
    around.poll()
    assert [(d["author"], d["comments"]) for _, d in line.told()[1:]] == [("ann", "fix")]


def test_a_request_that_is_dropped_is_told_as_complete(around: Around) -> None:
    line = around.listen()
    around.change(**COMPLETE)
    around.poll()
    assert [(k, d["complete"]) for k, d in line.told()[1:]] == [("request", 1)]


def test_many_listeners_cost_one_stream_of_queries(around: Around) -> None:
    lines = [around.listen() for _ in range(3)]
    around.poll()
    before = around.reads()
    around.change(priority=1)
    around.poll()
    assert around.reads() == before + 1
    assert around.reads("of_requests") == 1
    assert [kinds(line) for line in lines] == [["hello", "request"]] * 3


@pytest.mark.parametrize("beat", [False, True], ids=["a change", "a heartbeat"])
def test_many_listeners_are_written_to_in_several_turns(
    monkeypatch: pytest.MonkeyPatch, beat: bool
) -> None:
    monkeypatch.setattr(module, "WRITTEN_AT_ONCE", 2)
    around = Around(most=5)
    lines = [around.listen() for _ in range(5)]
    around.poll()
    turns: list[int] = []
    for line in lines:
        line.told()
        line.wrote = lambda: turns.append(around.clock.turn)
    around.change(priority=1)
    around.clock.advance(HEARTBEAT_SECONDS - around.clock.seconds() if beat else LOOK_SECONDS)
    assert [kinds(line) for line in lines] == [["request"]] * 5
    assert len(set(turns)) >= 3
    assert max(Counter(turns).values()) <= (4 if beat else 2), "a comment and an event each"
    around.events.close()


def test_one_that_leaves_before_its_turn_is_written_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "WRITTEN_AT_ONCE", 1)
    around = Around()
    lines = [around.listen() for _ in range(2)]
    around.poll()
    written: list[Line] = []
    for number, line in enumerate(lines):
        line.told()

        def wrote(line: Line = line, other: int = 1 - number) -> None:
            written.append(line)
            around.part(other)

        line.wrote = wrote
    around.change(priority=1)
    around.poll()
    assert len(written) == 1
    around.events.close()


def test_more_than_the_bound_are_refused(around: Around) -> None:
    for _ in range(3):
        around.listen()
    error = failed(ensureDeferred(around.events.events(Call({}, {}, Form({}), NOBODY))))
    assert isinstance(error, Unavailable)


def test_a_branch_nobody_has_is_refused(around: Around) -> None:
    call = Call({}, {"branch": ["nope"]}, Form({}), NOBODY)
    assert isinstance(failed(ensureDeferred(around.events.events(call))), BadRequest)


def test_who_comes_back_is_told_what_happened_meanwhile(around: Around) -> None:
    line = around.listen()
    line.told()
    around.part()
    around.change(priority=1)
    around.poll()
    back = around.listen(line.last_id)
    assert kinds(back) == ["hello", "request"]


@pytest.mark.parametrize("last", ["other-1", "nonsense", "-"])
def test_who_missed_what_nobody_knows_is_told_to_read_anew(around: Around, last: str) -> None:
    assert kinds(around.listen(last)) == ["reset"]


def test_nobody_looks_once_nobody_listens_for_long(around: Around) -> None:
    line = around.listen()
    line.told()
    around.part()
    for _ in range(int(GRACE_SECONDS / LOOK_SECONDS) + 2):
        around.poll()
    before = around.reads()
    for _ in range(10):
        around.poll()
    assert around.reads() == before
    assert not around.clock.getDelayedCalls()
    assert kinds(around.listen(line.last_id)) == ["reset"]


def test_a_slow_reader_is_told_when_it_can_take_more(around: Around) -> None:
    line = around.listen()
    line.told()
    line.producer.pauseProducing()
    around.change(priority=1)
    around.poll()
    around.clock.advance(HEARTBEAT_SECONDS)
    assert not line.written
    line.producer.resumeProducing()
    around.clock.advance(HEARTBEAT_SECONDS)
    assert kinds(line) == ["request"]


def test_a_reader_that_is_too_slow_is_told_to_read_anew(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 3)
    around.events._forget()
    line = around.listen()
    line.told()
    line.producer.pauseProducing()
    for priority in range(1, 6):
        around.change(priority=priority)
        around.poll()
    line.producer.resumeProducing()
    around.poll()
    around.clock.advance(HEARTBEAT_SECONDS)
    assert kinds(line) == ["reset"]


def test_so_much_at_once_that_nobody_should_read_it_is_a_reset(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes_module, "AT_ONCE", 3)
    line = around.listen()
    line.told()
    for id_ in range(100, 104):
        details = around.builds.requests[21]
        around.builds.requests[id_] = attrs.evolve(details, request=a_request(id_))
    around.poll()
    assert kinds(line) == ["reset"]
    around.change(priority=3)
    around.poll()
    assert kinds(line) == ["request"]


def test_what_a_failed_look_missed_the_next_one_tells(around: Around) -> None:
    line = around.listen()
    line.told()
    around.change(priority=3)
    around.builds.failing.error = database_down()
    around.poll()
    assert kinds(line) == []
    around.builds.failing.error = None
    around.poll()
    assert kinds(line) == ["request"]


def test_jobs_are_told_as_they_go(around: Around) -> None:
    line = around.listen(job="mine")
    line.told()
    id_ = result(ensureDeferred(around.jobs.add("zoë", NOW, "cancel_build", {"bid": 11})))
    result(ensureDeferred(around.jobs.add("ann", NOW, "cancel_build", {"bid": 11})))
    around.poll()
    assert [(k, d["id"], d["state"]) for k, d in line.told()] == [("job", id_, "queued")]
    result(ensureDeferred(around.jobs.begin(id_, "a", NOW)))
    around.ask()
    report = {"body": {"errors": False, "msg": "Ok"}, "request_id": id_}
    result(ensureDeferred(around.jobs.finish(id_, report, NOW)))
    around.ask()
    assert [d["state"] for _, d in line.told()] == ["running", "done"]


def test_many_jobs_that_finish_at_a_time_cost_one_look_and_none_at_the_farm(
    around: Around,
) -> None:
    line = around.listen(job="all")
    around.clock.advance(ASKED_SECONDS)
    farm, jobs = around.reads(), around.job_reads()
    for _ in range(20):
        result(ensureDeferred(around.jobs.add("zoë", NOW, "cancel_build", {"bid": 11})))
        around.events.poll()
    assert around.job_reads() == jobs + 1, "the first is told at once"
    around.clock.advance(ASKED_SECONDS)
    assert (around.reads(), around.job_reads()) == (farm, jobs + 2)
    assert len(kinds(line)) == 1 + 20
    around.clock.advance(LOOK_SECONDS - 2 * ASKED_SECONDS)
    assert around.reads() == farm + 1, "the farm is looked at as often as without jobs"


def test_jobs_are_told_while_the_farm_cannot_be_read(around: Around) -> None:
    line = around.listen(job="all")
    line.told()
    around.builds.failing.error = database_down()
    result(ensureDeferred(around.jobs.add("zoë", NOW, "cancel_build", {"bid": 11})))
    around.poll()
    assert kinds(line) == ["job"]


def test_old_jobs_that_come_into_view_are_no_news(around: Around) -> None:
    around.jobs.jobs = {n: JobRecord(n, "rebuild_build", "zoë", NOW, {}) for n in range(2, 600)}
    line = around.listen(job="all")
    around.poll()
    del around.jobs.jobs[599]
    around.poll()
    assert kinds(line) == ["hello"]


def test_stopping_ends_all_streams(around: Around) -> None:
    lines = [around.listen() for _ in range(2)]
    around.events.close()
    assert [result(stream) for stream in around.streams] == [b"", b""]
    assert [line.producer for line in lines] == [None, None]
    error = failed(ensureDeferred(around.events.events(Call({}, {}, Form({}), NOBODY))))
    assert isinstance(error, Unavailable)
    assert "shutting down" in str(error)


def test_a_look_takes_its_time_and_then_rests(around: Around) -> None:
    around.listen()
    around.poll()
    around.builds.failing.held = held = Deferred[None]()
    around.poll()
    reads = around.reads()
    around.clock.advance(5)
    around.events.poll()
    assert around.reads() == reads, "one look at a time"
    jobs = around.job_reads()
    around.builds.failing.held = None
    held.callback(None)
    around.clock.advance(0)
    assert around.job_reads() == jobs + 1, "what was asked for meanwhile"
    around.clock.advance(40)
    assert around.reads() == reads, "ten times as long as the look took"
    around.clock.advance(10)
    assert around.reads() == reads + 1


@twisted_test()
async def test_events_come_over_http_and_end_with_the_service(serve: Serve) -> None:
    served = serve()
    wire = await served.wire()
    wire.send(spelled("GET", "/self-serve/events?branch=try&job=mine", ZOE))
    await wire.until(lambda: b"event: hello" in wire.received)
    assert b"content-type: text/event-stream" in wire.received.lower()
    assert b"cache-control: no-store" in wire.received.lower()
    job = await served.ask("DELETE", "/self-serve/try/build/12", ZOE)
    assert job.status == 302
    served.events.poll()
    await wire.until(lambda: b"event: job" in wire.received)
    await served.listener.stopService()
    await wire.closed
    assert wire.received.endswith(b"0\r\n\r\n")


@twisted_test()
async def test_a_listener_who_leaves_is_forgotten(served: Served) -> None:
    wire = await served.wire()
    wire.send(spelled("GET", "/self-serve/events"))
    await wire.until(lambda: b"event: hello" in wire.received)
    wire.close()
    await until(lambda: not served.events._listeners)
    assert (await served.ask("HEAD", "/self-serve/events")).status == 200
    assert not served.events._listeners


# --- one client cannot take all


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (ZOE, "zoë@example.org already has"),
        ({"X-Forwarded-For": "192.0.2.7"}, "192.0.2.7 already has"),
    ],
)
@twisted_test()
async def test_one_user_or_address_has_its_share_of_streams(
    serve: Serve, headers: dict[str, str], told: str
) -> None:
    served = serve(listeners_per_user=2, listeners_per_address=2)
    wires = []
    for _ in range(2):
        wire = await served.wire()
        wire.send(spelled("GET", "/self-serve/events", headers))
        await wire.until(lambda wire=wire: b"event: hello" in wire.received)
        wires.append(wire)
    refused = await served.ask("GET", "/self-serve/events?format=json", headers)
    assert (refused.status, refused.json["code"]) == (429, "too_many_streams")
    assert refused.headers["retry-after"] == "30"
    assert told in refused.json["msg"]
    other = await served.wire()
    other.send(spelled("GET", "/self-serve/events", {"X-Forwarded-For": "192.0.2.8"}))
    await other.until(lambda: b"event: hello" in other.received)
    assert b"event: hello" in other.received
    wires[0].close()
    await until(lambda: len(served.events._listeners) == 2)
    again = await served.wire()
    again.send(spelled("GET", "/self-serve/events", headers))
    await again.until(lambda: b"event: hello" in again.received)
    assert b"event: hello" in again.received
    for wire in (wires[1], other, again):
        wire.close()
    await until(lambda: not served.in_flight)


@twisted_test(10)
async def test_who_leaves_a_stream_makes_room_at_once(served: Served) -> None:
    """Reading page after page must not use up what one user may listen to."""
    port = served.listener.ports[0].getHost().port

    def listen_and_leave() -> None:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(spelled("GET", "/self-serve/events", ZOE, last=False))
            received = b""
            while b"event: hello" not in received:
                received += client.recv(4096)

    await deferToThread(listen_and_leave)
    await until(lambda: not served.events._listeners)


@twisted_test(10)
async def test_who_closes_only_the_sending_half_of_a_stream_goes_on_listening(
    served: Served,
) -> None:
    wire = await served.wire()
    wire.send(spelled("GET", "/self-serve/events", ZOE, last=False))
    await wire.until(lambda: b"event: hello" in wire.received)
    wire.transport.loseWriteConnection()
    await wire.until(lambda: wire.received.count(b": still here") == 2)
    assert len(served.events._listeners) == 1
    wire.close()
    await until(lambda: not served.events._listeners)
