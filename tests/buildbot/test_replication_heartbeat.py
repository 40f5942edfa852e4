"""How far a replica is behind, told by a row that agents renew."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.buildbot.v08.replication_heartbeat import ReplicationHeartbeat
from buildapi.db.pool import PooledDatabase
from buildapi.db.schema import create_marker_table
from buildapi.db.sql import Query
from tests.contracts.replica_lag import ReplicaLagContract
from tests.db.conftest import OpenPool, engine, open_pool, url
from tests.reactor import twisted_test

__all__ = ["engine", "open_pool", "url"]

NOW = 1_700_000_000
ROWS = Query("SELECT request_id, created_at FROM our_markers", lambda *c: c)


@twisted_test(10)
async def test_it_is_one_row_however_often_and_by_however_many(
    url: str, open_pool: OpenPool
) -> None:
    db = open_pool(url)
    await create_marker_table(db, "our_markers")
    heartbeat = ReplicationHeartbeat("our_markers", db, db)
    assert await heartbeat.seconds() is None
    await gatherResults([ensureDeferred(heartbeat.renew(NOW)) for _ in range(4)])
    for later in (NOW, NOW + 10):
        await heartbeat.renew(later)
    assert await ROWS.many(db) == [(0, NOW + 10)]
    assert await heartbeat.seconds() == 0


@attrs.define
class Kept:
    """Two SQLite files."""

    lag: ReplicationHeartbeat
    primary: PooledDatabase
    replica: PooledDatabase

    async def prepare(self, *, replica: bool) -> None:
        await create_marker_table(self.replica if replica else self.primary, "our_markers")

    async def arrive(self, now: int) -> None:
        await ReplicationHeartbeat("our_markers", self.replica, None).renew(now)


class TestReplicationHeartbeat(ReplicaLagContract):
    """The contract."""

    @pytest.fixture
    def seen(self, open_pool: OpenPool, tmp_path: Path) -> Kept:
        primary, replica = (open_pool(f"sqlite:{tmp_path}/{n}.sqlite") for n in ("one", "two"))
        return Kept(ReplicationHeartbeat("our_markers", primary, replica), primary, replica)


@twisted_test(10)
async def test_without_a_replica_there_is_no_lag(url: str, open_pool: OpenPool) -> None:
    db = open_pool(url)
    await create_marker_table(db, "our_markers")
    alone = ReplicationHeartbeat("our_markers", db, None)
    await alone.renew(NOW)
    assert await alone.seconds() is None
