"""What every roster promises, on both engines."""

from __future__ import annotations

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.db.process_registry import COLUMNS, MOST, SQLProcessRegistry
from buildapi.db.schema import create_jobs_schema
from buildapi.db.sql import Statement
from buildapi.interfaces import ProcessRegistry
from buildapi.model.ops import Heartbeat, ProcessState
from tests.db.conftest import OpenPool
from tests.reactor import twisted_test

NOW = 1_700_000_000
AGENT = Heartbeat(
    instance="build\u00fc1:17:1700000000",
    name="build\u00fc1.example.org",
    pid=17,
    version="1.2.3",
    roles=["agent"],
    state=ProcessState.RUNNING,
    started_at=NOW,
    beat_at=NOW + 5,
    in_hand=2,
    jobs=[4711, 4712],
    masters=3,
    unreachable=["bm1:/a", "bm\u20ac:/b"],
)
API = attrs.evolve(
    AGENT,
    instance="a:1:1",
    name="a.example.org",
    roles=["api"],
    in_hand=0,
    jobs=[],
    masters=None,
    unreachable=None,
)


class RosterContract:
    """Inherit, and give a fixture ``roster`` that is empty."""

    @twisted_test(10)
    async def test_what_a_process_says_is_told(self, roster: ProcessRegistry) -> None:
        await roster.beat(AGENT)
        await roster.beat(API)
        assert list(await roster.processes()) == [API, AGENT]

    @twisted_test(10)
    async def test_a_process_is_there_once_and_as_it_last_said(
        self, roster: ProcessRegistry
    ) -> None:
        later = attrs.evolve(
            AGENT, beat_at=NOW + 15, state=ProcessState.DRAINING, jobs=[], in_hand=0
        )
        for beat in (AGENT, AGENT, later):
            await roster.beat(beat)
        assert list(await roster.processes()) == [later]

    @twisted_test(10)
    async def test_the_same_beat_twice_at_once_is_one(self, roster: ProcessRegistry) -> None:
        await gatherResults([ensureDeferred(roster.beat(AGENT)) for _ in range(4)])
        assert list(await roster.processes()) == [AGENT]

    @twisted_test(10)
    async def test_one_that_leaves_is_gone_and_leaving_again_does_nothing(
        self, roster: ProcessRegistry
    ) -> None:
        await roster.beat(AGENT)
        await roster.beat(API)
        for _ in range(2):
            await roster.leave(AGENT.instance)
        assert list(await roster.processes()) == [API]

    @twisted_test(10)
    async def test_those_silent_since_a_time_are_forgotten(self, roster: ProcessRegistry) -> None:
        await roster.beat(AGENT)
        await roster.beat(attrs.evolve(API, beat_at=NOW))
        await roster.forget(NOW + 5)
        assert list(await roster.processes()) == [AGENT]

    @twisted_test(10)
    async def test_all_are_told_of_by_name(self, roster: ProcessRegistry) -> None:
        first = attrs.evolve(AGENT, instance="z", name="z", beat_at=NOW + 9)
        for beat in (first, AGENT, API):
            await roster.beat(beat)
        assert [b.name for b in await roster.processes()] == [API.name, AGENT.name, "z"]


class TestSQLRoster(RosterContract):
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
