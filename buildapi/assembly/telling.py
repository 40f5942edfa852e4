"""Create the log, and the audit trail of job requests."""

from __future__ import annotations

from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING

import attrs

from buildapi.db.trail_store import SQLTrailStore
from buildapi.ops.job_metrics import JobMetrics
from buildapi.ops.logs import Logs
from buildapi.ops.trail import BufferedTrail

if TYPE_CHECKING:
    from buildapi.assembly.program import Assembly


@attrs.define(slots=False)
class Telling:
    """Create the services for log and trail, each once."""

    _of: Assembly

    @cached_property
    def logs(self) -> Logs:
        """Log of the process."""
        wanted = self._of.config.log
        metrics = self._of.watching.metrics
        return Logs(
            wanted.level,
            wanted.format,
            wanted.file,
            lambda level: metrics.count("buildapi_log_events", level),
        )

    @cached_property
    def trails(self) -> SQLTrailStore:
        """Store of audit trails."""
        return SQLTrailStore(self._of.jobs_db)

    @cached_property
    def trail(self) -> BufferedTrail:
        """Writer of audit trails; processes that serve HTTP also delete expired entries."""
        of, wanted = self._of, self._of.config.service
        days = of.config.ops.trail_days if "api" in wanted.roles else 0
        metrics = of.watching.metrics
        numbers = JobMetrics(metrics.count, metrics.observe, monotonic)
        return BufferedTrail(of.reactor, self.trails, of.now, wanted.name, days, numbers)
