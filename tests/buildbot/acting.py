"""Make the parts of a 0.8 farm for tests, with limits that suit them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from buildapi.buildbot.directory import Master
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.buildbot.v08.build_poller import BuildPoller
from buildapi.buildbot.v08.build_stopper import BuildStopper, Login
from buildapi.buildbot.v08.dropped_requests import DroppedRequestWatcher
from buildapi.buildbot.v08.facts_reader import SQLFactsReader
from buildapi.buildbot.v08.marked_farm import V08Farm
from buildapi.buildbot.v08.master_client import MasterClient
from buildapi.buildbot.v08.step_runner import StepRunner
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item
from buildapi.model.steps import SendChange
from tests.buildbot.conftest import MARKERS, Scheduler
from tests.buildbot.doubles import Papers
from tests.buildbot.seed import T0

NOW = T0 + 5000.9
ZONE = ZoneInfo("America/Los_Angeles")


def the_reactor() -> Any:
    """Return the reactor, which is typed as a module."""
    from twisted.internet import reactor

    return reactor


@attrs.define
class Changes:
    """Take changes, each of a job once, and tell nobody."""

    taken: dict[JobIdentity, SendChange] = attrs.field(factory=dict)

    async def send(self, job: JobIdentity, step: SendChange, who: str) -> Item:
        self.taken[job] = step
        return Item("done", f"{step.revision} for {who} of job {job.id}", master=step.master)


def make_masters(directory: Callable[[], Mapping[str, Master]], **limits: Any) -> MasterClient:
    """Return masters; ``limits`` are of those of :class:`MasterClient`."""
    few = {"seconds": 2, "wait_seconds": 10, "per_master": 2, "total": 4}
    reactor = the_reactor()
    return MasterClient(reactor, Fetcher(reactor), directory, **few | limits)


def make_stopper(
    scheduler: Scheduler, masters: MasterClient, verify: float, login: Login | None = None
) -> BuildStopper:
    """Return a build stopper."""
    reactor = the_reactor()
    return BuildStopper(reactor, BuildPoller(reactor, scheduler.db), masters, verify, login)


def make_observer(
    scheduler: Scheduler, papers: Papers | None = None, **more: Any
) -> SQLFactsReader:
    """Return a reader of builds."""
    now = more.pop("now", NOW)
    return SQLFactsReader(scheduler.db, papers or Papers(), lambda: now, ZONE, **more)


def make_farm(scheduler: Scheduler, verify: float = 0.1, now: float = NOW) -> V08Farm:
    """Return a farm without masters."""
    observer = make_observer(scheduler)
    stopper = make_stopper(scheduler, make_masters(dict), verify)
    watcher = DroppedRequestWatcher(the_reactor(), observer.requests, stopper, 0.0, verify)
    poker = StepRunner(stopper, watcher, Changes(), None)
    return V08Farm(scheduler.db, observer, poker, MARKERS, lambda: now)
