"""Reads of which nothing is kept, beside the same SELECTs sent by PyMySQL alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import attrs

from bench.hot import JSON, Send, Work
from bench.load import Load
from bench.rows import Goal, Round, Row, at_most, interleaved
from bench.site import Bench
from bench.statements import Raw, Statement, recorded
from bench.subjects import Subjects
from tests.e2e.service import Service

SECTION = "cold"
GOAL = at_most(1.5)
UNCACHED = {"web": {"cache_seconds": 0}}
ROUND_MOST = 200


@attrs.frozen
class Reads:
    """Reads of one kind, of different things, sent over a number of connections."""

    name: str
    paths: Sequence[str]
    goal: Goal | None = GOAL
    connections: int = 1

    def requests(self) -> list[bytes]:
        """Return the bytes of all of them."""
        return [Work(self.name, path, None, accept=JSON).request() for path in self.paths]


def reads(subjects: Subjects) -> list[Reads]:
    """List what is asked."""
    revisions = [subjects.path(f"/rev/{revision}") for revision in subjects.revisions]
    done = [f"{path}/is_done" for path in revisions]
    return [
        Reads(f"day of {subjects.rows} rows", [subjects.day]),
        Reads("is_done", done),
        Reads("revision", revisions),
        Reads("/pending", ["/pending"]),
        Reads("/running", ["/running"]),
        Reads("build", [subjects.path(f"/build/{build}") for build in subjects.builds[:40]]),
        Reads("is_done of 16 revisions at once", done, None, 16),
    ]


def selects(bench: Bench, service: Service, path: str) -> list[Statement]:
    """Return the SELECTs of one read, without those on other databases than the farm's."""
    with recorded(bench.server) as found:
        answer = service.client.get(path)
    if answer.status != 200:
        raise SystemExit(f"{path} is answered with {answer.status}: {answer.body}")
    farm = {url.rpartition("/")[2] for url in (bench.large.scheduler, bench.large.status)}
    return [one for one in found if one.reads and one.database in farm]


def milliseconds(send: Send, load: Load) -> Round:
    """Return a round of a load: milliseconds of time and of processor time for each answer."""

    def measure() -> tuple[float, float | None]:
        loaded = send(load)
        if set(loaded.statuses) != {200}:
            raise SystemExit(f"answers of other kinds: {loaded.statuses}")
        return loaded.seconds / loaded.answers * 1000, loaded.cpu

    return measure


def _raw(raw: Raw, sets: Sequence[Sequence[Statement]], count: int) -> Round:
    def measure() -> tuple[float, float | None]:
        own = time.process_time()
        seconds = sum(raw.send(sets[number % len(sets)]) for number in range(count))
        return seconds / count * 1000, (time.process_time() - own) / count * 1000

    return measure


def measure(bench: Bench, send: Send, service: Service, subjects: Subjects) -> Iterator[Row]:
    """Measure cold reads; ``service`` keeps nothing."""
    for kind in reads(subjects):
        load = Load(service.port, kind.requests(), kind.connections, service.pid)
        once = send(attrs.evolve(load, count=min(5, len(kind.paths))))
        each = once.seconds / once.answers
        # as often as fits into a round, once at least
        fitting = int(bench.length.seconds / each)
        count = max(kind.connections, min(ROUND_MOST, fitting))
        rounds = {"ours": milliseconds(send, attrs.evolve(load, count=count))}
        if bench.mariadb is None:
            found = interleaved(bench.length.rounds, rounds)
            yield Row(SECTION, kind.name, "ms", found["ours"], goal=kind.goal)
            continue
        with closing(Raw(bench.mariadb)) as raw:
            paths = kind.paths[:count]
            sets = [selects(bench, service, path) for path in paths]
            rounds["raw"] = _raw(raw, sets, count)
            found = interleaved(bench.length.rounds, rounds)
        yield Row(
            SECTION,
            kind.name,
            "ms",
            found["ours"],
            found["raw"],
            "raw PyMySQL, same SELECTs",
            kind.goal,
            f"{len(sets[0])} SELECTs",
        )
