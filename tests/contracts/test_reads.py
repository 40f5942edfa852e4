"""The contracts of reads, on a 0.8 database of each engine and on the double of other tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import pytest
from msgspec.structs import replace
from twisted.internet.task import Clock

from buildapi.buildbot.v08.build_reads import SQLBuilds
from buildapi.buildbot.v08.farm_reads import SQLFarmReads
from buildapi.buildbot.v08.push_reads import PushBounds, SQLPushes
from buildapi.buildbot.v08.recent_builds import SQLRecentBuilds
from buildapi.model.farm_rows import RecentBuild
from buildapi.model.pushes import Change
from buildapi.model.records import Build, BuildDetails, RequestDetails
from tests.buildbot.conftest import EMPTIED, OpenScheduler, Scheduler, create, empty
from tests.buildbot.seed import Seed
from tests.contracts.facts import FactsReaderContract
from tests.contracts.pushes import PushesContract, PushesUnderTest
from tests.contracts.reads import (
    MASTER,
    REVISION,
    T0,
    BuildsContract,
    FarmReadsContract,
    FarmUnderTest,
    RecentBuildsContract,
    run,
)
from tests.farmwide.conftest import Status
from tests.farmwide.doubles import MemoryRecentBuilds
from tests.services.mariadb import MariaDB
from tests.web.farm import MemoryBuilds, MemoryFactsReader, MemoryFarmReads, MemoryPushes, a_request


@attrs.define
class InSQL:
    """A scheduler database of Buildbot 0.8."""

    scheduler: Scheduler
    rows: dict[int, list[int]] = attrs.field(factory=dict)
    bounds: PushBounds = attrs.field(factory=PushBounds)
    pushes: SQLPushes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pushes = SQLPushes(self.scheduler.db, Clock(), self.bounds)

    @property
    def seed(self) -> Seed:
        return self.scheduler.seed

    @property
    def builds(self) -> SQLBuilds:
        return SQLBuilds(self.scheduler.db)

    @property
    def farm(self) -> SQLFarmReads:
        return SQLFarmReads(self.scheduler.db)

    def change(
        self,
        revision: str,
        at: int = T0,
        *,
        branch: str = "try",
        author: str = "ann@example.org",
        comments: str = "fix",
        files: Sequence[str] = (),
    ) -> int:
        id_ = self.seed.insert(
            "changes",
            author=author,
            comments=comments,
            is_dir=0,
            branch=branch,
            revision=revision,
            when_timestamp=self.seed.time(at),
            repository="",
            project="",
        )
        for name in files:
            self.seed.insert("change_files", changeid=id_, filename=name)
        return id_

    def request(
        self,
        branch: str | None = "try",
        revision: str | None = REVISION,
        *,
        builder: str = "linux",
        at: int = T0,
        priority: int = 0,
        properties: Mapping[str, Any] | None = None,
        author: str = "",
    ) -> int:
        stamp = self.seed.stamp(branch, revision)
        if author:
            self.seed.change(author, [stamp])
        set_ = self.seed.buildset(stamp, at=at, properties=properties)
        return self.seed.request(builder=builder, at=at, priority=priority, buildset=set_)

    def claim(self, *requests: int, at: int = T0 + 10) -> None:
        self.seed.claim(*requests, at=at, master=MASTER)

    def start(self, *requests: int, at: int = T0 + 11) -> int:
        first = self.seed.start(*requests, at=at)
        newest = first + len(requests) - 1
        self.rows[newest] = list(range(first, newest + 1))
        return newest

    def end(self, build: int, *, at: int = T0 + 60) -> None:
        for row in self.rows[build]:
            self.seed.end(row, at=at)

    def complete(self, *requests: int, results: int = 0, at: int = T0 + 60) -> None:
        self.seed.complete(*requests, results=results, at=at)

    def release(self, *requests: int) -> None:
        self.seed.give_back(*requests)

    def push(self, branch: str, author: str, at: int) -> None:
        id_ = self.seed.change(author, [self.seed.stamp(branch, f"{author} {at}")], at)
        self.seed.execute("UPDATE changes SET branch = %s WHERE changeid = %s", branch, id_)


@attrs.define
class InMemory:
    """The farm of the tests of pages."""

    builds: MemoryBuilds = attrs.field(factory=lambda: MemoryBuilds({}, {}))
    last: int = 0
    changes: list[Change] = attrs.field(factory=list)
    files: dict[int, Sequence[str]] = attrs.field(factory=dict)

    @property
    def farm(self) -> MemoryFarmReads:
        return MemoryFarmReads(self.builds)

    @property
    def pushes(self) -> MemoryPushes:
        return MemoryPushes(self.builds, self.changes, self.files)

    def change(
        self,
        revision: str,
        at: int = T0,
        *,
        branch: str = "try",
        author: str = "ann@example.org",
        comments: str = "fix",
        files: Sequence[str] = (),
    ) -> int:
        self.last += 1
        self.changes.append(Change(self.last, branch, revision, author, comments, at))
        if files:
            self.files[self.last] = files
        return self.last

    def request(
        self,
        branch: str | None = "try",
        revision: str | None = REVISION,
        *,
        builder: str = "linux",
        at: int = T0,
        priority: int = 0,
        properties: Mapping[str, Any] | None = None,
        author: str = "",
    ) -> int:
        self.last += 1
        row = a_request(
            self.last,
            branch=branch,
            revision=revision,
            buildername=builder,
            submitted_at=at,
            priority=priority,
        )
        self.builds.requests[self.last] = RequestDetails(row, properties or {}, [])
        self.builds.authors[self.last] = author
        return self.last

    def claim(self, *requests: int, at: int = T0 + 10) -> None:
        for brid in requests:
            self._change(brid, claimed_at=at, claimed_by_name=MASTER)

    def start(self, *requests: int, at: int = T0 + 11) -> int:
        self.last += 1
        rows = [self.builds.requests[brid].request for brid in requests]
        build = Build(self.last, self.last, at, None, rows)
        self.builds.builds[self.last] = BuildDetails(build, [])
        return self.last

    def end(self, build: int, *, at: int = T0 + 60) -> None:
        details = self.builds.builds[build]
        ended = replace(details.build, finish_time=at)
        self.builds.builds[build] = attrs.evolve(details, build=ended)

    def complete(self, *requests: int, results: int = 0, at: int = T0 + 60) -> None:
        for brid in requests:
            self._change(brid, complete=True, complete_at=at, results=results)

    def release(self, *requests: int) -> None:
        for brid in requests:
            self._change(brid, claimed_at=0, claimed_by_name=None)

    def push(self, branch: str, author: str, at: int) -> None:
        self.builds.pushes.append((branch, author, at))

    def _change(self, brid: int, **columns: Any) -> None:
        details = self.builds.requests[brid]
        row = replace(details.request, **columns)
        self.builds.requests[brid] = attrs.evolve(details, request=row)


@attrs.define
class Seen:
    """A reader of facts over the farm of the tests of pages."""

    made: InMemory = attrs.field(factory=InMemory)

    @property
    def reader(self) -> MemoryFactsReader:
        return MemoryFactsReader(self.made.builds)

    def pending(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        branch: str = "try",
        revision: str = REVISION,
        priority: int = 3,
    ) -> int:
        values = {name: json.loads(text)[0] for name, text in (properties or {}).items()}
        return self.made.request(branch, revision, priority=priority, properties=values)

    def run(self, request: int) -> int:
        return run(self.made, request)

    def complete(self, request: int) -> None:
        self.made.complete(request)


class TestMemoryFactsReader(FactsReaderContract):
    """The contract of facts in memory."""

    @pytest.fixture
    def seen(self) -> Seen:
        return Seen()


class TestSQLBuilds(BuildsContract):
    """The contract on each engine."""

    @pytest.fixture
    def made(self, scheduler: Scheduler) -> FarmUnderTest:
        made: FarmUnderTest = InSQL(scheduler)
        assert isinstance(made.builds, SQLBuilds)
        return made


class TestMemoryBuilds(BuildsContract):
    """The contract in memory."""

    @pytest.fixture
    def made(self) -> FarmUnderTest:
        made: FarmUnderTest = InMemory()
        assert isinstance(made.builds, MemoryBuilds)
        return made


class TestSQLFarmReads(FarmReadsContract):
    """The contract on each engine."""

    @pytest.fixture
    def made(self, scheduler: Scheduler) -> FarmUnderTest:
        made: FarmUnderTest = InSQL(scheduler)
        assert isinstance(made.farm, SQLFarmReads)
        return made


class TestMemoryFarmReads(FarmReadsContract):
    """The contract in memory."""

    @pytest.fixture
    def made(self) -> FarmUnderTest:
        made: FarmUnderTest = InMemory()
        assert isinstance(made.farm, MemoryFarmReads)
        return made


class TestSQLPushes(PushesContract):
    """The contract on each engine."""

    @pytest.fixture
    def made(self, scheduler: Scheduler) -> PushesUnderTest:
        made: PushesUnderTest = InSQL(scheduler)
        assert isinstance(made.pushes, SQLPushes)
        return made


class TestSQLPushesInSmallPortions(PushesContract):
    """The contract on each engine, with queries of so few changes that a list takes many."""

    @pytest.fixture
    def made(self, scheduler: Scheduler) -> PushesUnderTest:
        few = PushBounds(recent=9, newest=1, portion=3, searched=5, of_revisions=20)
        made: PushesUnderTest = InSQL(scheduler, bounds=few)
        assert isinstance(made.pushes, SQLPushes)
        return made


@pytest.mark.mariadb
class TestSQLPushesOfAnOldFarm(PushesContract):
    """The contract on tables without transactions, whose texts are latin1."""

    @pytest.fixture
    def made(self, old_farm_url: str, open_scheduler: OpenScheduler) -> PushesUnderTest:
        empty(old_farm_url)
        made: PushesUnderTest = InSQL(open_scheduler(old_farm_url))
        assert isinstance(made.pushes, SQLPushes)
        return made


@pytest.fixture(scope="session")
def old_farm_url(mariadb: MariaDB) -> str:
    """Return a scheduler database of MyISAM tables, made once."""
    url = mariadb.database("old", "latin1")
    create(url, "mysql", "latin1")
    tables = [f"ALTER TABLE {table} ENGINE=MyISAM" for table in EMPTIED]
    mariadb.execute(*tables, database=url.rpartition("/")[2])
    return url


class TestMemoryPushes(PushesContract):
    """The contract in memory."""

    @pytest.fixture
    def made(self) -> PushesUnderTest:
        made: PushesUnderTest = InMemory()
        assert isinstance(made.pushes, MemoryPushes)
        return made


@attrs.define
class StatusDatabase:
    """A status database of Buildbot 0.8."""

    status: Status

    @property
    def reads(self) -> SQLRecentBuilds:
        return SQLRecentBuilds(self.status.db)

    def build(self, slave: str, *, result: int | None = 0, builder: str = "linux") -> int:
        end = {"endtime": None} if result is None else {}
        id_ = self.status.build(slave, result=result, **end)
        self.status.property(id_, "buildername", json.dumps(builder))
        return id_


class TestSQLRecentBuilds(RecentBuildsContract):
    """The contract on each engine."""

    @pytest.fixture
    def masters(self, status: Status) -> StatusDatabase:
        return StatusDatabase(status)


@attrs.define
class Recorded:
    """The double of the tests of pages."""

    reads: MemoryRecentBuilds = attrs.field(factory=MemoryRecentBuilds)

    def build(self, slave: str, *, result: int | None = 0, builder: str = "linux") -> int:
        end = None if result is None else T0 + 60
        id_ = len(self.reads.found) + 1
        one = RecentBuild(id_, "linux-build", builder, 7, T0, end, result, slave, "m1")
        self.reads.found = [*self.reads.found, one]
        return id_


class TestMemoryRecentBuilds(RecentBuildsContract):
    """The contract in memory."""

    @pytest.fixture
    def masters(self) -> Recorded:
        return Recorded(MemoryRecentBuilds())
