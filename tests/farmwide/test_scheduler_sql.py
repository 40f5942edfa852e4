"""What is read of the whole farm from a scheduler database, on each engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from buildapi.buildbot.v08.farm_reads import SQLFarmReads
from buildapi.errors import BadRequest
from buildapi.jobs.farm_views import waiting_entries
from buildapi.model.branches import Branches
from buildapi.model.farm_rows import BranchFilter, Portion, PushCounts, RunningBuild
from buildapi.model.revisions import RevisionMatch
from tests.buildbot.conftest import OpenScheduler, Scheduler
from tests.buildbot.seed import MASTER_A, MASTER_B, T0, Seed
from tests.reactor import twisted_test

BRANCHES = Branches.from_definitions(
    {
        "try": {"repo": "https://hg.example.org/try"},
        "try-comm-central": {"repo": "https://hg.example.org/try-comm-central"},
        "cedar": {"repo": "https://hg.example.org/projects/cedar"},
        "b2g_v2": {},
    },
    {"try": ["try-comm-central-old"]},
)
ANY = RevisionMatch("abcdef012345")
OPEN, ALL = BranchFilter(), Portion()


def only(*names: str) -> BranchFilter:
    """Filter by branches where there are such, else by texts."""
    known = [BRANCHES.by_name[n] for n in names if n in BRANCHES.by_name]
    return BranchFilter(tuple(known), tuple(n for n in names if n not in BRANCHES.by_name))


STORED = [
    "try",
    "try-linux-unittest",
    "try-comm-central",
    "try-comm-central-linux",
    "try-comm-central-old",
    "try-comm-central-old-linux",
    "tryout",
    "integration/try",
    "projects/cedar",
    "cedar-talos",
    "users/x/cedar",
    "b2g_v2",
    "b2g-v2",
    "50%",
    None,
    "",
]

CHOSEN = [
    (OPEN, STORED),
    (
        only("try"),
        ["try", "try-linux-unittest", "try-comm-central-old", "try-comm-central-old-linux"],
    ),
    (only("try-comm-central"), ["try-comm-central", "try-comm-central-linux"]),
    (only("cedar"), ["projects/cedar", "cedar-talos"]),
    (only("cedar", "b2g_v2"), ["projects/cedar", "cedar-talos", "b2g_v2"]),
    (only("x/"), ["users/x/cedar"]),
    (only("b2g_"), ["b2g_v2"]),
    (only("%"), ["50%"]),
    (only("|", "'", "\\", "é\U0001f600"), []),
    (only(""), [s for s in STORED if s is not None]),
    (only("b2g_v2", "X/CEDAR"), ["users/x/cedar", "b2g_v2"]),
]


@pytest.mark.parametrize(("chosen", "expected"), CHOSEN, ids=range(len(CHOSEN)))
@twisted_test(10)
async def test_a_branch_means_what_belongs_to_it_and_a_text_what_has_it_inside(
    scheduler: Scheduler, chosen: BranchFilter, expected: list[str | None]
) -> None:
    seed = scheduler.seed
    for i, stored in enumerate(STORED):
        seed.request(stored, builder=f"p{i}")
        seed.run(seed.request(stored, builder=f"r{i}"))
        push(seed, stored, f"a{i}")
    reads = SQLFarmReads(scheduler.db)
    names = sorted(map(str, expected))
    assert sorted(str(e.branch) for e in await reads.pending(chosen, ALL)) == names
    assert sorted(str(e.branch) for e in await reads.running(chosen, ALL)) == names
    found = {str(e.branch) for e in await reads.revision(chosen, ANY)}
    assert sorted(found) == names
    counted = (await reads.pushes(chosen, T0, None)).by_author
    pushed = [s for s in expected if s is not None and not s.endswith(("unittest", "talos"))]
    assert sorted(counted) == sorted(f"a{STORED.index(s)}" for s in pushed)


def push(
    seed: Seed, branch: str | None, author: str = "ann", *, at: float = T0, stamps: int = 1
) -> None:
    """Push to a branch, with a change in each of some source stamps."""
    made = [seed.stamp("any", f"{author}{branch}{i}"[:250]) for i in range(stamps)]
    change = seed.change(author, made, at)
    seed.execute("UPDATE changes SET branch = %s WHERE changeid = %s", branch, change)


# --- pending


@twisted_test()
async def test_pending_is_what_has_no_build_the_latest_first(scheduler: Scheduler) -> None:
    """Also what a master has claimed, until its build is there; NULL is as 0."""
    seed = scheduler.seed
    old, new = seed.request(at=T0), seed.request(at=T0 + 9, builder="mac", revision=None)
    same = seed.request(at=T0)
    claimed, done, odd, runs = (seed.request() for _ in range(4))
    seed.claim(claimed)
    seed.complete(done)
    seed.run(runs)
    seed.execute("UPDATE buildrequests SET claimed_at = NULL WHERE id = %s", odd)
    found = await SQLFarmReads(scheduler.db).pending(OPEN, ALL)
    assert [(e.id, e.claimed_by_name) for e in found] == [
        (new, None),
        (odd, None),
        (claimed, MASTER_A),
        (same, None),
        (old, None),
    ]
    assert (found[0].buildername, found[0].submitted_at, found[0].revision) == (
        "mac",
        T0 + 9,
        None,
    )
    assert {type(e.submitted_at) for e in found} == {int}


PORTIONS = [
    (Portion(2), 0, 2),
    (Portion(2, 1), 1, 3),
    (Portion(None, 3), 3, 5),
    (Portion(9, 4), 4, 5),
]


@pytest.mark.parametrize(("portion", "start", "end"), PORTIONS, ids=str)
@twisted_test()
async def test_a_portion_of_a_list(
    scheduler: Scheduler, portion: Portion, start: int, end: int
) -> None:
    seed, reads = scheduler.seed, SQLFarmReads(scheduler.db)
    for i in range(5):
        seed.request(at=T0 + i)
        seed.run(seed.request(), at=T0 + i)
    pending, running = await reads.pending(OPEN, ALL), await reads.running(OPEN, ALL)
    assert len(pending) == len(running) == 5
    assert await reads.pending(OPEN, portion) == pending[start:end]
    assert await reads.running(OPEN, portion) == running[start:end]


@twisted_test()
async def test_more_rows_than_one_read_may_take_are_refused(
    make_url: Callable[[int], str], open_scheduler: OpenScheduler
) -> None:
    scheduler = open_scheduler(make_url(0), max_rows=2)
    seed, reads = scheduler.seed, SQLFarmReads(scheduler.db)
    for _ in range(3):
        seed.request()
        seed.run(seed.request())
        push(seed, "try", f"author{seed.total('changes')}")
    refused: list[Callable[[], Awaitable[object]]] = [
        lambda: reads.pending(OPEN, ALL),
        lambda: reads.running(OPEN, ALL),
        lambda: reads.revision(OPEN, ANY),
        lambda: reads.pushes(OPEN, T0, None),
    ]
    for read in refused:
        with pytest.raises(BadRequest, match="Too many rows"):
            await read()
    assert len(await reads.pending(OPEN, Portion(2))) == 2


# --- running


@twisted_test()
async def test_coalesced_requests_run_as_one_build(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    first, second = seed.request(at=T0), seed.request(revision="ffff", at=T0 + 5)
    build = seed.run(first, second, at=T0 + 20)
    number = seed.row("builds", build)["number"]
    expected = RunningBuild(
        id=build + 1,
        request_ids=(first, second),
        number=number,
        buildername="linux",
        claimed_by_name=MASTER_A,
        start_time=T0 + 20,
        submitted_at=T0,
        master_seen_at=T0 + 19,
        branch="try",
        revision="ffff",
    )
    assert await SQLFarmReads(scheduler.db).running(OPEN, ALL) == [expected]


@twisted_test()
async def test_only_the_last_try_of_a_retried_request_runs(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    request = seed.request()
    seed.end(seed.run(request))
    seed.give_back(request)
    now = seed.run(request, at=T0 + 100, master=MASTER_B)
    ended, waits = seed.request(), seed.request()
    seed.end(seed.run(ended))
    seed.complete(ended)
    seed.run(waits)
    seed.give_back(waits)
    running = await SQLFarmReads(scheduler.db).running(OPEN, ALL)
    assert [(b.id, b.claimed_by_name, b.request_ids) for b in running] == [
        (now, MASTER_B, (request,))
    ]


@twisted_test()
async def test_what_a_dead_master_left_of_a_request_taken_over_does_not_run(
    scheduler: Scheduler,
) -> None:
    seed = scheduler.seed
    request = seed.request()
    seed.run(request)
    seed.claim(request, master=MASTER_B, at=T0 + 3700)
    taken = seed.start(request, at=T0 + 3702)
    reads = SQLFarmReads(scheduler.db)
    assert [b.id for b in await reads.running(OPEN, ALL)] == [taken]
    seed.end(taken, at=T0 + 4000)
    seed.complete(request, at=T0 + 4000)
    assert await reads.running(OPEN, ALL) == []


@twisted_test()
async def test_all_that_is_open_is_either_waiting_or_running(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    pending, claimed, running = (seed.request() for _ in range(3))
    seed.claim(claimed)
    build = seed.run(running)
    work = await SQLFarmReads(scheduler.db).open()
    assert [e.id for e in work.pending] == [claimed, pending]
    assert [b.id for b in work.running] == [build]


# --- a revision


@twisted_test()
async def test_a_revision_has_an_entry_for_each_build_and_for_requests_without(
    scheduler: Scheduler,
) -> None:
    seed = scheduler.seed
    retried, waits = seed.request(at=T0), seed.request(at=T0 + 1)
    first = seed.run(retried)
    seed.end(first)
    second = seed.start(retried, at=T0 + 100)
    seed.complete(retried, results=2)
    seed.request(revision="ffff")
    found = await SQLFarmReads(scheduler.db).revision(OPEN, ANY)
    assert [(e.id, e.number, e.start_time, e.finish_time) for e in found] == [
        (waits, None, None, None),
        (retried, seed.row("builds", second)["number"], T0 + 100, None),
        (retried, seed.row("builds", first)["number"], T0 + 11, T0 + 60),
    ]
    assert [(e.claimed_at, e.claimed_by_name, e.results) for e in found[:2]] == [
        (0, None, None),
        (T0 + 10, MASTER_A, 2),
    ]
    assert [e.id for e in waiting_entries(found)] == [waits]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("abcdef012345", 1),
        ("ABCDEF0123456", 1),
        ("abc", 0),
        ("bcd", 0),
        ("%", 0),
        ("abc_ef", 0),
        ("\U0001f600", 0),
    ],
)
@twisted_test()
async def test_a_revision_is_given_by_the_beginning_of_a_hash(
    scheduler: Scheduler, text: str, count: int
) -> None:
    scheduler.seed.request()
    scheduler.seed.request(revision=None)
    assert len(await SQLFarmReads(scheduler.db).revision(OPEN, RevisionMatch(text))) == count


@twisted_test()
async def test_a_revision_the_replica_lacks_is_asked_of_the_primary(
    scheduler: Scheduler, replica: Scheduler
) -> None:
    request = scheduler.seed.request()
    assert await SQLFarmReads(replica.db).revision(OPEN, ANY) == []
    (found,) = await SQLFarmReads(replica.db, scheduler.db).revision(OPEN, ANY)
    assert found.id == request


# --- pushes


@twisted_test()
async def test_a_push_counts_once_for_each_author_and_source_stamp(scheduler: Scheduler) -> None:
    seed = scheduler.seed
    push(seed, "try", stamps=2)
    stamp = seed.stamp("try", "shared")
    for author in ("ann", "ann", "zoë"):
        seed.change(author, [stamp])
    seed.change("nobody", [])
    counts = await SQLFarmReads(scheduler.db).pushes(OPEN, T0, None)
    assert counts == PushCounts({"ann": 3, "zoë": 1})
    assert counts.total == 4


@twisted_test()
async def test_both_ends_of_the_time_count(scheduler: Scheduler) -> None:
    for i in range(4):
        push(scheduler.seed, "try", f"a{i}", at=T0 + i)
    if scheduler.seed.dialect == "sqlite":  # whole seconds here as well
        scheduler.seed.execute(
            "UPDATE changes SET when_timestamp = CAST(when_timestamp AS INTEGER)"
        )
    reads = SQLFarmReads(scheduler.db)
    assert list((await reads.pushes(OPEN, T0 + 1, T0 + 2)).by_author) == ["a1", "a2"]
    assert list((await reads.pushes(OPEN, T0 + 2, None)).by_author) == ["a2", "a3"]
    assert (await reads.pushes(OPEN, T0 + 3, T0)).total == 0
