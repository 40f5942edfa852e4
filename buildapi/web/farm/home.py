"""The home page: links, and a summary of the farm and of this program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import attrs
import msgspec
from twisted.internet import defer

from buildapi.errors import BadRequest, Unavailable
from buildapi.interfaces import Directory, JobStore
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.health import Health
from buildapi.model.records import JobFilter, JobRecord, JobState
from buildapi.web.farm.documents import HealthItem, HomeDocument, LatestJobs
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import FARM
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.serializers import job_json

T = TypeVar("T")

JOBS_SECONDS = 86_400
FAILED_MAX, OPEN_MAX = 10, 100


@attrs.frozen
class Home:
    """Serve the home page; ``health`` returns the health of the services of this process.

    ``look`` reads the summary of pending and running builds; ``deadline`` bounds each read and is
    shorter than that of a request.
    """

    _directory: Directory
    _look: Callable[[], Awaitable[FarmSummary]]
    _store: JobStore
    _answers: SingleFlightCache[JSONBody]
    _pages: SelfServePages
    _health: Callable[[], Sequence[Health]]
    _deadline: Deadline

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return [Route("GET", "/", self.home, HOME, (FORMAT,))]

    async def home(self, _call: Call) -> Reply:
        """Show the home page; a part that cannot be read is named, and the others are shown."""
        kept = await self._answers.kept(("home",), self._read, topics=[FARM])
        document = kept.value

        async def context() -> Mapping[str, object]:
            return {**self._pages.common(), **document.value}

        page = Page("home.html", "Farm overview", context)
        return Reply(document, page, freshness=kept.freshness)

    async def _read(self) -> JSONBody:
        now = int(self._pages.now())
        troubles: list[str] = []
        # Both are begun before either is awaited: the page waits for the slower one, not for their
        # sum.
        farm_read = defer.ensureDeferred(self._or_trouble("the farm", self._look(), troubles))
        jobs_read = defer.ensureDeferred(
            self._or_trouble("job requests", self._jobs(now), troubles)
        )
        farm, jobs = await farm_read, await jobs_read
        parts = [_health_json(one) for one in (*self._health(), *self._masters(farm))]
        shaped = None if farm is None else msgspec.to_builtins(farm)
        found: HomeDocument = {
            "farm": shaped,
            "jobs": jobs,
            "health": parts,
            "troubles": troubles,
        }
        return JSONBody.of(found)

    async def _or_trouble(self, what: str, reading: Awaitable[T], troubles: list[str]) -> T | None:
        """Read a part within the deadline; if that fails, add to ``troubles`` and return None."""
        try:
            return await self._deadline.bound(reading)
        # BadRequest as well: a farm of more rows than [limits] list_rows must not hide the rest of
        # the page.
        except (Unavailable, BadRequest) as e:
            troubles.append(f"Cannot read {what}: {e.msg}")
            return None

    def _masters(self, farm: FarmSummary | None) -> Sequence[Health]:
        known, ages = len(self._directory.master_urls()), self._directory.ages()
        silent = farm.silent if farm else ()
        disabled = len(self._directory.disabled_masters())
        said = f"{known} known" + (f", {disabled} disabled" if disabled else "")
        # A master renews its claims every 600 seconds; one that does not is dead or hung.
        said += f", not refreshing claims: {', '.join(silent)}" if silent else ""
        old = [name for name, age in ages.items() if age is None]
        read = ", ".join(f"{n} {int(a)} s ago" for n, a in ages.items() if a is not None)
        return [
            Health("masters", bool(known) and not silent, said),
            Health("directory", not old, f"read {read or 'never'}"),
        ]

    async def _jobs(self, now: int) -> LatestJobs:
        since = now - JOBS_SECONDS
        failed = await self._store.latest(
            FAILED_MAX, 0, JobFilter(state=JobState.FAILED, since=since)
        )
        waiting: list[JobRecord] = []
        for state in (JobState.QUEUED, JobState.RUNNING):
            waiting += await self._store.latest(OPEN_MAX, 0, JobFilter(state=state, since=since))
        return {
            "failed": [job_json(job) for job in failed],
            "open": len(waiting),
            "oldest_open": min((job.when for job in waiting), default=None),
        }


def _health_json(one: Health) -> HealthItem:
    return {"name": one.name, "ok": one.ok, "detail": one.detail}


HOME = "Farm overview: pending and running by branch and pool, failed job requests, service health."
