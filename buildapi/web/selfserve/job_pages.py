"""Serve job requests: who submitted what, and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from zoneinfo import ZoneInfo

import attrs

from buildapi.errors import NotFound
from buildapi.interfaces import JobStore
from buildapi.jobs.local_days import day_window
from buildapi.model.actions import ACTIONS
from buildapi.model.records import JobFilter, JobState
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.params import (
    Query,
    bad,
    bounded,
    choice,
    duration,
    id_of_path,
    integer,
    readable,
    single,
)
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Param, Route
from buildapi.web.http.topics import JOB_LISTS, job_topic
from buildapi.web.selfserve.job_routes import WAIT_MAX
from buildapi.web.selfserve.job_waiter import JobWaiter
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.serializers import job_json

NUM = 100
OFFSET_MAX = 2**31 - 1
TIME_MAX = 2**53


@attrs.define
class JobPages:
    """Serve reads of job requests; ``page`` is the maximum of ``num``, ``zone`` the farm's."""

    _store: JobStore
    _watch: JobWaiter
    _answers: SingleFlightCache[JSONBody]
    _pages: SelfServePages
    _zone: ZoneInfo
    _page: int

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        one = "/self-serve/jobs/{job_id}"
        return (
            Route("GET", "/self-serve/jobs", self.jobs, JOBS, (*PAGING, *SEARCH, FORMAT)),
            Route("GET", one, self.job, JOB, (WAIT, FORMAT), patience=waiting),
        )

    def bound(self, page: int) -> None:
        """Replace the maximum of ``num`` (after a reload)."""
        self._page = page

    async def jobs(self, call: Call) -> Reply:
        """List job requests, newest first."""
        # As in the Pylons program a bad num or offset is no error: both are the defaults then.
        query = readable(call.query, "num", "offset")
        num = bounded(query, "num", NUM, self._page)
        offset = bounded(query, "offset", 0, OFFSET_MAX)
        wanted = job_filter(call.query, self._zone)

        async def compute() -> JSONBody:
            found = await self._store.latest(num, offset, wanted)
            document = JSONBody.of([job_json(job) for job in found])
            # Pages link to the branch, which stands in no job of old clients.
            document.once("branches", lambda: {job.id: job.branch for job in found})
            return document

        kept = await self._answers.kept(("jobs", num, offset, wanted), compute, topics=[JOB_LISTS])
        page = self._pages.jobs(kept.value, call, num, offset)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def job(self, call: Call) -> Reply:
        """Show one job request, at once or as soon as it is finished (``wait``)."""
        text = call.path["job_id"]
        job_id = id_of_path(text)
        if job_id is None:
            raise NotFound(f"Job {text} not found")
        seconds = waiting(call)
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
        document = JSONBody.of(job_json(job))
        document.once("branch", lambda: job.branch)
        return document


def waiting(call: Call) -> float:
    """Return the seconds that a call asks to wait; :raises BadRequest: they are invalid."""
    return duration(single(call.query, "wait"), "wait", WAIT_MAX)


def job_filter(query: Query, zone: ZoneInfo) -> JobFilter:
    """Parse the filter of a job list; :raises BadRequest: a parameter is invalid."""
    state = choice(query, "state", [s.value for s in JobState])
    return JobFilter(
        who=single(query, "who") or None,
        branch=single(query, "branch") or None,
        action=choice(query, "action", list(ACTIONS)),
        state=None if state is None else JobState(state),
        since=_time(query, "since", lambda day: day_window(day, zone)[0], zone),
        until=_time(query, "until", lambda day: day_window(day, zone)[1], zone),
    )


def _time(query: Query, name: str, of_day: Callable[[date], int], zone: ZoneInfo) -> int | None:
    """Return a day or time of the farm's zone, or seconds since the epoch, as the latter."""
    text = (single(query, name) or "").strip()
    if not text:
        return None
    number = integer(text)
    if number is not None:
        return max(-TIME_MAX, min(number, TIME_MAX))
    try:
        # datetime.fromisoformat() accepts a day too, as its midnight, but "until" includes its day
        # (docs/api.md, "Reads").
        if len(text) == len("2026-01-31"):
            return of_day(date.fromisoformat(text))
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp())
    except (ValueError, OverflowError) as e:
        allowed = "YYYY-MM-DD, YYYY-MM-DDTHH:MM and seconds since the epoch"
        raise bad(name, text, allowed) from e


WAIT = Param("wait", f"seconds to wait until it is finished, up to {WAIT_MAX}")
PAGING = (
    Param("num", f"maximum number of job requests; default {NUM}, up to 1000"),
    Param("offset", "number of newest ones to skip; default 0"),
)
SEARCH = (
    Param("who", "only job requests of this user"),
    Param("branch", "only job requests of this branch"),
    Param("action", f"only {', '.join(list(ACTIONS)[:2])}, ..."),
    Param("state", "only job requests in this state: queued, running, done or failed"),
    Param("since", "not before this day, time (both in the farm's zone) or second"),
    Param("until", "not after this day, or before this time or second"),
)
JOBS = "Job requests, newest first."
JOB = "One job request: its state, actions taken and result."
