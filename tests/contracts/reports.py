"""What every reader of reports must do, whatever databases a farm has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

import pytest

from buildapi.errors import BadRequest
from buildapi.interfaces import Reports
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.report_rows import (
    ChangeFilter,
    JobTimeFilter,
    RowFilter,
    Span,
    Status,
    WaitingFilter,
)
from buildapi.model.revisions import RevisionMatch
from tests.reactor import twisted_test

T0 = 1_700_000_000
DAY = Span(T0 - 1000, T0 + 86_400)
HOURS = 7200
"""What one query of a long span may read; the border of two must not be seen."""
OURS, THEIRS = "host-a:/builds/a", "host-b:/builds/b"


async def every(portions: AsyncIterator[Sequence[Any]]) -> list[Any]:
    return [row async for portion in portions for row in portion]


class ReportsUnderTest(Protocol):
    """A reader of reports, and what schedulers and masters do; times are epoch seconds."""

    @property
    def reads(self) -> Reports:
        """Return what is tested."""

    def few(self, rows: int) -> Reports:
        """Return the same where one report may read so many rows."""

    def submit(
        self,
        builder: str,
        *,
        revision: str | None = ...,
        reason: str | None = ...,
        at: int = ...,
        comments: Sequence[str] = ...,
        changed: int = ...,
    ) -> int:
        """Submit a request, with a change of ann for each of ``comments``; return its id."""

    def run(self, request: int, *, at: int = ..., master: str = ...) -> int:
        """Have a master claim a request and start a build; return the id of the build."""

    def end(self, build: int, *, at: int) -> None:
        """End a build."""

    def complete(self, request: int, *, results: int, at: int = ...) -> None:
        """Complete a request."""

    def push(self, author: str, branches: Sequence[str | None], at: int) -> int:
        """Push a change of branch ``try`` that sources of these branches have; return its id."""

    def build(
        self,
        builder: str = ...,
        *,
        slave: str = ...,
        start: int = ...,
        took: int | None = ...,
        result: int | None = ...,
        category: str | None = ...,
    ) -> int:
        """Record a build; without ``took`` it runs; return its id."""

    def step(self, build: int, name: str, *, start: int, took: int) -> None:
        """Record a step of a build."""


def wanted(span: Span = DAY, **more: Any) -> WaitingFilter:
    return WaitingFilter(span, [OURS], **more)


async def waiting(farm: ReportsUnderTest, asked: WaitingFilter) -> list[str]:
    return sorted(row.buildername for row in await every(farm.reads.waiting(asked)))


def timed(**more: Any) -> JobTimeFilter:
    """Return which builds and steps are tests."""
    values: dict[str, Any] = {
        "categories": (),
        "steps": ("crashtest",),
        "step_patterns": ("%mochitest%",),
        "excluded": (),
        "results": (0, 1),
        "longer": 10,
        "shorter": 10_000,
    }
    return JobTimeFilter(span=DAY, **values | more)


class ReportsContract:
    """Tests of Reports; a subclass has the fixture ``farm`` (see ReportsUnderTest)."""

    @twisted_test(10)
    async def test_of_a_farm_where_nothing_happened_all_is_empty(
        self, farm: ReportsUnderTest
    ) -> None:
        reads = farm.reads
        for portions in (
            reads.waiting(wanted()),
            reads.pushes(ChangeFilter(DAY)),
            reads.attempts(RowFilter(DAY)),
            reads.rows(RowFilter(DAY)),
        ):
            assert await every(portions) == []
        assert list(await reads.claims(DAY)) == []
        assert list(await reads.pending_changes(RowFilter(DAY))) == []
        assert list(await reads.builders(DAY)) == []

    @twisted_test(10)
    async def test_what_others_took_is_theirs_and_what_nobody_took_anybodys(
        self, farm: ReportsUnderTest
    ) -> None:
        farm.run(farm.submit("ours"))
        farm.run(farm.submit("theirs"), master=THEIRS)
        farm.submit("waits")
        farm.complete(farm.submit("dropped"), results=2)
        assert await waiting(farm, wanted()) == ["ours", "waits"]

    @twisted_test(10)
    async def test_what_is_not_there_is_left_out_for_nothing(self, farm: ReportsUnderTest) -> None:
        """Count requests whose change or reason is NULL [docs/compatibility.md, "Reports"]."""
        farm.submit("no reason", reason=None)
        farm.submit("rebuilt", reason="Self-serve: Rebuilt by ann")
        farm.submit("no change")
        farm.submit("marked", comments=["skip, DONTBUILD"])
        farm.submit("one of two marked", comments=["DONTBUILD", "fix"])
        farm.submit("fuzzer-linux")
        farm.submit("fuzzer_linux")
        asked = wanted(
            builders_unlike=["fuzzer-%"],
            reasons_unlike=["%Rebuilt by %"],
            comments_unlike=["%DONTBUILD%"],
        )
        expected = ["fuzzer_linux", "no change", "no reason", "one of two marked"]
        assert await waiting(farm, asked) == expected

    @twisted_test(10)
    async def test_the_first_change_and_the_first_build_count(self, farm: ReportsUnderTest) -> None:
        request = farm.submit("twice", comments=["a", "b"], changed=T0 - 40)
        farm.end(farm.run(request, at=T0 + 100), at=T0 + 200)
        farm.run(request, at=T0 + 300)
        [row] = await every(farm.reads.waiting(wanted()))
        assert (row.change_time, row.start_time, row.submitted_at) == (T0 - 40, T0 + 100, T0)

    @pytest.mark.parametrize("offset", [-1, 0, 1])
    @twisted_test(10)
    async def test_what_is_at_the_border_of_two_queries_is_there_once(
        self, farm: ReportsUnderTest, offset: int
    ) -> None:
        at = T0 + HOURS + offset
        farm.run(farm.submit("border", at=at), at=at + 5)
        asked = Span(T0, T0 + 3 * HOURS)
        assert await waiting(farm, wanted(asked)) == ["border"]
        assert len(await every(farm.reads.attempts(RowFilter(asked)))) == 1
        assert await waiting(farm, wanted(Span(T0, at))) == []
        assert await waiting(farm, wanted(Span(at, at + 1))) == ["border"]

    @twisted_test(10)
    async def test_more_rows_than_allowed_are_refused_with_what_helps(
        self, farm: ReportsUnderTest
    ) -> None:
        for i in range(6):
            request = farm.submit(f"b{i}", at=T0 + i * HOURS, comments=["x"])
            farm.run(request, master=f"m{i}")
            farm.push("ann", ["try"], T0 + i * HOURS)
            farm.push("bea", [], T0 + i * HOURS)
        long, reads = Span(T0, T0 + 10 * HOURS), farm.few(5)
        for portions in (
            reads.waiting(WaitingFilter(long, ["m"])),
            reads.pushes(ChangeFilter(long)),
            reads.attempts(RowFilter(long)),
            reads.rows(RowFilter(long)),
        ):
            with pytest.raises(BadRequest, match=r"more than 5 rows: choose a shorter time"):
                await every(portions)
        for rest in (
            reads.claims(long),
            reads.pending_changes(RowFilter(long)),
            reads.builders(long),
        ):
            with pytest.raises(BadRequest, match=r"more than 5 rows"):
                await rest

    @twisted_test(10)
    async def test_a_builder_is_its_name_to_the_letter(self, farm: ReportsUnderTest) -> None:
        for name in ("Linux_x", "linux_x", "LinuxAx", "Linux_x "):
            farm.submit(name)
        rows = await every(farm.reads.rows(RowFilter(DAY, builder="Linux_x")))
        assert [row.buildername for row in rows] == ["Linux_x"]

    @twisted_test(10)
    async def test_a_row_has_all_there_is(self, farm: ReportsUnderTest) -> None:
        request = farm.submit("b", comments=["try: -b o"], changed=T0 - 7)
        farm.end(farm.run(request, at=T0 + 10), at=T0 + 70)
        farm.complete(request, results=1, at=T0 + 71)
        [row] = await every(farm.reads.rows(RowFilter(DAY)))
        assert (row.request_id, row.status, row.results) == (request, Status.COMPLETE, 1)
        assert (row.authors, row.comments, row.when_timestamp) == (("ann",), "try: -b o", T0 - 7)
        assert (row.run_time, row.wait_time, row.duration) == (60, 17, 78)
        [attempt] = await every(farm.reads.attempts(RowFilter(DAY)))
        assert (attempt.run_time, attempt.results, attempt.status) == (60, 1, Status.COMPLETE)

    @twisted_test(10)
    async def test_rows_are_one_for_each_build_and_change_in_their_order(
        self, farm: ReportsUnderTest
    ) -> None:
        request, other = farm.submit("b", comments=["one", "two"]), farm.submit("b")
        builds = [farm.run(request, at=T0 + 10), farm.run(request, at=T0 + 500)]
        rows = await every(farm.reads.rows(RowFilter(DAY)))
        assert [(r.request_id, r.build_id, r.comments) for r in rows] == [
            (request, builds[0], "one"),
            (request, builds[0], "two"),
            (request, builds[1], "one"),
            (request, builds[1], "two"),
            (other, None, None),
        ]
        assert len(await every(farm.reads.attempts(RowFilter(DAY)))) == 3

    @twisted_test(10)
    async def test_signs_of_patterns_in_a_revision_are_plain(self, farm: ReportsUnderTest) -> None:
        for revision in ("abc_ef", "abcdef", "abc_eff", None):
            farm.submit("b", revision=revision)
        found = await every(farm.reads.rows(RowFilter(None, revision=RevisionMatch("abc_ef"))))
        assert [row.revision for row in found] == ["abc_ef"]

    @twisted_test(10)
    async def test_pushes_are_times_and_branches_of_changes(self, farm: ReportsUnderTest) -> None:
        for branch in ("try", "try", "cedar", "try-talos", None):
            farm.push("ann", [branch], T0)
        farm.push("ann", ["try"], T0 + 5)
        asked = ChangeFilter(DAY, ["%talos"])
        found = [(p.when_timestamp, p.branch) for p in await every(farm.reads.pushes(asked))]
        assert len(found) == 4
        assert set(found) == {(T0, "try"), (T0, "cedar"), (T0, None), (T0 + 5, "try")}
        linked = ChangeFilter(DAY, (), ["http://hg.example.org"])
        assert await every(farm.reads.pushes(linked)) == []

    @twisted_test(10)
    async def test_changes_without_a_stamp_are_still_to_come(self, farm: ReportsUnderTest) -> None:
        farm.push("ann", ["try"], T0)
        late, early = farm.push("bea", [], T0 + 9), farm.push("cleo", [], T0 + 3)
        found = await farm.reads.pending_changes(RowFilter(DAY))
        assert [c.changeid for c in found] == [late, early]
        other = BranchFilter(texts=("nowhere",))
        assert list(await farm.reads.pending_changes(RowFilter(DAY, other))) == []
        later = RowFilter(Span(T0 + 9, T0 + 10))
        assert [c.changeid for c in await farm.reads.pending_changes(later)] == [late]

    @twisted_test(10)
    async def test_who_took_what_is_counted_and_builders_are_listed_once(
        self, farm: ReportsUnderTest
    ) -> None:
        for master in (OURS, OURS, THEIRS):
            farm.run(farm.submit("b"), master=master)
        farm.submit("waits")
        assert sorted(await farm.reads.claims(DAY)) == [("b", OURS, 2), ("b", THEIRS, 1)]
        assert list(await farm.reads.builders(DAY)) == ["b", "waits"]
        before = Span(T0 - 1000, T0)
        assert (list(await farm.reads.claims(before)), list(await farm.reads.builders(before))) == (
            [],
            [],
        )

    # --- builds, slaves and steps

    @twisted_test(10)
    async def test_of_a_farm_where_nothing_was_built_all_is_empty(
        self, farm: ReportsUnderTest
    ) -> None:
        assert await every(farm.reads.builds(DAY)) == []
        assert list(await farm.reads.slaves(DAY)) == []
        assert list(await farm.reads.test_times(timed())) == []

    @twisted_test(10)
    async def test_a_build_has_its_names_and_times(self, farm: ReportsUnderTest) -> None:
        farm.build("b", took=90, result=2)
        [row] = await every(farm.reads.builds(DAY))
        assert (row.slave, row.builder, row.result) == ("s1", "b", 2)
        assert (row.start, row.end, row.duration) == (T0, T0 + 90, 90)

    @twisted_test(10)
    async def test_a_build_that_goes_on_has_no_end_and_no_result(
        self, farm: ReportsUnderTest
    ) -> None:
        farm.build(took=None, result=None)
        [row] = await every(farm.reads.builds(DAY))
        assert (row.end, row.result, row.duration) == (None, -1, 0)

    @pytest.mark.parametrize("offset", [-1, 0, 1])
    @twisted_test(10)
    async def test_a_build_at_the_border_of_two_queries_is_there_once(
        self, farm: ReportsUnderTest, offset: int
    ) -> None:
        at = T0 + HOURS + offset
        farm.build(start=at)
        builds = farm.reads.builds
        assert len(await every(builds(Span(T0, T0 + 30_000)))) == 1
        assert await every(builds(Span(T0, at))) == []
        assert len(await every(builds(Span(at, at + 1)))) == 1
        assert len(await every(builds(Span(at - 0.5, at + 0.5)))) == 1

    @twisted_test(10)
    async def test_builds_of_a_slave_a_builder_or_a_category(self, farm: ReportsUnderTest) -> None:
        for name in ("Linux_a", "LinuxXa"):
            farm.build(name)
        farm.build("idle-job", slave="s2", category="when idle")
        of = farm.reads.builds
        assert [b.builder for b in await every(of(DAY, builder="Linux_a"))] == ["Linux_a"]
        [idle] = await every(of(DAY, categories=["%idle%"]))
        assert idle.builder == "idle-job"
        assert [b.builder for b in await every(of(DAY, slave_id=idle.slave_id))] == ["idle-job"]
        assert list(await farm.reads.slaves(DAY)) == ["s1", "s2"]

    @twisted_test(10)
    async def test_more_builds_than_allowed_are_refused(self, farm: ReportsUnderTest) -> None:
        for i in range(4):
            farm.build(start=T0 + i * 8000, slave=f"s{i}")
        with pytest.raises(BadRequest, match="more than 3 rows"):
            await every(farm.few(3).builds(DAY))
        with pytest.raises(BadRequest, match="more than 3 rows"):
            await farm.few(3).slaves(DAY)
        with pytest.raises(BadRequest, match="more than 3 rows"):
            await farm.few(3).test_times(timed())

    @twisted_test(10)
    async def test_means_of_builds_and_of_their_test_steps(self, farm: ReportsUnderTest) -> None:
        for took, tested in ((100, 60), (200, 100)):
            one = farm.build("tests", took=took)
            farm.step(one, "crashtest", start=T0 + 5, took=tested - 20)
            farm.step(one, "big mochitest-1", start=T0 + 50, took=20)
            farm.step(one, "reboot", start=T0 + 90, took=7)
        farm.step(farm.build("compiles", took=500), "compile", start=T0, took=400)
        farm.step(farm.build("tests", took=9), "crashtest", start=T0, took=5)
        farm.step(farm.build("tests", took=300, result=2), "crashtest", start=T0, took=5)
        [found] = await farm.reads.test_times(timed())
        assert (found.builder, found.builds, found.total, found.test) == ("tests", 2, 150, 80)
        for none in (timed(excluded=("tests",)), timed(categories=("none",))):
            assert list(await farm.reads.test_times(none)) == []
