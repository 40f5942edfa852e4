"""Stream changes of builds, requests and jobs to clients, polling once for all of them.

Clients get Server-Sent Events [HTML Standard 9.2]: one long answer of ``text/event-stream``, where
an event is a few ``field: value`` lines and a blank line. A browser that loses the connection
reconnects by itself, and names the last event that it has seen in ``Last-Event-ID``. Buildbot 0.8
announces nothing, so the databases are polled, once for all clients.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.errors import BadRequest, TooManyStreams, Unavailable
from buildapi.interfaces import Directory
from buildapi.parameters.event_parameters import SUBSCRIBED
from buildapi.reactor_time import ReactorTime, pause
from buildapi.web.events.changes import FarmChanges, JobChanges, TooManyChangesError
from buildapi.web.events.event_buffer import (
    HELLO,
    RESET,
    EventBuffer,
    Subscription,
    wish,
    written,
)
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import Route

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

# docs/api.md, Events: events arrive within about two seconds.
LOOK_SECONDS = 2.0
REST = 10
"""Minimum wait before the next poll, as a multiple of the duration of the last one."""

HEARTBEAT_SECONDS = 15.0
"""Seconds between comments, which keep proxies from closing the stream: nginx does after 60."""

COMMENT = b": still here\n\n"
"""A line that begins with a colon is a comment, and ignored [HTML Standard 9.2.6]."""

GRACE_SECONDS = 60.0
"""How long to poll on without clients, so that one that reconnects misses nothing."""

REMEMBERED = 2000

ASKED_SECONDS = 0.25
"""Minimum seconds between two polls that are asked for: each finished job asks for one."""

WRITTEN_AT_ONCE = 50
"""Clients that events are written to in one turn of the reactor, which takes about 1 ms."""

SOON_SECONDS = 0.05
"""A poll of the jobs this long before the next one of the farm does both."""

log = Logger()


Owner = tuple[str | None, str]
"""The owner of a stream: a user and "", or None and an address if there is no user."""


def owner_of(request: BuildAPIRequest) -> Owner:
    """Return the owner of a stream."""
    who = request.who
    return (who, "") if who is not None else (None, request.client_address)


@attrs.define(eq=False)
class Subscriber:
    """A subscribed client: its position in the event buffer, and whether it is paused.

    It is the push producer of its request.
    """

    request: BuildAPIRequest
    wish: Subscription
    position: int
    owner: Owner
    ended: defer.Deferred[None] = attrs.field(factory=defer.Deferred)
    paused: bool = False
    half_closed: bool = False

    def pauseProducing(self) -> None:
        """Stop writing until the client has read some."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Resume; events missed while paused are sent with the next event or heartbeat."""
        self.paused = False

    def stopProducing(self) -> None:
        """End the stream: the client has disconnected."""
        self.end()

    def end(self) -> None:
        """End the stream."""
        if not self.ended.called:
            self.ended.callback(None)

    def probe(self) -> None:
        """Write a comment that means nothing, once the client has closed its sending half.

        One that has left altogether looks the same until something is sent: its kernel resets the
        connection at the first bytes, and the next ones notice [tcp(7)].
        """
        self.half_closed = True
        if not self.paused:
            self.request.write(COMMENT)

    def write_events(self, memory: EventBuffer) -> None:
        """Write the events since the last position that the client subscribed to."""
        if self.paused or self.ended.called:
            return
        news = memory.after(self.position, self.wish)
        if news is None:
            news = written(RESET, memory.id_of(memory.last))
        if news:
            self.request.write(news)
        self.position = memory.last


@attrs.frozen
class StreamLimits:
    """Maximum numbers of streams: in all, per user, and per address without a user."""

    all: int
    of_user: int
    of_address: int


