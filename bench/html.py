"""Pages as people see them: what one costs after a change, and what it costs again."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench.hot import GZIP, HTML, Send, Work, measure_works
from bench.load import Load
from bench.rows import Figure, Row, below, cpu_below
from bench.site import USER, Bench
from bench.subjects import Subjects
from tests.e2e.service import Service

LAPSED = 2.2
"""Seconds after which nothing is kept any more."""
FIRST, AGAIN = below(25, "ms CPU"), cpu_below(0.5)


def pages(subjects: Subjects) -> list[Work]:
    """List the pages, as the browser of a user asks for them and, of the day, as others do."""
    user = {"X-Remote-User": USER}
    day = f"page of a day of {subjects.rows} rows"
    listed = {
        day: subjects.day,
        "page of /pending": "/pending",
        "page of /running": "/running",
        "page of jobs": "/self-serve/jobs",
        "home page": "/",
    }
    found = [Work(name, path, AGAIN, user | GZIP, HTML) for name, path in listed.items()]
    return [
        *found,
        Work(f"{day}, without a user", subjects.day, AGAIN, GZIP, HTML),
        Work(f"{day}, not compressed", subjects.day, None, user, HTML),
    ]


def measure(bench: Bench, send: Send, service: Service, subjects: Subjects) -> Iterator[Row]:
    """Measure pages after what was kept has lapsed, and again and again."""
    listed = pages(subjects)
    yield from _first(bench, send, service, listed[:-2])
    yield from measure_works(bench, send, service, "HTML, again", listed)


def _first(bench: Bench, send: Send, service: Service, listed: list[Work]) -> Iterator[Row]:
    found: dict[str, list[float]] = {work.name: [] for work in listed}
    for work in listed:  # templates are compiled once
        send(Load(service.port, [work.request()], 1, service.pid, count=1))
    for _ in range(bench.length.rounds):
        time.sleep(LAPSED)
        for work in listed:
            loaded = send(Load(service.port, [work.request()], 1, service.pid, count=1))
            found[work.name].append(loaded.cpu)
    for name, values in found.items():
        figure = Figure(statistics.median(values), None, min(values), max(values))
        yield Row("HTML, first", name, "ms CPU", figure, goal=FIRST)
