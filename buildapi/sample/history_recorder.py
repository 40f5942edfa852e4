"""Convert the sample history to rows of the scheduler and status databases."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Sequence
from random import Random

import attrs

from buildapi.sample.build_properties import OF_MANY, CatalogBuild, build_properties
from buildapi.sample.catalog import MASTERS, REPOSITORY, SampleBuilder, SampleMaster
from buildapi.sample.commits import MACHINE, Commit
from buildapi.sample.farm_rows import FarmTable, RowBatches
from buildapi.sample.outcomes import FAILURE, WARNINGS, BuildTimes, RequestHistory

MASTER_OF = {master.role: master for master in MASTERS}
HEARTBEAT = 600
"""Seconds between renewals of a master's claims, counted from its own start as in 0.8.2."""


@attrs.define
class SampleSourceStamp:
    """Describe a source stamp; ``status_id`` is its id in the status database, None if unused."""

    id: int
    branch: str
    revision: str | None
    build_id: str
    status_id: int | None = None


@attrs.define
class SlavePools:
    """Assign a slave to each build; a pool grows to the most builds that ran at once."""

    _free: dict[str, list[tuple[float, int]]] = attrs.field(factory=dict)

    def take(self, pool: str, start: int, finish: int | None) -> str:
        """Return the slave that was idle longest, or a new one."""
        free = self._free.setdefault(pool, [])
        idle = bool(free) and free[0][0] <= start
        index = heapq.heappop(free)[1] if idle else len(free) + 1
        heapq.heappush(free, (float("inf") if finish is None else finish + 5, index))
        return f"{pool}-{index:03d}"