@attrs.define(eq=False)
class EventStreams:
    """Poll jobs and farm while clients listen; ``reactor`` provides IReactorTime.

    The farm is polled every ``LOOK_SECONDS``; jobs too, and soon after one has finished.
    """

    _reactor: ReactorTime
    _directory: Directory
    _farm: FarmChanges
    _jobs: JobChanges
    _shares: StreamLimits
    _listeners: set[Subscriber] = attrs.field(factory=set, init=False)
    _memory: EventBuffer = attrs.field(init=False)
    _polling: bool = attrs.field(default=False, init=False)
    _again: bool = attrs.field(default=False, init=False)
    _next: Any = attrs.field(default=None, init=False)
    _polled_at: float = attrs.field(default=-math.inf, init=False)
    _farm_due: float = attrs.field(default=-math.inf, init=False)
    _heart: Any = attrs.field(default=None, init=False)
    _alone_since: float = attrs.field(default=0.0, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._forget()

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return [Route("GET", "/self-serve/events", self.events, EVENTS, SUBSCRIBED)]

    async def events(self, call: Call) -> Reply:
        """Stream the events that the query subscribes to."""
        if self._closed:
            raise Unavailable("This process is shutting down: listen again")
        if len(self._listeners) >= self._shares.all:
            raise Unavailable("Too many event streams")
        wanted = wish(call.query, call.who)
        for name in wanted.branches:
            if self._directory.branches().get(name) is None:
                raise BadRequest(f"Bad branch: {name[:100]!r} not found")

        async def stream(request: BuildAPIRequest) -> bytes:
            return await self._stream(request, wanted)

        nothing = Reply(JSONBody.of(None), Page("document.html", "Events"))
        return attrs.evolve(nothing, stream=stream)

    async def _stream(self, request: BuildAPIRequest, wanted: Subscription) -> bytes:
        owner = owner_of(request)
        self._share(owner)
        request.setHeader("content-type", "text/event-stream; charset=utf-8")
        request.setHeader("cache-control", "no-store")
        request.setHeader("x-accel-buffering", "no")  # nginx would buffer the events
        if request.method == b"HEAD":
            return b""
        listening = self._welcome(request, wanted, owner)
        request.registerProducer(listening, True)
        try:
            await listening.ended
        finally:
            self._part(listening)
            # Twisted clears the channel when the client has left; unregisterProducer would then
            # fail.
            if request.channel is not None:
                request.unregisterProducer()
        return b""

    def _share(self, owner: Owner) -> None:
        """Check the share of one owner; :raises TooManyStreams: it has its maximum already."""
        who, address = owner
        most = self._shares.of_address if who is None else self._shares.of_user
        if sum(listening.owner == owner for listening in self._listeners) >= most:
            name = f"The address {address}" if who is None else who
            raise TooManyStreams(f"{name} already has {most} event streams (the maximum)")

    def _welcome(self, request: BuildAPIRequest, wanted: Subscription, owner: Owner) -> Subscriber:
        """Add a client, from its Last-Event-ID on if that is still buffered, else from now on."""
        last = request.text_header("last-event-id")
        known = self._memory.number_of(last) if last else None
        position = self._memory.last
        if known is not None and self._memory.has_after(known):
            position = known
        else:
            known = None
        listening = Subscriber(request, wanted, position, owner)
        request.half_closed = listening.probe
        kind = RESET if last and known is None else HELLO
        # Milliseconds until a browser reconnects, in place of a few seconds of its own choice.
        request.write(b"retry: 3000\n" + written(kind, self._memory.id_of(position)))
        self._listeners.add(listening)
        listening.write_events(self._memory)
        if self._heart is None:
            self._heart = task.LoopingCall(self._beat)
            self._heart.clock = self._reactor
            self._heart.start(HEARTBEAT_SECONDS, now=False)
        if not self._polling and self._next is None:
            self.poll()
        return listening

    def _part(self, listening: Subscriber) -> None:
        self._listeners.discard(listening)
        if not self._listeners:
            self._alone_since = self._reactor.seconds()
            if self._heart is not None:
                self._heart.stop()
                self._heart = None

    def _beat(self) -> defer.Deferred[None]:
        return defer.ensureDeferred(self._write_events(COMMENT))

    async def _write_events(self, before: bytes = b"") -> None:
        """Write the new events to all clients, to some in each turn, after other bytes if any."""
        listeners = list(self._listeners)
        for start in range(0, len(listeners), WRITTEN_AT_ONCE):
            if start:
                await pause(self._reactor, 0)
            for listening in listeners[start : start + WRITTEN_AT_ONCE]:
                # Who has left meanwhile is written to no more.
                if before and not (listening.paused or listening.ended.called):
                    listening.request.write(before)
                listening.write_events(self._memory)

    def close(self) -> None:
        """End all streams, and accept no more (at shutdown)."""
        self._closed = True
        self._cancel()
        for listening in list(self._listeners):
            listening.end()

    # --- polling

    def poll(self) -> None:
        """Poll soon, or again after the running poll: a job may have changed."""
        if self._polling:
            self._again = True
            return
        self._cancel()
        wait = self._polled_at + ASKED_SECONDS - self._reactor.seconds()
        if wait > 0:
            self._next = self._reactor.callLater(wait, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._cancel()
        if not self._closed and self._wanted():
            self._polling, self._again = True, False
            defer.ensureDeferred(self._poll())

    def _cancel(self) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._next = None

    def _wanted(self) -> bool:
        """Return whether a client listens or may reconnect; drop the buffer if not."""
        if self._listeners:
            return True
        if self._reactor.seconds() - self._alone_since < GRACE_SECONDS:
            return self._jobs.has_looked
        self._forget()
        return False

    def _forget(self) -> None:
        self._memory = EventBuffer(uuid.uuid4().hex[:8], REMEMBERED)
        self._farm.forget()
        self._jobs.forget()
        self._farm_due = -math.inf

    async def _poll(self) -> None:
        self._polled_at = began = self._reactor.seconds()
        await self._look(self._jobs)
        if not self._closed and began + SOON_SECONDS >= self._farm_due:
            began = self._reactor.seconds()
            await self._look(self._farm)
            now = self._reactor.seconds()
            # With REST, regular polls of a slow database take at most an eleventh of the time.
            self._farm_due = now + max(LOOK_SECONDS, REST * (now - began))
        self._polling = False
        for listening in [one for one in self._listeners if one.half_closed]:
            listening.probe()
        if self._closed:
            return
        due = self._farm_due
        if self._again:
            due = min(due, self._polled_at + ASKED_SECONDS)
        self._next = self._reactor.callLater(max(0, due - self._reactor.seconds()), self._begin)

    async def _look(self, changes: FarmChanges | JobChanges) -> None:
        """Look for changes once, and write the events to those who listen."""
        try:
            self._memory.add(await changes.look())
        except TooManyChangesError:
            self._restart()
        except (Unavailable, BadRequest) as e:
            log.debug("events: poll failed: {msg}", msg=e.msg)
        except Exception:
            log.failure("events: poll failed")
        await self._write_events()

    def _restart(self) -> None:
        """Start an empty event buffer, and make every client reload."""
        self._memory = EventBuffer(uuid.uuid4().hex[:8], REMEMBERED)
        for listening in self._listeners:
            # Before the first event of any buffer, so that a reset is written.
            listening.position = -1


EVENTS = "Server-sent events: builds, requests and jobs as they change; see docs/api.md."
