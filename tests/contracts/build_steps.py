"""What every reader of the steps of builds must do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec.structs import replace

from buildapi.interfaces import BuildSteps
from buildapi.model.build_steps import STEPS_MAX, BuildStep
from buildapi.model.records import Build
from tests.reactor import twisted_test
from tests.web.farm import a_request

T0 = 1_700_000_000
BUILDER = "Linux x86-64 try leak test build"
OURS, OTHER = "bm1.example.org", "bm2.example.org"
COMPILE = BuildStep("compile", "compile failed", T0 + 5, T0 + 50, 2)
UPLOAD = BuildStep("upload", "uploading", T0 + 50, None, None)


def build(number: int = 7, *, started: int = T0, host: str = OURS, builder: str = BUILDER) -> Build:
    """Return a build of the scheduler database."""
    claimed_by = f"{host}:/builds/master"
    request = a_request(1, buildername=builder, claimed_at=started, claimed_by_name=claimed_by)
    return Build(11, number, started, None, [request])


class StepsUnderTest(Protocol):
    """A reader of steps, and what masters report."""

    @property
    def reads(self) -> BuildSteps:
        """Return what is tested."""

    def report(
        self,
        of: Build,
        *steps: BuildStep,
        worker: str | None = ...,
        host: str = ...,
        late: int = ...,
    ) -> None:
        """Report a build and its steps, whose start the master takes ``late`` seconds later."""


async def names(made: StepsUnderTest, of: Build) -> Sequence[str] | None:
    """Return the names of the steps of a build; None if nothing is reported of it."""
    found = await made.reads.of_build(of)
    return None if found is None else [step.name for step in found.steps]


class BuildStepsContract:
    """Tests of BuildSteps; a subclass has the fixture ``made`` (see StepsUnderTest)."""

    @twisted_test(10)
    async def test_a_build_has_its_worker_and_its_steps_in_their_order(
        self, made: StepsUnderTest
    ) -> None:
        made.report(build(), COMPILE, UPLOAD, worker="linux-slave-1")
        found = await made.reads.of_build(build())
        assert found is not None
        assert (found.worker, list(found.steps)) == ("linux-slave-1", [COMPILE, UPLOAD])
        assert found.failing == COMPILE

    @twisted_test(10)
    async def test_of_a_build_without_steps_only_the_worker_is_known(
        self, made: StepsUnderTest
    ) -> None:
        made.report(build(), worker="linux-slave-1")
        found = await made.reads.of_build(build())
        assert found is not None
        assert (found.worker, list(found.steps), found.failing) == ("linux-slave-1", [], None)

    @twisted_test(10)
    async def test_nothing_is_known_of_what_no_master_reports(self, made: StepsUnderTest) -> None:
        made.report(build(), COMPILE)
        for other in (
            build(8),
            build(builder="Linux try build"),
            build(builder=BUILDER.lower()),
            build(started=T0 + 86_400),
        ):
            assert await made.reads.of_build(other) is None, other

    @twisted_test(10)
    async def test_a_number_that_a_master_uses_again_is_told_by_the_start(
        self, made: StepsUnderTest
    ) -> None:
        """A master that was killed begins again with the number of the build it lost."""
        again = build(started=T0 + 120)
        made.report(build(), COMPILE, late=2)
        made.report(again, UPLOAD, late=3)
        assert await names(made, build()) == ["compile"]
        assert await names(made, again) == ["upload"]

    @twisted_test(10)
    async def test_a_number_of_two_masters_is_told_by_the_claim(self, made: StepsUnderTest) -> None:
        made.report(build(), COMPILE, host=OURS, late=9)
        made.report(build(), UPLOAD, host=OTHER)
        assert await names(made, build()) == ["compile"]
        assert await names(made, build(host=OTHER)) == ["upload"]

    @twisted_test(10)
    async def test_a_master_under_another_name_is_found_by_number_and_start(
        self, made: StepsUnderTest
    ) -> None:
        made.report(build(), COMPILE, host="alias.example.org")
        assert await names(made, build()) == ["compile"]
        unclaimed = replace(build().requests[0], claimed_by_name=None)
        assert await names(made, replace(build(), requests=[unclaimed])) == ["compile"]

    @twisted_test(20)
    async def test_no_more_steps_are_read_than_allowed(self, made: StepsUnderTest) -> None:
        many = [BuildStep(f"step {n}", "", T0, T0, 0) for n in range(STEPS_MAX + 5)]
        made.report(build(), *many)
        assert await names(made, build()) == [f"step {n}" for n in range(STEPS_MAX)]
