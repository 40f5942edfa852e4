"""What every job store promises; a test class of an implementation inherits it."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.errors import InProgress
from buildapi.interfaces import JobStore
from buildapi.model.rebuilds import OF_BUILD, OF_REQUEST, Rebuild, RebuildLinks, RebuildOrigin
from buildapi.model.records import JobFilter, JobKey, JobState, KeyedJob, Progress
from buildapi.model.row_marks import appeared_ids, lowest_id, unpacked_all
from tests.reactor import twisted_test

WHO, WHEN, NOW = "bob@example.org", 1_486_600_000, 1_486_600_060
WHAT = {"brid": 7, "priority": 3}
DAY = 86_400
KEY = JobKey("ab" * 32, "cd" * 32, "You've got it: \u20ac \U0001f600")
OTHER_KEY = JobKey("ab" * 31 + "ac", "cd" * 32, "")
PROGRESS = Progress(
    3, [{"state": "done", "detail": "100 % 'ok' \u20ac \U0001f600", "request_id": 7}]
)


def report(request_id: int, *, errors: bool = False, msg: str = "done") -> dict[str, Any]:
    return {"body": {"errors": errors, "msg": msg}, "request_id": request_id, "agent": "a1"}


async def added(
    store: JobStore, who: str = WHO, when: int = WHEN, key: JobKey | None = None
) -> int:
    return await store.add(who, when, "reprioritize", WHAT, key)


async def added_or_not(store: JobStore, key: JobKey) -> int | None:
    """Add a job; None where its key is taken."""
    try:
        return await added(store, key=key)
    except InProgress:
        return None


async def progress_of(store: JobStore, id_: int) -> Progress | None:
    job = await store.get(id_)
    assert job is not None
    return job.progress


async def both(first: Any, second: Any) -> list[Any]:
    """Await two things at the same time."""
    return list(await gatherResults([ensureDeferred(first), ensureDeferred(second)]))


class JobStoreContract:
    """Inherit, and give a fixture ``store`` with an empty store."""

    @pytest.fixture
    def store(self) -> JobStore:
        raise LookupError("an implementation's test class gives the store")

    @twisted_test(20)
    async def test_what_a_user_has_asked_for_lately_is_counted(self, store: JobStore) -> None:
        async def ask(when: int, action: str, who: str = WHO, **what: Any) -> int:
            return await store.add(who, when, action, what)

        await ask(WHEN - 1, "rebuild_build", bid=1, priority=0, count=50)
        await ask(WHEN + 1, "rebuild_build", bid=1, priority=0, count=3)
        await ask(WHEN + 2, "rebuild_request", brid=1, priority=0, count=4)
        await ask(WHEN + 3, "new_build_for_builder", branch="try", revision="ab", builder_name="x")
        await ask(WHEN + 3, "new_nightly_at_revision", branch="try", revision="ab", priority=0)
        await ask(WHEN + 3, "cancel_build", bid=1)
        await ask(WHEN + 3, "rebuild_build", WHO.upper(), bid=1, priority=0, count=9)
        for bid in (7, 8):
            await ask(WHEN + 5, "rebuild_build", bid=bid, priority=0, count=1)
        await ask(WHEN + 5, "rebuild_build", WHO.upper(), bid=1, priority=0, count=1)
        gone = await ask(WHEN + 4, "rebuild_build", bid=1, priority=0, count=100)
        assert await store.refuse(gone, report(gone, errors=True), NOW)
        asked = await store.asked_builds(WHO, WHEN)
        counted: Counter[int] = Counter()
        for one in asked:
            counted[one.when - WHEN] += one.builds
        assert counted == {1: 3, 2: 4, 3: 2, 5: 2}
        assert not await store.asked_builds("nobody", WHEN)

    @twisted_test(10)
    async def test_a_new_job_is_queued(self, store: JobStore) -> None:
        job = await store.get(await added(store))
        assert job is not None
        assert (job.action, job.who, job.when, job.what) == ("reprioritize", WHO, WHEN, WHAT)
        assert (job.state, job.completed_at, job.complete_data, job.agent) == (
            JobState.QUEUED,
            None,
            None,
            None,
        )

    @twisted_test(10)
    async def test_ids_are_positive_and_differ(self, store: JobStore) -> None:
        first, second = await added(store), await added(store)
        assert 0 < first < second

    @twisted_test(10)
    async def test_an_unknown_job_is_nowhere(self, store: JobStore) -> None:
        assert await store.get(999) is None
        assert not await store.begin(999, "a1", NOW)
        assert not await store.finish(999, report(999), NOW)
        assert not await store.refuse(999, report(999), NOW)
        await store.sent(999)
        assert await store.get(999) is None

    @twisted_test(20)
    async def test_jobs_added_at_once_keep_their_order_and_none_has_the_error_of_another(
        self, store: JobStore
    ) -> None:
        keys = [None, KEY, None, KEY, OTHER_KEY, None]
        adding = [added_or_not(store, key) if key else added(store) for key in keys]
        found = list(await gatherResults([ensureDeferred(one) for one in adding]))
        ids = [id_ for id_ in found if id_ is not None]
        assert [id_ is None for id_ in found] == [False, False, False, True, False, False]
        assert ids == sorted(set(ids))
        assert [job.id for job in await store.latest(9, 0)] == ids[::-1]

    @twisted_test(20)
    async def test_jobs_begun_and_ended_at_once_are_answered_each_for_itself(
        self, store: JobStore
    ) -> None:
        ids = [await added(store) for _ in range(5)]
        assert await store.finish(ids[2], report(ids[2]), NOW)
        wanted = [*ids, ids[0], 999]
        begun = [ensureDeferred(store.begin(id_, "a1", NOW)) for id_ in wanted]
        assert await gatherResults(begun) == [True, True, False, True, True, True, False]
        ended = [ensureDeferred(store.finish(id_, report(id_), NOW)) for id_ in wanted]
        assert await gatherResults(ended) == [True, True, False, True, True, False, False]
        read = await gatherResults([ensureDeferred(store.get(id_)) for id_ in wanted])
        states = [None if job is None else (job.id, job.state) for job in read]
        assert states == [*((id_, JobState.DONE) for id_ in [*ids, ids[0]]), None]
        reports = [job.complete_data for job in read if job is not None]
        assert reports == [report(id_) for id_ in [*ids, ids[0]]]

    @twisted_test(20)
    async def test_many_jobs_sent_at_once_are_sent(self, store: JobStore) -> None:
        ids = [await added(store) for _ in range(4)]
        await gatherResults([ensureDeferred(store.sent(id_)) for id_ in [*ids[:3], ids[0], 999]])
        unsettled = await store.unsettled(sent=True, before=NOW, limit=9)
        assert [job.id for job in unsettled] == ids[:3]

    @twisted_test(20)
    async def test_users_counted_at_once_are_counted_apart(self, store: JobStore) -> None:
        for who, when in ((WHO, WHEN), (WHO, WHEN + 2), ("ann@example.org", WHEN + 2)):
            await store.add(who, when, "rebuild_build", {"bid": 1, "priority": 0, "count": 2})
        asked = [(WHO, WHEN - 1), (WHO, WHEN), ("ann@example.org", WHEN), ("nobody", 0)]
        found = [ensureDeferred(store.asked_builds(*one)) for one in [asked[0], *asked]]
        counts = [sum(job.builds for job in jobs) for jobs in await gatherResults(found)]
        assert counts == [4, 4, 2, 2, 0]

    @twisted_test(10)
    async def test_a_job_begun_is_running_at_its_agent(self, store: JobStore) -> None:
        id_ = await added(store)
        assert await store.begin(id_, "a1", NOW)
        job = await store.get(id_)
        assert job is not None
        assert (job.state, job.agent) == (JobState.RUNNING, "a1")

    @twisted_test(10)
    async def test_a_redelivered_job_begins_again_wherever_it_arrives(
        self, store: JobStore
    ) -> None:
        id_ = await added(store)
        assert await store.begin(id_, "a1", NOW)
        assert await store.begin(id_, "a1", NOW + 1)
        assert await store.begin(id_, "a2", NOW + 2)
        job = await store.get(id_)
        assert job is not None
        assert (job.state, job.agent) == (JobState.RUNNING, "a2")

    @pytest.mark.parametrize(("errors", "state"), [(False, JobState.DONE), (True, JobState.FAILED)])
    @twisted_test(10)
    async def test_a_finished_job_keeps_the_whole_report(
        self, store: JobStore, errors: bool, state: JobState
    ) -> None:
        id_ = await added(store)
        await store.begin(id_, "a1", NOW)
        whole = report(id_, errors=errors, msg="100 % 'ok' \u20ac \U0001f600")
        whole["items"] = [{"state": "done", "detail": "x" * 1000, "request_id": 7}]
        assert await store.finish(id_, whole, NOW)
        job = await store.get(id_)
        assert job is not None
        assert (job.state, job.completed_at, job.complete_data) == (state, NOW, whole)

    @twisted_test(10)
    async def test_only_the_first_report_counts(self, store: JobStore) -> None:
        id_ = await added(store)
        assert await store.finish(id_, report(id_, msg="first"), NOW)
        assert not await store.finish(id_, report(id_, errors=True, msg="second"), NOW + 1)
        job = await store.get(id_)
        assert job is not None
        assert job.complete_data == report(id_, msg="first")
        assert job.completed_at == NOW

    @twisted_test(10)
    async def test_a_finished_job_neither_begins_nor_is_refused(self, store: JobStore) -> None:
        id_ = await added(store)
        await store.finish(id_, report(id_), NOW)
        assert not await store.begin(id_, "a1", NOW)
        assert not await store.refuse(id_, report(id_, errors=True), NOW)
        job = await store.get(id_)
        assert job is not None
        assert job.state is JobState.DONE

    @twisted_test(10)
    async def test_a_refused_job_has_failed_and_never_begins(self, store: JobStore) -> None:
        id_ = await added(store)
        refusal = report(id_, errors=True, msg="not sent")
        assert await store.refuse(id_, refusal, NOW)
        assert not await store.begin(id_, "a1", NOW)
        assert not await store.finish(id_, report(id_), NOW)
        job = await store.get(id_)
        assert job is not None
        assert (job.state, job.completed_at, job.complete_data) == (JobState.FAILED, NOW, refusal)

    @twisted_test(10)
    async def test_the_backlog_is_counted_and_its_oldest_is_told(self, store: JobStore) -> None:
        empty = await store.backlog(0, 0)
        assert (empty.open, empty.oldest, empty.failed) == (0, None, 0)
        ancient, oldest, running, done, failed, long_ago = [
            await added(store, when=WHEN - n) for n in (100, 50, 40, 30, 90, 80)
        ]
        await store.begin(running, "a1", NOW)
        await store.finish(done, report(done), NOW)
        await store.finish(failed, report(failed, errors=True), NOW)
        await store.finish(long_ago, report(long_ago, errors=True), NOW - 10)
        found = await store.backlog(WHEN - 50, NOW)
        assert found.oldest is not None
        assert (found.open, found.oldest.id, found.failed) == (2, oldest, 1)
        assert (found.oldest.when, found.oldest.state) == (WHEN - 50, JobState.QUEUED)
        whole = await store.backlog(WHEN - 100, NOW - 10)
        assert whole.oldest is not None
        assert (whole.open, whole.oldest.id, whole.failed) == (3, ancient, 2)

    @twisted_test(10)
    async def test_a_job_that_is_sent_is_not_refused(self, store: JobStore) -> None:
        id_ = await added(store)
        await store.sent(id_)
        assert not await store.refuse(id_, report(id_, errors=True), NOW)
        job = await store.get(id_)
        assert job is not None
        assert job.state is JobState.QUEUED

    @twisted_test(10)
    async def test_a_job_begun_is_not_refused(self, store: JobStore) -> None:
        id_ = await added(store)
        await store.begin(id_, "a1", NOW)
        assert not await store.refuse(id_, report(id_, errors=True), NOW)
        job = await store.get(id_)
        assert job is not None
        assert job.state is JobState.RUNNING

    @twisted_test(20)
    async def test_of_begin_and_refuse_at_once_exactly_one_succeeds(self, store: JobStore) -> None:
        for turn in range(16):
            id_ = await added(store)
            begin, refuse = store.begin(id_, "a1", NOW), store.refuse(id_, report(id_), NOW)
            outcome = await (both(begin, refuse) if turn % 2 else both(refuse, begin))
            assert sorted(outcome) == [False, True]

    @twisted_test(20)
    async def test_of_two_reports_at_once_exactly_one_is_kept(self, store: JobStore) -> None:
        for _ in range(8):
            id_ = await added(store)
            await store.begin(id_, "a1", NOW)
            ours = store.finish(id_, report(id_), NOW)
            assert sorted(await both(ours, store.finish(id_, report(id_), NOW))) == [False, True]

    @twisted_test(10)
    async def test_the_newest_jobs_are_listed_first(self, store: JobStore) -> None:
        ids = [await added(store) for _ in range(5)]
        assert [job.id for job in await store.latest(3, 0)] == ids[:1:-1]
        assert [job.id for job in await store.latest(3, 3)] == [ids[1], ids[0]]
        assert list(await store.latest(3, 9)) == []

    @twisted_test(20)
    async def test_jobs_are_found_by_what_is_known_of_them(self, store: JobStore) -> None:
        async def add(who: str, when: int, action: str, of: str | None, **what: Any) -> int:
            return await store.add(who, when, action, what, branch=of)

        plain = await add("ann", NOW, "rebuild_build", "try", bid=1)
        other = await add("bob", NOW + 60, "rebuild_build", "a_b%", bid=2)
        named = await add("ann", NOW + 120, "cancel_revision", None, branch="try")
        long = await add("zoë", NOW + 180, "new_build_for_builder", "axb%", bid=3)
        await store.begin(other, "a1", NOW)
        await store.finish(plain, report(plain), NOW + 1)
        failed = {"body": {"errors": True, "msg": 'not "errors": false'}, "request_id": named}
        await store.finish(named, failed, NOW + 1)

        async def found(**wanted: Any) -> list[int]:
            return [job.id for job in await store.latest(9, 0, JobFilter(**wanted))]

        assert await found() == [long, named, other, plain]
        assert await found(who="ann") == [named, plain]
        assert await found(who="zoë") == [long]
        assert await found(branch="try") == [named, plain]
        assert await found(branch="a_b%") == [other]
        assert await found(action="new_build_for_builder") == [long]
        assert await found(state=JobState.QUEUED) == [long]
        assert await found(state=JobState.RUNNING) == [other]
        assert await found(state=JobState.DONE) == [plain]
        assert await found(state=JobState.FAILED) == [named]
        assert await found(since=NOW + 60, until=NOW + 180) == [named, other]
        assert await found(who="ann", state=JobState.FAILED, branch="try") == [named]
        assert await found(who="\ud800'--", branch='"') == []
        marked = await add("ann", NOW, "new_build_for_builder", None, branch="try-selfserve")
        assert await found(branch="try") == [marked, named, plain]
        assert [j.branch for j in (await store.latest(9, 0))[1:]] == ["axb%", "try", "a_b%", "try"]
        job = await store.get(plain)
        assert job is not None
        assert job.branch == "try"

    @twisted_test(10)
    async def test_marks_tell_when_a_job_is_worth_reading_again(self, store: JobStore) -> None:
        ids = [await added(store) for _ in range(3)]
        seen = [await store.marks(2)]
        assert {int(mark[0]) for mark in unpacked_all(seen[0])} == {*ids[1:]}
        assert lowest_id(seen[0]) == ids[1]
        await store.begin(ids[2], "a1", NOW)
        seen.append(await store.marks(2))
        await store.progress(ids[2], Progress(3, [{"state": "done"}]), NOW + 5)
        seen.append(await store.marks(2))
        await store.finish(ids[2], report(ids[2]), NOW + 9)
        seen.append(await store.marks(2))
        assert [appeared_ids(a, b) for a, b in itertools.pairwise(seen)] == [{ids[2]}] * 3

    @twisted_test(10)
    async def test_jobs_that_may_not_be_with_the_broker_are_unsettled(
        self, store: JobStore
    ) -> None:
        lost, sent, begun, finished, refused = [await added(store) for _ in range(5)]
        await store.sent(sent)
        await store.begin(begun, "a1", NOW)
        await store.finish(finished, report(finished), NOW)
        await store.refuse(refused, report(refused, errors=True), NOW)

        async def unsettled(*, sent: bool) -> list[int]:
            jobs = await store.unsettled(sent=sent, before=NOW, limit=10)
            return [job.id for job in jobs]

        assert await unsettled(sent=False) == [lost]
        assert await unsettled(sent=True) == [sent, begun]

    @twisted_test(10)
    async def test_unsettled_jobs_come_oldest_first_within_bounds(self, store: JobStore) -> None:
        ids = [await added(store, when=WHEN + i) for i in range(4)]
        for sent in (False, True):
            jobs = await store.unsettled(sent=sent, before=WHEN + 3, limit=10)
            assert [job.id for job in jobs] == ids[:3]
            jobs = await store.unsettled(sent=sent, before=WHEN + 3, limit=2)
            assert [job.id for job in jobs] == ids[:2]
            for id_ in ids:
                await store.sent(id_)

    @pytest.mark.parametrize("who", ["o'brien %s", "zoë", "李 <li@example.org>", "\U0001f600 a:b"])
    @twisted_test(10)
    async def test_any_name_is_kept(self, store: JobStore, who: str) -> None:
        job = await store.get(await added(store, who=who))
        assert job is not None
        assert job.who == who

    # --- keys -------------------------------------------------------------------------------

    @twisted_test(10)
    async def test_a_key_finds_its_job(self, store: JobStore) -> None:
        await added(store)
        id_ = await added(store, key=KEY)
        await added(store, key=OTHER_KEY)
        assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, id_, accepted=False)

    @twisted_test(10)
    async def test_a_key_nobody_gave_finds_nothing(self, store: JobStore) -> None:
        await added(store)
        await added(store, key=OTHER_KEY)
        assert await store.keyed(KEY.name, 0) is None

    @pytest.mark.parametrize("how", ["sent", "begun", "finished"])
    @twisted_test(10)
    async def test_a_keyed_job_that_will_be_done_is_accepted(
        self, store: JobStore, how: str
    ) -> None:
        id_ = await added(store, key=KEY)
        if how == "sent":
            await store.sent(id_)
        elif how == "begun":
            await store.begin(id_, "a1", NOW)
        else:
            await store.finish(id_, report(id_, errors=True), NOW)
        assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, id_, accepted=True)

    @twisted_test(10)
    async def test_a_key_stands_for_one_job(self, store: JobStore) -> None:
        id_ = await added(store, key=KEY)
        other = JobKey(KEY.name, "ef" * 32, "other words")
        for key, when in ((KEY, WHEN), (other, WHEN), (KEY, WHEN + DAY)):
            with pytest.raises(InProgress):
                await added(store, when=when, key=key)
        assert [job.id for job in await store.latest(9, 0)] == [id_]
        assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, id_, accepted=False)

    @twisted_test(10)
    async def test_a_key_is_free_after_a_day(self, store: JobStore) -> None:
        first = await added(store, key=KEY)
        late = WHEN + DAY + 1
        other = JobKey(KEY.name, "ef" * 32, "other words")
        second = await added(store, when=late, key=other)
        assert await store.keyed(KEY.name, late) == KeyedJob(other, second, accepted=False)
        assert await store.refuse(first, report(first, errors=True), NOW)
        assert await store.keyed(KEY.name, late) is not None
        assert [job.id for job in await store.latest(9, 0)] == [second, first]

    @twisted_test(10)
    async def test_a_key_older_than_asked_for_is_not_found(self, store: JobStore) -> None:
        await added(store, key=KEY)
        assert await store.keyed(KEY.name, WHEN) is not None
        assert await store.keyed(KEY.name, WHEN + 1) is None

    @twisted_test(10)
    async def test_a_refused_job_frees_its_key(self, store: JobStore) -> None:
        id_, other = await added(store, key=KEY), await added(store, key=OTHER_KEY)
        assert await store.refuse(id_, report(id_, errors=True), NOW)
        assert await store.keyed(KEY.name, WHEN) is None
        again = await added(store, key=KEY)
        assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, again, accepted=False)
        assert await store.refuse(id_, report(id_, errors=True), NOW)  # as before
        assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, again, accepted=False)
        assert await store.keyed(OTHER_KEY.name, WHEN) == KeyedJob(OTHER_KEY, other, accepted=False)

    @twisted_test(10)
    async def test_a_job_that_cannot_be_refused_keeps_its_key(self, store: JobStore) -> None:
        id_ = await added(store, key=KEY)
        await store.begin(id_, "a1", NOW)
        assert not await store.refuse(id_, report(id_, errors=True), NOW)
        assert await store.keyed(KEY.name, WHEN) == KeyedJob(KEY, id_, accepted=True)

    @twisted_test(10)
    async def test_old_keys_are_forgotten_and_their_jobs_are_not(self, store: JobStore) -> None:
        old = await added(store, key=KEY)
        new = await added(store, when=WHEN + 1, key=OTHER_KEY)
        await store.forget_keys(WHEN + 1)
        assert await store.keyed(KEY.name, 0) is None
        assert await store.keyed(OTHER_KEY.name, 0) == KeyedJob(OTHER_KEY, new, accepted=False)
        assert await store.get(old) is not None

    @twisted_test(30)
    async def test_of_many_jobs_with_one_key_at_once_exactly_one_is_recorded(
        self, store: JobStore
    ) -> None:
        for turn in range(4):
            key = JobKey(f"{turn:064x}", "cd" * 32, "words")
            adding = [ensureDeferred(added_or_not(store, key)) for _ in range(24)]
            ids = [id_ for id_ in await gatherResults(adding) if id_ is not None]
            assert len(ids) == 1
            assert await store.keyed(key.name, WHEN) == KeyedJob(key, ids[0], accepted=False)
            assert len(await store.latest(99, 0)) == turn + 1

    # --- progress ---------------------------------------------------------------------------

    @twisted_test(10)
    async def test_a_job_tells_the_latest_progress(self, store: JobStore) -> None:
        id_, other = await added(store), await added(store)
        assert await progress_of(store, id_) is None
        await store.begin(id_, "a1", NOW)
        await store.progress(id_, Progress(3, []), NOW)
        assert await progress_of(store, id_) == Progress(3, [])
        await store.progress(id_, PROGRESS, NOW + 1)
        await store.progress(id_, PROGRESS, NOW + 1)
        assert await progress_of(store, id_) == PROGRESS
        assert await progress_of(store, other) is None

    @twisted_test(10)
    async def test_long_progress_is_kept_and_not_listed(self, store: JobStore) -> None:
        id_ = await added(store)
        await store.begin(id_, "a1", NOW)
        long = Progress(2000, [{"state": "done", "detail": "x" * 200, "n": n} for n in range(1000)])
        await store.progress(id_, long, NOW)
        assert await progress_of(store, id_) == long
        assert [job.progress for job in await store.latest(9, 0)] == [None]

    @twisted_test(10)
    async def test_progress_does_not_change_the_state(self, store: JobStore) -> None:
        id_ = await added(store)
        await store.progress(id_, PROGRESS, NOW)
        job = await store.get(id_)
        assert job is not None
        assert (job.state, job.agent) == (JobState.QUEUED, None)
        assert await store.refuse(id_, report(id_, errors=True), NOW)

    @pytest.mark.parametrize("end", ["finish", "refuse"])
    @twisted_test(10)
    async def test_a_finished_job_has_no_progress_any_more(self, store: JobStore, end: str) -> None:
        id_ = await added(store)
        await store.progress(id_, PROGRESS, NOW)
        assert await progress_of(store, id_) == PROGRESS
        assert await getattr(store, end)(id_, report(id_, errors=True), NOW)
        assert await progress_of(store, id_) is None
        await store.progress(id_, PROGRESS, NOW + 1)  # late
        job = await store.get(id_)
        assert job is not None
        assert (job.state, job.progress) == (JobState.FAILED, None)

    @twisted_test(10)
    async def test_progress_of_an_unknown_job_is_nothing(self, store: JobStore) -> None:
        await store.progress(1, PROGRESS, NOW)
        assert await store.get(1) is None
        assert await progress_of(store, await added(store)) is None

    @twisted_test(20)
    async def test_progress_and_the_end_at_once_leave_no_progress(self, store: JobStore) -> None:
        for turn in range(16):
            id_ = await added(store)
            await store.begin(id_, "a1", NOW)
            note, end = store.progress(id_, PROGRESS, NOW), store.finish(id_, report(id_), NOW)
            assert True in await (both(note, end) if turn % 2 else both(end, note))
            assert await progress_of(store, id_) is None

    # --- rebuilds -------------------------------------------------------------------------

    @twisted_test(20)
    async def test_rebuilds_are_found_from_both_ends(self, store: JobStore) -> None:
        first, second, other = [await added(store) for _ in range(3)]
        of_build, of_request = RebuildOrigin(OF_BUILD, 11), RebuildOrigin(OF_REQUEST, 21)
        of_11 = [Rebuild(of_build, new, first) for new in (31, 32)]
        of_21 = [Rebuild(of_request, 33, second)]
        assert await store.finish(first, report(first), NOW, of_11)
        assert await store.finish(second, report(second), NOW, of_21)
        await store.finish(
            other, report(other), NOW, [Rebuild(RebuildOrigin(OF_BUILD, 21), 34, other)]
        )
        assert await store.rebuilds([11], [21]) == RebuildLinks([*of_21, *of_11[::-1]], [])
        assert await store.rebuilds([], [11]) == RebuildLinks([], [])
        assert await store.rebuilds([12], [33, 31]) == RebuildLinks([], [*of_21, of_11[0]])
        assert await store.rebuilds([], []) == RebuildLinks([], [])

    @twisted_test(20)
    async def test_a_job_that_is_finished_already_adds_no_rebuilds(self, store: JobStore) -> None:
        id_ = await added(store)
        await store.finish(id_, report(id_), NOW)
        late = [Rebuild(RebuildOrigin(OF_BUILD, 11), 31, id_)]
        assert not await store.finish(id_, report(id_), NOW, late)
        assert await store.rebuilds([11], [31]) == RebuildLinks([], [])

    @twisted_test(20)
    async def test_jobs_ended_at_once_each_have_their_rebuilds(self, store: JobStore) -> None:
        ids = [await added(store) for _ in range(3)]
        await store.finish(ids[1], report(ids[1]), NOW)
        wanted = [[Rebuild(RebuildOrigin(OF_BUILD, id_), id_ + 100, id_)] for id_ in ids]
        ended = [
            ensureDeferred(store.finish(id_, report(id_), NOW, rebuilds))
            for id_, rebuilds in zip(ids, wanted, strict=True)
        ]
        assert list(await gatherResults(ended)) == [True, False, True]
        found = await store.rebuilds(ids, [])
        assert list(found.rebuilds) == [*wanted[2], *wanted[0]]

    @twisted_test(20)
    async def test_of_many_rebuilds_the_newest_are_listed(self, store: JobStore) -> None:
        first, again = await added(store), await added(store)
        origin = RebuildOrigin(OF_REQUEST, 21)
        many = [Rebuild(origin, new, first) for new in range(1000, 2000)]
        await store.finish(first, report(first), NOW, many)
        # An id that is given out again, as after a restore, belongs to the latest rebuild.
        await store.finish(again, report(again), NOW, [Rebuild(origin, 1999, again)])
        found = await store.rebuilds([], [21])
        assert [r.request_id for r in found.rebuilds] == list(range(1999, 1899, -1))
        assert [r.job_id for r in found.rebuilds[:2]] == [again, first]

    # --- which are finished -----------------------------------------------------------------

    @twisted_test(10)
    async def test_it_tells_which_jobs_are_finished_or_not_there(self, store: JobStore) -> None:
        queued, begun, done, refused = [await added(store) for _ in range(4)]
        await store.begin(begun, "a1", NOW)
        await store.finish(done, report(done), NOW)
        await store.refuse(refused, report(refused, errors=True), NOW)
        asked = [999, refused, done, begun, queued, queued]
        assert await store.finished(asked) == {done, refused, 999}
        assert await store.finished([]) == set()

    @twisted_test(20)
    async def test_it_tells_of_thousands_which_are_finished(self, store: JobStore) -> None:
        ids = [await added(store) for _ in range(8)]
        await store.finish(ids[0], report(ids[0]), NOW)
        asked = list(range(ids[0], ids[0] + 3000))
        assert await store.finished(asked) == set(asked) - set(ids[1:])
