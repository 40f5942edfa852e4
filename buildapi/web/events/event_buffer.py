"""Events of the event stream, subscriptions to them, and the buffer for reconnecting clients.

The id of an event has the number of its event and which buffer numbered it, so that a client that
reconnects after a restart, or to another process, is told to reload instead of missing events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence, Set

import attrs

from buildapi.errors import BadRequest
from buildapi.model.revisions import RevisionMatch
from buildapi.parameters.event_parameters import SUBSCRIBED
from buildapi.parameters.param import Query
from buildapi.parameters.texts import id_of_path

BUILD, REQUEST, JOB, HELLO, RESET = "build", "request", "job", "hello", "reset"


@attrs.frozen
class Event:
    """A change; ``kind`` is build, request or job, ``data`` its JSON.

    ``branch`` is the name of the branch that it belongs to, ``who`` the user of a job.
    """

    kind: str
    data: bytes
    branch: str | None = None
    revision: str | None = None
    job: int | None = None
    who: str | None = None


# Compared and hashed for each listener whenever there is something new.
@attrs.frozen(cache_hash=True)
class Subscription:
    """A subscription; an empty one grants every event."""

    branches: Set[str] = frozenset()
    revisions: Sequence[RevisionMatch] = ()
    jobs: Set[int] = frozenset()
    mine: str | None = None
    all_jobs: bool = False

    @property
    def _names_jobs(self) -> bool:
        return bool(self.jobs or self.mine is not None or self.all_jobs)

    def grants(self, event: Event) -> bool:
        """Return whether an event is subscribed to.

        Branches and revisions filter builds and requests.  Jobs are those that are named, or else
        those of the branches.
        """
        if event.kind == JOB:
            return self._grants_job(event)
        # docs/api.md, Events: `job` without other parameters selects nothing else.
        if self._names_jobs and not self.branches and not self.revisions:
            return False
        fits = not self.revisions or any(r.fits(event.revision) for r in self.revisions)
        return fits and self._of_branch(event)

    def _grants_job(self, event: Event) -> bool:
        if self._names_jobs:
            is_mine = self.mine is not None and event.who == self.mine
            return self.all_jobs or is_mine or event.job in self.jobs
        return not self.revisions and self._of_branch(event)

    def _of_branch(self, event: Event) -> bool:
        return not self.branches or event.branch in self.branches


def wish(query: Query, who: str | None) -> Subscription:
    """Parse a subscription; :raises BadRequest: it is invalid, or ``mine`` without a user."""
    branches, revisions, jobs = (p.parse(query.get(p.name, ())) for p in SUBSCRIBED)
    if "mine" in jobs and who is None:
        raise BadRequest("Bad job: mine needs a logged-in user")
    return Subscription(
        branches=frozenset(branches),
        revisions=tuple(map(RevisionMatch, revisions)),
        jobs=frozenset(id_ for id_ in map(id_of_path, jobs) if id_ is not None),
        mine=who if "mine" in jobs else None,
        all_jobs="all" in jobs,
    )


@attrs.define
class EventBuffer:
    """A buffer of the last ``size`` events; ``name`` tells it from those of other processes.

    Each event is encoded once, and clients with the same subscription at the same position share
    the bytes.
    """

    name: str
    _size: int
    _events: deque[tuple[Event, bytes]] = attrs.field(factory=deque, init=False)
    _shared: dict[tuple[int, Subscription], bytes] = attrs.field(factory=dict, init=False)
    last: int = attrs.field(default=0, init=False)

    def add(self, events: Iterable[Event]) -> None:
        """Append events, dropping the oldest beyond ``size``."""
        for event in events:
            self.last += 1
            self._events.append((event, written(event.kind, self.id_of(self.last), event.data)))
            if len(self._events) > self._size:
                self._events.popleft()
        # Bounded by the clients that ask between two additions.
        self._shared.clear()

    def after(self, number: int, wanted: Subscription) -> bytes | None:
        """Return the encoded events after a number that are subscribed to; None if some are gone.

        They are empty if there are none.
        """
        if number == self.last:
            return b""
        key = number, wanted
        if key not in self._shared:
            lines = self._after(number, wanted)
            if lines is None:
                return None
            self._shared[key] = lines
        return self._shared[key]

    def _after(self, number: int, wanted: Subscription) -> bytes | None:
        if not self.has_after(number):
            return None
        held = len(self._events)
        skipped = number - (self.last - held)
        # By index from the end, where a deque is fast; most ask for the newest few.
        news = (self._events[i] for i in range(skipped, held))
        return b"".join(lines for event, lines in news if wanted.grants(event))

    def has_after(self, number: int) -> bool:
        """Return whether all events after a number are still here."""
        return self.last - len(self._events) <= number <= self.last

    def id_of(self, number: int) -> str:
        """Return the event id of a number in this buffer."""
        return f"{self.name}-{number}"

    def number_of(self, id_: str) -> int | None:
        """Return the number of an event id; None if it is of another buffer."""
        name, _, text = id_.rpartition("-")
        return id_of_path(text) if name == self.name else None


def written(kind: str, id_: str, data: bytes = b"{}") -> bytes:
    """Write an event, whose data is JSON, for the stream [HTML Standard, 9.2.5]."""
    # JSON on one line is one data line: line feeds in texts are escaped [HTML Standard 9.2.6].
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (id_.encode(), kind.encode(), data)
