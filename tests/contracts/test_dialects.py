"""The dialect of 0.8 and one of no Buildbot at all: both do what the service relies on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import treq

from buildapi.assembly import assemble
from buildapi.assembly.dialects import DIALECTS
from buildapi.buildbot.dialect_definition import FarmLogin, FarmResources, FarmSettings
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.buildbot.v08.roles import V08Dialect
from buildapi.config import from_mapping
from buildapi.db.sql import Database
from buildapi.model.actions import Action
from buildapi.model.job_identity import JobIdentity
from tests.buildbot.acting import NOW, ZONE
from tests.buildbot.conftest import MARKERS, Scheduler
from tests.buildbot.doubles import Papers
from tests.buildbot.farm_contract import Copy, FarmActionsContract, carry_out
from tests.contracts.dialect import REVISION, DialectContract
from tests.contracts.replica_lag import ReplicaLagContract
from tests.contracts.toy_dialect import (
    DEFINITION,
    ToyActions,
    ToyDialect,
    ToyFarm,
    ToyLag,
    copies_of,
)
from tests.farmwide.conftest import Status
from tests.model.defaults import rules
from tests.reactor import twisted_test, until
from tests.web.conftest import SplitDialect

SETTINGS = FarmSettings(
    zone=ZONE,
    marker_table=MARKERS,
    poke_seconds=1,
    wait_seconds=1,
    pokes_per_master=2,
    pokes=4,
    verify_seconds=0,
    recheck_seconds=0,
    master_login=None,
    change_master="",
    change_login=FarmLogin("change", ""),
    change_seconds=1,
    clobber_seconds=1,
    report_rows=100,
)


@attrs.frozen
class Databases:
    """The databases of a 0.8 farm without a replica."""

    scheduler: Database
    status: Database
    primary: Database | None = None

    @property
    def replica(self) -> Database:
        return self.scheduler

    @property
    def scheduler_reports(self) -> Database:
        return self.scheduler

    @property
    def status_reports(self) -> Database:
        return self.status


@attrs.frozen
class OnRows:
    """The dialect of 0.8, and its databases as masters and schedulers see them."""

    scheduler: Scheduler
    dialect: V08Dialect

    def pending(self, *, priority: int = 3) -> int:
        return self.scheduler.seed.request("try", REVISION, priority=priority)

    def run(self, request: int) -> int:
        return self.scheduler.seed.run(request)


class TestV08Dialect(DialectContract):
    """The contract, on each engine."""

    @pytest.fixture
    def made(self, scheduler: Scheduler, status: Status) -> OnRows:
        from twisted.internet import reactor

        directory: Any = Papers()
        resources = FarmResources(
            reactor,
            lambda: NOW,
            Databases(scheduler.db, status.db),
            directory,
            Fetcher(reactor),
            rules(),
            SETTINGS,
            None,
        )
        return OnRows(scheduler, V08Dialect(resources))


@attrs.define
class InMemory:
    """The farm of the toy, as its schedulers and masters see it."""

    dialect: ToyDialect = attrs.field(factory=lambda: ToyDialect(rules()))

    @property
    def farm(self) -> ToyFarm:
        return self.dialect.farm

    def pending(
        self,
        properties: Mapping[str, str] | None = None,
        *,
        branch: str = "try",
        revision: str = REVISION,
        priority: int = 3,
    ) -> int:
        values = {name: json.loads(text)[0] for name, text in (properties or {}).items()}
        columns = {"branch": branch, "revision": revision, "buildername": "linux"}
        return self.farm.submit(values, priority=priority, **columns).id

    def together(self, count: int) -> list[int]:
        set_ = self.farm.next()
        columns = {"branch": "try", "revision": REVISION, "buildsetid": set_, "priority": 3}
        return [self.farm.submit({}, **columns).id for _ in range(count)]

    def run(self, request: int) -> int:
        return self.farm.run(request)

    def priority(self, request: int) -> int:
        return self.farm.row(request).priority

    def is_dropped(self, request: int) -> bool:
        return self.farm.row(request).complete

    def is_complete(self, request: int) -> bool:
        return self.farm.row(request).complete

    def copies(self, request: int) -> list[Copy]:
        return [
            Copy(r.buildername, r.branch, r.revision, r.reason, r.priority, {})
            for r in copies_of(self.farm, request)
        ]

    def writes(self) -> object:
        return dict(self.farm.builds.requests), dict(self.farm.builds.builds)

    async def interrupt(self, of: JobIdentity, action: Action) -> None:
        """Lose the outcome of a job that is done: there is nothing between the two here."""
        await carry_out(self.dialect.actions, of, action)


class TestToyDialect(DialectContract):
    """The contract, on a farm in memory."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory()


