"""What every dialect of Farm must do, whatever its databases look like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs
import msgspec

from buildapi.interfaces import Farm
from buildapi.jobs.decide import decide
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import Stage
from buildapi.model.steps import Plan, Recorded, Written
from tests.reactor import twisted_test

SETTLED = Outcome(False, "Ok", (Item("done", "Zo\xeb \u2603", request_id=4, master="m"),))


@attrs.frozen
class Copy:
    """A request that a rebuild made."""

    buildername: str
    revision: str | None
    reason: str | None
    priority: int
    properties: Mapping[str, str]


class FarmUnderTest(Protocol):
    """A farm without masters, and its requests as somebody beside us sees them."""

    @property
    def farm(self) -> Farm:
        """Give the farm."""

    def pending(self, properties: Mapping[str, str] = ...) -> int:
        """Submit a request of priority 3; ``properties`` are stored texts."""

    def run(self, request: int) -> int:
        """Let a master claim a request and start a build; give the id of the build."""

    def priority(self, request: int) -> int:
        """Tell the priority of a request."""

    def is_dropped(self, request: int) -> bool:
        """Tell whether a request is complete, and what it belongs to too."""

    def copies(self, request: int) -> list[Copy]:
        """List the requests submitted after this one, oldest first."""

    def writes(self) -> object:
        """Give all that can be written by a plan, to be compared."""


def same(one: object, other: object) -> bool:
    """Compare by what is stored: lists come back for tuples."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)


async def plan_for(farm: Farm, action: Action, who: str = "zoe") -> Plan:
    return decide(action, await farm.read(action), who)


