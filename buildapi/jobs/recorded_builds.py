"""Match the builds that masters record in the status database with those of the schedulers.

The two databases have ids of their own.  A number is unique only per master and builder, and the
names of masters differ too: builder, number and start must agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from buildapi.model.ended_builds import NEAR_SECONDS
from buildapi.model.farm_rows import RecentBuild, RunningBuild
from buildapi.model.records import Build
from buildapi.model.results import FAILURES, RETRY


def workers_of(
    running: Iterable[RunningBuild], recorded: Iterable[RecentBuild]
) -> Mapping[int, str]:
    """Return the worker of each running build, by its id; one that two records fit has none."""
    found: dict[tuple[str, int], list[RecentBuild]] = {}
    for record in recorded:
        for name in _names(record):
            found.setdefault((name, record.buildnumber), []).append(record)
    workers = {}
    for build in running:
        fitting = {
            record.slavename
            for record in found.get((build.buildername, build.number), ())
            if _is_near(record.starttime, build.start_time)
        }
        if len(fitting) == 1:
            workers[build.id] = fitting.pop()
    return workers


def builds_of(recorded: Iterable[RecentBuild], builds: Sequence[Build]) -> Mapping[int, Build]:
    """Return the build of each record, by the record's id, among the builds of its requests."""
    by_request: dict[int, list[Build]] = {}
    for build in builds:
        for request in build.requests:
            by_request.setdefault(request.id, []).append(build)
    found = {}
    for record in recorded:
        candidates = [build for id_ in record.request_ids for build in by_request.get(id_, ())]
        # A retried request has builds of the same number on other masters, at other times.
        for build in candidates:
            if build.number == record.buildnumber and _is_near(record.starttime, build.start_time):
                found[record.id] = build
    return found


def _names(record: RecentBuild) -> set[str]:
    return {record.buildname, record.buildername} - {""}


def _is_near(recorded: int | None, started: int) -> bool:
    return recorded is not None and abs(recorded - started) < NEAR_SECONDS


@attrs.frozen
class FailureRate:
    """How many of some ended builds failed; retries are neither failures nor counted as builds."""

    failed: int
    builds: int
    retries: int

    @property
    def percent(self) -> int:
        """Return the percentage of failures, rounded; 0 without builds."""
        return round(100 * self.failed / self.builds) if self.builds else 0


def failure_rate(ended: Iterable[RecentBuild]) -> FailureRate:
    """Return how many builds failed, by failure or exception."""
    results = [build.result for build in ended]
    retries = results.count(RETRY)
    failed = sum(result in FAILURES for result in results)
    return FailureRate(failed, len(results) - retries, retries)
