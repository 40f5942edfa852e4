"""Reads that many clients ask for within the seconds in which an answer is kept."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs

from bench import bare
from bench.load import Load, Loaded, connect, get
from bench.rows import Figure, Goal, Round, Row, at_least, interleaved
from bench.site import ROOT, USER, Bench
from bench.subjects import Subjects
from tests.e2e.service import Service
from tests.services.mariadb import free_port

CONNECTIONS = 16
SECTION = "hot"
ADDED = ("date", "server", "connection", "transfer-encoding")
"""Headers that each server adds for itself."""
JSON, HTML = "application/json", "text/html"
Send = Callable[[Load], Loaded]


@attrs.frozen
class Work:
    """A read: its name in the table, its path and headers, and the goal."""

    name: str
    path: str
    goal: Goal | None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    accept: str = JSON

    def all_headers(self) -> dict[str, str]:
        """Return every header that is sent."""
        return {"Accept": self.accept, **self.headers}

    def request(self, path: str | None = None) -> bytes:
        """Return its bytes, for another path if there is one."""
        lines = (f"{name}: {value}" for name, value in self.all_headers().items())
        return get(path or self.path, *lines)


GZIP = {"Accept-Encoding": "gzip"}


def works(subjects: Subjects, job: int) -> list[Work]:
    """List the reads; a revision, a build and a request are the first of the subjects."""
    revision = subjects.path(f"/rev/{subjects.revisions[0]}")
    rows = f"day of {subjects.rows} rows"
    return [
        Work("is_done", f"{revision}/is_done", at_least(1.3)),
        Work("revision", revision, at_least(1.3)),
        Work("revision, gzip", revision, at_least(1.3), GZIP),
        Work("/pending", "/pending", at_least(1.2)),
        Work("/pending, gzip", "/pending", at_least(1.2), GZIP),
        Work(rows, subjects.day, at_least(1.0)),
        Work(f"{rows}, gzip", subjects.day, at_least(1.0), GZIP),
        Work("job list", "/self-serve/jobs", at_least(1.0)),
        Work("job", f"/self-serve/jobs/{job}", at_least(1.0)),
        Work("build", subjects.path(f"/build/{subjects.builds[0]}"), at_least(1.0)),
        Work("request", subjects.path(f"/request/{subjects.requests[0]}"), at_least(1.0)),
    ]


def unchanged(port: int, work: Work) -> Work:
    """Return the same read with the tag of its answer, which has not changed."""
    tag = dict(record(port, work).headers)["ETag"]
    headers = {**work.headers, "If-None-Match": tag}
    same = attrs.evolve(work, name=f"{work.name}, 304", headers=headers)
    if (status := record(port, same).status) != 304:
        raise SystemExit(f"{work.path} with its own tag is answered with {status}")
    return same


def record(port: int, work: Work) -> bare.Answer:
    """Ask once; return the answer.

    :raises SystemExit: it is neither 200 nor 304.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", work.path, headers=work.all_headers())
    with connection.getresponse() as answer:
        body = answer.read()
        headers = [h for h in answer.getheaders() if h[0].lower() not in ADDED]
        if answer.status not in (200, 304):
            raise SystemExit(f"{work.path} is answered with {answer.status}: {body[:300]!r}")
    connection.close()
    return bare.Answer(answer.status, headers, body)


@contextmanager
def recorded_answers(bench: Bench, answers: Sequence[bare.Answer]) -> Iterator[tuple[int, int]]:
    """Serve recorded answers in a process of their own; yield its port and its id."""
    file, port = bench.folder / "answers.pickle", free_port()
    bare.write(file, answers)
    command = [sys.executable, "-m", "bench.bare", str(port), str(file)]
    process = subprocess.Popen(command, cwd=ROOT)  # noqa: S603  # our own
    try:
        _wait(process, port)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        try:
            connect(port).close()
        except ConnectionRefusedError:
            continue
        return
    raise SystemExit("the reference did not start")


def rate(send: Send, load: Load) -> Round:
    """Return a round of a load: answers per second, and processor time for each."""

    def measure() -> tuple[float, float | None]:
        loaded = send(load)
        if set(loaded.statuses) - {200, 202, 304}:
            raise SystemExit(f"answers of other kinds: {loaded.statuses}")
        return loaded.rate, loaded.cpu

    return measure


def measure_works(
    bench: Bench, send: Send, service: Service, section: str, listed: Sequence[Work]
) -> Iterator[Row]:
    """Measure reads of a service in turns with both references."""
    answers = [record(service.port, work) for work in listed]
    with recorded_answers(bench, answers) as (port, pid):
        for number, work in enumerate(listed):
            seconds = bench.length.seconds
            loads = {
                "ours": Load(service.port, [work.request()], CONNECTIONS, service.pid, seconds),
                "klein": Load(port, [work.request(f"/klein/{number}")], CONNECTIONS, pid, seconds),
                "web": Load(port, [work.request(f"/web/{number}")], CONNECTIONS, pid, seconds),
            }
            for load in loads.values():  # every answer is kept, every connection was made once
                send(attrs.evolve(load, count=2 * CONNECTIONS))
            rounds = {name: rate(send, load) for name, load in loads.items()}
            found: dict[str, Figure] = interleaved(bench.length.rounds, rounds)
            yield Row(
                section,
                work.name,
                "/s",
                found["ours"],
                found["klein"],
                "bare Klein",
                work.goal,
                f"{len(answers[number].body)} bytes",
                {"bare twisted.web": found["web"]},
            )


def measure(bench: Bench, send: Send, service: Service, subjects: Subjects) -> Iterator[Row]:
    """Measure hot reads; one job is there to be read."""
    answer = service.client.post(subjects.path("/build"), build_id=subjects.builds[0])
    listed = works(subjects, answer.body["request_id"])
    listed.insert(7, unchanged(service.port, listed[1]))
    yield from measure_works(bench, send, service, SECTION, listed)


__all__ = ["USER", "Work", "measure", "measure_works", "rate", "record"]
