"""What reports read from a status database, on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from buildapi.buildbot.v08.statusreports import SQLStatusReports
from buildapi.errors import BadRequest
from buildapi.model.reporting import JobTimeFilter, Span
from tests.farmwide.conftest import Status
from tests.reactor import twisted_test

T0 = 1_700_000_000
"""2023-11-14 22:13:20 UTC."""
DAY = Span(T0 - 1000, T0 + 86_400)


def utc(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def build(status: Status, *, start: int = T0, took: int | None = 60, **more: Any) -> int:
    end = None if took is None else utc(start + took)
    return status.build(more.pop("slave", "s1"), starttime=utc(start), endtime=end, **more)


def reads(status: Status, rows: int = 1000) -> SQLStatusReports:
    return SQLStatusReports(status.db, rows)


async def every(portions: AsyncIterator[Sequence[Any]]) -> list[Any]:
    return [row async for portion in portions for row in portion]


@twisted_test(10)
async def test_a_build_has_its_names_and_times_of_utc(status: Status) -> None:
    build(status, name="b", took=90, result=2)
    [row] = await every(reads(status).builds(DAY))
    assert (row.slave, row.builder, row.start, row.end, row.result) == ("s1", "b", T0, T0 + 90, 2)
    assert row.duration == 90


@twisted_test(10)
async def test_a_build_that_goes_on_has_no_end_and_no_result(status: Status) -> None:
    build(status, took=None, result=None)
    [row] = await every(reads(status).builds(DAY))
    assert (row.end, row.result, row.duration) == (None, -1, 0)


@pytest.mark.parametrize("offset", [-1, 0, 1])
@twisted_test(10)
async def test_what_is_at_the_border_of_two_queries_is_there_once(
    status: Status, offset: int
) -> None:
    at = T0 + 7200 + offset
    build(status, start=at)
    assert len(await every(reads(status).builds(Span(T0, T0 + 30_000)))) == 1
    assert await every(reads(status).builds(Span(T0, at))) == []
    assert len(await every(reads(status).builds(Span(at, at + 1)))) == 1
    assert len(await every(reads(status).builds(Span(at - 0.5, at + 0.5)))) == 1


@twisted_test(10)
async def test_builds_of_a_slave_a_builder_or_a_category(status: Status) -> None:
    other = status.seed.insert("builders", name="linux_a", master_id=2)
    build(status, name="LinuxXa", builder_id=other)
    for name in ("Linux_a", "LinuxXa"):
        build(status, name=name)
    build(status, name="idle-job", slave="s2")
    status.seed.execute("UPDATE builders SET category = 'when idle' WHERE name = 'idle-job'")
    of = reads(status).builds
    assert [b.builder for b in await every(of(DAY, builder="Linux_a"))] == ["Linux_a"]
    [idle] = await every(of(DAY, categories=["%idle%"]))
    assert idle.builder == "idle-job"
    assert [b.builder for b in await every(of(DAY, slave_id=idle.slave_id))] == ["idle-job"]
    assert await reads(status).slaves(DAY) == ["s1", "s2"]


@twisted_test(10)
async def test_more_rows_than_allowed_are_refused(status: Status) -> None:
    for i in range(4):
        build(status, start=T0 + i * 8000)
    with pytest.raises(BadRequest, match="more than 3 rows"):
        await every(reads(status, rows=3).builds(DAY))


def tests_of(status: Status, **more: Any) -> JobTimeFilter:
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


def step(status: Status, of: int, name: str, start: int, took: int) -> None:
    status.seed.insert(
        "steps",
        name=name,
        build_id=of,
        **{"`order`" if status.seed.dialect == "mysql" else '"order"': 1},
        starttime=utc(start),
        endtime=utc(start + took),
        description="[]",
    )


@twisted_test(10)
async def test_means_of_builds_and_of_their_test_steps(status: Status) -> None:
    status.seed.execute("DELETE FROM steps")
    for took, tested in ((100, 60), (200, 100)):
        one = build(status, name="tests", took=took)
        step(status, one, "crashtest", T0 + 5, tested - 20)
        step(status, one, "big mochitest-1", T0 + 50, 20)
        step(status, one, "reboot", T0 + 90, 7)
    step(status, build(status, name="compiles", took=500), "compile", T0, 400)
    step(status, build(status, name="tests", took=9), "crashtest", T0, 5)
    step(status, build(status, name="tests", took=300, result=2), "crashtest", T0, 5)
    [found] = await reads(status).test_times(tests_of(status))
    assert (found.builder, found.builds, found.total, found.test) == ("tests", 2, 150, 80)
    assert await reads(status).test_times(tests_of(status, excluded=("tests",))) == []
    assert await reads(status).test_times(tests_of(status, categories=("none",))) == []
