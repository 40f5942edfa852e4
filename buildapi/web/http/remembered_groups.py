"""Remember the groups that the proxy names of users, for requests with their tokens.

A request with a token passes the proxy without a login, so no header tells its user's groups.  They
are those that the proxy named last, if that is not too long ago: who has left a directory does not
log in any more, and nobody tells us.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.interfaces import GroupStore
from buildapi.web.http.auth import NO_GROUPS
from buildapi.web.http.cache import RecentValues, SingleFlight
from buildapi.web.http.deadline import Deadline

FRESH_SECONDS = 5.0
"""How long the groups of a user are cached that were read for a token."""

AGAIN_SECONDS = 60
"""Seconds within which groups that are the same are not written again."""

USERS_MAX = 1000
"""Users whose groups are cached, and users of whom it is kept that theirs were written."""

WRITES_MAX = 4
"""Concurrent writes; more wait for the next request of their user."""

FORGET_SECONDS = 3600
"""Seconds between two deletions of groups that nobody may use any more."""

DAY_SECONDS = 86_400

log = Logger()


@attrs.define(eq=False)
class RememberedGroups:
    """Keep the groups of users for ``days`` since the proxy named them; 0 keeps none.

    ``clock`` returns seconds of a monotonic clock, ``now`` seconds since the epoch; ``looking``
    bounds the time of a read.
    """

    _store: GroupStore
    _clock: Callable[[], float]
    _now: Callable[[], float]
    _looking: Deadline
    _days: int
    _read: RecentValues[frozenset[str]] = attrs.field(init=False)
    _noted: RecentValues[frozenset[str]] = attrs.field(init=False)
    _reads: SingleFlight[frozenset[str]] = attrs.field(factory=SingleFlight, init=False)
    _writing: set[str] = attrs.field(factory=set, init=False)
    _forget_at: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._read = RecentValues(self._clock, USERS_MAX)
        self._noted = RecentValues(self._clock, USERS_MAX)

    def bound(self, days: int) -> None:
        """Change how many days groups are kept (after a reload)."""
        self._days = days
        self._read.drop()
        self._reads.renew()

    # --- what the proxy says

    def note(self, who: str, groups: frozenset[str]) -> None:
        """Remember the groups that the proxy names; return at once and never fail.

        They are written when they have changed, and else once in ``AGAIN_SECONDS``.
        """
        if not self._days or self._noted.fresh(who) == groups:
            return
        if who in self._writing or len(self._writing) >= WRITES_MAX:
            return
        # At once, so that requests meanwhile do not write the same.
        self._noted.put(who, groups, AGAIN_SECONDS)
        defer.ensureDeferred(self._write(who, groups))

    async def _write(self, who: str, groups: frozenset[str]) -> None:
        self._writing.add(who)
        now = int(self._now())
        try:
            await self._store.remember(who, groups, now)
            self._read.remove(who)
            await self._forget_old(now)
        except Unavailable as e:
            log.warn("groups of {who} not remembered: {msg}", who=who, msg=e.msg)
        except Exception:
            log.failure("groups of {who} not remembered", who=who)
        finally:
            self._writing.discard(who)

    async def _forget_old(self, now: int) -> None:
        if self._clock() >= self._forget_at:
            self._forget_at = self._clock() + FORGET_SECONDS
            await self._store.forget(now - self._days * DAY_SECONDS)

    # --- what tokens need

    async def of_user(self, who: str) -> frozenset[str]:
        """Return the groups that the proxy named last; none if that is too long ago.

        :raises Unavailable: they cannot be read: a rule that denies something might name them.
        """
        if not self._days:
            return NO_GROUPS
        groups = self._read.fresh(who)
        if groups is not None:
            return groups
        since = int(self._now()) - self._days * DAY_SECONDS
        return await self._reads.get(
            who,
            lambda: self._looking.bound(self._store.of_user(who, since)),
            lambda found: self._read.put(who, found, FRESH_SECONDS),
        )
