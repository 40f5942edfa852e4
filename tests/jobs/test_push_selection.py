"""Which pushes and jobs a list shows, and which jobs of a large group one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.jobs.build_states import OPEN, STATES
from buildapi.jobs.push_selection import FOLDED, GROUP_MAX, PushSelection, groups
from buildapi.jobs.push_summary import FAILED, PushJob, PushSummary
from buildapi.model.branches import Branch
from buildapi.model.job_class import JobClass
from buildapi.model.pushes import Change, Push

WHEN = 1_700_000_000
PUSH = Push(Branch("try", ("try",), {}), "r", [Change(1, "try", "r", "ann", "fix", WHEN)])


def job(state: str, builder: str = "Linux try build", platform: str = "linux64") -> PushJob:
    of = JobClass(platform, "opt build", "B")
    return PushJob(1, [1], builder, state, of, WHEN, None, None, 0, "")


def push(*jobs: PushJob) -> PushSummary:
    counts = {state: n for state in STATES if (n := sum(j.state == state for j in jobs))}
    return PushSummary(
        PUSH, jobs, counts, False, False, None, None, None
    )  # is_done is not looked at


JOBS = st.builds(
    job, st.sampled_from(STATES), st.sampled_from(["Linux build", "linux talos", "OS X"])
)
PUSHES = st.lists(JOBS, max_size=8).map(lambda jobs: push(*jobs))
SELECTIONS = st.builds(
    PushSelection,
    st.none() | st.sampled_from(STATES),
    st.sampled_from([None, "linux", "BUILD", "x"]),
    st.booleans(),
    st.booleans(),
)


@given(SELECTIONS, PUSHES)
def test_what_is_selected_is_what_was_asked_for(
    selection: PushSelection, found: PushSummary
) -> None:
    selected = selection.of(found)
    part = (selection.builder or "").lower()
    wanted = [
        j for j in found.jobs if selection.state in (None, j.state) and part in j.builder.lower()
    ]
    selects_jobs = selection.state is not None or selection.builder is not None
    left_out = (
        (selects_jobs and not wanted)
        or (selection.unfinished and not any(j.state in OPEN for j in found.jobs))
        or (selection.failures and not any(j.state in FAILED for j in found.jobs))
    )
    assert (selected is None) == left_out
    if selected is not None:
        assert list(selected.jobs) == wanted
        assert selected.counts == found.counts


def test_nothing_selected_is_everything() -> None:
    assert PushSelection().selects_all
    assert not PushSelection(failures=True).selects_all
    assert PushSelection().of(push()) is not None


def shown(jobs: Sequence[PushJob], *, folds: bool = True) -> list[tuple[str, int, dict[str, int]]]:
    return [(g.platform, len(g.jobs), dict(g.folded)) for g in groups(jobs, folds=folds)]


@pytest.mark.parametrize("state", FOLDED)
def test_a_large_group_folds_the_jobs_that_nobody_looks_for(state: str) -> None:
    jobs = [*[job(state)] * GROUP_MAX, job("failure"), job("running")]
    assert shown(jobs) == [("linux64", 2, {state: GROUP_MAX})]
    assert shown(jobs, folds=False) == [("linux64", GROUP_MAX + 2, {})]
    assert shown(jobs[:GROUP_MAX]) == [("linux64", GROUP_MAX, {})]


@given(st.lists(st.sampled_from(STATES), max_size=40), st.booleans())
def test_every_job_is_shown_or_counted(states: Sequence[str], folds: bool) -> None:
    jobs = [job(state, platform=f"p{i // 20}") for i, state in enumerate(states)]
    found = list(groups(jobs, folds=folds))
    shown_or_counted = [
        *(j.state for g in found for j in g.jobs),
        *(state for g in found for state, n in g.folded.items() for _ in range(n)),
    ]
    assert sorted(shown_or_counted) == sorted(states)
    for group in found:
        assert len(group.jobs) <= GROUP_MAX or not folds or not group.folded.keys() - set(FOLDED)
        assert all(group.folded.values())
