"""Read what only the status database knows of builds: their workers, and what a worker does now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import Builds, RecentBuilds
from buildapi.jobs.recorded_builds import builds_of, workers_of
from buildapi.model.farm_rows import RecentBuild, RunningBuild
from buildapi.model.records import Build
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody

RUNNING_SECONDS = 2 * 86_400
"""How long a build may have run to be looked for: builds of killed masters never end there."""

RUNNING_MAX = 5000
"""Maximum number of running builds that are read."""

KEPT_SECONDS = 5.0
"""Seconds for which the running builds are kept: the pages of all branches share one read."""

log = Logger()


@attrs.frozen
class RecordedBuilds:
    """Read within a time limit; what fails is left out, since the lists are there without it.

    ``now`` returns epoch seconds.
    """

    _recent: RecentBuilds
    _builds: Builds
    _answers: SingleFlightCache[JSONBody]
    _limit: Deadline
    _now: Callable[[], float]

    async def workers(self, running: Sequence[RunningBuild]) -> Mapping[int, str]:
        """Return the workers of running builds, by their ids, as far as they are known."""
        if not running:
            return {}

        async def read() -> JSONBody:
            since = int(self._now()) - RUNNING_SECONDS
            found = await self._recent.running(since, RUNNING_MAX)
            return JSONBody.of_page(found, len(found))

        try:
            kept = await self._limit.bound(
                self._answers.get(("recorded running builds",), read, KEPT_SECONDS)
            )
        except BuildAPIError as e:
            log.info("running builds are shown without their workers: {msg}", msg=e.msg)
            return {}
        return workers_of(running, kept.value)

    async def builds(self, recorded: Sequence[RecentBuild]) -> Mapping[int, Build]:
        """Return the builds of the scheduler database, by the ids of these records."""
        ids = sorted({id_ for record in recorded for id_ in record.request_ids})
        if not ids:
            return {}
        try:
            found = await self._limit.bound(self._builds.of_requests(ids))
        except BuildAPIError as e:
            log.info("recent builds are shown without links: {msg}", msg=e.msg)
            return {}
        return builds_of(recorded, found.builds)

    async def current(self, worker: str) -> Sequence[RecentBuild] | None:
        """Return the build that a worker runs, if it runs one; None if that cannot be read."""
        try:
            found = await self._limit.bound(self._recent.current(worker))
            return [] if found is None else [found]
        except BuildAPIError as e:
            log.info("a worker is shown without its current build: {msg}", msg=e.msg)
            return None
