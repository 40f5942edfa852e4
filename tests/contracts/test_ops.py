"""The contracts of trails, sinks and pools on what implements them, and on doubles."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from buildapi.assembly.web_site import WatchedTrail
from buildapi.db.pool import PooledDatabase
from buildapi.errors import DatabaseUnavailable
from buildapi.model.audit import AuditRecord
from buildapi.model.ops import Part, TrailEntry
from buildapi.ops.log_file import Complaints, LogFile, Sink, StreamSink, TwistdFile
from tests.audits import MemoryAudit, MemoryAuditStore
from tests.contracts.ops import AuditLogContract, ObservedPoolContract, SinkContract, TrailContract
from tests.db.auditstore_contract import AuditStoreContract
from tests.db.conftest import open_pool, url
from tests.db.loadstore_contract import LoadStoreContract
from tests.db.trailstore_contract import TrailStoreContract
from tests.loads import MemoryLoads
from tests.ops.test_status_collector import MemoryPool
from tests.reactor import twisted_test
from tests.trails import MemoryTrail, MemoryTrailStore

__all__ = ["open_pool", "url"]


class TestMemoryTrailStore(TrailStoreContract):
    """The double of other tests."""

    @pytest.fixture
    def store(self) -> MemoryTrailStore:
        return MemoryTrailStore()


class TestMemoryAuditStore(AuditStoreContract):
    """The double of other tests."""

    @pytest.fixture
    def store(self) -> MemoryAuditStore:
        return MemoryAuditStore()


class TestMemoryLoads(LoadStoreContract):
    """The double of other tests."""

    @pytest.fixture
    def store(self) -> MemoryLoads:
        return MemoryLoads()


@attrs.define
class AtOnce:
    """A trail without a buffer."""

    trail: MemoryTrail

    async def entries(self, job: int) -> Sequence[TrailEntry]:
        return await self.trail.of_job(job, 0)


@attrs.define
class Watched:
    """A trail that is watched, and the one that keeps what is noted."""

    trail: WatchedTrail
    kept: MemoryTrail

    async def entries(self, job: int) -> Sequence[TrailEntry]:
        return await self.kept.of_job(job, 0)


class TestMemoryTrail(TrailContract):
    """The double of other tests."""

    @pytest.fixture
    def made(self) -> AtOnce:
        return AtOnce(MemoryTrail())


@attrs.define
class KeptAtOnce:
    """An audit log without a buffer."""

    audit: MemoryAudit

    async def records(self) -> Sequence[AuditRecord]:
        return self.audit.stored


class TestMemoryAudit(AuditLogContract):
    """The double of other tests."""

    @pytest.fixture
    def made(self) -> KeptAtOnce:
        return KeptAtOnce(MemoryAudit())


class TestWatchedTrail(TrailContract):
    """The trail that tells the cache which jobs have changed."""

    @pytest.fixture
    def changed(self) -> list[int]:
        return []

    @pytest.fixture
    def made(self, changed: list[int]) -> Watched:
        trail = MemoryTrail()
        return Watched(WatchedTrail(trail, changed.append), trail)

    @twisted_test()
    async def test_the_job_of_each_event_has_changed(
        self, made: Watched, changed: list[int]
    ) -> None:
        made.trail.note(7, Part.AGENT, "taken")
        made.trail.note(8, Part.HTTP, "recorded")
        assert changed == [7, 8]


@attrs.define
class InFolder:
    """A sink that writes to files of a folder."""

    sink: Sink
    folder: Path

    def lines(self) -> list[str]:
        files = sorted(self.folder.glob("log*"), key=lambda p: p.stat().st_mtime_ns)
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
        return [line for text in texts for line in text.splitlines()]

    def spoil(self) -> None:
        self.sink.close()
        self.folder.rmdir()


class TestLogFile(SinkContract):
    """A file that others may rename."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Iterator[InFolder]:
        folder = tmp_path / "logs"
        folder.mkdir()
        made = InFolder(LogFile(folder / "log", Complaints(io.StringIO())), folder)
        yield made
        made.sink.close()


class TestTwistdFile(SinkContract):
    """A file that is rotated."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Iterator[InFolder]:
        folder = tmp_path / "logs"
        folder.mkdir()
        quiet = Complaints(io.StringIO())
        made = InFolder(TwistdFile(str(folder / "log"), complaints=quiet), folder)
        yield made
        made.sink.close()


@attrs.define
class OnStream:
    """A sink that writes to a stream."""

    stream: Any
    sink: StreamSink

    def lines(self) -> list[str]:
        self.stream.flush()
        return list(self.stream.buffer.getvalue().decode().splitlines())

    def spoil(self) -> None:
        self.stream.close()


class TestStreamSink(SinkContract):
    """Standard output."""

    @pytest.fixture
    def made(self) -> OnStream:
        stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        return OnStream(stream, StreamSink(stream))


@attrs.define
class Pooled:
    """A pool on a database."""

    pool: PooledDatabase

    def lose(self) -> None:
        self.pool.stopService()


class TestPooledDatabase(ObservedPoolContract):
    """The contract on each engine."""

    @pytest.fixture
    def made(self, url: str, open_pool: Any) -> Pooled:  # a fixture
        return Pooled(open_pool(url, name="jobs"))


@attrs.define
class InMemory:
    """The double of the collector's tests."""

    pool: MemoryPool

    def lose(self) -> None:
        self.pool.error = DatabaseUnavailable("away")


class TestMemoryPool(ObservedPoolContract):
    """The double keeps the contract."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory(MemoryPool())
