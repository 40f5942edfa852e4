"""What every roster promises, on both engines."""

from __future__ import annotations

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from buildapi.db.process_registry import COLUMNS, MOST, SQLProcessRegistry
from buildapi.db.schema import create_jobs_schema
from buildapi.db.sql import Statement
from buildapi.interfaces import ProcessRegistry
from buildapi.model.ops import ProcessState
from tests.contracts.ops import AGENT, API, NOW, ProcessRegistryContract
from tests.db.conftest import OpenPool
from tests.reactor import twisted_test


class TestSQLRoster(ProcessRegistryContract):
    """The one in SQL, on each engine."""

    @pytest.fixture
    def roster(self, url: str, open_pool: OpenPool) -> ProcessRegistry:
        self.db = open_pool(url)
        pytest_twisted.blockon(ensureDeferred(create_jobs_schema(self.db)))
        return SQLProcessRegistry(self.db)

    @twisted_test(10)
    async def test_a_detail_that_nobody_understands_is_passed_over(
        self, roster: ProcessRegistry
    ) -> None:
        await roster.beat(AGENT)
        for odd in ("[]", "no JSON"):
            await self.db.transact(
                [Statement("UPDATE buildapi_processes SET detail = :odd", {"odd": odd}, 1)]
            )
            (beat,) = await roster.processes()
            assert (beat.in_hand, beat.masters, beat.unreachable) == (0, None, None)

    @twisted_test(10)
    async def test_a_word_of_a_newer_version_is_an_unknown_state(
        self, roster: ProcessRegistry
    ) -> None:
        await roster.beat(AGENT)
        await self.db.transact([Statement("UPDATE buildapi_processes SET state = 'dreaming'")])
        assert [b.state for b in await roster.processes()] == [ProcessState.UNKNOWN]

    @twisted_test(10)
    async def test_where_there_are_too_many_the_silent_ones_are_left_out(
        self, roster: ProcessRegistry
    ) -> None:
        silent = [attrs.evolve(API, instance=f"a{n:04}", beat_at=NOW) for n in range(MOST)]
        await roster.beat(silent[0])
        names = ", ".join(COLUMNS)
        copy = f"""INSERT INTO buildapi_processes (instance, {names})
 SELECT :new, {names} FROM buildapi_processes WHERE instance = 'a0000'"""
        await self.db.transact([Statement(copy, {"new": b.instance}, 1) for b in silent[1:]])
        await roster.beat(attrs.evolve(AGENT, name="z"))
        told = await roster.processes()
        assert len(told) == MOST
        assert told[-1].name == "z"
