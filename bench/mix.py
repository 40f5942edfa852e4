"""A busy farm: pollers, listeners of events and rebuilds at the same time, with an agent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.request import urlopen

import attrs

from bench import bare, mix_load
from bench.hot import JSON, Work, record, recorded_answers
from bench.load import Elsewhere, post
from bench.memory import GOAL as MEMORY
from bench.processes import peak_megabytes, processor_seconds
from bench.rows import Figure, Row, below
from bench.site import USER, Bench, running
from bench.subjects import Subjects

SECTION = "mix"
EVERY = 10.0
JOBS_A_SECOND = 20
SETTLE = 3.0
"""Seconds by which listeners leave last."""
BUCKET = re.compile(r'buildapi_reactor_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')


def lag_buckets(port: int) -> dict[float, float]:
    """Return how many delays of the reactor were at most so long, by seconds."""
    text = urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30).read().decode()
    return {float(bound): float(count) for bound, count in BUCKET.findall(text)}


def percentile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """Return a percentile in milliseconds, linear within its bucket."""
    counts = [(bound, after[bound] - before.get(bound, 0.0)) for bound in sorted(after)]
    wanted = counts[-1][1] * share
    low, below_it = 0.0, 0.0
    for bound, count in counts:
        if count >= wanted:
            if bound == float("inf"):
                return low * 1000
            part = (wanted - below_it) / max(1.0, count - below_it)
            return (low + (bound - low) * part) * 1000
        low, below_it = bound, count
    return low * 1000


def measure(bench: Bench, elsewhere: Elsewhere, subjects: Subjects) -> Iterator[Row]:
    """Measure what pollers wait for meanwhile, and what the reactor does."""
    if bench.mariadb is None or bench.rabbitmq is None:
        print("the mix needs MariaDB and RabbitMQ: left out", flush=True)
        return
    length, broker, jobs = bench.length, bench.broker(), bench.jobs_database()
    polled = [subjects.path(f"/rev/{revision}/is_done") for revision in subjects.revisions]
    works = [Work("is_done", path, None, accept=JSON) for path in polled]
    with ExitStack() as ends:
        api = ends.enter_context(running(bench.service(bench.large, ["api"], broker, jobs=jobs)))
        ends.enter_context(running(bench.service(bench.large, ["agent"], broker, jobs=jobs)))
        every = EVERY if not bench.quick else 1.0
        pollers = mix_load.Schedule(
            api.port, [work.request() for work in works], length.pollers, every, length.mix_seconds
        )
        rebuilds = mix_load.Schedule(
            api.port,
            _rebuilds(subjects),
            JOBS_A_SECOND * 2,
            2.0,
            length.mix_seconds,
        )
        listening = elsewhere.begin(
            _listen_and_rebuild,
            api.port,
            length.listeners,
            rebuilds,
            0.5 if bench.quick else SETTLE,
        )
        before, processor = lag_buckets(api.port), processor_seconds(api.pid)
        polled_ours = elsewhere.begin(mix_load.poll, pollers).result()
        megabytes = peak_megabytes(api.pid)
        busy = (processor_seconds(api.pid) - processor) / length.mix_seconds
        after = lag_buckets(api.port)
        streams, accepted = listening.result()
        answers = [record(api.port, work) for work in works[:1]]
    alone = _alone(bench, elsewhere, answers, pollers)
    note = f"{length.pollers} pollers every {every:g} s, {length.listeners} listeners,"
    note += f" {JOBS_A_SECOND} jobs/s; the API process uses {busy:.0%} of a core"
    beside = "bare Klein, pollers alone"
    for share, goal in ((0.5, None), (0.99, below(100, "ms"))):
        yield Row(
            SECTION,
            f"is_done, p{share * 100:.0f}",
            "ms",
            Figure(polled_ours.percentile(share)),
            Figure(alone.percentile(share)),
            beside,
            goal,
            note if share == 0.5 else "",
        )
    refused = _refused(polled_ours) + _refused(accepted)
    said = f"{sum(polled_ours.statuses.values())} answers to pollers,"
    said += f" {accepted.statuses.get(202, 0)} jobs accepted,"
    said += f" {streams.get('events', 0)} events to {streams.get('streams', 0)} listeners"
    yield Row(
        SECTION, "answers that were not given", "", Figure(refused), goal=below(0, ""), note=said
    )
    yield Row(SECTION, "memory, the most", "MB", Figure(megabytes), goal=MEMORY)
    lag = percentile(before, after, 0.99)
    yield Row(SECTION, "reactor lag, p99", "ms", Figure(lag), goal=below(20, "ms"))


def _refused(answered: mix_load.Answered) -> int:
    """Return how many requests were answered with an error, or not at all."""
    return sum(n for status, n in answered.statuses.items() if status not in (200, 202))


def _rebuilds(subjects: Subjects) -> list[bytes]:
    return [
        post(
            subjects.path("/build"),
            json.dumps({"build_id": build}).encode(),
            f"X-Remote-User: {USER}",
            f"Accept: {JSON}",
        )
        for build in subjects.builds
    ]


def _listen_and_rebuild(
    port: int, listeners: int, rebuilds: mix_load.Schedule, settle: float
) -> tuple[dict[str, int], mix_load.Answered]:
    """Be all listeners and, in a second thread, those who ask for rebuilds."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(mix_load.poll, rebuilds)
        streams = mix_load.listen(port, "/self-serve/events", listeners, rebuilds.seconds + settle)
        return dict(streams), asking.result()


def _alone(
    bench: Bench, elsewhere: Elsewhere, answers: list[bare.Answer], pollers: mix_load.Schedule
) -> mix_load.Answered:
    """Let the pollers alone ask a bare Klein, for a third of the time."""
    with recorded_answers(bench, answers) as (port, _):
        request = Work("is_done", "/klein/0", None).request()
        seconds = max(pollers.every, pollers.seconds / 3)
        same = attrs.evolve(pollers, port=port, requests=[request], seconds=seconds)
        return elsewhere.begin(mix_load.poll, same).result()
