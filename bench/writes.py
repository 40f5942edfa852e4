"""Job requests that are accepted, beside what the database and the broker alone would do.

A job request is accepted once it is stored and its message confirmed: no faster than the slower of
a plain INSERT with its COMMIT and a plain confirmed publish, which are measured in the same rounds.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import attrs

from bench.hot import rate
from bench.load import Elsewhere, Load, post
from bench.rows import Figure, Goal, Round, Row, at_least, interleaved
from bench.site import USER, Bench, running
from bench.statements import Statement, recorded
from bench.subjects import Subjects
from tests.buildbot.seed import connect

SECTION = "writes"
GOALS: dict[int, Goal | None] = {1: None, 8: at_least(0.4), 32: at_least(0.4)}
"""Connections that send one job request after the other."""
SECONDS = 2.0


@attrs.frozen
class Counted:
    """What a reference has done: items, seconds and its own processor time."""

    items: int
    seconds: float
    processor: float

    def figures(self) -> tuple[float, float | None]:
        """Return items per second and milliseconds of processor time for each."""
        return self.items / self.seconds, self.processor / self.items * 1000


def insert(url: str, text: str, connections: int, seconds: float) -> Counted:
    """Insert and commit one row after the other on each of a number of connections."""
    opened = [connect(url) for _ in range(connections)]
    counts, own = [0] * connections, time.process_time()
    began = time.perf_counter()

    def work(number: int) -> None:
        cursor = opened[number].cursor()
        while time.perf_counter() - began < seconds:
            for statement in ("BEGIN", text, "COMMIT"):
                cursor.execute(statement)
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - began
    for connection in opened:
        connection.close()
    return Counted(sum(counts), taken, time.process_time() - own)


def publish(url: str, size: int, waiting: int, seconds: float) -> Counted:
    """Publish messages to a quorum queue; so many wait for their confirm at a time."""
    from bench import publishing

    return Counted(*publishing.run(url, size, waiting, seconds))


def _inserted(statements: list[Statement]) -> Statement:
    """Return the statement that stores a job request."""
    return next(s for s in statements if s.text.lstrip().startswith("INSERT INTO jobrequests"))


def measure(bench: Bench, elsewhere: Elsewhere, subjects: Subjects) -> Iterator[Row]:
    """Measure accepted rebuilds; no agent takes them meanwhile."""
    if bench.mariadb is None or bench.rabbitmq is None:
        print("writes need MariaDB and RabbitMQ: left out", flush=True)
        return
    broker, jobs, send = bench.broker(), bench.jobs_database(), elsewhere.send
    seconds = min(SECONDS, bench.length.seconds * 2)
    requests = [
        post(
            subjects.path("/build"),
            json.dumps({"build_id": build}).encode(),
            f"X-Remote-User: {USER}",
            "Accept: application/json",
        )
        for build in subjects.builds
    ]
    with running(bench.service(bench.large, ["api"], broker, jobs=jobs)) as service:
        send(Load(service.port, requests, 1, service.pid, count=3))
        with recorded(bench.mariadb) as found:
            send(Load(service.port, requests, 1, service.pid, count=1))
        text = _inserted(found).text
        amqp = broker["broker"]["url"]
        for connections, goal in GOALS.items():
            load = Load(service.port, requests, connections, service.pid, seconds)
            rounds: dict[str, Round] = {
                "ours": rate(send, load),
                "insert": _reference(elsewhere.run, insert, jobs, text, connections, seconds),
                # a reactor runs once in a process
                "publish": _reference(elsewhere.once, publish, amqp, 200, connections, seconds),
            }
            figures = interleaved(bench.length.rounds, rounds)
            yield _row(connections, goal, figures)
        with closing(connect(jobs)) as database, database.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM buildapi_jobs WHERE sent = 0")
            if not bench.quick and cursor.fetchone()[0] > max(GOALS):
                print("some job requests were answered and not sent", flush=True)


def _reference(run: Callable[..., Counted], work: Callable[..., Counted], *given: Any) -> Round:
    def measure() -> tuple[float, float | None]:
        return run(work, *given).figures()

    return measure


def _row(connections: int, goal: Goal | None, figures: dict[str, Figure]) -> Row:
    names = {"insert": "raw INSERT and COMMIT", "publish": "raw confirmed publish"}
    slower = min(names, key=lambda name: figures[name].value)
    (other,) = set(names) - {slower}
    return Row(
        SECTION,
        f"POST rebuild, {connections} at a time",
        "/s",
        figures["ours"],
        figures[slower],
        names[slower],
        goal,
        others={names[other]: figures[other]},
    )
