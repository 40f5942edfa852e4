"""Limit the builds that one HTTP request and one user within an hour may ask for.

A limit per job request is not enough, since one call may carry hundreds of them.  The count
is read from ``jobrequests``, which all processes share.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs

from buildapi.errors import DatabaseUnavailable, TooManyBuilds, Unavailable
from buildapi.interfaces import JobStore
from buildapi.model.records import AskedBuilds
from buildapi.web.http.deadline import Deadline

HOUR = 3600

FRESH = 2.0
"""Seconds for which a count may do, as long as little is asked for after it."""

SHARE = 10
"""Part of what was left at a count that may be asked for before the next one: a tenth.

So ten processes that have not seen each other's job requests yet exceed no limit together.
"""

PER_REQUEST = (
    "This request asks for {asked} builds (max {most}, [limits] builds_per_request):"
    " send it in parts"
)
PER_HOUR = (
    "Too many builds: {who} has submitted {before} within an hour, this request asks for"
    " {asked} (max {most}, [limits] builds_per_user_hour)"
)


@attrs.define
class _Count:
    """What a user had asked for when it was counted, and what was reserved by then."""

    at: float
    builds: int
    reserved: int


@attrs.define
class _Use:
    """The reservations of one user: those under way, and the sum of all; the last count, if any."""

    going: int = 0
    reserved: int = 0
    count: _Count | None = None


@attrs.define(eq=False)
class BuildQuota:
    """Limit the builds asked for; ``now`` returns seconds since the epoch.

    ``looking`` bounds the time to count the builds of a user.
    """

    _store: JobStore
    _now: Callable[[], float]
    _looking: Deadline
    _per_request: int
    _per_hour: int
    _uses: dict[str, _Use] = attrs.field(factory=dict[str, _Use], init=False)

    def bound(self, per_request: int, per_hour: int) -> None:
        """Replace the limits (after a reload)."""
        self._per_request, self._per_hour = per_request, per_hour

    @asynccontextmanager
    async def recording(self, who: str, builds: int, not_counted: str) -> AsyncIterator[None]:
        """Reserve ``builds`` for a user while their job requests are recorded.

        Reservations of this process that are not recorded yet count as well.

        :raises TooManyBuilds: a limit would be exceeded.
        :raises DatabaseUnavailable: the builds cannot be counted; its message is ``not_counted``.
        """
        if builds > self._per_request:
            told = PER_REQUEST.format(asked=builds, most=self._per_request)
            raise TooManyBuilds(told, HOUR)  # unchanged it never fits; its parts may at once
        # Cancels and priorities are not limited (docs/api.md, "How many builds"), and need no
        # count.
        if not builds:
            yield
            return
        self._forget_old_counts()
        use = self._uses.setdefault(who, _Use())
        # Reserved before the count is awaited: two concurrent requests of a user would both see the
        # old one.
        before = use.going
        use.going += builds
        use.reserved += builds
        try:
            if not self._surely_fits(use):
                await self._check(who, use, builds, before, not_counted)
            yield
        finally:
            use.going -= builds

    def _surely_fits(self, use: _Use) -> bool:
        """Return whether what was reserved since the last count is little enough for no other."""
        if use.count is None or not self._is_fresh(use.count):
            return False
        room = self._per_hour - use.count.builds
        return (use.reserved - use.count.reserved) * SHARE <= room

    def _is_fresh(self, count: _Count) -> bool:
        # The clock may be set back.
        return 0 <= self._now() - count.at < FRESH

    def _forget_old_counts(self) -> None:
        """Forget the users without reservations who were counted longest ago."""
        while self._uses:
            who, use = next(iter(self._uses.items()))
            if use.going or (use.count is not None and self._is_fresh(use.count)):
                return
            del self._uses[who]

    async def _check(self, who: str, use: _Use, builds: int, going: int, not_counted: str) -> None:
        began, reserved = self._now(), use.reserved - builds
        now = int(began)
        try:
            asked = await self._looking.bound(self._store.asked_builds(who, now - HOUR))
        except Unavailable as e:
            raise DatabaseUnavailable(not_counted) from e
        before = sum(one.builds for one in asked) + going
        wait = seconds_until_free(asked, builds + going, self._per_hour, now)
        if wait:
            told = PER_HOUR.format(who=who, before=before, asked=builds, most=self._per_hour)
            raise TooManyBuilds(told, wait)
        use.count = _Count(began, before, reserved)
        # The last one counted goes to the end.
        self._uses[who] = self._uses.pop(who, use)


def seconds_until_free(asked: Sequence[AskedBuilds], builds: int, most: int, now: int) -> int:
    """Return the seconds until ``builds`` more fit into the last hour; 0 for now."""
    too_many = sum(one.builds for one in asked) + builds - most
    if too_many <= 0:
        return 0
    for one in sorted(asked, key=lambda one: one.when):
        too_many -= one.builds
        if too_many <= 0:
            # "when" is from the clock of the process that recorded the job, which may be ahead of
            # this one.
            return min(max(1, one.when + HOUR - now), HOUR)
    return HOUR
