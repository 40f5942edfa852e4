"""The rig of the agent's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_twisted

from buildapi.db.jobstore import SQLJobStore
from buildapi.db.pool import open_database
from buildapi.db.schema import create_jobs_schema
from buildapi.mq.embedded import EmbeddedBroker
from tests.agent.doubles import BrokerProxy, Rig, StoreProxy, pending, reactor


@pytest_twisted.async_yield_fixture
async def rig() -> AsyncIterator[Rig]:
    db = open_database(
        "sqlite::memory:",
        reactor=reactor(),
        name="jobs",
        size=1,
        max_waiting=100,
        statement_seconds=5,
        max_rows=1000,
    )
    await create_jobs_schema(db)
    broker = EmbeddedBroker(reactor())
    broker.startService()
    rig = Rig(db, BrokerProxy(broker), StoreProxy(SQLJobStore(db)))
    rig.farm.add(pending(7), pending(8, revision="0123abcd4567"))
    yield rig
    await rig.close()
