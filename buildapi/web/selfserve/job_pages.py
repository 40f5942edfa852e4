"""Serve job requests: who submitted what, and its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from zoneinfo import ZoneInfo

import attrs

from buildapi.errors import NotFound
from buildapi.interfaces import JobStore
from buildapi.model.records import JobFilter, JobState
from buildapi.parameters.job_parameters import WAIT
from buildapi.parameters.param import Param, Place
from buildapi.parameters.read_parameters import (
    ACTION,
    BRANCH,
    OFFSET,
    STATE,
    WHO,
    num,
    since,
    until,
)
from buildapi.parameters.texts import id_of_path, integer
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.paging import ListPart, part_in
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import JOB_LISTS, job_topic
from buildapi.web.selfserve.job_waiter import JobWaiter
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.row_pushes import RowPushes
from buildapi.web.selfserve.serializers import job_json


@attrs.define
class JobPages:
    """Serve reads of job requests; ``page`` is the maximum of ``num``, ``zone`` the farm's."""

    _store: JobStore
    _watch: JobWaiter
    _answers: SingleFlightCache[JSONBody]
    _pages: SelfServePages
    _zone: ZoneInfo
    _page: int
    _row_pushes: RowPushes

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        one = "/self-serve/jobs/{job_id}"
        search = (WHO, BRANCH, ACTION, STATE, *self._times)
        return (
            Route("GET", "/self-serve/jobs", self.jobs, JOBS, (self._num, OFFSET, *search, FORMAT)),
            Route("GET", one, self.job, JOB, (JOB_WAIT, FORMAT), patience=JOB_WAIT.of),
        )

    @property
    def _num(self) -> Param[int]:
        return num(lambda: self._page)

    @property
    def _times(self) -> tuple[Param[int | None], Param[int | None]]:
        return since(self._zone), until(self._zone)

    def bound(self, page: int) -> None:
        """Replace the maximum of ``num`` (after a reload)."""
        self._page = page

    async def jobs(self, call: Call) -> Reply:
        """List job requests, newest first."""
        num, offset = self._portion(call)
        wanted = self._wanted(call)

        async def compute() -> JSONBody:
            found = await self._store.latest(num, offset, wanted)
            document = JSONBody.of([job_json(job) for job in found])
            document.once("part", lambda: ListPart(num, offset, len(found)))
            # Pages link to the branch, which stands in no job of old clients.
            document.once("branches", lambda: {job.id: job.branch for job in found})
            return document

        kept = await self._answers.kept(("jobs", num, offset, wanted), compute, topics=[JOB_LISTS])
        page = self._pages.jobs(kept.value, call, num, offset)
        headers = part_in(kept.value).headers(call)
        return Reply(kept.value, page, headers=headers, freshness=kept.freshness)

    def _portion(self, call: Call) -> tuple[int, int]:
        """Return ``num`` and ``offset``; the defaults of both if one is not a number."""
        # As in the Pylons program, where neither is an error.
        sent = [self._num.sent(call), OFFSET.sent(call)]
        if any(values and integer(str(values[-1])) is None for values in sent):
            sent = [(), ()]
        return self._num.parse(sent[0]), OFFSET.parse(sent[1])

    def _wanted(self, call: Call) -> JobFilter:
        """Return the filter of a job list; :raises BadRequest: a parameter is invalid."""
        state, (start, end) = STATE.of(call), self._times
        return JobFilter(
            who=WHO.of(call),
            branch=BRANCH.of(call),
            action=ACTION.of(call),
            state=None if state is None else JobState(state),
            since=start.of(call),
            until=end.of(call),
        )

    async def job(self, call: Call) -> Reply:
        """Show one job request, at once or as soon as it is finished (``wait``)."""
        text = call.path["job_id"]
        job_id = id_of_path(text)
        if job_id is None:
            raise NotFound(f"Job {text} not found")
        seconds = JOB_WAIT.of(call)
        if seconds:
            call.begin_wait()
            await self._watch.finished(job_id, seconds)
            # The job is read after the wait even if that timed out, so that its progress is
            # current.
            self._answers.forget_topic(job_topic(job_id))
        kept = await self._answers.kept(
            ("job", job_id), partial(self._one, job_id), topics=[job_topic(job_id)]
        )
        if kept.value.value is None:
            raise NotFound(f"Job {text} not found")
        page = self._pages.job(f"Job {text}", kept.value, call)
        return Reply(kept.value, page, freshness=None if seconds else kept.freshness)

    async def _one(self, job_id: int) -> JSONBody:
        job = await self._store.get(job_id)
        if job is None:
            return JSONBody.of(None)  # which is not cached
        shaped = job_json(job)
        words = await self._row_pushes.of_job(job)
        if words is not None:
            shaped["author"], shaped["comments"] = words
        document = JSONBody.of(shaped)
        document.once("branch", lambda: job.branch)
        return document


JOB_WAIT = WAIT.changed(meaning="seconds to wait until it is finished", place=Place.QUERY)
JOBS = "Job requests, newest first."
JOB = "One job request: its state, actions taken and result."
