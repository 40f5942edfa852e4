"""What every dialect of Farm must do, whatever its databases look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs
import msgspec
import pytest

from buildapi.buildbot.v08.job_executor import MarkedFarm
from buildapi.buildbot.v08.lowered_plan import (
    InsertBuildset,
    LoweredPlan,
    Recorded,
    Write,
    Written,
    lowered,
)
from buildapi.errors import BadRequest
from buildapi.interfaces import FarmActions
from buildapi.jobs.decide import decide
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.facts import RequestFacts, Subject
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import Stage
from buildapi.model.steps import NewChange, SetPriority
from buildapi.model.wire import JobMessage
from tests.contracts.facts import BRANCH, REVISION, FactsReaderContract, FactsUnderTest
from tests.contracts.journal import MemoryJournal
from tests.model.defaults import rules
from tests.model.values import job
from tests.reactor import twisted_test

SETTLED = Outcome(False, "Ok", (Item("done", "Zo\xeb \u2603", request_id=4, master="m"),))


@attrs.frozen
class Copy:
    """A request that a job made; ``changes`` are those of its source."""

    buildername: str
    branch: str | None
    revision: str | None
    reason: str | None
    priority: int
    properties: Mapping[str, str]
    changes: list[NewChange] = attrs.field(factory=list)


class ActionsUnderTest(Protocol):
    """A farm without masters, and its requests as somebody beside us sees them.

    ``pending`` submits requests of priority 3.
    """

    def pending(self) -> int:
        """Submit a request of ``REVISION`` on ``BRANCH``; return its id."""

    async def interrupt(self, of: JobIdentity, action: Action) -> None:
        """Carry out a job as far as it changes the farm, and leave it before it has an outcome."""

    def together(self, count: int) -> list[int]:
        """Submit such requests that belong to the same buildset."""

    def priority(self, request: int) -> int:
        """Return the priority of a request."""

    def is_dropped(self, request: int) -> bool:
        """Return whether a request is complete, and what it belongs to too."""

    def is_complete(self, request: int) -> bool:
        """Return whether a request is complete."""

    def copies(self, request: int) -> list[Copy]:
        """List the requests submitted after this one (0: all), oldest first."""

    def writes(self) -> object:
        """Return all that can be written by a plan, to be compared."""


class FarmUnderTest(ActionsUnderTest, FactsUnderTest, Protocol):
    """A 0.8 farm without masters."""

    @property
    def farm(self) -> MarkedFarm:
        """Return the farm; it is also the reader of the facts."""


def same(one: object, other: object) -> bool:
    """Compare by what is stored: lists come back for tuples."""
    return msgspec.json.encode(one) == msgspec.json.encode(other)


async def plan_for(farm: MarkedFarm, action: Action, who: str = "zoe") -> LoweredPlan:
    facts = await farm.read(action)
    return lowered(decide(action, facts, who, rules()), facts)


async def facts_for(farm: MarkedFarm, action: Action) -> RequestFacts:
    facts = await farm.read(action)
    assert isinstance(facts, RequestFacts)
    return facts


def writing(*writes: Write) -> LoweredPlan:
    return LoweredPlan(Outcome(False, "Ok"), writes)


FILES = ("build/Zo\xeb's 100% \u2603.zip", "build/target.tar.bz2")
CHANGE = NewChange("zoe@example.org", "try-selfserve", REVISION, FILES)
ASKED = InsertBuildset(
    branch="try",
    revision=REVISION,
    reason="Self-serve: Requested by zoe@example.org",
    priority=-4,
    properties=(("buildid", '["20231114141320", "self-serve"]'), ("n", '[{"a": [1]}, "x"]')),
    builders=("linux", 'Windows 7 "x" 50%'),
)


async def written(
    farm: MarkedFarm, of: JobIdentity, action: Action, who: str = "zoe"
) -> tuple[LoweredPlan, Sequence[Item]]:
    """Decide and write a job, and leave it before anything else is done."""
    while True:
        plan = await plan_for(farm, action, who)
        if not plan.writes and not plan.pokes:
            return plan, ()
        result, made = await farm.write(of, plan)
        if result is Written.APPLIED:
            return plan, made


async def carry_out(actions: FarmActions, of: JobIdentity, action: Action) -> Outcome:
    """Do a job as an agent does it."""
    message = JobMessage(of.id, "zoe", of.when, action, "", of.identity)
    return await actions.carry_out(message, MemoryJournal())


class FarmActionsContract:
    """Tests of FarmActions: an action, what comes of it, and what is in the farm afterwards.

    A subclass has the fixtures ``made`` (see ActionsUnderTest) and ``actions``, which act on it.
    """

    @pytest.mark.parametrize("crash", ["at once", "after its writes"])
    @twisted_test(15)
    async def test_a_job_that_is_delivered_again_is_done_once_and_says_the_same(
        self, made: ActionsUnderTest, actions: FarmActions, crash: str
    ) -> None:
        request = made.pending()
        rebuild = RebuildRequest(request, 5, 2)
        if crash == "after its writes":
            await made.interrupt(job(1), rebuild)
        outcomes = [await carry_out(actions, job(1), rebuild) for _ in range(3)]
        assert [copy.priority for copy in made.copies(request)] == [5, 5]
        assert [(o.errors, o.msg) for o in outcomes] == [(False, "Ok")] * 3
        assert same(outcomes[1], outcomes[0])
        assert same(outcomes[2], outcomes[0])

    @twisted_test(15)
    async def test_jobs_about_one_request_each_do_what_is_left_to_do(
        self, made: ActionsUnderTest, actions: FarmActions
    ) -> None:
        request = made.pending()
        assert not (await carry_out(actions, job(1), Reprioritize(request, 9))).errors
        assert not (await carry_out(actions, job(2), CancelRequest(request))).errors
        assert (made.priority(request), made.is_dropped(request)) == (9, True)
        before = made.writes()
        again = await carry_out(actions, job(3), CancelRequest(request))
        late = await carry_out(actions, job(4), Reprioritize(request, 1))
        assert (again.errors, late.errors) == (False, False)
        assert made.writes() == before
        assert made.priority(request) == 9

    @twisted_test(15)
    async def test_what_is_not_there_is_an_outcome_and_changes_nothing(
        self, made: ActionsUnderTest, actions: FarmActions
    ) -> None:
        made.pending()
        before = made.writes()
        for number, action in enumerate(
            (CancelRequest(4711), CancelBuild(4711), RebuildBuild(4711), Reprioritize(4711, 1))
        ):
            outcome = await carry_out(actions, job(number + 1), action)
            assert outcome.errors
            assert outcome.msg
        assert made.writes() == before

    @twisted_test(15)
    async def test_what_a_rebuild_submitted_can_be_cancelled_by_another_job(
        self, made: ActionsUnderTest, actions: FarmActions
    ) -> None:
        request = made.pending()
        done = await carry_out(actions, job(1), RebuildRequest(request))
        (copy,) = [item.request_id for item in done.items if item.request_id]
        assert not (await carry_out(actions, job(2), CancelRequest(copy))).errors
        assert (made.is_dropped(copy), made.is_complete(request)) == (True, False)
        revision = await carry_out(actions, job(3), CancelRevision(BRANCH, REVISION))
        assert not revision.errors
        assert made.is_dropped(request)

    @twisted_test(15)
    async def test_the_subject_of_a_job_is_what_its_facts_are_about(
        self, made: ActionsUnderTest, actions: FarmActions
    ) -> None:
        request = made.pending()
        about = Subject(request, REVISION)
        for action in (Reprioritize(request, 1), CancelRequest(request), RebuildRequest(request)):
            assert await actions.subject(action) == about
        for missing in (CancelRequest(4711), CancelBuild(4711), RebuildBuild(4711)):
            assert await actions.subject(missing) == Subject()
        cancel = CancelRevision(BRANCH, REVISION)
        assert await actions.subject(cancel) == Subject(revision=REVISION)

    @twisted_test(15)
    async def test_what_a_job_does_is_noted_in_its_journal(
        self, made: ActionsUnderTest, actions: FarmActions
    ) -> None:
        journal = MemoryJournal()
        of, action = job(9), Reprioritize(made.pending(), 7)
        message = JobMessage(of.id, "zoe", of.when, action, "", of.identity)
        await actions.carry_out(message, journal)
        assert [event for event, _ in journal.events] == ["decided", "written"]
        assert journal.writes == 1

    @twisted_test(15)
    async def test_the_highest_job_is_of_those_that_left_a_record(
        self, made: ActionsUnderTest, actions: FarmActions
    ) -> None:
        assert await actions.highest_job() == 0
        for number in (7, 3):
            await carry_out(actions, job(number), Reprioritize(made.pending(), 7))
        assert await actions.highest_job() == 7
        await actions.forget(30)
        assert await actions.highest_job() == 7, "they ended just now"


class MarkedFarmContract(FactsReaderContract):
    """Tests of a Farm; a subclass has the fixture ``made`` (see FarmUnderTest)."""

    @pytest.fixture
    def seen(self, made: FarmUnderTest) -> FactsUnderTest:
        return made

    @twisted_test(15)
    async def test_a_job_whose_value_cannot_be_stored_is_refused_and_leaves_nothing(
        self, made: FarmUnderTest
    ) -> None:
        made.pending()
        before = made.writes()
        odd = msgspec.structs.replace(ASKED, properties=(("a", '["\ud800", "x"]'),))
        with pytest.raises(BadRequest):
            await made.farm.write(job(1), writing(odd))
        assert made.writes() == before
        assert await made.farm.recall(job(1)) is None
        assert (await made.farm.write(job(1), writing(ASKED)))[0] is Written.APPLIED

    # --- plans and their markers

    @twisted_test(15)
    async def test_a_priority_is_written(self, made: FarmUnderTest) -> None:
        request, other = made.pending(), made.pending()
        plan = await plan_for(made.farm, Reprioritize(request, -7))
        written, items = await made.farm.write(job(1), plan)
        assert (written, list(items)) == (Written.APPLIED, [])
        assert (made.priority(request), made.priority(other)) == (-7, 3)

    @twisted_test(15)
    async def test_the_priority_there_is_already_counts_as_written(
        self, made: FarmUnderTest
    ) -> None:
        plan = await plan_for(made.farm, Reprioritize(made.pending(), 3))
        assert (await made.farm.write(job(1), plan))[0] is Written.APPLIED

    @twisted_test(15)
    async def test_a_dropped_request_is_complete_with_all_that_hangs_on_it(
        self, made: FarmUnderTest
    ) -> None:
        request, other = made.pending(), made.pending()
        plan = await plan_for(made.farm, CancelRequest(request))
        assert (await made.farm.write(job(1), plan))[0] is Written.APPLIED
        assert made.is_dropped(request)
        assert not made.is_dropped(other)

    @twisted_test(15)
    async def test_a_copy_is_what_the_first_was_with_a_reason_and_priority_of_its_own(
        self, made: FarmUnderTest
    ) -> None:
        properties = {"a": '["1", "x"]', "b": '[{"c": [null]}, "y"]'}
        request = made.pending(properties)
        facts = await facts_for(made.farm, RebuildRequest(request))
        plan = await plan_for(made.farm, RebuildRequest(request, 9))
        written, (item,) = await made.farm.write(job(1), plan)
        assert written is Written.APPLIED
        assert made.copies(request) == [
            Copy(
                facts.request.buildername,
                facts.request.branch,
                facts.request.revision,
                "Self-serve: Rebuilt by zoe",
                9,
                properties,
            )
        ]
        again = await facts_for(made.farm, CancelRequest(item.request_id or 0))
        assert (again.request.stage, again.request.buildsetid) == (Stage.PENDING, item.buildset_id)

    @twisted_test(15)
    async def test_a_hundred_copies_are_a_hundred(self, made: FarmUnderTest) -> None:
        request = made.pending({"a": '["1", "x"]'})
        plan = await plan_for(made.farm, RebuildRequest(request, 2, 100))
        _, items = await made.farm.write(job(1), plan)
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
        await made.farm.write(job(1), plan)
        (copy,) = made.copies(request)
        assert (copy.reason, copy.properties) == (
            f"Self-serve: Rebuilt by {who}",
            {"a'b\"%s:c?": value},
        )
        assert same(await made.farm.recall(job(1)), Recorded(plan))

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
            assert await made.farm.write(job(1), plan) == (Written.STALE, ())
            assert made.writes() == before
            assert await made.farm.recall(job(1)) is None
        plan = await plan_for(made.farm, Reprioritize(made.pending(), 5))
        assert (await made.farm.write(job(1), plan))[0] is Written.APPLIED

    @twisted_test(15)
    async def test_a_job_written_before_writes_nothing_again(self, made: FarmUnderTest) -> None:
        request = made.pending()
        plan = await plan_for(made.farm, RebuildRequest(request, 1, 2))
        await made.farm.write(job(1), plan)
        before = made.writes()
        assert await made.farm.write(job(1), plan) == (Written.BEFORE, ())
        other = await plan_for(made.farm, CancelRequest(request))
        assert await made.farm.write(job(1), other) == (Written.BEFORE, ())
        assert made.writes() == before
        assert (await made.farm.write(job(2), plan))[0] is Written.APPLIED
        assert len(made.copies(request)) == 4

    @twisted_test(15)
    async def test_a_job_whose_id_another_job_had_is_written_and_both_keep_their_outcomes(
        self, made: FarmUnderTest
    ) -> None:
        """After a restore of the jobs database ids begin again: a marker is of one job only."""
        request = made.pending()
        first, second, third = job(1), job(1, life=1), job(1, life=2)
        outcomes = {}
        for count, life in enumerate((first, second, third)):
            assert await made.farm.recall(life) is None
            plan = await plan_for(made.farm, RebuildRequest(request, count))
            assert (await made.farm.write(life, plan))[0] is Written.APPLIED
            assert same(await made.farm.recall(life), Recorded(plan))
            outcomes[life] = Recorded(plan, Outcome(False, f"Ok {count}"))
            await made.farm.settle(life, Outcome(False, f"Ok {count}"))
        for life, recorded in outcomes.items():
            assert same(await made.farm.recall(life), recorded)
        assert [copy.priority for copy in made.copies(request)] == [0, 1, 2]
        plan = await plan_for(made.farm, RebuildRequest(request, 9))
        assert await made.farm.write(third, plan) == (Written.BEFORE, ())

    @twisted_test(15)
    async def test_what_is_stale_leaves_the_marker_of_another_job_where_it_was(
        self, made: FarmUnderTest
    ) -> None:
        request = made.pending()
        plan = await plan_for(made.farm, RebuildRequest(request))
        await made.farm.write(job(1), plan)
        stale = await plan_for(made.farm, CancelRequest(request))
        made.run(request)
        assert await made.farm.write(job(1, life=1), stale) == (Written.STALE, ())
        assert await made.farm.recall(job(1, life=1)) is None
        assert same(await made.farm.recall(job(1)), Recorded(plan))

    @twisted_test(15)
    async def test_a_job_is_recalled_as_far_as_it_got(self, made: FarmUnderTest) -> None:
        assert await made.farm.recall(job(1)) is None
        request = made.pending({"a": '["1", "x"]'})
        made.run(request)
        plan = await plan_for(made.farm, CancelRequest(request))
        assert plan.pokes
        await made.farm.write(job(1), plan)
        assert same(await made.farm.recall(job(1)), Recorded(plan))
        await made.farm.settle(job(1), SETTLED)
        assert same(await made.farm.recall(job(1)), Recorded(plan, SETTLED))
        assert await made.farm.recall(job(2)) is None

    @twisted_test(15)
    async def test_a_build_no_master_can_be_asked_about_fails_in_words(
        self, made: FarmUnderTest
    ) -> None:
        request = made.pending()
        build = made.run(request)
        plan = await plan_for(made.farm, CancelBuild(build))
        (item,) = await made.farm.poke(job(1), plan.pokes[0], "zoe")
        assert (item.state, item.build_id, item.request_id) == ("failed", build, request)
        assert item.detail

    # --- a new buildset

    @twisted_test(15)
    async def test_a_new_buildset_is_one_request_for_each_builder(
        self, made: FarmUnderTest
    ) -> None:
        written, items = await made.farm.write(job(1), writing(ASKED))
        assert written is Written.APPLIED
        copies = made.copies(0)
        assert copies == [
            Copy(builder, "try", REVISION, ASKED.reason, -4, dict(ASKED.properties))
            for builder in ASKED.builders
        ]
        assert [(i.state, i.detail) for i in items] == [
            ("done", f"submitted to {builder}") for builder in ASKED.builders
        ]
        assert len({i.buildset_id for i in items}) == 1
        for item, builder in zip(items, ASKED.builders, strict=True):
            facts = await facts_for(made.farm, CancelRequest(item.request_id or 0))
            assert (facts.request.stage, facts.request.buildername) == (Stage.PENDING, builder)
            assert facts.request.buildsetid == item.buildset_id
        assert same(await made.farm.recall(job(1)), Recorded(writing(ASKED)))

    @pytest.mark.parametrize("files", [FILES, ()])
    @twisted_test(15)
    async def test_a_new_buildset_may_be_for_a_change_with_its_files(
        self, made: FarmUnderTest, files: Sequence[str]
    ) -> None:
        change = msgspec.structs.replace(CHANGE, files=files)
        plan = writing(msgspec.structs.replace(ASKED, change=change))
        assert (await made.farm.write(job(1), plan))[0] is Written.APPLIED
        assert [c.changes for c in made.copies(0)] == [[change]] * 2

    @twisted_test(15)
    async def test_each_new_buildset_has_a_source_and_change_of_its_own(
        self, made: FarmUnderTest
    ) -> None:
        other = msgspec.structs.replace(CHANGE, revision="fedcba")
        steps = [
            msgspec.structs.replace(ASKED, change=CHANGE),
            msgspec.structs.replace(ASKED, revision="fedcba", change=other),
            ASKED,
        ]
        _, items = await made.farm.write(job(1), writing(*steps))
        found = [(c.revision, list(c.changes)) for c in made.copies(0)]
        own = [(REVISION, [CHANGE]), ("fedcba", [other]), (REVISION, [])]
        assert found == [pair for pair in own for _ in ASKED.builders]
        assert len({i.buildset_id for i in items}) == 3

    @twisted_test(15)
    async def test_nothing_of_a_new_buildset_is_left_where_another_write_is_stale(
        self, made: FarmUnderTest
    ) -> None:
        request = made.pending()
        made.run(request)
        before = made.writes()
        asked = msgspec.structs.replace(ASKED, change=CHANGE)
        plan = writing(asked, SetPriority(request, 1), asked)
        assert await made.farm.write(job(1), plan) == (Written.STALE, ())
        assert made.writes() == before
        assert await made.farm.recall(job(1)) is None

    # --- all requests of a revision

    @twisted_test(15)
    async def test_all_pending_requests_of_a_revision_are_dropped_at_once(
        self, made: FarmUnderTest
    ) -> None:
        requests = [made.pending() for _ in range(5)]
        plan = await plan_for(made.farm, CancelRevision(BRANCH, REVISION))
        written, items = await made.farm.write(job(1), plan)
        assert (written, list(items)) == (Written.APPLIED, [])
        assert all(made.is_dropped(r) for r in requests)

    @twisted_test(15)
    async def test_requests_claimed_or_finished_meanwhile_stay_as_they_are(
        self, made: FarmUnderTest
    ) -> None:
        left, claimed, other = made.pending(), made.pending(), made.pending()
        plan = await plan_for(made.farm, CancelRevision(BRANCH, REVISION))
        made.run(claimed)
        later = made.pending()
        assert (await made.farm.write(job(1), plan))[0] is Written.APPLIED
        assert [made.is_complete(r) for r in (left, claimed, other, later)] == [
            True,
            False,
            True,
            False,
        ]
        assert made.is_dropped(left)

    @twisted_test(15)
    async def test_a_buildset_is_complete_only_when_nothing_of_it_is_open(
        self, made: FarmUnderTest
    ) -> None:
        whole, raced = made.together(3), made.together(3)
        plan = await plan_for(made.farm, CancelRevision(BRANCH, REVISION))
        made.run(raced[1])
        await made.farm.write(job(1), plan)
        assert all(made.is_dropped(r) for r in whole)
        assert [made.is_complete(r) for r in raced] == [True, False, True]
        assert not any(made.is_dropped(r) for r in raced)

    @twisted_test(30)
    async def test_a_revision_of_many_requests_is_dropped_as_a_whole(
        self, made: FarmUnderTest
    ) -> None:
        requests = made.together(300) + [made.pending() for _ in range(300)]
        plan = await plan_for(made.farm, CancelRevision(BRANCH, REVISION))
        await made.farm.write(job(1), plan)
        assert all(made.is_complete(r) for r in requests)
        assert all(made.is_dropped(r) for r in (requests[0], requests[299], requests[-1]))
