"""Stores on a database in which the first start has not created our tables yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from buildapi.db.audit_store import SQLAuditStore
from buildapi.db.group_store import SQLGroupStore
from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import PooledDatabase
from buildapi.db.process_registry import SQLProcessRegistry
from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import Database, MissingTableError, Statement
from buildapi.db.token_store import SQLTokenStore
from buildapi.db.trail_store import SQLTrailStore
from buildapi.errors import DatabaseUnavailable
from buildapi.interfaces import (
    AuditStore,
    GroupStore,
    JobStore,
    ProcessRegistry,
    TokenStore,
    TrailStore,
)
from buildapi.model.audit import AuditFilter
from buildapi.model.records import JobKey, Progress
from tests.contracts.ops import AGENT
from tests.db.auditstore_contract import RECORD
from tests.db.conftest import OpenPool
from tests.db.database_contract import DatabaseContract
from tests.db.trailstore_contract import ENTRY
from tests.reactor import twisted_test

NUMBERS = {
    "sqlite": "CREATE TABLE numbers (n INTEGER NOT NULL UNIQUE)",
    "mysql": "CREATE TABLE numbers (n INTEGER NOT NULL UNIQUE) ENGINE=InnoDB",
}
Calls = dict[str, Callable[[Any], Awaitable[object]]]
JOBS: Calls = {
    "add": lambda s: s.add("ann", 1, "cancel_build", {}, JobKey("k", "c", "w"), branch="try"),
    "keyed": lambda s: s.keyed("k", 1),
    "forget_keys": lambda s: s.forget_keys(1),
    "sent": lambda s: s.sent(1),
    "refuse": lambda s: s.refuse(1, {}, 1),
    "begin": lambda s: s.begin(1, "agent", 1),
    "progress": lambda s: s.progress(1, Progress(1, ()), 1),
    "finished": lambda s: s.finished([1]),
    "finish": lambda s: s.finish(1, {}, 1),
    "rebuilds": lambda s: s.rebuilds([1], [1]),
    "get": lambda s: s.get(1),
    "latest": lambda s: s.latest(1, 0),
    "backlog": lambda s: s.backlog(1, 1),
    "asked_builds": lambda s: s.asked_builds("ann", 1),
    "marks": lambda s: s.marks(1),
    "unsettled": lambda s: s.unsettled(sent=True, before=1, limit=1),
}
TOKENS: Calls = {
    "add": lambda s: s.add("ann", "a bot", "ab" * 32, 1, 2),
    "find": lambda s: s.find("ab" * 32),
    "of_user": lambda s: s.of_user("ann"),
    "used": lambda s: s.used(1, 1, "unix"),
    "revoke": lambda s: s.revoke(1, "ann"),
    "revoke_all": lambda s: s.revoke_all("ann"),
    "forget": lambda s: s.forget(1),
}
GROUPS: Calls = {
    "remember": lambda s: s.remember("ann", frozenset(), 1),
    "of_user": lambda s: s.of_user("ann", 1),
    "forget": lambda s: s.forget(1),
}
TRAILS: Calls = {
    "add": lambda s: s.add([ENTRY]),
    "of_job": lambda s: s.of_job(1, 0),
    "forget": lambda s: s.forget(1),
}
AUDITS: Calls = {
    "add": lambda s: s.add([RECORD]),
    "search": lambda s: s.search(AuditFilter(), 1),
    "forget": lambda s: s.forget(1),
}
PROCESSES: Calls = {
    "beat": lambda s: s.beat(AGENT),
    "leave": lambda s: s.leave("i"),
    "processes": lambda s: s.processes(),
    "forget": lambda s: s.forget(1),
}
STORES: dict[str, tuple[Callable[[Database], Any], type, Calls]] = {
    "jobs": (SQLJobStore, JobStore, JOBS),
    "tokens": (SQLTokenStore, TokenStore, TOKENS),
    "groups": (SQLGroupStore, GroupStore, GROUPS),
    "trails": (SQLTrailStore, TrailStore, TRAILS),
    "audits": (SQLAuditStore, AuditStore, AUDITS),
    "processes": (SQLProcessRegistry, ProcessRegistry, PROCESSES),
}


@pytest.mark.parametrize("kind", STORES)
@twisted_test(20)
async def test_every_method_says_that_the_database_is_unavailable(
    kind: str, url: str, open_pool: OpenPool
) -> None:
    """A page asked for in the first second of a new installation is a 503, not an incident."""
    make, interface, calls = STORES[kind]
    assert set(calls) == {name for name in vars(interface) if not name.startswith("_")}
    store = make(open_pool(url))
    for call in calls.values():
        with pytest.raises(DatabaseUnavailable, match="the jobs database lacks its tables"):
            await call(store)


@twisted_test(20)
async def test_the_cause_names_the_table(url: str, open_pool: OpenPool) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await SQLJobStore(open_pool(url)).get(1)
    assert isinstance(caught.value.__cause__, MissingTableError)
    assert "jobrequests" in str(caught.value.__cause__)


class TestJobsDatabase(DatabaseContract):
    """Our tables' database, on each engine."""

    @pytest.fixture
    def numbers(self, url: str, engine: str, open_pool: OpenPool) -> Database:
        pool: PooledDatabase = open_pool(url)
        pytest_twisted.blockon(ensureDeferred(pool.transact([Statement(NUMBERS[engine])])))
        return JobsDatabase(pool)
