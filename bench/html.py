"""Pages as people see them: what one costs after a change, and what it costs again."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import attrs

from bench.hot import GZIP, HTML, JSON, Send, Work, measure_works
from bench.load import Load
from bench.rows import Figure, Row, below, cpu_below
from bench.site import USER, Bench
from bench.subjects import Subjects
from tests.e2e.service import Service

LAPSED = 2.2
"""Seconds after which nothing is kept any more."""
COUNTS = "rows=0"
"""The query of a list's counts alone, which are made of the values that its rows are made of."""
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
    """Measure each page with nothing kept, and then with its values kept but not the page."""
    nothing: dict[str, list[float]] = {work.name: [] for work in listed}
    values: dict[str, list[float]] = {work.name: [] for work in listed}

    def ask(request: bytes) -> float:
        return send(Load(service.port, [request], 1, service.pid, count=1)).cpu

    for work in listed:  # templates are compiled once
        ask(work.request())
    for _ in range(bench.length.rounds):
        time.sleep(LAPSED)
        for work in listed:
            nothing[work.name].append(ask(work.request()))
        time.sleep(LAPSED)
        for work in listed:
            ask(_of_same_values(work).request())
            values[work.name].append(ask(work.request()))
    for found, what, goal in ((nothing, "nothing kept", None), (values, "of kept values", FIRST)):
        for name, measured in found.items():
            figure = Figure(statistics.median(measured), None, min(measured), max(measured))
            yield Row("HTML, first", f"{name}, {what}", "ms CPU", figure, goal=goal)


def _of_same_values(work: Work) -> Work:
    """Return a read after which the values of a page are kept, and no row or page is made."""
    # The pages of the whole farm have values of their own; all others are made of their JSON.
    if work.path in ("/pending", "/running"):
        return attrs.evolve(work, path=f"{work.path}?{COUNTS}")
    return attrs.evolve(work, accept=JSON)
