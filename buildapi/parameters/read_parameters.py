"""Parameters of reads, which the commands have as options, too."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from buildapi.model.actions import ACTIONS
from buildapi.model.records import JobState
from buildapi.parameters.param import Param
from buildapi.parameters.times import DayOrTime
from buildapi.parameters.types import Bound, Choice, Integer, Text, TolerantInteger, bound_of

UTC = ZoneInfo("UTC")
OFFSET_MAX = 2**31 - 1
FARM_LIMIT_MAX, FARM_OFFSET_MAX = 50_000, 10_000_000
JOBS = 100
"""Job requests in an answer by default."""

BUILDS, BUILDS_MAX = 25, 1000
"""Recent builds in an answer by default, and at most."""

# --- of lists of job requests
OFFSET = Param("offset", "number of newest ones to skip", TolerantInteger(0, OFFSET_MAX), default=0)
WHO = Param("who", "only job requests of this user", Text())
BRANCH = Param("branch", "only job requests of this branch", Text())
ACTION = Param("action", "only job requests of this action", Choice(tuple(ACTIONS)))
STATE = Param("state", "only job requests in this state", Choice(tuple(s.value for s in JobState)))


def num(high: Bound = None) -> Param[int]:
    """Return the length of the list, bounded by that of the configuration where it is known."""

    def default() -> int:
        most = bound_of(high)
        return JOBS if most is None else min(JOBS, most)

    kind = TolerantInteger(0, high)
    return Param("num", "maximum number of job requests, the newest", kind, default=default)


def since(zone: ZoneInfo = UTC) -> Param[int | None]:
    """Return the begin of a span, in the farm's zone where it is known."""
    meaning = "not before this day, time (both in the farm's zone) or second"
    return Param("since", meaning, DayOrTime(zone))


def until(zone: ZoneInfo = UTC) -> Param[int | None]:
    """Return the end of a span, in the farm's zone where it is known."""
    meaning = "not after this day, or before this time or second"
    return Param("until", meaning, DayOrTime(zone, ends=True))


# --- of lists of the whole farm
LIMIT = Param(
    "limit", "maximum number of items, the newest; default all", Integer(1, FARM_LIMIT_MAX)
)
FARM_OFFSET = Param(
    "offset", "number of newest items to skip", Integer(0, FARM_OFFSET_MAX), default=0
)
NUMBUILDS = Param(
    "numbuilds", "maximum number of builds, the newest", Integer(0, cut=BUILDS_MAX), default=BUILDS
)

# --- of is_done
STABLE_DELAY = 180
STABLE = Param(
    "stableDelay",
    "seconds since its end after which a build counts as ended",
    TolerantInteger(),
    default=STABLE_DELAY,
)

# --- of a search on all branches
SHORTEST = 4
"""Minimum characters of a revision: fewer would match too many."""

LOOKUP_KINDS = ("revision", "build", "request", "job")
"""What a search finds by its first characters, or by its id."""

FOUND_KIND = Param("kind", "what to look for", Choice(LOOKUP_KINDS), default="revision")
SOUGHT = Param(
    "q", f"the first characters of a revision, at least {SHORTEST}, or an id", Text(), default=""
)
