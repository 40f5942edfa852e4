"""What a past ten times as long costs a read: the same present on both farms."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cold import milliseconds
from bench.hot import JSON, Send, Work
from bench.load import Load
from bench.rows import Row, at_most, interleaved
from bench.site import Bench
from bench.subjects import Subjects, find_subjects
from tests.e2e.service import Service

SECTION = "growth"
GOAL = at_most(1.5)
ROUND_MOST = 100


def paths(subjects: Subjects) -> dict[str, str]:
    """Map the name of a read to its path."""
    revision = subjects.path(f"/rev/{subjects.revisions[0]}")
    return {
        "is_done": f"{revision}/is_done",
        "revision": revision,
        "/pending": "/pending",
        "/running": "/running",
        "day": subjects.day,
        "build": subjects.path(f"/build/{subjects.builds[0]}"),
        "request": subjects.path(f"/request/{subjects.requests[0]}"),
        "job list": "/self-serve/jobs",
        "builders": subjects.path("/builders"),
        "/pushes": "/pushes",
        "user": subjects.path(f"/user/{subjects.author}"),
        "/recent": "/recent",
    }


def measure(bench: Bench, send: Send, large: Service, small: Service) -> Iterator[Row]:
    """Measure reads on the farm and on the one of a tenth; neither service keeps anything."""
    farms = {"large": (large, bench.large), "small": (small, bench.small)}
    subjects = {n: find_subjects(s.client, farm.scheduler) for n, (s, farm) in farms.items()}
    for name in paths(subjects["small"]):
        rounds = {}
        for size, (service, _) in farms.items():
            request = Work(name, paths(subjects[size])[name], None, accept=JSON).request()
            once = send(Load(service.port, [request], 1, service.pid, count=2))
            # as often as fits into half a round, once at least
            fitting = int(bench.length.seconds / 2 / (once.seconds / once.answers))
            count = max(1, min(ROUND_MOST, fitting))
            load = Load(service.port, [request], 1, service.pid, count=count)
            rounds[size] = milliseconds(send, load)
        found = interleaved(bench.length.rounds, rounds)
        yield Row(
            SECTION,
            name,
            "ms",
            found["large"],
            found["small"],
            f"{bench.small.builds} builds",
            GOAL,
        )
