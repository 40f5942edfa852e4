"""Record the sample history as rows of the scheduler and status databases."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence

import attrs

from buildapi.model.results import FAILURE, WARNINGS
from buildapi.sample.catalog import MASTERS, SampleMaster
from buildapi.sample.outcomes import BuildTimes, RequestHistory
from buildapi.sample.sample_rows import (
    MasterProcess,
    RowBatches,
    insert_build,
    insert_buildset,
    insert_request,
    insert_source_stamp,
    scheduler_properties,
)
from buildapi.sample.status_builds import (
    SampleBuild,
    insert_status_build,
    insert_status_source,
)

MASTER_OF = {master.role: master for master in MASTERS}
HEARTBEAT = 600
"""Seconds between renewals of a master's claims, counted from its own start as in 0.8.2."""


@attrs.define
class SampleSourceStamp:
    """Describe a source stamp; ``status_id`` is its id in the status database, None if unused."""

    id: int
    branch: str
    revision: str | None
    when: int
    status_id: int | None = None


@attrs.define
class SlavePools:
    """Assign a slave to each build; a pool grows to the largest number of concurrent builds."""

    _free: dict[str, list[tuple[float, int]]] = attrs.field(factory=dict)

    def assign(self, pool: str, start: int, finish: int | None) -> str:
        """Return the slave that was idle longest, or a new one."""
        free = self._free.setdefault(pool, [])
        idle = bool(free) and free[0][0] <= start
        # Nothing is removed without being put back, so that the length is the size of the pool.
        index = heapq.heappop(free)[1] if idle else len(free) + 1
        heapq.heappush(free, (float("inf") if finish is None else finish + 5, index))
        return f"{pool}-{index:03d}"


@attrs.define
class HistoryRecorder:
    """Record events in chronological order; masters started at ``boot``."""

    rows: RowBatches
    now: int
    boot: int
    slaves: SlavePools = attrs.field(factory=SlavePools)
    _numbers: dict[str, int] = attrs.field(factory=dict)

    def source(
        self, branch: str, revision: str | None, when: int, changes: Sequence[int] = ()
    ) -> SampleSourceStamp:
        """Record a source stamp."""
        found = insert_source_stamp(self.rows, branch, revision, changes)
        return SampleSourceStamp(found, branch, revision, when)

    def buildset(
        self, source: SampleSourceStamp, when: int, reason: str, histories: Sequence[RequestHistory]
    ) -> int:
        """Record a buildset with one request for each history; return its id."""
        ended = [r.complete_at for r in histories if r.complete_at is not None]
        complete = len(ended) == len(histories)
        worst = max((r.results or 0 for r in histories), default=0)
        found = insert_buildset(
            self.rows,
            source.id,
            reason,
            when,
            self._properties(histories[0], source),
            complete_at=max(ended) if complete else None,
            # A 0.8.2 master gives a buildset 0 or 2, whatever its requests have.
            results=(FAILURE if worst > WARNINGS else 0) if complete else None,
        )
        for history in histories:
            history.requests[self._request(found, when, history)] = when
        return found

    def _request(self, buildset: int, when: int, history: RequestHistory) -> int:
        master = MASTER_OF[history.builder.role]
        claimed_at = history.claimed_at
        if claimed_at and not history.complete:
            # The last renewal before now.
            claimed_at = max(claimed_at, self.now - (self.now - self.boot) % HEARTBEAT)
        return insert_request(
            self.rows,
            buildset,
            history.builder.name,
            when,
            priority=history.priority,
            claimed_at=claimed_at,
            claimed_by=master_process(master, self.boot) if claimed_at else None,
            complete_at=history.complete_at,
            results=history.results,
        )

    def build(
        self,
        history: RequestHistory,
        times: BuildTimes,
        source: SampleSourceStamp,
        reason: str,
        _: int,
    ) -> None:
        """Record a build for each of its requests, and once in the status database."""
        builder, start, finish = history.builder, times.start, times.finish
        # Numbers count per builder, here as on a master.
        number = self._numbers.get(builder.name, self.rows.ids.number)
        self._numbers[builder.name] = number + 1
        submitted = self._properties(history, source)
        build = SampleBuild(
            master=MASTER_OF[builder.role],
            name=builder.name,
            builder=builder,
            number=number,
            slave=self.slaves.assign(builder.pool, start, finish),
            start=start,
            finish=finish,
            result=times.result,
            reason=reason,
            branch=source.branch,
            revision=source.revision,
            submitted={name: (value, "Scheduler") for name, value in submitted.items()},
            links=[
                # One row for each request of a merged build, with the same number.
                (request, when, insert_build(self.rows, number, request, start, finish))
                for request, when in history.requests.items()
            ],
        )
        if source.status_id is None:
            source.status_id = insert_status_source(self.rows, build)
        insert_status_build(self.rows, build, source.status_id)

    def _properties(
        self, history: RequestHistory, source: SampleSourceStamp
    ) -> Mapping[str, str | None]:
        return scheduler_properties(
            history.builder, source.revision, source.when, f"{source.id:032x}"
        )


def master_process(master: SampleMaster, boot: int) -> MasterProcess:
    """Return the process of a master that was started at ``boot``."""
    return MasterProcess(master.db_name, f"pid{1000 + MASTERS.index(master)}-boot{boot}")
