"""How far a replica is behind, told by a row that agents renew."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.buildbot.v08.replication_heartbeat import ReplicationHeartbeat
from buildapi.db.schema import create_marker_table
from buildapi.db.sql import Query
from buildapi.errors import Unavailable
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


@twisted_test(10)
async def test_the_lag_is_between_what_was_written_and_what_arrived(
    open_pool: OpenPool, tmp_path: Path
) -> None:
    primary, replica = (open_pool(f"sqlite:{tmp_path}/{n}.sqlite") for n in ("one", "two"))
    heartbeat = ReplicationHeartbeat("our_markers", primary, replica)
    arrived = ReplicationHeartbeat("our_markers", replica, None)
    with pytest.raises(Unavailable):
        await heartbeat.seconds()
    await create_marker_table(primary, "our_markers")
    with pytest.raises(Unavailable):
        await heartbeat.seconds()
    await create_marker_table(replica, "our_markers")
    assert await heartbeat.seconds() is None, "nothing was written yet"
    await heartbeat.renew(NOW)
    assert await heartbeat.seconds() is None, "nothing has arrived yet"
    await arrived.renew(NOW)
    assert await heartbeat.seconds() == 0
    await heartbeat.renew(NOW + 40)
    assert await heartbeat.seconds() == 40
    await arrived.renew(NOW + 50)
    assert await heartbeat.seconds() == 0, "the two reads are not at the same time"
    assert await arrived.seconds() is None, "there is no replica"
