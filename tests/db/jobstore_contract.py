"""What every job store promises; a test class of an implementation inherits it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.interfaces import JobStore
from buildapi.model.records import JobState
from tests.reactor import twisted_test

WHO, WHEN, NOW = "bob@example.org", 1_486_600_000, 1_486_600_060
WHAT = {"brid": 7, "priority": 3}


def report(request_id: int, *, errors: bool = False, msg: str = "done") -> dict[str, Any]:
    return {"body": {"errors": errors, "msg": msg}, "request_id": request_id, "agent": "a1"}


async def added(store: JobStore, who: str = WHO, when: int = WHEN) -> int:
    return await store.add(who, when, "reprioritize", WHAT)


async def both(first: Any, second: Any) -> list[Any]:
    """Await two things at the same time."""
    return list(await gatherResults([ensureDeferred(first), ensureDeferred(second)]))


class JobStoreContract:
    """Inherit, and give a fixture ``store`` with an empty store."""

    @pytest.fixture
    def store(self) -> JobStore:
        raise LookupError("an implementation's test class gives the store")

    def test_it_has_the_methods_of_the_role(self, store: JobStore) -> None:
        roles = inspect.getmembers(JobStore, inspect.isfunction)
        for name, method in [(n, m) for n, m in roles if not n.startswith("_")]:
            ours = inspect.signature(getattr(type(store), name))
            assert list(ours.parameters) == list(inspect.signature(method).parameters), name

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
