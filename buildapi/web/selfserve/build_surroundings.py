"""Read what a page shows of a build beside the build itself, each part only if it comes in time."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import BuildSteps, JobStore, Pushes
from buildapi.model.branches import Branch
from buildapi.model.build_steps import BuildRecord
from buildapi.model.records import Build, JobRecord
from buildapi.web.http.deadline import Deadline

RESULTS = 20
"""Builds of the same builder that a page shows."""

T = TypeVar("T")


@attrs.frozen
class BuildPlace:
    """What a page is about: a build, or a request; ``job_id`` is the job that asked for it.

    ``newest_build`` is that of the request.
    """

    branch: Branch
    builder: str
    request_id: int
    build: Build | None = None
    newest_build: int | None = None
    job_id: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Return the kind and the id of what the page is about."""
        return ("request", self.request_id) if self.build is None else ("build", self.build.id)


@attrs.frozen
class Surroundings:
    """What was read; ``troubles`` are sentences about what was not.

    ``results`` are builds of the builder, newest first, ``median`` the seconds that most take.
    """

    results: Sequence[Build] = ()
    record: BuildRecord | None = None
    median: int | None = None
    job: JobRecord | None = None
    troubles: Sequence[str] = ()


@attrs.frozen
class SurroundingReads:
    """Read the surroundings of builds; ``deadline`` bounds each part."""

    _pushes: Pushes
    _steps: BuildSteps
    _store: JobStore
    _deadline: Deadline
    _log = Logger()

    async def around(self, place: BuildPlace) -> Surroundings:
        """Return the results of the builder, the record of the master and the job that asked."""
        troubles: list[str] = []
        around = place.newest_build if place.build is None else place.build.id
        results = self._pushes.results(place.branch, place.builder, RESULTS, around)
        # All are begun before any is awaited: the page waits for the slowest, not for their sum.
        results_read = self._begun("the results of the builder", results, troubles)
        median_read = self._begun("usual durations", self._pushes.medians(), troubles)
        record_read = job_read = None
        if place.build is not None:
            record_read = self._begun("its steps", self._steps.of_build(place.build), troubles)
        if place.job_id is not None:
            job_read = self._begun("who asked for it", self._store.get(place.job_id), troubles)
        return Surroundings(
            await results_read or (),
            None if record_read is None else await record_read,
            (await median_read or {}).get(place.builder),
            None if job_read is None else await job_read,
            troubles,
        )

    def _begun(
        self, what: str, reading: Awaitable[T], troubles: list[str]
    ) -> defer.Deferred[T | None]:
        return defer.ensureDeferred(self._or_trouble(what, reading, troubles))

    async def _or_trouble(self, what: str, reading: Awaitable[T], troubles: list[str]) -> T | None:
        """Read a part within the deadline; if that fails, add to ``troubles`` and return None."""
        try:
            return await self._deadline.bound(reading)
        except BuildAPIError as e:
            self._log.info("a build is shown without {what}: {msg}", what=what, msg=e.msg)
            troubles.append(f"Cannot read {what}: {e.msg}")
            return None
