"""What every reader of facts must do, whatever it reads them from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from buildapi.interfaces import FactsReader
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.facts import BranchFacts, RequestFacts, RevisionFacts
from buildapi.model.records import Stage
from tests.reactor import twisted_test

BRANCH, REVISION = "try", "abcdef012345"
OTHER, LONGER = "fedcba543210", REVISION + "1" * 28


class FactsUnderTest(Protocol):
    """A reader of a farm with the branch ``try``, and what masters and schedulers do there."""

    @property
    def reader(self) -> FactsReader:
        """Return what is tested."""

    def pending(
        self,
        properties: Mapping[str, str] = ...,
        *,
        branch: str = BRANCH,
        revision: str = REVISION,
        priority: int = 3,
    ) -> int:
        """Submit a request; ``properties`` are stored texts."""

    def run(self, request: int) -> int:
        """Have a master claim a request and start a build; return the id of the build."""

    def complete(self, request: int) -> None:
        """Complete a request; its builds stay as they are."""


async def of_request(reader: FactsReader, action: Action) -> RequestFacts:
    """Return the facts of an action on a request."""
    facts = await reader.read(action)
    assert isinstance(facts, RequestFacts)
    return facts


async def of_revision(
    reader: FactsReader, revision: str = REVISION, whole: str = ""
) -> RevisionFacts:
    """Return the facts of a cancel."""
    facts = await reader.read(CancelRevision(BRANCH, revision, full_revision=whole))
    assert isinstance(facts, RevisionFacts)
    return facts


def ids(facts: RevisionFacts) -> list[int]:
    return [f.request.id for f in facts.requests]


class FactsReaderContract:
    """Tests of a reader of facts; a subclass has the fixture ``seen`` (see FactsUnderTest)."""

    @twisted_test(15)
    async def test_a_request_is_read_by_its_id_and_by_its_builds(
        self, seen: FactsUnderTest
    ) -> None:
        request, other = seen.pending({"a": '["1", "x"]', "b": '[2, "y"]'}), seen.pending()
        for do in (CancelRequest(request), RebuildRequest(request), Reprioritize(request, 1)):
            facts = await of_request(seen.reader, do)
            assert (facts.request.id, facts.request.stage) == (request, Stage.PENDING)
            assert (facts.request.branch, facts.request.revision) == (BRANCH, REVISION)
            assert (list(facts.tries), facts.request.priority) == ([], 3)
        build = seen.run(request)
        seen.run(other)
        for of in (CancelRequest(request), CancelBuild(build), RebuildBuild(build)):
            facts = await of_request(seen.reader, of)
            assert (facts.request.id, facts.request.stage) == (request, Stage.CLAIMED)
            assert facts.request.claimed_by_name
            assert [t.id for t in facts.running] == [build]

    @twisted_test(15)
    async def test_of_a_complete_request_and_its_build_as_much_is_read(
        self, seen: FactsUnderTest
    ) -> None:
        request = seen.pending()
        build = seen.run(request)
        seen.complete(request)
        for action in (CancelRequest(request), CancelBuild(build)):
            facts = await of_request(seen.reader, action)
            assert (facts.request.id, facts.request.stage) == (request, Stage.COMPLETE)
            assert [t.id for t in facts.tries] == [build]

    @twisted_test(15)
    async def test_what_is_not_there_is_read_as_none(self, seen: FactsUnderTest) -> None:
        seen.pending()
        for action in (
            CancelRequest(4711),
            RebuildRequest(4711),
            Reprioritize(4711, 1),
            CancelBuild(4711),
            RebuildBuild(4711),
            CancelRevision("no-branch", REVISION),
            NewBuild("no-branch", REVISION),
            NewPGOBuild("no-branch", REVISION),
            NewNightly("no-branch", REVISION),
            NewBuilderBuild("no-branch-selfserve", REVISION, "linux"),
        ):
            assert await seen.reader.read(action) is None

    @twisted_test(15)
    async def test_new_builds_are_of_a_branch_and_each_has_an_id_of_its_own(
        self, seen: FactsUnderTest
    ) -> None:
        found = []
        for action in (
            NewBuild(BRANCH, REVISION),
            NewPGOBuild(BRANCH, REVISION),
            NewNightly(BRANCH, REVISION),
            NewBuilderBuild(f"{BRANCH}-selfserve", REVISION, "linux"),
        ):
            facts = await seen.reader.read(action)
            assert isinstance(facts, BranchFacts)
            assert facts.path
            assert facts.buildid.isdigit()
            assert len(facts.buildid) == len("20231114221320")
            assert len(facts.builduid) == 32
            found.append(facts)
        assert len({f.builduid for f in found}) == len(found)
        assert len({f.path for f in found}) == 1

    @twisted_test(15)
    async def test_what_is_open_of_a_revision_is_read_oldest_first_without_properties(
        self, seen: FactsUnderTest
    ) -> None:
        pending, running, other = seen.pending({"a": '["1", "x"]'}), seen.pending(), seen.pending()
        build = seen.run(running)
        seen.pending(revision=OTHER)
        facts = await of_revision(seen.reader)
        assert [(f.request.id, [t.id for t in f.running]) for f in facts.requests] == [
            (pending, []),
            (running, [build]),
            (other, []),
        ]
        assert list(facts.between) == []

    @twisted_test(15)
    async def test_what_is_complete_of_a_revision_counts_while_its_build_runs_on(
        self, seen: FactsUnderTest
    ) -> None:
        done, raced = seen.pending(), seen.pending()
        seen.run(raced)
        for request in (done, raced):
            seen.complete(request)
        assert ids(await of_revision(seen.reader)) == [raced]

    @twisted_test(15)
    async def test_nothing_is_open_of_a_revision_nobody_pushed(self, seen: FactsUnderTest) -> None:
        seen.pending()
        assert await of_revision(seen.reader, OTHER) == RevisionFacts([])

    @twisted_test(15)
    async def test_only_what_belongs_to_the_branch_is_open_of_a_revision(
        self, seen: FactsUnderTest
    ) -> None:
        requests = [seen.pending(branch=name) for name in (BRANCH, f"{BRANCH}-linux")]
        for name in ("tryst", "x/try", "cedar"):
            seen.pending(branch=name)
        assert ids(await of_revision(seen.reader)) == requests

    @twisted_test(15)
    async def test_a_hash_is_named_by_its_first_digits_and_a_number_only_whole(
        self, seen: FactsUnderTest
    ) -> None:
        whole = seen.pending(revision=LONGER)
        number, _ = seen.pending(revision="1234"), seen.pending(revision="12345")
        assert ids(await of_revision(seen.reader)) == [whole]
        assert ids(await of_revision(seen.reader, REVISION.upper())) == [whole]
        assert ids(await of_revision(seen.reader, "1234")) == [number]

    @twisted_test(15)
    async def test_a_hash_that_fits_two_revisions_is_not_decided_and_more_of_it_decides(
        self, seen: FactsUnderTest
    ) -> None:
        """Also where one of them is done."""
        second = REVISION + "2" * 28
        request, done = seen.pending(revision=LONGER), seen.pending(revision=second)
        seen.complete(done)
        facts = await of_revision(seen.reader)
        assert (ids(facts), list(facts.between)) == ([], [LONGER, second])
        assert ids(await of_revision(seen.reader, whole=LONGER)) == [request]
