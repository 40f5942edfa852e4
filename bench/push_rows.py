"""The list of pushes: many pushes of many jobs each, on a branch that nothing else is asked of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice, product

from bench.cold import selects
from bench.hot import GZIP, HTML, JSON, Send, Work, measure_works
from bench.html import LAPSED
from bench.load import Load
from bench.rows import Row, below, cpu_below, medians
from bench.site import USER, Bench, running
from bench.statements import Raw
from tests.buildbot.seed import Seed
from tests.e2e.service import Service

SECTION = "pushes"
BRANCH = "birch"
PUSHES, JOBS = 50, 300
FEW = 30
"""Jobs of a push where hardly anything is measured."""
UNFINISHED = 5
"""Pushes, the newest, of whose jobs some wait and some run."""
WITHIN = below(1000, "ms")
AGAIN = cpu_below(1)

PLATFORMS = (
    *("Linux", "Linux x86-64", "Ubuntu VM 12.04", "Ubuntu VM 12.04 x64", "WINNT 5.2"),
    *("Windows 7 32-bit", "Windows XP 32-bit", "OS X 10.7", "Android 4.3 armv7 API 15+"),
)
TESTS = (
    *(f"mochitest-{chunk}" for chunk in range(1, 6)),
    *("mochitest-browser-chrome", "mochitest-chrome", "reftest", "jsreftest", "crashtest"),
    *(
        "xpcshell",
        "cppunit",
        "marionette",
        "jittest",
        "web-platform-tests-1",
        "gtest",
        "luciddream",
    ),
)
RESULTS = (0,) * 14 + (2, 0, 0, 1, 0, 4)
"""Results of complete builds, in turn."""


def builders(jobs: int) -> list[str]:
    """Return the names of so many builders of the branch."""
    kinds = product(TESTS, ("opt", "debug"), PLATFORMS)
    names = [f"{platform} {BRANCH} {type_} test {test}" for test, type_, platform in kinds]
    return list(islice(names, jobs))


def add_pushes(scheduler: str, pushes: int, jobs: int, now: int) -> None:
    """Add pushes of the last hours to a scheduler database, the newest with open jobs."""
    names = builders(jobs)
    with closing(Seed(scheduler)) as seed:
        seed.execute("BEGIN")
        for left in range(pushes, 0, -1):
            revision = f"{left:040x}"[::-1]
            _add_push(seed, revision, now - 600 * left, names, unfinished=left <= UNFINISHED)
        seed.execute("COMMIT")


def _add_push(
    seed: Seed, revision: str, at: int, names: Sequence[str], *, unfinished: bool
) -> None:
    for sender in (f"user{at // 600 % 7}@example.org", "sendchange-unittest"):
        seed.insert(
            "changes",
            author=sender,
            comments=f"Bug {at} - Have something to show\n\nr=bench",
            is_dir=0,
            branch=BRANCH,
            revision=revision,
            when_timestamp=at,
            repository="",
            project="",
        )
    buildset = seed.buildset(seed.stamp(BRANCH, revision), at=at)
    for n, name in enumerate(names):
        request = seed.request(builder=name, at=at, buildset=buildset)
        if unfinished and n % 3 == 0:
            continue
        build = seed.run(request, at=at + 60)
        if not (unfinished and n % 5 == 0):
            seed.end(build, at=at + 1800 + n)
            seed.complete(request, results=RESULTS[n % len(RESULTS)], at=at + 1800 + n)


def measure(bench: Bench, send: Send) -> Iterator[Row]:
    """Measure the list as JSON and as a page, with nothing kept and again and again."""
    jobs = FEW if bench.quick else JOBS
    add_pushes(bench.large.scheduler, PUSHES, jobs, int(time.time()))
    branches = bench.folder / "branches-of-pushes.json"
    known = json.loads((bench.folder / "branches.json").read_text())
    branches.write_text(json.dumps({**known, BRANCH: {}}))
    own = {"directory": {"branches": str(branches)}}
    path = f"/self-serve/{BRANCH}/pushes?limit={PUSHES}"
    user = {"X-Remote-User": USER} | GZIP
    name = f"{PUSHES} pushes of {jobs} jobs each"
    listed = [
        Work(f"JSON of {name}", path, AGAIN, GZIP, JSON),
        Work(f"page of {name}", path, AGAIN, user, HTML),
    ]
    whole = Work(f"page of {name}, all shown", f"{path}&show=all", AGAIN, user, HTML)
    with running(bench.service(bench.large, ["api"], bench.broker(), own)) as service:
        for work in [*listed, whole]:
            yield _cold(bench, send, service, work)
        yield from measure_works(bench, send, service, f"{SECTION}, again", listed)


def _cold(bench: Bench, send: Send, service: Service, work: Work) -> Row:
    """Measure an answer after everything that was kept has lapsed, beside its own SELECTs."""
    load = Load(service.port, [work.request()], 1, service.pid, count=1)
    ours: list[tuple[float, float | None]] = []
    raws: list[tuple[float, float | None]] = []
    send(load)  # templates are compiled, medians are read once
    for _ in range(bench.length.rounds):
        time.sleep(LAPSED)
        loaded = send(load)
        if set(loaded.statuses) != {200}:
            raise SystemExit(f"{work.path} is answered with {loaded.statuses}")
        ours.append((loaded.seconds * 1000, loaded.cpu))
    if bench.mariadb is not None:
        time.sleep(LAPSED)
        with closing(Raw(bench.mariadb)) as raw:
            statements = selects(bench, service, work.path)
            raws = [(raw.send(statements) * 1000, None) for _ in range(bench.length.rounds)]
    return Row(
        SECTION,
        work.name,
        "ms",
        medians(ours),
        medians(raws) if raws else None,
        "raw PyMySQL, same SELECTs" if raws else "",
        WITHIN,
        f"{len(statements)} SELECTs" if raws else "",
    )
