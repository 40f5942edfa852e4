"""The journal of an agent and the one in memory keep the contracts of journals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi.agent.journal import JobJournal, ProgressRecorder
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import open_database
from buildapi.db.schema import create_jobs_schema
from tests.contracts.journal import (
    ItemProgressContract,
    JournalContract,
    MemoryJournal,
    MemoryProgress,
)
from tests.trails import MemoryTrail

NOW = 1_700_000_000


@pytest_twisted.async_yield_fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLJobStore]:
    from twisted.internet import reactor

    db = open_database(
        f"sqlite:{tmp_path}/jobs.sqlite",
        reactor=reactor,
        name="jobs",
        size=1,
        max_waiting=100,
        statement_seconds=30,
        max_rows=1000,
    )
    await create_jobs_schema(db)
    yield SQLJobStore(db)
    await db.stopService()


@attrs.define
class KeptByAgent:
    """The journal of an agent on a real store."""

    journal: JobJournal
    trail: MemoryTrail
    told: list[None]

    def noted(self) -> list[tuple[str, str]]:
        return [(entry.event, entry.detail) for entry in self.trail.noted]

    def times_written(self) -> int:
        return len(self.told)


class TestJobJournal(JournalContract):
    """The contract."""

    @pytest.fixture
    def kept(self, store: SQLJobStore) -> KeptByAgent:
        trail, told = MemoryTrail(), list[None]()
        journal = JobJournal(Clock(), store, lambda: NOW, trail, 1, lambda: told.append(None))
        return KeptByAgent(journal, trail, told)


@attrs.define
class KeptInMemory:
    """The double."""

    journal: MemoryJournal = attrs.field(factory=MemoryJournal)

    def noted(self) -> list[tuple[str, str]]:
        return self.journal.events

    def times_written(self) -> int:
        return self.journal.writes


class TestMemoryJournal(JournalContract):
    """The contract."""

    @pytest.fixture
    def kept(self) -> KeptInMemory:
        return KeptInMemory()


@attrs.define
class RecordedInStore:
    """The progress of a job that is recorded."""

    progress: ProgressRecorder
    store: SQLJobStore
    job: int

    async def recorded(self) -> Sequence[tuple[str, int | None]]:
        row = await self.store.get(self.job)
        assert row is not None
        assert row.progress is not None
        return [(item["state"], item.get("request_id")) for item in row.progress.items]


class TestProgressRecorder(ItemProgressContract):
    """The contract."""

    @pytest.fixture
    def kept(self, store: SQLJobStore) -> RecordedInStore:
        adding = ensureDeferred(store.add("zoe", NOW, "cancel_request", {"brid": 7}))
        job = pytest_twisted.blockon(adding)
        return RecordedInStore(ProgressRecorder(Clock(), store, lambda: NOW, job, 3), store, job)


@attrs.define
class RecordedInMemory:
    """The double."""

    progress: MemoryProgress = attrs.field(factory=MemoryProgress)

    async def recorded(self) -> Sequence[tuple[str, int | None]]:
        return [(item.state, item.request_id) for item in self.progress.recorded]


class TestMemoryProgress(ItemProgressContract):
    """The contract."""

    @pytest.fixture
    def kept(self) -> RecordedInMemory:
        return RecordedInMemory()
