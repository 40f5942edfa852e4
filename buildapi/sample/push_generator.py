"""Push to the sample farm at regular intervals."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.db.sql import Database, Ref, Statement
from buildapi.errors import DatabaseUnavailable
from buildapi.sample.catalog import BRANCHES, REPOSITORY, BuildType, SampleBuilder, builder_groups
from buildapi.sample.commits import MACHINE, Commit, draw_commits

BUILDS, TESTED, TESTS = 4, 2, 10
"""Builds of a push, how many of them are tested, and tests of each: a minute's work."""
FIRST_PAUSE = 0.1
"""Fraction of the usual pause before the first push."""

_CHANGE = (
    "INSERT INTO changes (author, comments, is_dir, branch, revision, revlink, when_timestamp,"
    " category, repository, project) VALUES (:author, :comments, 0, :branch, :revision, :revlink,"
    " :when, :category, :repository, :project)"
)
_FILE = "INSERT INTO change_files (changeid, filename) VALUES (:change, :name)"
_CHANGE_PROPERTY = (
    "INSERT INTO change_properties (changeid, property_name, property_value)"
    " VALUES (:change, :name, :value)"
)
_SOURCE = (
    "INSERT INTO sourcestamps (branch, revision, repository, project)"
    " VALUES (:branch, :revision, '', '')"
)
_SOURCE_CHANGE = (
    "INSERT INTO sourcestamp_changes (sourcestampid, changeid) VALUES (:source, :change)"
)
_BUILDSET = (
    "INSERT INTO buildsets (reason, sourcestampid, submitted_at)"
    " VALUES ('scheduler', :source, :now)"
)
_PROPERTY = (
    "INSERT INTO buildset_properties (buildsetid, property_name, property_value)"
    " VALUES (:buildset, :name, :value)"
)
_REQUEST = (
    "INSERT INTO buildrequests (buildsetid, buildername, submitted_at)"
    " VALUES (:buildset, :builder, :now)"
)


def push(rng: Random, branch_name: str, now: int) -> list[Statement]:
    """Return the statements of a push: its changes, some builds, and some tests of two of them."""
    branch = BRANCHES[branch_name]
    made = draw_commits(rng, branch.is_try)
    built = rng.sample(builder_groups(branch_name), BUILDS)
    tests = [test for line in built[:TESTED] for test in rng.sample(line.tests, TESTS)]
    sent = attrs.evolve(made[-1], author=MACHINE, files=())
    number = itertools.count()
    statements = [*_asked(number, made, branch.path, [line.build for line in built], now)]
    for stored in dict.fromkeys(t.stored for t in tests):
        group = [t for t in tests if t.stored == stored]
        statements += _asked(number, [sent], branch.path, group, now)
    return statements


def _asked(
    number: Iterator[int],
    made: Sequence[Commit],
    path: str,
    builders: Sequence[SampleBuilder],
    now: int,
) -> Iterator[Statement]:
    """Insert changes, their source stamp, and a buildset with a request for each builder."""
    stored, tip = builders[0].stored, made[-1].revision
    source, buildset = Ref(f"source{next(number)}"), Ref(f"buildset{next(number)}")
    yield Statement(_SOURCE, {"branch": stored, "revision": tip}, binds=source.name)
    for commit in made:
        change = Ref(f"change{next(number)}")
        yield from insert_change(change, _change(commit, stored, path, now), commit.files)
        yield Statement(_SOURCE_CHANGE, {"source": source, "change": change})
    yield from _wanted(buildset, source, builders, tip, now)


def builds_of(branch_name: str, change: Ref, tip: str | None, now: int) -> Iterator[Statement]:
    """Return what schedulers write for a change: opt and debug builds of its branch."""
    builders = [
        line.build for line in builder_groups(branch_name) if line.build.kind is not BuildType.PGO
    ]
    source = Ref("source")
    stored = BRANCHES[branch_name].path
    yield Statement(_SOURCE, {"branch": stored, "revision": tip}, binds=source.name)
    yield Statement(_SOURCE_CHANGE, {"source": source, "change": change})
    yield from _wanted(Ref("buildset"), source, builders, tip, now)


def insert_change(
    change: Ref,
    values: Mapping[str, Any],
    files: Sequence[str],
    properties: Sequence[tuple[str, str]] = (),
) -> Iterator[Statement]:
    """Insert a change with its files and properties, which are pairs of name and stored text."""
    yield Statement(_CHANGE, values, binds=change.name)
    for name in files:
        yield Statement(_FILE, {"change": change, "name": name})
    for name, value in properties:
        yield Statement(_CHANGE_PROPERTY, {"change": change, "name": name, "value": value})


def _wanted(
    buildset: Ref, source: Ref, builders: Sequence[SampleBuilder], tip: str | None, now: int
) -> Iterator[Statement]:
    """Insert a buildset with a request for each builder."""
    yield Statement(_BUILDSET, {"source": source, "now": now}, binds=buildset.name)
    for name, value in _properties(builders[0], tip, now).items():
        text = json.dumps([value, "Scheduler"])
        yield Statement(_PROPERTY, {"buildset": buildset, "name": name, "value": text})
    for builder in builders:
        values = {"buildset": buildset, "builder": builder.name, "now": now}
        yield Statement(_REQUEST, values)


def _change(commit: Commit, stored: str, path: str, now: int) -> dict[str, Any]:
    return {
        "author": commit.author,
        "comments": commit.comments,
        "branch": stored,
        "revision": commit.revision,
        "revlink": f"{REPOSITORY}{path}/rev/{commit.revision[:12]}",
        "when": now,
        "category": None,
        "repository": REPOSITORY + path,
        "project": "",
    }


def _properties(builder: SampleBuilder, tip: str | None, now: int) -> dict[str, str | None]:
    return {
        "branch": builder.branch,
        "revision": tip,
        "buildid": time.strftime("%Y%m%d%H%M%S", time.gmtime(now)),
        "builduid": (tip or "")[:32],
    }


class PushGenerator(Service):
    """Push about every ``seconds``, varied by up to a fifth.

    ``clock`` provides IReactorTime, ``now`` returns epoch seconds.
    """

    name = "sample pushes"
    log = Logger()

    def __init__(
        self,
        clock: Any,
        db: Database,
        branches: Sequence[str],
        *,
        seed: int,
        seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._db, self._branches, self._now = clock, db, branches, now
        self._seed, self._seconds = seed, seconds
        self._next: Any = None
        self._writing: defer.Deferred[None] | None = None

    def startService(self) -> None:
        """Start pushing; the first push comes early, for people who look at an idle farm."""
        Service.startService(self)
        self._rng = Random(f"{self._seed} {self._now()}")
        self._pause(FIRST_PAUSE)

    def stopService(self) -> defer.Deferred[None] | None:
        """Stop pushing."""
        Service.stopService(self)
        if self._next is not None and self._next.active():
            self._next.cancel()
        return self._writing

    def _pause(self, part: float = 1.0) -> None:
        pause = part * self._seconds * self._rng.uniform(0.8, 1.2)
        self._next = self._clock.callLater(pause, self._begin)

    def _begin(self) -> None:
        self._writing = defer.ensureDeferred(self._push())

    async def _push(self) -> None:
        try:
            branch = self._rng.choice(self._branches)
            await self._db.transact(push(self._rng, branch, int(self._now())))
        except DatabaseUnavailable as e:
            self.log.warn("sample pushes: {error}", error=e.msg)
        except Exception:
            self.log.failure("sample pushes: a push failed")
        if self.running:
            self._pause()