class FarmContract:
    """Tests of a Farm; a subclass gives the fixture ``made`` (see FarmUnderTest)."""

    @twisted_test(15)
    async def test_a_request_is_read_by_its_id_and_by_its_builds(self, made: FarmUnderTest) -> None:
        request = made.pending({"a": '["1", "x"]'})
        facts = await made.farm.read(CancelRequest(request))
        assert facts is not None
        assert (facts.request.id, facts.request.stage) == (request, Stage.PENDING)
        assert (list(facts.tries), facts.request.priority) == ([], 3)
        assert list(facts.properties) == [("a", '["1", "x"]')]
        build = made.run(request)
        for action in (CancelRequest(request), CancelBuild(build), RebuildBuild(build)):
            facts = await made.farm.read(action)
            assert facts is not None
            assert (facts.request.id, facts.request.stage) == (request, Stage.CLAIMED)
            assert [t.id for t in facts.running] == [build]

    @twisted_test(15)
    async def test_what_is_not_there_is_read_as_none(self, made: FarmUnderTest) -> None:
        for action in (CancelRequest(4711), CancelBuild(4711), Reprioritize(4711, 1)):
            assert await made.farm.read(action) is None

    @twisted_test(15)
    async def test_a_priority_is_written(self, made: FarmUnderTest) -> None:
        request, other = made.pending(), made.pending()
        plan = await plan_for(made.farm, Reprioritize(request, -7))
        written, items = await made.farm.write(1, plan)
        assert (written, list(items)) == (Written.APPLIED, [])
        assert (made.priority(request), made.priority(other)) == (-7, 3)

    @twisted_test(15)
    async def test_the_priority_there_is_already_counts_as_written(
        self, made: FarmUnderTest
    ) -> None:
        plan = await plan_for(made.farm, Reprioritize(made.pending(), 3))
        assert (await made.farm.write(1, plan))[0] is Written.APPLIED

    @twisted_test(15)
    async def test_a_dropped_request_is_complete_with_all_that_hangs_on_it(
        self, made: FarmUnderTest
    ) -> None:
        request, other = made.pending(), made.pending()
        plan = await plan_for(made.farm, CancelRequest(request))
        assert (await made.farm.write(1, plan))[0] is Written.APPLIED
        assert made.is_dropped(request)
        assert not made.is_dropped(other)

    @twisted_test(15)
    async def test_a_copy_is_what_the_first_was_with_a_reason_and_priority_of_its_own(
        self, made: FarmUnderTest
    ) -> None:
        properties = {"a": '["1", "x"]', "b": '[{"c": [null]}, "y"]'}
        request = made.pending(properties)
        facts = await made.farm.read(RebuildRequest(request))
        assert facts is not None
        plan = await plan_for(made.farm, RebuildRequest(request, 9))
        written, (item,) = await made.farm.write(1, plan)
        assert written is Written.APPLIED
        assert made.copies(request) == [
            Copy(
                facts.request.buildername,
                facts.request.revision,
                "Self-serve: Rebuilt by zoe",
                9,
                properties,
            )
        ]
        again = await made.farm.read(CancelRequest(item.request_id or 0))
        assert again is not None
        assert (again.request.stage, again.request.buildsetid) == (Stage.PENDING, item.buildset_id)

    @twisted_test(15)
    async def test_a_hundred_copies_are_a_hundred(self, made: FarmUnderTest) -> None:
        request = made.pending({"a": '["1", "x"]'})
        plan = await plan_for(made.farm, RebuildRequest(request, 2, 100))
        _, items = await made.farm.write(1, plan)
        copies = made.copies(request)
        assert len(copies) == len({i.buildset_id for i in items}) == 100
        assert {c.priority for c in copies} == {2}
        assert all(c == copies[0] for c in copies)

    @twisted_test(15)
    async def test_any_text_is_copied_and_recorded_as_it_is(self, made: FarmUnderTest) -> None:
        value = '["it\'s 100% \\"x\\" :a %s %(b)s ? \\\\ -- Zo\xeb \u2603", "s"]'
        request = made.pending({"a'b\"%s:c?": value})
        who = "Zo\xeb O'Neil <100%@x>; :who %(who)s --"
        plan = await plan_for(made.farm, RebuildRequest(request), who)
        await made.farm.write(1, plan)
        (copy,) = made.copies(request)
        assert (copy.reason, copy.properties) == (
            f"Self-serve: Rebuilt by {who}",
            {"a'b\"%s:c?": value},
        )
        assert same(await made.farm.recall(1), Recorded(plan))

    @twisted_test(15)
    async def test_a_plan_that_is_stale_writes_nothing_and_may_be_made_anew(
        self, made: FarmUnderTest
    ) -> None:
        for action in (Reprioritize, CancelRequest):
            request = made.pending()
            do: Action = action(request, 5) if action is Reprioritize else action(request)  # type: ignore[call-arg]  # one of both fits
            plan = await plan_for(made.farm, do)
            made.run(request)
            before = made.writes()
            assert await made.farm.write(1, plan) == (Written.STALE, ())
            assert made.writes() == before
            assert await made.farm.recall(1) is None
        plan = await plan_for(made.farm, Reprioritize(made.pending(), 5))
        assert (await made.farm.write(1, plan))[0] is Written.APPLIED

    @twisted_test(15)
    async def test_a_job_written_before_writes_nothing_again(self, made: FarmUnderTest) -> None:
        request = made.pending()
        plan = await plan_for(made.farm, RebuildRequest(request, 1, 2))
        await made.farm.write(1, plan)
        before = made.writes()
        assert await made.farm.write(1, plan) == (Written.BEFORE, ())
        other = await plan_for(made.farm, CancelRequest(request))
        assert await made.farm.write(1, other) == (Written.BEFORE, ())
        assert made.writes() == before
        assert (await made.farm.write(2, plan))[0] is Written.APPLIED
        assert len(made.copies(request)) == 4

    @twisted_test(15)
    async def test_a_job_is_recalled_as_far_as_it_got(self, made: FarmUnderTest) -> None:
        assert await made.farm.recall(1) is None
        request = made.pending({"a": '["1", "x"]'})
        made.run(request)
        plan = await plan_for(made.farm, CancelRequest(request))
        assert plan.pokes
        await made.farm.write(1, plan)
        assert same(await made.farm.recall(1), Recorded(plan))
        await made.farm.settle(1, SETTLED)
        assert same(await made.farm.recall(1), Recorded(plan, SETTLED))
        assert await made.farm.recall(2) is None

    @twisted_test(15)
    async def test_a_build_no_master_can_be_asked_about_fails_in_words(
        self, made: FarmUnderTest
    ) -> None:
        request = made.pending()
        build = made.run(request)
        plan = await plan_for(made.farm, CancelBuild(build))
        item = await made.farm.poke(plan.pokes[0], "zoe")
        assert (item.state, item.build_id, item.request_id) == ("failed", build, request)
        assert item.detail
