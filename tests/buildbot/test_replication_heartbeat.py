"""How far a replica is behind, told by a row that agents renew."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.buildbot.v08.replication_heartbeat import ReplicationHeartbeat, lag
from buildapi.db.schema import create_marker_table
from buildapi.db.sql import MissingTableError, Query
from tests.db.conftest import OpenPool, engine, open_pool, url
from tests.reactor import twisted_test

__all__ = ["engine", "open_pool", "url"]

NOW = 1_700_000_000
PULSE = ReplicationHeartbeat("our_markers")
ROWS = Query("SELECT request_id, created_at FROM our_markers", lambda *c: c)


@twisted_test(10)
async def test_it_is_one_row_however_often_and_by_however_many(
    url: str, open_pool: OpenPool
) -> None:
    db = open_pool(url)
    await create_marker_table(db, "our_markers")
    assert await PULSE.read(db) is None
    await gatherResults([ensureDeferred(PULSE.renew(db, NOW)) for _ in range(4)])
    for later in (NOW, NOW + 10):
        await PULSE.renew(db, later)
    assert await ROWS.many(db) == [(0, NOW + 10)]
    assert await PULSE.read(db) == NOW + 10


@twisted_test(10)
async def test_the_lag_is_between_what_was_written_and_what_arrived(
    open_pool: OpenPool, tmp_path: Path
) -> None:
    primary, replica = (open_pool(f"sqlite:{tmp_path}/{n}.sqlite") for n in ("one", "two"))
    await create_marker_table(primary, "our_markers")
    assert await lag(PULSE, primary, replica) is None, "nothing was written yet"
    await PULSE.renew(primary, NOW)
    with pytest.raises(MissingTableError):
        await lag(PULSE, primary, replica)
    await create_marker_table(replica, "our_markers")
    assert await lag(PULSE, primary, replica) is None, "nothing has arrived yet"
    await PULSE.renew(replica, NOW)
    assert await lag(PULSE, primary, replica) == 0
    await PULSE.renew(primary, NOW + 40)
    assert await lag(PULSE, primary, replica) == 40
    await PULSE.renew(replica, NOW + 50)
    assert await lag(PULSE, primary, replica) == 0, "the two reads are not at the same time"
