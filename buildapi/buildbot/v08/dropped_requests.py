"""Watch dropped requests: a 0.8 master may claim one at the moment in which it is dropped.

Its claim is an unconditional UPDATE after a SELECT: a request completed in between is still built.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs
from twisted.internet import defer

from buildapi.buildbot.v08.build_stopper import LOOK_SECONDS, BuildStopper
from buildapi.buildbot.v08.lowered_plan import WatchDropped
from buildapi.jobs.cancel import stops_of
from buildapi.model.facts import RequestFacts
from buildapi.model.outcome import Item
from buildapi.reactor_time import ReactorTime, pause

ReadRequests = Callable[[Sequence[int]], Awaitable[Sequence[RequestFacts]]]


@attrs.define
class DroppedRequestWatcher:
    """Check dropped requests ``recheck_seconds`` later.

    A build of a request that a master has claimed is awaited up to ``verify_seconds``, and stopped.
    ``reactor`` provides IReactorTime.
    """

    _reactor: ReactorTime
    _read: ReadRequests
    _stopper: BuildStopper
    _recheck_seconds: float
    _verify_seconds: float

    async def watch(self, step: WatchDropped, who: str) -> Sequence[Item]:
        """Poll until the end of each request is known, and stop the builds that were started."""
        # The claim of the race is seen only once it is written: 6 of 110 cancelled requests were
        # built nevertheless by two busy 0.8.2 masters on MariaDB.
        await pause(self._reactor, self._recheck_seconds)
        end = self._reactor.seconds() + self._verify_seconds
        left, items, started = list(step.brids), list[Item](), list[RequestFacts]()
        while left:
            known = {f.request.id: f for f in await self._read(left)}
            items += [i for brid in left if (i := _settled(step, brid, known.get(brid)))]
            waiting = [f for brid, f in known.items() if not _settled(step, brid, f)]
            started += [f for f in waiting if f.running]
            left = [f.request.id for f in waiting if not f.running]
            if left and self._reactor.seconds() >= end:
                items += [_not_seen(known[brid]) for brid in left]
                break
            if left:
                await pause(self._reactor, LOOK_SECONDS)
        return [*items, *await self._stop(started, step.note, who)]

    async def _stop(self, started: Sequence[RequestFacts], note: str, who: str) -> Sequence[Item]:
        meant = {f.request.id for f in started}
        steps = [s for f in started for s in stops_of(f, f.running, note, meant=meant)]
        return await defer.gatherResults(
            [defer.ensureDeferred(self._stopper.stop(step, who)) for step in steps]
        )


def _settled(step: WatchDropped, brid: int, facts: RequestFacts | None) -> Item | None:
    """Return the outcome of a request; None while a build of it runs or may begin."""
    if facts is None:
        return Item("done", "the request no longer exists", request_id=brid)
    request = facts.request
    # claimed_at stays 0 if a request is completed by somebody else; a claim sets it even then
    # (0.8.2).
    if not request.claimed_at:
        if request.complete:
            return Item("done", "cancelled before a build started", request_id=brid)
        # A claim is released if the slave is lost or the master stops (0.8.2); the request then
        # waits again.
        return Item(
            "unconfirmed", "a master released its claim meanwhile: cancel it again", request_id=brid
        )
    if not request.complete and not step.claimed:
        return Item("nothing", "a master had already started it", request_id=brid)
    # Both: after an ended build an open request is tried again (a lost slave), and claimed before
    # its next build has a row.
    ended = bool(facts.tries) and not facts.running
    if ended and request.complete:
        return Item("nothing", "its build has ended", request_id=brid)
    return None


def _not_seen(facts: RequestFacts) -> Item:
    detail = "a master has claimed the request, but no build of it is running"
    master = facts.request.claimed_by_name
    return Item("unconfirmed", detail, request_id=facts.request.id, master=master)
