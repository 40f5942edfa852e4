"""The contract of steps, on a status database of each engine and on the double of other tests."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import attrs
import pytest

from buildapi.buildbot.v08.step_reads import SQLBuildSteps
from buildapi.model.build_steps import STEP_TEXT_MAX, BuildRecord, BuildStep
from buildapi.model.records import Build
from tests.build_records import MemoryBuildSteps, ReportedBuild
from tests.contracts.build_steps import OURS, BuildStepsContract, build
from tests.farmwide.conftest import Status
from tests.reactor import twisted_test


def in_utc(seconds: int | None) -> str | None:
    """Format a time as masters store it."""
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}"


@attrs.frozen
class InSQL:
    """A status database of Buildbot 0.8."""

    status: Status

    @property
    def reads(self) -> SQLBuildSteps:
        return SQLBuildSteps(self.status.db)

    def report(
        self,
        of: Build,
        *steps: BuildStep,
        worker: str | None = "w1",
        host: str = OURS,
        late: int = 0,
    ) -> None:
        id_ = self.build(of, worker or "w1", host, late)
        for order, step in enumerate(steps):
            self.step(id_, step, json.dumps(step.text.split()), order)

    def build(self, of: Build, worker: str = "w1", host: str = OURS, late: int = 0) -> int:
        """Report a build; return its id."""
        started = in_utc(of.start_time + late)
        values = {"buildnumber": of.number, "starttime": started, "endtime": None, "result": None}
        id_ = self.status.build(worker, name=of.requests[0].buildername, **values)
        master = self.status._one("masters", name=host.partition(".")[0], url=f"http://{host}:8010")
        self.status.seed.execute("UPDATE builds SET master_id = %s WHERE id = %s", master, id_)
        return id_

    def step(self, of: int, step: BuildStep, description: str | None, order: int = 0) -> None:
        """Report a step of a build."""
        quoted = {"`order`": order}  # a reserved word
        self.status.seed.insert(
            "steps",
            name=step.name,
            description=description,
            build_id=of,
            **quoted,
            starttime=in_utc(step.started),
            endtime=in_utc(step.ended),
            status=step.result,
        )


class TestSQLBuildSteps(BuildStepsContract):
    """The contract on each engine."""

    @pytest.fixture
    def made(self, status: Status) -> InSQL:
        return InSQL(status)

    @pytest.mark.parametrize(
        ("description", "text"),
        [
            (None, ""),
            ("", ""),
            ('["compile", "failed"]', "compile failed"),
            ('["zoë", 7, null]', "zoë 7 None"),
            ('"compiled"', "compiled"),
            ("compile", "compile"),
            ("{}", "{}"),
            ("[" * 5000, "[" * STEP_TEXT_MAX),
            (json.dumps(["x" * 600]), "x" * STEP_TEXT_MAX),
        ],
    )
    @twisted_test(10)
    async def test_whatever_stands_as_a_description_is_a_text(
        self, made: InSQL, description: str | None, text: str
    ) -> None:
        made.step(made.build(build()), BuildStep("compile", "", None, None, -1), description)
        found = await made.reads.of_build(build())
        assert found is not None
        assert list(found.steps) == [BuildStep("compile", text, None, None, None)]

    @twisted_test(10)
    async def test_a_builder_may_have_its_whole_name_in_a_property(self, made: InSQL) -> None:
        id_ = made.build(build(builder="linux64"))
        made.status.property(id_, "buildername", json.dumps(build().requests[0].buildername))
        for name in ("linux64", build().requests[0].buildername):
            assert await made.reads.of_build(build(builder=name)) is not None, name

    @pytest.mark.parametrize(
        ("value", "url"),
        [
            ('"http://logs.example.org/1.txt"', "http://logs.example.org/1.txt"),
            ("https://logs.example.org/1.txt", "https://logs.example.org/1.txt"),
            ('"javascript:alert(1)"', None),
            ("7", None),
            (json.dumps("http://" + "x" * STEP_TEXT_MAX), None),
        ],
    )
    @twisted_test(10)
    async def test_a_log_is_linked_if_its_property_is_a_url_of_the_web(
        self, made: InSQL, value: str, url: str | None
    ) -> None:
        made.status.property(made.build(build()), "log_url", value)
        found = await made.reads.of_build(build())
        assert found is not None
        assert found.log_url == url


@attrs.frozen
class InMemory:
    """The double of the tests of pages."""

    reads: MemoryBuildSteps = attrs.field(factory=MemoryBuildSteps)

    def report(
        self,
        of: Build,
        *steps: BuildStep,
        worker: str | None = "w1",
        host: str = OURS,
        late: int = 0,
    ) -> None:
        builder, started = of.requests[0].buildername, of.start_time + late
        record = BuildRecord(worker, steps)
        self.reads.reported.append(ReportedBuild(builder, of.number, started, host, record))


class TestMemoryBuildSteps(BuildStepsContract):
    """The contract in memory."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory(MemoryBuildSteps())
