"""Sample the load of the farm once a minute, for charts of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from buildapi.errors import BadRequest, Unavailable
from buildapi.interfaces import LoadStore
from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.farm_load import MINUTE, LoadSample
from buildapi.periodic import PeriodicService

HOUR = 3600


@attrs.define(slots=False, eq=False)
class LoadSampler(PeriodicService):
    """Store a sample of each minute that no other process has sampled; delete old ones.

    ``summarize`` reads the summary of the farm, ``now`` returns epoch seconds. Samples are kept for
    ``hours``. ``second`` is that of each minute in which this process looks.
    """

    trouble = "no sample of the farm's load"

    _store: LoadStore
    _summarize: Callable[[], Awaitable[FarmSummary]]
    _now: Callable[[], float]
    _hours: int
    _second: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.name = "load sampler"

    async def run_once(self) -> None:
        """Store the sample of this minute if there is none.

        :raises Unavailable: a database or the directory is unavailable.
        """
        try:
            if not await self._store.known(int(self._now())):
                await self._sample()
        finally:
            self.interval = self._until_next()

    async def _sample(self) -> None:
        now = int(self._now())
        try:
            found = await self._summarize()
        except BadRequest as e:  # more requests are pending than one read may return
            raise Unavailable(e.msg) from e
        waited = max(0, now - found.oldest.submitted_at) if found.oldest else None
        await self._store.add(LoadSample(now, found.pending, found.running, waited))
        await self._store.forget(now - self._hours * HOUR)

    def unavailable(self, error: Unavailable, pause: float) -> None:
        """Log once for each outage that there are no samples: a missing table lacks for long."""
        if self._failed_runs == 1:
            super().unavailable(error, pause)

    def _until_next(self) -> float:
        """Return the seconds until this process's second of the next minute, at least one."""
        left = (self._second - self._now()) % MINUTE
        return left if left >= 1 else left + MINUTE