class TestSplitDialect(DialectContract):
    """The contract, on the farm of the tests of sites."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory(SplitDialect(rules()))


class TestToyActions(FarmActionsContract):
    """The contract of actions, where nothing can be interrupted."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory()

    @pytest.fixture
    def actions(self, made: InMemory) -> ToyActions:
        return made.dialect.actions


@attrs.define
class Lagging:
    """The primary and the replica of the toy."""

    lag: ToyLag = attrs.field(factory=ToyLag)

    async def prepare(self, *, replica: bool) -> None:
        if replica:
            self.lag.replica = []
        else:
            self.lag.primary = []

    async def arrive(self, now: int) -> None:
        assert self.lag.replica is not None
        self.lag.replica.append(now)


class TestToyLag(ReplicaLagContract):
    """The contract of the lag, in memory."""

    @pytest.fixture
    def seen(self) -> Lagging:
        return Lagging()


# --- the whole service on the toy


@pytest.fixture
def toy() -> Iterator[str]:
    """Add the toy to the table of dialects, as a package of a dialect does."""
    table: Any = DIALECTS
    table["toy"] = DEFINITION
    yield "toy"
    del table["toy"]


@asynccontextmanager
async def service(folder: Path, dialect: str) -> AsyncIterator[tuple[ToyFarm, str]]:
    """Run the service on a dialect until the block ends; yield its farm and its URL."""
    from twisted.internet import reactor

    (folder / "branches.json").write_text('{"try": {"repo": "https://hg.example.org/try"}}')
    (folder / "masters.json").write_text("[]")
    for name in ("scheduler", "status"):
        (folder / f"{name}.sqlite").touch()
    document = {
        "service": {"data": str(folder)},
        "web": {"listen": ["tcp:0:interface=127.0.0.1"], "trusted_proxies": ["127.0.0.1"]},
        "databases": {
            name: {"url": f"sqlite:///{folder / name}.sqlite"} for name in ("scheduler", "status")
        },
        "directory": {name: str(folder / f"{name}.json") for name in ("branches", "masters")},
    }
    read = from_mapping(document, file=folder / "buildapi.toml", environ={})
    config = attrs.evolve(read, farm=attrs.evolve(read.farm, dialect=dialect))
    daemon = assemble(config, reactor, lambda: NOW)
    program = daemon.program
    program.startService()
    try:
        listener: Any = program.getServiceNamed("http")
        await until(lambda: bool(listener.ports), 20)
        port = listener.ports[0].getHost().port
        made: Any = daemon.services.adapters.dialect
        yield made.farm, f"http://127.0.0.1:{port}"
    finally:
        await program.stopService()


@twisted_test(60)
async def test_a_post_is_carried_out_on_a_farm_that_is_no_buildbot(
    tmp_path: Path, toy: str
) -> None:
    """Accepted, decided, done and answered without a database of the farm."""
    once: Any = {
        "headers": {"X-Remote-User": "zoe", "Accept": "application/json"},
        "persistent": False,
    }
    async with service(tmp_path, toy) as (farm, url):
        request = farm.submit({}, branch="try", revision=REVISION, priority=3).id

        async def post(**fields: Any) -> Any:
            sent = treq.post(f"{url}/self-serve/try/request", data=fields, **once)
            return await treq.json_content(await sent)

        shown = await post(request_id=request, priority=5, dry_run=1)
        assert [step["type"] for step in shown["plan"]["pokes"]] == ["Rebuild"]
        assert shown["plan"]["writes"] == []
        assert copies_of(farm, request) == []
        done = await post(request_id=request, priority=5, wait=30)
        assert done["job"]["state"] == "done", done
        (copy,) = copies_of(farm, request)
        assert (copy.priority, copy.reason) == (5, "Self-serve: Rebuilt by zoe")
        answer = await treq.get(f"{url}/reports/status_builders", **once)
        refusal = await treq.json_content(answer)
        assert (answer.code, refusal["code"]) == (501, "unsupported")
        assert refusal["msg"] == "This farm keeps no records of ended builds"
