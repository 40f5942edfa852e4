"""No answer is put together from reads of different moments, on SQLite and MariaDB."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator

import attrs
import pytest

from buildapi.buildbot.v08.build_reads import SQLBuilds
from buildapi.buildbot.v08.farm_reads import SQLFarmReads
from buildapi.jobs.completeness import is_done
from buildapi.model.actions import CancelRevision
from buildapi.model.branches import Branches
from buildapi.model.facts import RevisionFacts
from buildapi.model.revisions import RevisionMatch
from buildapi.sample.farm_schema import scheduler_schema
from tests.buildbot.acting import make_observer
from tests.buildbot.conftest import OpenScheduler, Scheduler
from tests.buildbot.doubles import Papers
from tests.buildbot.seed import T0, Seed, connect
from tests.reactor import twisted_test
from tests.services.mariadb import MariaDB

TRY = Branches.from_definitions({"try": {}}).by_name["try"]
REVISION, AUTHOR = "abcdef012345", "zoe@example.org"
ANSWERS, ROUNDS = 150, 5


@attrs.define
class Flipping:
    """A request that goes round: pending, claimed, running, and given back, as fast as it can."""

    url: str
    request: int
    error: BaseException | None = None
    rounds: int = 0
    _stop: threading.Event = attrs.field(factory=threading.Event)

    def run(self) -> None:
        """Be its masters, in a thread with a connection of its own."""
        try:
            seed = Seed(self.url)
            while not self._stop.is_set():
                seed.claim(self.request, at=T0 + self.rounds)
                build = seed.start(self.request, number=self.rounds, at=T0 + self.rounds)
                seed.end(build, at=T0 + self.rounds)
                seed.give_back(self.request)
                seed.execute("DELETE FROM builds WHERE id = %s", build)
                self.rounds += 1
            seed.close()
        except BaseException as e:
            self.error = e

    def stop(self) -> None:
        self._stop.set()


@contextlib.contextmanager
def flips(scheduler: Scheduler) -> Iterator[Flipping]:
    """Let a request of a push flip, beside one that is done and green."""
    seed = scheduler.seed
    stamp = seed.stamp()
    seed.change(AUTHOR, [stamp])
    green, other = (seed.request(buildset=seed.buildset(stamp)) for _ in range(2))
    seed.end(seed.run(green))
    seed.complete(green)
    one = Flipping(scheduler.url, other)
    thread = threading.Thread(target=one.run)
    thread.start()
    try:
        yield one
    finally:
        one.stop()
        thread.join()
    assert one.error is None


@pytest.fixture
def flipping(scheduler: Scheduler) -> Iterator[Flipping]:
    with flips(scheduler) as one:
        yield one


async def none_done(scheduler: Scheduler, flipping: Flipping) -> None:
    """Ask many times whether the push is done, which it never is."""
    builds = SQLBuilds(scheduler.db)

    async def is_open() -> bool:
        return not is_done(await builds.revision(TRY, RevisionMatch(REVISION)), 0, T0 + 10**6)[0]

    assert await missed(is_open, flipping) == 0


async def missed(found: Callable[[], Awaitable[bool]], flipping: Flipping) -> int:
    """Count the answers that do not know the request, of many, while it went round often enough."""
    before, asked, count = flipping.rounds, 0, 0
    while asked < ANSWERS or (flipping.rounds < before + ROUNDS and flipping.error is None):
        count += not await found()
        asked += 1
    return count


@twisted_test(60)
async def test_no_answer_calls_a_push_done_while_a_request_of_it_flips(
    scheduler: Scheduler, flipping: Flipping
) -> None:
    await none_done(scheduler, flipping)


@twisted_test(60)
async def test_no_list_misses_a_request_that_flips(
    scheduler: Scheduler, flipping: Flipping
) -> None:
    builds, farm = SQLBuilds(scheduler.db), SQLFarmReads(scheduler.db)
    observer = make_observer(scheduler, Papers({"try": {}}))

    async def in_day() -> bool:
        found = await builds.day(TRY, T0 - 10, T0 + 10**6)
        return _is_listed(found.pending, found.builds)

    async def in_user() -> bool:
        found = await builds.user(TRY, AUTHOR)
        return _is_listed(found.pending, [*found.builds, *found.running])

    async def in_events() -> bool:
        found = await builds.of_requests([flipping.request])
        return _is_listed(found.pending, found.builds)

    def _is_listed(pending: object, built: object) -> bool:
        alone = {r.id for r in pending}  # type: ignore[attr-defined]  # requests
        served = {r.id for b in built for r in b.requests}  # type: ignore[attr-defined]  # builds
        return flipping.request in alone | served

    async def at_a_glance() -> bool:
        work = await farm.open()
        waits = flipping.request in {e.id for e in work.pending}
        return waits != (flipping.request in {i for b in work.running for i in b.request_ids})

    async def by_the_agent() -> bool:
        facts = await observer.read(CancelRevision("try", REVISION))
        assert isinstance(facts, RevisionFacts)
        (one,) = facts.requests
        claimed = bool(one.request.claimed_at)
        return one.request.id == flipping.request and (claimed or not one.running)

    for found in (in_day, in_user, in_events, at_a_glance, by_the_agent):
        assert await missed(found, flipping) == 0, found.__name__


@pytest.mark.mariadb
@twisted_test(60)
async def test_a_push_is_not_called_done_where_tables_have_no_snapshots(
    mariadb: MariaDB, open_scheduler: OpenScheduler
) -> None:
    """MyISAM has none, but a statement locks all its tables: ``is_done`` is one statement."""
    url = mariadb.database("myisam", "utf8")
    connection = connect(url)
    for text in ("SET default_storage_engine = MyISAM", *scheduler_schema("mysql")):
        connection.cursor().execute(text)
    connection.close()
    scheduler = open_scheduler(url)
    assert not await scheduler.db.transactional(["buildrequests"])
    with flips(scheduler) as flipping:
        await none_done(scheduler, flipping)
