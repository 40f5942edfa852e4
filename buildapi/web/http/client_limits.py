"""Bound what each client may ask of a site: requests in a minute, and requests in flight.

Both are asked before anything of a request is parsed.  A rate counts a user, wherever they come
from, and everybody else by address; requests in flight count by address alone, since a refusal must
cost next to nothing.  Each process counts for itself.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

import attrs
from twisted.logger import Logger

from buildapi.errors import BuildAPIError, Overloaded, TooManyRequests
from buildapi.web.http.rate_limits import (
    Taken,
    TokenBuckets,
    limit_field,
    policy_field,
    subnet_of,
)

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

READS, JOBS, ALL, ADDRESS = "reads", "jobs", "in_flight", "address"
LIMITS = (READS, JOBS, ALL, ADDRESS)
"""The names of the limits, as metrics and ``/status`` have them."""

UNLIMITED = frozenset((b"/healthz", b"/readyz", b"/metrics", b"/status"))
"""Paths that are never limited: a flood is when they are needed."""

# As Twisted writes them: names of headers have no case.
RATE_HEADERS = (b"Ratelimit", b"Ratelimit-Policy")

_LINES = b"%b: %%b\r\n%b: %%b\r\n" % RATE_HEADERS

READING: Collection[bytes] = (b"GET", b"HEAD", b"OPTIONS")
"""Methods that count as reads."""

RETRY_SECONDS = 1
"""Seconds after which to try again when too many requests are in flight."""

TOLD_SECONDS = 60.0
"""Least time between two log lines about one limit."""

FULL = "Too many requests are being answered. Try again in {seconds} s."
FULL_ADDRESS = "Too many requests of your address are being answered. Try again in {seconds} s."
TOO_MANY = "Too many {what}: {who} may send {most} in a minute. Try again in {seconds} s."
WHAT = {READS: "requests", JOBS: "job requests"}

log = Logger()


class Bounds(Protocol):
    """The configured limits; 0 is for none."""

    @property
    def reads_per_minute(self) -> int:
        """Return the reads that a client may send in a minute."""

    @property
    def jobs_per_minute(self) -> int:
        """Return the job requests that a client may send in a minute."""

    @property
    def requests_in_flight(self) -> int:
        """Return the requests that may be in flight."""

    @property
    def requests_per_address(self) -> int:
        """Return the requests of one address that may be in flight."""


@attrs.define(eq=False)
class RateLimit:
    """A limit on what each client may send in a minute, and its header fields."""

    name: str
    buckets: TokenBuckets
    _policy: bytes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.resize(self.buckets.per_minute)

    def resize(self, per_minute: int) -> None:
        """Change the limit (after a reload)."""
        self.buckets.resize(per_minute)
        self._policy = policy_field(self.name, per_minute).encode()

    def fields(self, taken: Taken) -> tuple[bytes, bytes]:
        """Return the values of ``RateLimit`` and ``RateLimit-Policy``."""
        return limit_field(self.name, taken).encode(), self._policy

    def lines(self, taken: Taken) -> bytes:
        """Return both header fields as they go over the wire."""
        return _LINES % self.fields(taken)


@attrs.define(eq=False)
class ClientLimits:
    """Hold the limits of a site, none by default, and count what they refuse.

    ``clock`` returns seconds of a monotonic clock; ``count`` is called with a metric and a limit.
    ``reads`` and ``jobs`` are None while they are off.
    """

    _clock: Callable[[], float] = time.monotonic
    _count: Callable[..., None] = lambda *_: None
    reads: RateLimit | None = None
    jobs: RateLimit | None = None
    in_flight_max: int = 0
    per_address_max: int = 0
    refused: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(LIMITS, 0), init=False)
    _in_flight: int = attrs.field(default=0, init=False)
    _of_address: Counter[str] = attrs.field(factory=Counter, init=False)
    _told: dict[str, tuple[float, int]] = attrs.field(factory=dict, init=False)

    @classmethod
    def of(
        cls, bounds: Bounds, clock: Callable[[], float], count: Callable[..., None]
    ) -> ClientLimits:
        """Create the configured limits."""
        made = cls(clock, count)
        made.adopt(bounds)
        return made

    def adopt(self, bounds: Bounds) -> None:
        """Change the limits (after a reload); a client that has used up its share stays so."""
        self.reads = _resized(READS, self.reads, bounds.reads_per_minute)
        self.jobs = _resized(JOBS, self.jobs, bounds.jobs_per_minute)
        self.in_flight_max = bounds.requests_in_flight
        self.per_address_max = bounds.requests_per_address

    # --- requests in a minute

    def take(self, request: BuildAPIRequest, limit: RateLimit) -> Taken:
        """Count a request of a client."""
        return limit.buckets.take(_client(request), self._clock())

    def charge(self, request: BuildAPIRequest) -> None:
        """Count a request against the limit for its method, and set its header fields.

        :raises TooManyRequests: its client has sent too many.
        """
        limit = self.reads if request.method in READING else self.jobs
        if limit is not None:
            self._answer(request, limit, self.take(request, limit))

    def count_jobs(self, request: BuildAPIRequest, count: int) -> None:
        """Count a request, which was counted as one, as so many job requests.

        :raises TooManyRequests: its client has sent too many; it stays counted as one.
        """
        if self.jobs is not None and count > 1:
            taken = self.jobs.buckets.take(_client(request), self._clock(), count, held=1)
            self._answer(request, self.jobs, taken)

    def _answer(self, request: BuildAPIRequest, limit: RateLimit, taken: Taken) -> None:
        """Set the header fields; :raises TooManyRequests: it was not granted."""
        for name, value in zip(RATE_HEADERS, limit.fields(taken), strict=True):
            request.responseHeaders.setRawHeaders(name, [value])
        if taken.granted:
            return
        self._refuse(limit.name, request)
        who = "your address" if request.who is None else request.who
        most, seconds = limit.buckets.per_minute, taken.retry_after
        raise TooManyRequests(
            TOO_MANY.format(what=WHAT[limit.name], who=who, most=most, seconds=seconds), seconds
        )

    # --- requests in flight

    def enter(self, request: BuildAPIRequest) -> BuildAPIError | None:
        """Count a request as in flight until it leaves; return why there is no room for it."""
        if not (self.in_flight_max or self.per_address_max) or request.path in UNLIMITED:
            return None
        address = subnet_of(request.client_address)
        if 0 < self.in_flight_max <= self._in_flight:
            return self._overloaded(ALL, FULL, request)
        if 0 < self.per_address_max <= self._of_address[address]:
            return self._overloaded(ADDRESS, FULL_ADDRESS, request)
        self._in_flight += 1
        self._of_address[address] += 1
        request.entered_from = address
        return None

    def leave(self, request: BuildAPIRequest) -> None:
        """Count a request as in flight no longer; a second call does nothing."""
        address, request.entered_from = request.entered_from, None
        if address is None:
            return
        self._in_flight -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    def _overloaded(self, name: str, text: str, request: BuildAPIRequest) -> Overloaded:
        self._refuse(name, request)
        return Overloaded(text.format(seconds=RETRY_SECONDS), RETRY_SECONDS)

    # --- what was refused

    def _refuse(self, name: str, request: BuildAPIRequest) -> None:
        """Count a refusal, and log it unless another one of this limit was logged just now."""
        self.refused[name] += 1
        self._count("buildapi_http_limited", name)
        now, total = self._clock(), self.refused[name]
        at, before = self._told.get(name, (-TOLD_SECONDS, 0))
        if now - at >= TOLD_SECONDS:
            self._told[name] = now, total
            log.warn(
                "limit {limit} refused {number} requests since the last such line, the last one of"
                " {client} ({who})",
                limit=name,
                number=total - before,
                client=request.client_address,
                who=request.who or "nobody",
            )


def _client(request: BuildAPIRequest) -> tuple[str, str]:
    """Return whose request counts: its user, or the address of nobody."""
    who = request.who
    return ("address", subnet_of(request.client_address)) if who is None else ("user", who)


def _resized(name: str, limit: RateLimit | None, per_minute: int) -> RateLimit | None:
    if not per_minute:
        return None
    if limit is None:
        return RateLimit(name, TokenBuckets(per_minute))
    limit.resize(per_minute)
    return limit
