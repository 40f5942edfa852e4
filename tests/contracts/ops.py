"""What trails, sinks of logs and pools that are observed promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import attrs
import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi import tracing
from buildapi.errors import DatabaseUnavailable
from buildapi.interfaces import AuditLog, ProcessRegistry, Trail
from buildapi.model.audit import (
    AuditActor,
    AuditOutcome,
    AuditRecord,
    AuditSubject,
    Client,
)
from buildapi.model.ops import Heartbeat, Part, ProcessState, TrailEntry
from buildapi.ops.log_file import Sink
from buildapi.ops.status_collector import ObservedPool
from tests.patience import PATIENCE
from tests.reactor import twisted_test


class TrailUnderTest(Protocol):
    """A trail, and what can be read of it."""

    @property
    def trail(self) -> Trail:
        """Return what is tested."""

    async def entries(self, job: int) -> Sequence[TrailEntry]:
        """List the events of a job, once they are stored."""


class TrailContract:
    """Tests of a Trail; a subclass has the fixture ``made`` (see TrailUnderTest)."""

    @twisted_test(10)
    async def test_events_are_kept_in_their_order_with_their_details(
        self, made: TrailUnderTest
    ) -> None:
        made.trail.note(7, Part.AGENT, "taken", "attempt 1")
        made.trail.note(8, Part.HTTP, "recorded")
        made.trail.note(7, Part.FINISHER, "stored")
        found = await made.entries(7)
        assert [(e.part, e.event, e.detail) for e in found] == [
            (Part.AGENT, "taken", "attempt 1"),
            (Part.FINISHER, "stored", ""),
        ]
        assert [(e.job_id, e.event) for e in await made.entries(8)] == [(8, "recorded")]
        assert all(e.host for e in found)
        assert list(await made.entries(9)) == []

    @twisted_test(10)
    async def test_an_event_has_the_trace_of_its_context(self, made: TrailUnderTest) -> None:
        with tracing.about("rid-7"):
            made.trail.note(7, Part.AGENT, "taken")
        made.trail.note(7, Part.AGENT, "reported")
        assert [e.trace for e in await made.entries(7)] == ["rid-7", ""]

    @twisted_test(10)
    async def test_no_text_makes_it_fail_and_a_detail_is_one_bounded_line(
        self, made: TrailUnderTest
    ) -> None:
        for detail in ("a\n b\t c", "x" * 9000, "\u20ac \U0001f600 % :d"):
            made.trail.note(7, Part.AGENT, "failed", detail)
        assert [e.detail for e in await made.entries(7)] == [
            "a b c",
            "x" * 1000,
            "\u20ac \U0001f600 % :d",
        ]


class AuditUnderTest(Protocol):
    """An audit log, and what can be read of it."""

    @property
    def audit(self) -> AuditLog:
        """Return what is tested."""

    async def records(self) -> Sequence[AuditRecord]:
        """List the records, the oldest first, once they are stored."""


ASKED = AuditRecord(
    "cancel_build",
    AuditOutcome.ACCEPTED,
    AuditActor("zoe", "proxy", ("a", "b")),
    Client("192.0.2.1", "127.0.0.1", "192.0.2.1", "curl"),
    AuditSubject("try", 12),
    job_id=7,
)
SECRET = "bapi_" + "x" * 43


class AuditLogContract:
    """Tests of an AuditLog; a subclass has the fixture ``made`` (see AuditUnderTest)."""

    @twisted_test(10)
    async def test_records_are_kept_in_their_order_as_they_are(self, made: AuditUnderTest) -> None:
        other = attrs.evolve(ASKED, action="rebuild_build", job_id=8)
        made.audit.record(ASKED)
        made.audit.record(other)
        found = await made.records()
        bare = [attrs.evolve(r, at=0.0, host="", identity="", id=None) for r in found]
        assert bare == [ASKED, other]
        assert all(record.host and record.at for record in found)
        assert len({record.identity for record in found}) == 2

    @twisted_test(10)
    async def test_a_record_has_its_own_trace_or_that_of_its_context(
        self, made: AuditUnderTest
    ) -> None:
        with tracing.about("rid-7"):
            made.audit.record(ASKED)
            made.audit.record(attrs.evolve(ASKED, trace="rid-8"))
        made.audit.record(ASKED)
        assert [record.trace for record in await made.records()] == ["rid-7", "rid-8", ""]

    @twisted_test(10)
    async def test_no_token_or_password_is_in_a_record(self, made: AuditUnderTest) -> None:
        odd = attrs.evolve(
            ASKED,
            action=f"GET /{SECRET}",
            actor=AuditActor(SECRET, "proxy", (), 7, SECRET),
            client=Client("192.0.2.1", "127.0.0.1", SECRET, f"curl Bearer {SECRET}"),
            subject=AuditSubject(SECRET, revision=SECRET, builders=(SECRET,)),
            detail=f"mysql://me:hunter2@h/d {SECRET}",
        )
        made.audit.record(odd)
        (found,) = await made.records()
        assert "xxx" not in repr(found)
        assert "hunter2" not in repr(found)
        assert found.subject.branch == "bapi_***"

    @twisted_test(10)
    async def test_no_refusal_is_lost_of_the_count(self, made: AuditUnderTest) -> None:
        for number in range(7):
            refused = attrs.evolve(ASKED, outcome=AuditOutcome.REFUSED, status=403, code="x")
            made.audit.record(attrs.evolve(refused, subject=AuditSubject("try", number % 2)))
        assert sum(record.count for record in await made.records()) == 7

    @twisted_test(10)
    async def test_no_text_makes_it_fail(self, made: AuditUnderTest) -> None:
        for detail in ("a\n b\t c", "x" * 9000, "\u20ac \U0001f600 % :d {x}"):
            made.audit.record(attrs.evolve(ASKED, detail=detail, action=detail))
        details = [record.detail for record in await made.records()]
        assert details == ["a b c", "x" * 1000, "\u20ac \U0001f600 % :d {x}"]


class SinkUnderTest(Protocol):
    """A sink of a log, and the lines that whoever reads the log finds."""

    @property
    def sink(self) -> Sink:
        """Return what is tested."""

    def lines(self) -> list[str]:
        """List the lines that were written, also those before the sink was opened again."""

    def spoil(self) -> None:
        """Let nothing be written any more."""


class SinkContract:
    """Tests of a Sink; a subclass has the fixture ``made`` (see SinkUnderTest)."""

    def test_lines_are_written_in_their_order(self, made: SinkUnderTest) -> None:
        made.sink.write("one\n")
        made.sink.write("two\nthree\n")
        assert made.lines() == ["one", "two", "three"]

    def test_no_text_makes_it_fail(self, made: SinkUnderTest) -> None:
        made.sink.write("zo\xeb \U0001f600 \ud800\n")
        made.sink.write("last\n")
        assert len(made.lines()) == 2
        assert made.lines()[-1] == "last"

    def test_a_line_after_it_is_opened_again_or_closed_is_written(
        self, made: SinkUnderTest
    ) -> None:
        made.sink.reopen()
        made.sink.close()
        made.sink.write("one\n")
        made.sink.reopen()
        made.sink.write("two\n")
        made.sink.close()
        made.sink.close()
        made.sink.write("three\n")
        assert sorted(made.lines()) == ["one", "three", "two"]

    def test_it_never_raises_where_nothing_can_be_written(self, made: SinkUnderTest) -> None:
        made.spoil()
        for _ in range(2):
            made.sink.write("lost\n")
            made.sink.close()


class PoolUnderTest(Protocol):
    """A pool that is observed."""

    @property
    def pool(self) -> ObservedPool:
        """Return what is tested."""

    def lose(self) -> None:
        """Let no connection be opened any more."""


class ObservedPoolContract:
    """Tests of an ObservedPool; a subclass has the fixture ``made`` (see PoolUnderTest)."""

    @twisted_test(10)
    async def test_it_says_its_name_its_engine_and_how_busy_it_is(
        self, made: PoolUnderTest
    ) -> None:
        assert made.pool.name == "jobs"
        assert made.pool.dialect in ("sqlite", "mysql")
        status = made.pool.status()
        assert (status.in_flight, status.waiting, status.last_error) == (0, 0, None)

    @twisted_test(10)
    async def test_a_connection_takes_a_time(self, made: PoolUnderTest) -> None:
        took = await made.pool.connecting(PATIENCE)
        assert took is not None
        assert 0 <= took < PATIENCE

    @twisted_test(10)
    async def test_where_none_can_be_opened_the_database_is_unavailable(
        self, made: PoolUnderTest
    ) -> None:
        made.lose()
        with pytest.raises(DatabaseUnavailable):
            await made.pool.connecting(5)


NOW = 1_700_000_000
AGENT = Heartbeat(
    instance="build\u00fc1:17:1700000000",
    name="build\u00fc1.example.org",
    pid=17,
    version="1.2.3",
    roles=["agent"],
    state=ProcessState.RUNNING,
    started_at=NOW,
    beat_at=NOW + 5,
    in_hand=2,
    jobs=[4711, 4712],
    masters=3,
    unreachable=["bm1:/a", "bm\u20ac:/b"],
)
API: Any = attrs.evolve(
    AGENT,
    instance="a:1:1",
    name="a.example.org",
    roles=["api"],
    in_hand=0,
    jobs=[],
    masters=None,
    unreachable=None,
)


class ProcessRegistryContract:
    """Inherit, and have a fixture ``roster`` that is empty."""

    @twisted_test(10)
    async def test_what_a_process_says_is_told(self, roster: ProcessRegistry) -> None:
        await roster.beat(AGENT)
        await roster.beat(API)
        assert list(await roster.processes()) == [API, AGENT]

    @twisted_test(10)
    async def test_a_process_is_there_once_and_as_it_last_said(
        self, roster: ProcessRegistry
    ) -> None:
        later = attrs.evolve(
            AGENT, beat_at=NOW + 15, state=ProcessState.DRAINING, jobs=[], in_hand=0
        )
        for beat in (AGENT, AGENT, later):
            await roster.beat(beat)
        assert list(await roster.processes()) == [later]

    @twisted_test(10)
    async def test_the_same_beat_twice_at_once_is_one(self, roster: ProcessRegistry) -> None:
        await gatherResults([ensureDeferred(roster.beat(AGENT)) for _ in range(4)])
        assert list(await roster.processes()) == [AGENT]

    @twisted_test(10)
    async def test_one_that_leaves_is_gone_and_leaving_again_does_nothing(
        self, roster: ProcessRegistry
    ) -> None:
        await roster.beat(AGENT)
        await roster.beat(API)
        for _ in range(2):
            await roster.leave(AGENT.instance)
        assert list(await roster.processes()) == [API]

    @twisted_test(10)
    async def test_those_silent_since_a_time_are_forgotten(self, roster: ProcessRegistry) -> None:
        await roster.beat(AGENT)
        await roster.beat(attrs.evolve(API, beat_at=NOW))
        await roster.forget(NOW + 5)
        assert list(await roster.processes()) == [AGENT]

    @twisted_test(10)
    async def test_all_are_told_of_by_name(self, roster: ProcessRegistry) -> None:
        first = attrs.evolve(AGENT, instance="z", name="z", beat_at=NOW + 9)
        for beat in (first, AGENT, API):
            await roster.beat(beat)
        assert [b.name for b in await roster.processes()] == [API.name, AGENT.name, "z"]
