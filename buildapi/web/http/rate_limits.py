"""Limit how often each client may ask: one token bucket per key, within a bound on the buckets.

A bucket holds as many tokens as may be taken in a minute, and is refilled evenly.  A request takes
one, or as many as it counts for.  A full bucket is as good as none, so only those in use are kept.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Hashable
from functools import lru_cache
from typing import NamedTuple

import attrs

from buildapi.web.http.auth import address_of

WINDOW = 60.0
"""Seconds in which an empty bucket is full again."""

BUCKETS_MAX = 10_000
"""Buckets in use at a time; few farms have as many clients."""

SWEEP_SECONDS = 1.0
"""Least time between two sweeps that make little room: each looks at all buckets."""

SUBNETS_KEPT = 1000

# Far less than a token: sums of floating-point numbers miss whole ones by less.
_ROUNDING = 1e-6


class Taken(NamedTuple):
    """What a bucket answered: whether the tokens were taken, and how many whole ones are left.

    ``seconds`` is the time until one more is there; of a refusal, until all are that it wanted.
    """

    granted: bool
    left: int
    seconds: float

    @property
    def retry_after(self) -> int:
        """Return the whole seconds after which to try again, at least 1."""
        return max(1, math.ceil(self.seconds - _ROUNDING))


class _Level(NamedTuple):
    """The tokens that were missing from a bucket at a time."""

    missing: float
    at: float


@attrs.define(eq=False)
class TokenBuckets:
    """Keep a bucket of ``per_minute`` tokens (1 or more) for each key, ``most`` at a time.

    Times are seconds of one monotonic clock.
    """

    per_minute: int
    _most: int = BUCKETS_MAX
    _levels: dict[Hashable, _Level] = attrs.field(factory=dict, init=False)
    _sweep_at: float = attrs.field(default=-math.inf, init=False)

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, key: Hashable, now: float, count: int = 1, held: int = 0) -> Taken:
        """Subtract ``count`` tokens of a key, all or none, of which it has ``held`` already.

        More than a bucket holds are taken from a full one, which then fills up later: who sends a
        long batch waits longer before the next one.
        """
        missing, size = self._missing(key, now), self.per_minute
        over = missing - held + min(count, size) - size
        if over > _ROUNDING:
            return self._answer(missing, over)
        if key not in self._levels and len(self._levels) >= self._most and not self._room(now):
            return self._answer(float(size), 1.0)
        missing += count - held
        self._levels[key] = _Level(missing, now)
        return self._answer(missing)

    def left(self, key: Hashable, now: float) -> Taken:
        """Return the state of a bucket without taking any: granted if it has a token."""
        missing = self._missing(key, now)
        over = missing + 1 - self.per_minute
        return self._answer(missing, over if over > _ROUNDING else None)

    def resize(self, per_minute: int) -> None:
        """Change the size of the buckets (after a reload): each stays as full as it is, in part."""
        share = per_minute / self.per_minute
        self._levels = {key: _Level(m * share, at) for key, (m, at) in self._levels.items()}
        self.per_minute = per_minute

    def _missing(self, key: Hashable, now: float) -> float:
        level = self._levels.get(key)
        return 0.0 if level is None else self._refilled(level, now)

    def _refilled(self, level: _Level, now: float) -> float:
        """Return the tokens that are missing at a time; a clock that goes back refills nothing."""
        back = max(0.0, now - level.at) * self.per_minute / WINDOW
        return max(0.0, level.missing - back)

    def _answer(self, missing: float, short: float | None = None) -> Taken:
        """Return the answer to who is ``short`` of tokens; None for who is not."""
        has = self.per_minute - missing
        left = int(has + _ROUNDING) if has > 0 else 0
        # Of the next token a part is still missing; after a debt, all of it and more.
        wait = left + 1 - has if short is None else short
        return Taken(short is None, left, wait * WINDOW / self.per_minute)

    def _room(self, now: float) -> bool:
        """Make room for a new bucket; return whether there is any.

        Full buckets go first, which changes nothing, and then those that miss the least.  One
        without a token stays: its client is the one to be refused, and new buckets of others must
        not help it to a full one.
        """
        if now < self._sweep_at:
            return False
        missing = {key: self._refilled(level, now) for key, level in self._levels.items()}
        before = len(missing)
        for key in [key for key, tokens in missing.items() if tokens <= 0]:
            del self._levels[key], missing[key]
        if len(self._levels) >= self._most:
            some = sorted(
                (key for key, tokens in missing.items() if tokens + 1 <= self.per_minute),
                key=missing.__getitem__,
            )
            for key in some[: self._most // 8 + 1]:
                del self._levels[key]
        if before - len(self._levels) < max(1, self._most // 16):
            self._sweep_at = now + SWEEP_SECONDS
        return len(self._levels) < self._most


@lru_cache(SUBNETS_KEPT)
def subnet_of(address: str) -> str:
    """Return what counts as one address: that of IPv4, the network of 64 bits of IPv6.

    One host chooses among all addresses of such a network [RFC 8981].
    """
    parsed = address_of(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed) >> 64 << 64, 64)))
    return address if parsed is None else str(parsed)


def limit_field(name: str, taken: Taken) -> str:
    """Return the value of ``RateLimit`` for one limit.

    An item names the policy; ``r`` are the requests left, ``t`` the seconds for which there are no
    more [draft-ietf-httpapi-ratelimit-headers-11, 4.1].
    """
    return f'"{name}";r={taken.left};t={taken.retry_after}'


def policy_field(name: str, per_minute: int) -> str:
    """Return the value of ``RateLimit-Policy``: ``q`` requests in a window of ``w`` seconds."""
    # [draft-ietf-httpapi-ratelimit-headers-11, 3.1]
    return f'"{name}";q={per_minute};w={WINDOW:.0f}'
