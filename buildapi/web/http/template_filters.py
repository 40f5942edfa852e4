"""Template filters that format times and durations."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

UNKNOWN = "unknown"
"""The duration of something that ended before it began."""

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # in UTC, and naive: its format has no offset
SECONDS_END = len("2026-01-31T12:00:00")

TIMES_KEPT = 10_000
"""Times that are formatted once: live lists are rendered every few seconds, with the same rows."""


@lru_cache(maxsize=TIMES_KEPT)
def in_zone(seconds: int | None, zone: ZoneInfo) -> str:
    """Format a time in the farm's zone, for people."""
    if seconds is None:
        return ""
    # A stored number may be no time at all, beyond the year 9999 [Python, datetime.fromtimestamp].
    try:
        # isoformat, cut before its offset: strftime takes longer, and a page has 500 times
        return datetime.fromtimestamp(seconds, zone).isoformat(" ", "seconds")[:SECONDS_END]
    except (OverflowError, ValueError, OSError):
        return str(seconds)


@lru_cache(maxsize=TIMES_KEPT)
def in_utc(seconds: int) -> str:
    """Format a time in UTC as ISO 8601, for scripts."""
    try:
        return f"{(EPOCH + timedelta(seconds=seconds)).isoformat('T', 'seconds')}Z"
    except (OverflowError, ValueError, OSError):
        return ""


DATE_AFTER = 30 * 86400
"""Seconds after which a date says more than an age."""


def ago(seconds: int | None, now: int, zone: ZoneInfo) -> str:
    """Format how long ago a time was: ``12 min ago``, or its date after 30 days."""
    if seconds is None:
        return ""
    # The same as `ago` in static/scripts/durations.js, which lets the ages on a page grow.
    if now - seconds >= DATE_AFTER:
        return in_zone(seconds, zone).partition(" ")[0]
    return f"{lasting(now - seconds)} ago"


def breakable(text: str) -> Markup:
    """Return a text whose lines may end after slashes, colons and at signs, for narrow windows."""
    return Markup(AFTER.sub(r"\1<wbr>", str(escape(text))))  # noqa: S704  # escaped, and a constant


# A browser breaks a path anywhere, where it has no other place [UAX 14, SY and IS before letters].
AFTER = re.compile(r"([/:@])(?=\w)")


def lasting(seconds: int | None) -> str:
    """Format a duration: ``4 s``, ``12 min``, ``3 h 05``, ``2 d 4 h``.

    A negative one counts as 0: another host's clock is a little ahead.
    """
    if seconds is None:
        return UNKNOWN
    seconds = max(0, seconds)
    # The same as `lasting` in static/scripts/durations.js, which lets the ages on a page grow.
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02}"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"


def master_host(claimed_by: str) -> str:
    """Return the short name of a master's host; empty without a master.

    The same as ``hostOf`` in static/scripts/build_states.js.
    """
    # Buildbot 0.8 claims as HOST:BASEDIR (claimed_by_name).
    return claimed_by.partition(":")[0].partition(".")[0]
