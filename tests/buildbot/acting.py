"""Make the parts of a 0.8 farm for tests, with limits that suit them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from buildapi.buildbot.directory import Master
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.buildbot.v08.build_poller import Looks
from buildapi.buildbot.v08.build_stopper import Login, Stopper
from buildapi.buildbot.v08.dropped_requests import Watcher
from buildapi.buildbot.v08.facts_reader import Observer
from buildapi.buildbot.v08.farm import V08Farm
from buildapi.buildbot.v08.master_client import Masters
from buildapi.buildbot.v08.step_runner import Poker
from buildapi.model.job_identity import JobIdentity
from buildapi.model.outcome import Item
from buildapi.model.steps import SendChange
from tests.buildbot.conftest import MARKERS, Scheduler
from tests.buildbot.doubles import Papers
from tests.buildbot.seed import T0

NOW = T0 + 5000.9
ZONE = ZoneInfo("America/Los_Angeles")


def the_reactor() -> Any:
    """Give the reactor, which is typed as a module."""
    from twisted.internet import reactor

    return reactor


class Changes:
    """Take changes and tell nobody."""

    async def send(self, job: JobIdentity, step: SendChange, who: str) -> Item:
        return Item("done", f"{step.revision} for {who} of job {job.id}", master=step.master)


def make_masters(directory: Callable[[], Mapping[str, Master]], **limits: Any) -> Masters:
    """Give masters; ``limits`` are of those of :class:`Masters`."""
    few = {"seconds": 2, "wait_seconds": 10, "per_master": 2, "total": 4}
    reactor = the_reactor()
    return Masters(reactor, Fetcher(reactor), directory, **few | limits)


def make_stopper(
    scheduler: Scheduler, masters: Masters, verify: float, login: Login | None = None
) -> Stopper:
    """Give what stops builds."""
    reactor = the_reactor()
    return Stopper(reactor, Looks(reactor, scheduler.db), masters, verify, login)


def make_observer(scheduler: Scheduler, papers: Papers | None = None, **more: Any) -> Observer:
    """Give what reads."""
    now = more.pop("now", NOW)
    return Observer(scheduler.db, papers or Papers(), lambda: now, ZONE, **more)


def make_farm(scheduler: Scheduler, verify: float = 0.1, now: float = NOW) -> V08Farm:
    """Give a farm without masters."""
    observer = make_observer(scheduler)
    stopper = make_stopper(scheduler, make_masters(dict), verify)
    watcher = Watcher(the_reactor(), observer.requests, stopper, 0.0, verify)
    poker = Poker(stopper, watcher, Changes(), None)
    return V08Farm(scheduler.db, observer, poker, MARKERS, lambda: now)
