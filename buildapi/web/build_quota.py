"""How many builds may be asked for: by one request, and by one user within an hour.

Bounds on a single job request say little where one call carries hundreds of them.  What counts
is recorded in the table of job requests, which all processes share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs

from buildapi.errors import DatabaseUnavailable, TooManyBuilds, Unavailable
from buildapi.interfaces import JobStore
from buildapi.model.records import AskedBuilds
from buildapi.web.deadline import Deadline

HOUR = 3600

PER_REQUEST = (
    "This request asks for {asked} builds, and one may ask for {most}"
    " ([limits] builds_per_request): send it in parts"
)
PER_HOUR = (
    "{who} has asked for {before} builds within an hour, and may ask for {most}"
    " ([limits] builds_per_user_hour): these {asked} are too many just now"
)


@attrs.define(eq=False)
class BuildQuota:
    """Bound the builds that are asked for; ``now`` gives seconds since the epoch.

    ``looking`` bounds how long it may take to count what a user has asked for.
    """

    _store: JobStore
    _now: Callable[[], float]
    _looking: Deadline
    _per_request: int
    _per_hour: int
    _going: Counter[str] = attrs.field(factory=Counter, init=False)

    def bound(self, per_request: int, per_hour: int) -> None:
        """Replace the bounds."""
        self._per_request, self._per_hour = per_request, per_hour

    @asynccontextmanager
    async def recording(self, who: str, builds: int, not_counted: str) -> AsyncIterator[None]:
        """Let job requests be recorded that ask for so many builds.

        Those that are recorded at the same time by this process count, too.

        :raises TooManyBuilds: they may not be asked for, or not now.
        :raises DatabaseUnavailable: that cannot be told; the text is ``not_counted``.
        """
        if builds > self._per_request:
            told = PER_REQUEST.format(asked=builds, most=self._per_request)
            raise TooManyBuilds(told, HOUR)  # as it is; in parts it may come at once
        if not builds:
            yield
            return
        before = self._going[who]
        self._going[who] += builds
        try:
            await self._check(who, builds, before, not_counted)
            yield
        finally:
            self._going[who] -= builds
            if not self._going[who]:
                del self._going[who]

    async def _check(self, who: str, builds: int, going: int, not_counted: str) -> None:
        now = int(self._now())
        try:
            asked = await self._looking.bound(self._store.asked_builds(who, now - HOUR))
        except Unavailable as e:
            raise DatabaseUnavailable(not_counted) from e
        wait = seconds_until_free(asked, builds + going, self._per_hour, now)
        if wait:
            before = sum(one.builds for one in asked) + going
            told = PER_HOUR.format(who=who, before=before, asked=builds, most=self._per_hour)
            raise TooManyBuilds(told, wait)


def seconds_until_free(asked: Sequence[AskedBuilds], builds: int, most: int, now: int) -> int:
    """Tell in how many seconds so many builds more may be asked for within an hour; 0 is now."""
    too_many = sum(one.builds for one in asked) + builds - most
    if too_many <= 0:
        return 0
    for one in sorted(asked, key=lambda one: one.when):
        too_many -= one.builds
        if too_many <= 0:
            return min(max(1, one.when + HOUR - now), HOUR)
    return HOUR
