"""The home page: links, and a summary of the farm and of this program."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import TypeVar

import attrs
import msgspec
from twisted.internet import defer

from buildapi.errors import BadRequest, Unavailable
from buildapi.interfaces import Directory, JobStore, LoadStore
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.jobs.push_summary import PushSummary
from buildapi.model.farm_load import MINUTE
from buildapi.model.health import Health
from buildapi.model.json_types import JSONObject
from buildapi.model.pushes import text_length
from buildapi.model.records import JobFilter, JobRecord, JobState
from buildapi.web.farm.documents import HealthItem, HomeDocument, LatestJobs, LoadDocument
from buildapi.web.farm.load_routes import DAY, counts_picture, load_json
from buildapi.web.farm.push_overview import LatestPushes, PushOverview
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.charts import chart_data
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import FARM
from buildapi.web.selfserve.documents import PushDocument
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.push_list import push_json
from buildapi.web.selfserve.push_markup import COUNTED
from buildapi.web.selfserve.serializers import job_json

T = TypeVar("T")

JOBS_SECONDS = 86_400
PUSHES_SECONDS = 20
"""Seconds for which the pushes are kept: their jobs are the dearest read of the page."""

LOAD_STEP = 900
"""Seconds of a step of the load's chart."""

FAILED_MAX, OPEN_MAX = 10, 100


@attrs.frozen
class Home:
    """Serve the home page; ``health`` returns the health of the services of this process.

    ``look`` reads the summary of pending and running builds; ``deadline`` bounds each read and is
    shorter than that of a request.  ``pushes`` and ``loads`` are read less often than the rest.
    """

    _directory: Directory
    _look: Callable[[], Awaitable[FarmSummary]]
    _store: JobStore
    _answers: SingleFlightCache[JSONBody]
    _pages: SelfServePages
    _health: Callable[[], Sequence[Health]]
    _deadline: Deadline
    _pushes: PushOverview
    _loads: LoadStore

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return [Route("GET", "/", self.home, HOME, (FORMAT,))]

    async def home(self, _call: Call) -> Reply:
        """Show the home page; a part that cannot be read is named, and the others are shown."""
        kept = await self._answers.kept(("home",), self._read, topics=[FARM])
        document = kept.value

        async def context() -> Mapping[str, object]:
            found = document.value
            load, farm = found["load"], found["farm"]
            shown = {
                "chart": _chart(load),
                "waiting": _by_wait(farm["pools"]) if farm else [],
                "failing": [part for part in found["health"] if not part["ok"]],
                "counted": COUNTED,
            }
            return {**self._pages.common(), **found, **shown}

        page = Page("home.html", "Farm overview", context)
        return Reply(document, page, freshness=kept.freshness)

    async def _read(self) -> JSONBody:
        now = int(self._pages.now())
        troubles: list[str] = []
        # All are begun before any is awaited: the page waits for the slowest one, not for their
        # sum.
        farm_read = defer.ensureDeferred(self._or_trouble("the farm", self._look(), troubles))
        jobs_read = defer.ensureDeferred(
            self._or_trouble("job requests", self._jobs(now), troubles)
        )
        pushes_read = defer.ensureDeferred(
            self._or_trouble("pushes", self._latest_pushes(), troubles)
        )
        load_read = defer.ensureDeferred(
            self._or_trouble("samples of the load", self._load(now), troubles)
        )
        farm, jobs = await farm_read, await jobs_read
        pushes, load = await pushes_read, await load_read
        parts = [_health_json(one) for one in (*self._health(), *self._masters(farm))]
        shaped = None if farm is None else msgspec.to_builtins(farm)
        found: HomeDocument = {
            "farm": shaped,
            "jobs": jobs,
            "health": parts,
            "troubles": sorted(troubles),
            "red": None if pushes is None else list(map(_push_json, pushes.red)),
            "undecided": [] if pushes is None else list(pushes.undecided),
            "pushes": None if pushes is None else list(map(_push_json, pushes.pushes)),
            "load": load,
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

    async def _latest_pushes(self) -> LatestPushes:
        async def read() -> JSONBody:
            found = await self._pushes.read()
            shown = [*found.pushes, *found.red]
            rows = sum(len(one.jobs) + len(one.changes) for one in shown)
            text = sum(text_length(one.changes) for one in shown)
            return JSONBody.of_page(found, len(shown) + rows, text)

        latest: LatestPushes = (
            await self._answers.get(("home", "pushes"), read, PUSHES_SECONDS)
        ).value
        return latest

    async def _load(self, now: int) -> LoadDocument:
        until = now - now % MINUTE + MINUTE

        async def read() -> JSONBody:
            found = await self._loads.samples(until - DAY, until, LOAD_STEP)
            return JSONBody.of(load_json(until - DAY, until, LOAD_STEP, found))

        load: LoadDocument = (await self._answers.get(("home", "load", until), read, MINUTE)).value
        return load

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


def _chart(load: LoadDocument | None) -> Mapping[str, object] | None:
    if load is None or not load["samples"]:
        return None
    return chart_data(counts_picture(load), (load["since"], load["until"]))


def _push_json(push: PushSummary) -> PushDocument:
    return push_json(push, with_jobs=False)


def _by_wait(pools: Sequence[JSONObject]) -> Sequence[JSONObject]:
    """Return the pools with pending requests, that with the oldest one first."""
    return sorted((p for p in pools if p["oldest"] is not None), key=itemgetter("oldest"))


def _health_json(one: Health) -> HealthItem:
    return {"name": one.name, "ok": one.ok, "detail": one.detail}


HOME = "Farm overview: red branches, latest pushes, load, failed job requests, service health."
