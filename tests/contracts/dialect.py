"""What every dialect of Buildbot must do as a whole: its roles see one farm, and act on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol, get_type_hints

import pytest

from buildapi.errors import Unsupported
from buildapi.interfaces.dialect import Dialect
from buildapi.jobs.decide import decide
from buildapi.model.actions import (
    Action,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.branches import Branches
from buildapi.model.facts import RequestFacts
from buildapi.model.farm_rows import BranchFilter, Portion
from buildapi.model.outcome import Outcome
from buildapi.model.records import Stage
from buildapi.model.steps import Plan
from buildapi.model.wire import JobMessage
from tests.contracts.journal import MemoryJournal
from tests.model.defaults import rules
from tests.model.values import job
from tests.reactor import twisted_test

TRY = Branches.from_definitions({"try": {}}).by_name["try"]
REVISION = "abcdef012345"
EVERYTHING = BranchFilter(), Portion()


class DialectUnderTest(Protocol):
    """A dialect with the branch ``try``, and what its schedulers and masters do."""

    @property
    def dialect(self) -> Dialect:
        """Return what is tested."""

    def pending(self, *, priority: int = 3) -> int:
        """Submit a request of ``REVISION`` on ``try``; return its id."""

    def run(self, request: int) -> int:
        """Have a master claim a request and start a build; return the id of the build."""


def roles() -> Iterator[tuple[str, type[Any]]]:
    """List the roles of a dialect and the interface of each."""
    for name, member in vars(Dialect).items():
        if isinstance(member, property):
            yield name, get_type_hints(member.fget)["return"]


def said_by(role: Any, name: str) -> Any:
    """Return a method of a role, or the refusal in its place."""
    try:
        return getattr(role, name)
    except Unsupported as e:
        return e.document


async def carry_out(dialect: Dialect, number: int, action: Action) -> Outcome:
    """Do a job as an agent does it."""
    of = job(number)
    message = JobMessage(of.id, "zoe", of.when, action, "", of.identity)
    return await dialect.actions.carry_out(message, MemoryJournal())


async def planned(dialect: Dialect, action: Action) -> tuple[Plan, Any]:
    """Decide as a dry run does; return the plan, and its steps as a client reads them."""
    facts = await dialect.facts.read(action)
    plan = decide(action, facts, "zoe", rules())
    return plan, json.loads(json.dumps(dialect.steps_json(plan, facts)))


class DialectContract:
    """Tests of a Dialect; a subclass has the fixture ``made`` (see DialectUnderTest)."""

    @pytest.mark.parametrize("role", [name for name, _ in roles()])
    def test_a_role_is_made_once(self, made: DialectUnderTest, role: str) -> None:
        assert getattr(made.dialect, role) is getattr(made.dialect, role)

    @pytest.mark.parametrize(("role", "interface"), list(roles()))
    def test_a_role_does_what_its_interface_names_or_says_why_not(
        self, made: DialectUnderTest, role: str, interface: type[Any]
    ) -> None:
        names = [n for n, m in vars(interface).items() if callable(m) and not n.startswith("_")]
        assert names
        assert all(callable(said_by(getattr(made.dialect, role), name)) for name in names)

    @twisted_test(15)
    async def test_what_one_role_does_all_others_see(self, made: DialectUnderTest) -> None:
        request, other = made.pending(), made.pending()
        dialect = made.dialect
        assert not (await carry_out(dialect, 1, Reprioritize(request, 9))).errors
        assert not (await carry_out(dialect, 2, CancelRequest(other))).errors
        details = await dialect.builds.request(TRY, request)
        assert details is not None
        assert (details.request.priority, details.request.stage) == (9, Stage.PENDING)
        gone = await dialect.builds.request(TRY, other)
        assert gone is not None
        assert gone.request.stage is Stage.COMPLETE
        assert [e.id for e in await dialect.farm_reads.pending(*EVERYTHING)] == [request]
        facts = await dialect.facts.read(Reprioritize(request, 1))
        assert isinstance(facts, RequestFacts)
        assert (facts.request.id, facts.request.priority) == (request, 9)
        assert await dialect.actions.highest_job() == 2

    @twisted_test(15)
    async def test_a_rebuild_waits_beside_what_it_copies(self, made: DialectUnderTest) -> None:
        request = made.pending()
        done = await carry_out(made.dialect, 1, RebuildRequest(request, 5, 2))
        assert (done.errors, done.msg) == (False, "Ok")
        waiting = await made.dialect.farm_reads.pending(*EVERYTHING)
        named = {item.request_id for item in done.items if item.request_id}
        assert {e.id for e in waiting} == {request, *named}
        (first,) = [e for e in waiting if e.id == request]
        copies = [e for e in waiting if e.id in named]
        assert [(c.buildername, c.branch, c.revision) for c in copies] == [
            (first.buildername, first.branch, first.revision)
        ] * 2
        assert {c.priority for c in copies} == {5}

    @twisted_test(15)
    async def test_a_plan_that_is_shown_names_its_steps_and_does_nothing(
        self, made: DialectUnderTest
    ) -> None:
        pending, running = made.pending(), made.pending()
        made.run(running)
        asked: list[Action] = [
            Reprioritize(pending, 7),
            RebuildRequest(pending),
            CancelRequest(pending),
            CancelRequest(running),
            CancelRevision("try", REVISION),
            NewBuild("try", REVISION),
            NewBuilderBuild("try-selfserve", REVISION, "linux", files=["f"], properties={"n": 1}),
        ]
        for action in asked:
            plan, said = await planned(made.dialect, action)
            assert set(said) == {"writes", "pokes"}
            every = [*said["writes"], *said["pokes"]]
            assert bool(every) == bool(plan.steps), action
            assert all(step["type"] for step in every)
        waiting = await made.dialect.farm_reads.pending(*EVERYTHING)
        assert [(e.id, e.priority) for e in waiting] == [(pending, 3)]
        assert [b.request_ids for b in await made.dialect.farm_reads.running(*EVERYTHING)] == [
            (running,)
        ]

    def test_a_plan_without_steps_shows_none(self, made: DialectUnderTest) -> None:
        nothing = Plan(Outcome(False, "Nothing to do"))
        assert made.dialect.steps_json(nothing, None) == {"writes": [], "pokes": []}

    @twisted_test(15)
    async def test_plain_texts_are_accepted_without_a_warning(self, made: DialectUnderTest) -> None:
        action = NewBuilderBuild(
            "try-selfserve", REVISION, "linux", files=["f"], properties={"n": 1}
        )
        assert list(await made.dialect.text_limits.check(action, "zoe")) == []

    @twisted_test(15)
    async def test_a_master_that_does_not_respond_has_a_reason(
        self, made: DialectUnderTest
    ) -> None:
        assert await made.dialect.probe_master("http://127.0.0.1:1/")