@attrs.define
class HistoryRecorder:
    """Record events in chronological order."""

    rows: RowBatches
    rng: Random
    now: int
    boot: int
    slaves: SlavePools = attrs.field(factory=SlavePools)
    _numbers: dict[str, int] = attrs.field(factory=dict)

    def commit(self, commit: Commit, when: int, branch: str, path: str) -> int:
        """Record a pushed change; return its id."""
        change = self._change(commit, when, branch, path)
        for name in commit.files:
            self.rows.add(FarmTable.CHANGE_FILES, change, name)
        return change

    def sendchange(self, builder: SampleBuilder, commit: Commit, when: int, path: str) -> int:
        """Record the change by which a finished build requests its tests; return its id."""
        sent = attrs.evolve(commit, author=MACHINE, files=())
        return self._change(sent, when, builder.stored, path)

    def _change(self, commit: Commit, when: int, branch: str, path: str) -> int:
        return self.rows.insert(
            FarmTable.CHANGES,
            commit.author,
            commit.comments,
            0,
            branch,
            commit.revision,
            f"{REPOSITORY}{path}/rev/{commit.revision[:12]}",
            when,
            None,
            REPOSITORY + path,
            "",
        )

    def source(
        self, branch: str, revision: str | None, when: int, changes: Sequence[int] = ()
    ) -> SampleSourceStamp:
        """Record a source stamp."""
        found = self.rows.insert(FarmTable.SOURCESTAMPS, branch, revision, None, "", "")
        for change in changes:
            self.rows.add(FarmTable.SOURCESTAMP_CHANGES, found, change)
        return SampleSourceStamp(
            found, branch, revision, time.strftime("%Y%m%d%H%M%S", time.gmtime(when))
        )

    def buildset(
        self, source: SampleSourceStamp, when: int, reason: str, runs: Sequence[RequestHistory]
    ) -> int:
        """Record a buildset with one request for each run; return its id."""
        ended = [r.complete_at for r in runs if r.complete_at is not None]
        complete = len(ended) == len(runs)
        worst = max((r.results or 0 for r in runs), default=0)
        found = self.rows.insert(
            FarmTable.BUILDSETS,
            None,
            reason,
            source.id,
            when,
            int(complete),
            max(ended) if complete else None,
            (FAILURE if worst > WARNINGS else 0) if complete else None,
        )
        self._properties(found, source, runs[0].builder)
        for run in runs:
            run.requests.append(self._request(found, when, run))
        return found

    def _properties(self, buildset: int, source: SampleSourceStamp, builder: SampleBuilder) -> None:
        values = {
            "branch": builder.branch,
            "revision": source.revision,
            "buildid": source.build_id,
            "builduid": f"{source.id:032x}",
        }
        for name, value in values.items():
            self.rows.add(FarmTable.PROPERTIES, buildset, name, json.dumps([value, "Scheduler"]))

    def _request(self, buildset: int, when: int, run: RequestHistory) -> int:
        master = MASTER_OF[run.builder.role]
        claimed_at = run.claimed_at
        if claimed_at and not run.complete:
            claimed_at = max(claimed_at, self.now - (self.now - self.boot) % HEARTBEAT)
        found = self.rows.insert(
            FarmTable.REQUESTS,
            buildset,
            run.builder.name,
            run.priority,
            claimed_at,
            master.db_name if claimed_at else None,
            incarnation(master, self.boot) if claimed_at else None,
            int(run.complete),
            run.results,
            when,
            run.complete_at,
        )
        run.submitted[found] = when
        return found

    def build(
        self,
        run: RequestHistory,
        attempt: BuildTimes,
        source: SampleSourceStamp,
        reason: str,
        _: int,
    ) -> None:
        """Record a build for all its requests: its start, and its end if there is one."""
        name = run.builder.name
        number = self._numbers.get(name, self.rows.ids.number)
        self._numbers[name] = number + 1
        status_id = self._status_build(run, number, attempt, source, reason)
        for request in run.requests:
            build = self.rows.insert(
                FarmTable.BUILDS, number, request, attempt.start, attempt.finish
            )
            self.rows.add(FarmTable.STATUS_LINKS, status_id, request, build)

    def _status_build(
        self,
        run: RequestHistory,
        number: int,
        attempt: BuildTimes,
        source: SampleSourceStamp,
        reason: str,
    ) -> int:
        builder = run.builder
        rows, master = self.rows, MASTER_OF[builder.role]
        slave = self.slaves.take(builder.pool, attempt.start, attempt.finish)
        master_id = rows.named(FarmTable.STATUS_MASTERS, master.url(), master.name)
        if source.status_id is None:
            branch, revision = source.branch, source.revision
            source.status_id = rows.insert(FarmTable.STATUS_SOURCES, branch, revision, None)
        build = rows.insert(
            FarmTable.STATUS_BUILDS,
            number,
            rows.named(FarmTable.STATUS_BUILDERS, builder.name, master_id, builder.category),
            rows.named(FarmTable.STATUS_SLAVES, slave),
            master_id,
            utc(attempt.start),
            utc(attempt.finish),
            attempt.result,
            reason,
            source.status_id,
            0,
        )
        of = CatalogBuild(
            builder=builder,
            master=master,
            number=number,
            slave=slave,
            revision=source.revision,
            requests=run.submitted,
            result=attempt.result,
            buildid=source.build_id,
            builduid=f"{source.id:032x}",
        )
        self._status_properties(build, of)
        if builder.suite is not None and attempt.finish is not None:
            self._test_steps(build, builder.suite, attempt.start, attempt.finish, attempt.result)
        return build

    def _status_properties(self, build: int, of: CatalogBuild) -> None:
        rows = self.rows
        for name, (value, source) in build_properties(of).items():
            row = (name, source, json.dumps(value))
            add = rows.named if name in OF_MANY else rows.insert
            rows.add(
                FarmTable.STATUS_BUILD_PROPERTIES, add(FarmTable.STATUS_PROPERTIES, *row), build
            )

    def _test_steps(
        self, build: int, suite: str, start: int, finish: int, result: int | None
    ) -> None:
        ready = start + (finish - start) // 4
        for order, (name, begin, end, status) in enumerate(
            (("download", start, ready, 0), (step_name(suite), ready, finish, result))
        ):
            text = json.dumps([name])
            times = utc(begin), utc(end)
            self.rows.insert(FarmTable.STATUS_STEPS, name, text, build, order, *times, status)


def step_name(suite: str) -> str:
    """Return the name of the step that runs a suite: all chunks of a suite share it."""
    if suite.startswith("talos"):
        return "Run performance tests"
    return "mochitest-plain" if suite.removeprefix("mochitest-").isdigit() else suite


def utc(when: float | None) -> str | None:
    """Format a time as the status database stores it."""
    return None if when is None else time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))


def incarnation(master: SampleMaster, boot: int) -> str:
    """Return the incarnation of a master's process that was started at ``boot``."""
    return f"pid{1000 + MASTERS.index(master)}-boot{boot}"
