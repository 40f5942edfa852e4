"""The audit log: a line at once, a row soon, and floods of refusals in a few records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from buildapi.errors import DatabaseUnavailable
from buildapi.model.audit import (
    VARIOUS,
    AuditActor,
    AuditOutcome,
    AuditRecord,
    AuditSubject,
    Client,
)
from buildapi.ops import buffered_writer
from buildapi.ops.audit import BufferedAudit
from buildapi.ops.log_format import as_json, as_text
from buildapi.ops.refusal_tally import KINDS_MOST, WINDOW
from tests.audits import MemoryAuditStore
from tests.contracts.ops import ASKED, AuditLogContract
from tests.db.auditstore_contract import AuditStoreContract
from tests.reactor import twisted_test

NOW = 1_795_819_765.5
STRANGER = AuditRecord(
    "DELETE /self-serve/{branch}/build/{build_id}",
    AuditOutcome.REFUSED,
    AuditActor(),
    Client("198.51.100.7", "127.0.0.1"),
    AuditSubject("try", 12),
    status=403,
    code="access_denied",
    trace="rid-1",
)
USER = attrs.evolve(STRANGER, action="cancel_build", actor=AuditActor("zoe", "proxy"))


@attrs.define
class Store(MemoryAuditStore):
    """Keep records, unless the next events of ``ahead`` are errors."""

    ahead: list[Exception] = attrs.field(factory=list)
    forgotten: list[float] = attrs.field(factory=list)

    async def add(self, entries: Sequence[AuditRecord]) -> None:
        if self.ahead:
            raise self.ahead.pop(0)
        await MemoryAuditStore.add(self, entries)

    async def forget(self, before: float) -> None:
        self.forgotten.append(before)
        await MemoryAuditStore.forget(self, before)


class TestStore(AuditStoreContract):
    """The double keeps the contract."""

    @pytest.fixture
    def store(self) -> Store:
        return Store()


class Around:
    """An audit log on a clock."""

    def __init__(self, days: int = 0) -> None:
        self.clock, self.store = Clock(), Store()
        self.counted: list[str] = []
        self.lost = 0
        self.audit = BufferedAudit(
            self.clock, self.store, self.now, "h1", days, self.counted.append, self._lose
        )
        self.audit.startService()

    def _lose(self) -> None:
        self.lost += 1

    def now(self) -> float:
        return NOW + float(self.clock.seconds())

    def record(self, *records: AuditRecord) -> None:
        for record in records:
            self.audit.record(record)

    def stored(self, seconds: float = 0.3) -> list[AuditRecord]:
        """Return what is stored after some time."""
        self.clock.pump([0.3] * max(1, round(seconds / 0.3)))
        return self.store.stored


@pytest.fixture
def around() -> Iterator[Around]:
    made = Around()
    yield made
    made.audit.stopService()


@pytest.fixture
def events() -> Iterator[list[LogEvent]]:
    """Collect the events of the log."""
    found: list[LogEvent] = []
    observe: Any = found.append
    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


@attrs.define
class Buffered:
    """An audit log on a clock, whose records are in memory after their time."""

    audit: BufferedAudit
    around: Around

    async def records(self) -> Sequence[AuditRecord]:
        return self.around.stored(WINDOW + 1)


class TestBufferedAudit(AuditLogContract):
    """The contract."""

    @pytest.fixture
    def made(self, around: Around) -> Buffered:
        return Buffered(around.audit, around)


def test_a_record_says_when_and_where(around: Around) -> None:
    around.record(ASKED)
    (found,) = around.stored()
    assert (found.at, found.host) == (pytest.approx(NOW, abs=0.001), "h1")
    assert around.counted == ["accepted"]


def test_a_line_of_the_log_has_the_fields(around: Around, events: list[LogEvent]) -> None:
    actor = AuditActor("zoe", "token", ("a", "b"), 7, "nightly bot")
    around.record(attrs.evolve(ASKED, actor=actor, trace="rid-1", detail="it {is} so"))
    (event,) = [e for e in events if e["log_namespace"] == "audit"]
    line = json.loads(as_json(event))
    about = "(branch try, build 12, job 7)"
    assert line["msg"] == f"accepted: cancel_build by zoe from 192.0.2.1 {about}"
    wanted = {
        "ns": "audit",
        "action": "cancel_build",
        "outcome": "accepted",
        "who": "zoe",
        "by": "token",
        "groups": "a, b",
        "credential": "7 (nightly bot)",
        "address": "192.0.2.1",
        "peer": "127.0.0.1",
        "forwarded": "192.0.2.1",
        "user_agent": "curl",
        "branch": "try",
        "build_id": 12,
        "job_id": 7,
        "detail": "it {is} so",
    }
    assert {name: line.get(name) for name in wanted} == wanted
    assert "accepted: cancel_build by zoe" in as_text(event)
    assert about in as_text(event)


# --- refusals


def test_the_first_refusal_is_recorded_at_once_and_the_rest_of_a_minute_together(
    around: Around,
) -> None:
    around.record(*[STRANGER] * 1000)
    assert [record.count for record in around.stored()] == [1]
    _, rest = around.stored(WINDOW + 1)
    assert (rest.count, rest.subject, rest.action) == (999, STRANGER.subject, STRANGER.action)
    around.record(STRANGER)
    assert [record.count for record in around.stored()] == [1, 999, 1]


def test_a_stranger_is_counted_together_whatever_is_asked_for(around: Around) -> None:
    others = [
        attrs.evolve(STRANGER, subject=AuditSubject("try", n), action=f"a{n % 2}") for n in range(9)
    ]
    around.record(*others)
    first, rest = around.stored(WINDOW + 1)
    assert (first.subject, first.action) == (AuditSubject("try", 0), "a0")
    assert (rest.count, rest.subject, rest.action) == (8, AuditSubject(), VARIOUS)
    assert rest.client == STRANGER.client


def test_each_object_that_a_user_is_refused_is_recorded(around: Around) -> None:
    refusals = [attrs.evolve(USER, subject=AuditSubject("try", number)) for number in range(20)]
    around.record(*refusals, *refusals)
    found = around.stored(WINDOW + 1)
    assert [record.subject.build_id for record in found] == [*range(20), *range(20)]
    assert {record.actor.who for record in found} == {"zoe"}


def test_a_flood_from_many_addresses_is_a_bounded_number_of_records(around: Around) -> None:
    flood = [
        attrs.evolve(STRANGER, client=Client(f"2001:db8::{number:x}", "127.0.0.1"))
        for number in range(5000)
    ]
    around.record(*flood)
    found = around.stored(WINDOW + 1)
    assert len(found) == KINDS_MOST + 1
    assert sum(record.count for record in found) == 5000
    assert (found[-1].client.address, found[-1].client.peer) == ("", "127.0.0.1")


def test_a_flood_of_strangers_hides_no_refusal_of_a_user(around: Around) -> None:
    flood = [attrs.evolve(STRANGER, client=Client(f"2001:db8::{n:x}")) for n in range(5000)]
    around.record(*flood, USER)
    assert around.stored()[-1].actor.who == "zoe"


def test_what_is_accepted_is_never_counted_together(around: Around) -> None:
    around.record(*[ASKED] * 50)
    assert [record.count for record in around.stored(WINDOW + 1)] == [1] * 50


@twisted_test()
async def test_a_stop_writes_what_was_counted(around: Around) -> None:
    around.record(*[STRANGER] * 5)
    await around.audit.stopService()
    assert [record.count for record in around.store.stored] == [1, 4]


# --- the database


def test_while_the_table_is_missing_records_wait_and_it_is_said_once(
    around: Around, events: list[LogEvent]
) -> None:
    around.store.ahead = [DatabaseUnavailable("lacks its tables")] * 5
    around.record(ASKED)
    assert around.stored() == []
    assert len(around.stored(60)) == 1
    said = [as_text(e) for e in events if e["log_level"].name == "warn"]
    assert len(said) == 1
    assert "audit log: 1 records wait for the database: lacks its tables" in said[0]


def test_what_does_not_fit_is_dropped_and_counted(
    around: Around, logged_errors: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buffered_writer, "MOST_WAITING", 3)
    around.record(*[ASKED] * 5)
    assert (around.lost, len(around.stored())) == (2, 3)
    formats = [event["log_format"] for event in logged_errors]
    logged_errors.clear()
    assert formats == [
        "audit log: {waiting} entries wait for the database; new ones are dropped",
        "audit log: {count} entries dropped",
    ]


def test_old_records_are_forgotten(around: Around) -> None:
    keeping = Around(days=365)
    keeping.stored()
    assert keeping.store.forgotten == [pytest.approx(NOW - 365 * 86_400, abs=1)]
    keeping.audit.stopService()
