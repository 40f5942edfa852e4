"""Push to the sample farm now and then, so that a farm that is looked at changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random

from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.db.sql import Database, Statement
from buildapi.errors import DatabaseUnavailable
from buildapi.reactor_time import DelayedCall, ReactorTime
from buildapi.sample.catalog import BRANCHES, builder_groups
from buildapi.sample.commits import draw_commits
from buildapi.sample.sample_rows import RowStatements, insert_change, insert_submission

BUILDS, TESTED, TESTS = 4, 2, 10
"""Builds of a push, how many of them are tested, and tests of each: a minute's work."""
FIRST_PAUSE = 0.1
"""Fraction of the usual pause before the first push."""


def push_statements(rng: Random, branch_name: str, now: int) -> list[Statement]:
    """Return the statements of a push: its changes, some builds, and some tests of two of them."""
    branch = BRANCHES[branch_name]
    commits = draw_commits(rng, branch.is_try)
    tip = commits[-1]
    built = rng.sample(builder_groups(branch_name), BUILDS)
    tests = [test for group in built[:TESTED] for test in rng.sample(group.tests, TESTS)]
    rows = RowStatements()
    changes = [insert_change(rows, commit.pushed_to(branch.path), now) for commit in commits]
    insert_submission(rows, changes, tip.revision, [group.build for group in built], now)
    # One source stamp has one branch, so that tests of different branches need submissions of their
    # own.
    for stored in dict.fromkeys(t.stored for t in tests):
        sent = insert_change(rows, tip.sent_for_tests(stored, branch.path), now)
        same = [t for t in tests if t.stored == stored]
        insert_submission(rows, [sent], tip.revision, same, now)
    return rows.statements


class PushGenerator(Service):
    """Push about every ``seconds``, varied by up to a fifth; ``now`` returns epoch seconds."""

    name = "sample pushes"
    log = Logger()

    def __init__(
        self,
        clock: ReactorTime,
        db: Database,
        branches: Sequence[str],
        *,
        seed: int,
        seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._db, self._branches, self._now = clock, db, branches, now
        self._seed, self._seconds = seed, seconds
        self._next: DelayedCall | None = None
        self._writing: defer.Deferred[None] | None = None

    def startService(self) -> None:
        """Start pushing; the first push comes early, for people who look at an idle farm."""
        Service.startService(self)
        # The time is part of the seed, or a restart would repeat the pushes of the last run.
        self._rng = Random(f"{self._seed} {self._now()}")
        self._schedule(FIRST_PAUSE)

    def stopService(self) -> defer.Deferred[None] | None:
        """Stop pushing."""
        Service.stopService(self)
        if self._next is not None and self._next.active():
            self._next.cancel()
        # A push that has begun is finished before the service counts as stopped.
        return self._writing

    def _schedule(self, fraction: float = 1.0) -> None:
        pause = fraction * self._seconds * self._rng.uniform(0.8, 1.2)
        self._next = self._clock.callLater(pause, self._begin)

    def _begin(self) -> None:
        self._writing = defer.ensureDeferred(self._push())

    async def _push(self) -> None:
        try:
            branch = self._rng.choice(self._branches)
            await self._db.transact(push_statements(self._rng, branch, int(self._now())))
        except DatabaseUnavailable as e:
            self.log.warn("sample pushes: {error}", error=e.msg)
        except Exception:
            self.log.failure("sample pushes: a push failed")
        if self.running:
            self._schedule()
