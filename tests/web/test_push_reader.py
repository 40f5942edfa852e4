"""Reads of pushes that have more jobs than one read may return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from twisted.internet.task import Clock

from buildapi.errors import BadRequest
from buildapi.jobs.push_selection import PushSelection
from buildapi.model.branches import Branch
from buildapi.model.pushes import Change, PushFilter
from buildapi.model.records import RequestDetails
from buildapi.reports.job_classes import JobClasses
from buildapi.web.http.json_body import ROW_BYTES, JSONBody
from buildapi.web.reports.classification_file import read_classification
from buildapi.web.selfserve.push_reader import PushReader
from tests.reactor import twisted_test
from tests.web.farm import NOW, Failing, MemoryBuilds, MemoryPushes, a_request

TRY = Branch("try", ("try",), {})


@attrs.define
class Crowded(Failing):
    """Let a read of the jobs of more than ``most`` pushes fail; ``sizes`` are of all such reads."""

    most: int = 3
    sizes: list[int] = attrs.field(factory=list)

    async def happen(self, *call: Any) -> None:
        if call[0] == "work":
            self.sizes.append(len(call[1]))
            if len(call[1]) > self.most:
                raise BadRequest("Too many rows")


def reader(pushes: MemoryPushes) -> PushReader:
    classes = JobClasses(read_classification(None))
    return PushReader(pushes, classes, lambda: NOW, Clock())


def crowded(most: int) -> tuple[PushReader, Crowded]:
    """Return a reader of eight pushes."""
    failing = Crowded(most=most)
    builds = attrs.evolve(MemoryBuilds.small(), failing=failing)
    known = [Change(n, "try", f"{n:040}", "ann", "", NOW - n) for n in range(8)]
    return reader(MemoryPushes(builds, known)), failing


@twisted_test()
async def test_jobs_are_read_in_parts_if_they_are_too_many_for_one_read() -> None:
    pushes, failing = crowded(3)
    found = await pushes.read(PushFilter((TRY,)), PushSelection(), 8)
    assert [one.push.revision for one in found.pushes] == [f"{n:040}" for n in range(8)]
    assert failing.sizes == [8, 4, 2, 2, 4, 2, 2]


@twisted_test()
async def test_a_push_with_too_many_jobs_for_a_read_is_listed_without_them() -> None:
    pushes, _ = crowded(0)
    found = await pushes.read(PushFilter((TRY,)), PushSelection(), 8)
    assert [(one.omits_jobs, one.counts, one.complete) for one in found.pushes] == [
        (True, {}, False)
    ] * 8
    assert (await pushes.read(PushFilter((TRY,)), PushSelection("failure"), 8)).pushes == []


@twisted_test()
async def test_of_very_many_jobs_in_all_the_older_ones_are_not_read() -> None:
    _, failing = crowded(2)
    requests = {n: RequestDetails(a_request(n, revision=f"{n:040}"), {}, []) for n in range(1, 9)}
    known = [Change(n, "try", f"{n:040}", "ann", "", NOW - n) for n in range(1, 9)]
    pushes = MemoryPushes(MemoryBuilds(requests, {}, failing=failing), known)
    short = reader(pushes)
    short._jobs_max = 4
    found = await short.read(PushFilter((TRY,)), PushSelection(), 8)
    assert [one.omits_jobs for one in found.pushes] == [False] * 4 + [True] * 4
    assert [len(one.jobs) for one in found.pushes] == [1] * 4 + [0] * 4
    assert failing.sizes == [8, 4, 2, 2]


SHORT = "abcdef012345"
WHOLE = f"{SHORT:0<40}"
TWIN = f"{SHORT:1<40}"


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        ([WHOLE], SHORT, [WHOLE]),
        ([WHOLE], SHORT.upper(), [WHOLE]),
        ([WHOLE], SHORT + "000", [WHOLE]),
        ([SHORT], WHOLE, [SHORT]),
        # Digits beyond those compared decide only between several revisions.
        ([WHOLE], SHORT + "777", [WHOLE]),
        ([WHOLE], TWIN, [WHOLE]),
        ([WHOLE, TWIN], TWIN, [TWIN]),
        ([WHOLE, TWIN], SHORT, [TWIN, WHOLE]),
        ([WHOLE], SHORT[:11], []),
        (["1234", "12345"], "1234", ["1234"]),
        (["tip"], "ti", []),
    ],
)
@twisted_test()
async def test_a_push_without_builds_is_found_by_the_digits_of_its_hash(
    stored: Sequence[str], asked: str, expected: Sequence[str]
) -> None:
    builds = MemoryBuilds({}, {})
    known = [Change(n, "try", revision, f"{n}", "", NOW - n) for n, revision in enumerate(stored)]
    pushes = reader(MemoryPushes(builds, [*known, Change(9, "cedar", "9" * 40, "", "", NOW)]))
    found = await pushes.of_revision(PushFilter((TRY,)), asked, PushSelection())
    assert sorted(one.push.revision for one in found.pushes) == sorted(expected)


@twisted_test()
async def test_a_list_weighs_what_its_changes_say() -> None:
    """What is kept ready is bounded in bytes: a list of long comments has many."""
    long = [Change(n, "try", f"{n:040}", "ann", f"{n}" + "x" * 996, NOW - 9) for n in range(3)]
    found = await reader(MemoryPushes(MemoryBuilds.small(), long)).read(
        PushFilter((TRY,)), PushSelection(), 8
    )
    assert [len(one.others) for one in found.pushes] == [2]
    assert (found.rows, found.text) == (4, 3 * 997 + 3)
    assert JSONBody.of_page(found, found.rows, found.text).weight >= 2997 + 4 * ROW_BYTES
