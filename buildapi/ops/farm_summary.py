"""Summarize the farm: pending requests and running builds by branch and pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from buildapi.errors import Unavailable
from buildapi.interfaces import Directory, FarmReads
from buildapi.jobs.farm_summary import FarmSummary, glance
from buildapi.jobs.farm_views import UNKNOWN


@attrs.frozen
class FarmSummarizer:
    """Read a summary of the farm; ``now`` returns epoch seconds."""

    _directory: Directory
    _reads: FarmReads
    _now: Callable[[], float]

    async def summarize(self) -> FarmSummary:
        """Return the summary.

        :raises Unavailable: a database or the directory is unavailable.
        :raises BadRequest: more requests are pending than one read may return.
        """
        branches = self._directory.branches()
        work = await self._reads.open()
        pools = self._pools()
        of = pools or {}
        found = glance(
            work.pending,
            work.running,
            lambda stored: branches.owner(stored) or UNKNOWN,
            lambda builder: of.get(builder) or UNKNOWN,
            int(self._now()),
        )
        # A disabled master raises no alarm [docs/configuration.md, `[directory]`].
        silent = [name for name in found.silent if name not in self._directory.disabled_masters()]
        known = None if pools is None else sorted({pool or UNKNOWN for pool in pools.values()})
        return attrs.evolve(found, known_pools=known, silent=silent)

    def _pools(self) -> Mapping[str, str | None] | None:
        """Return the pool of each builder; None if the directory does not have it."""
        try:
            builders = self._directory.builders()
        except Unavailable:
            return None
        return None if builders is None else {b.name: b.pool for b in builders.by_name.values()}
