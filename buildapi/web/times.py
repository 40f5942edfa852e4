"""How times are written on pages."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

UNKNOWN = "unknown"
"""How long something takes that ended before it began."""


def in_zone(seconds: int | None, zone: ZoneInfo) -> str:
    """Write a time as people of the farm read it."""
    if seconds is None:
        return ""
    try:
        return f"{datetime.fromtimestamp(seconds, zone):%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return str(seconds)


def in_utc(seconds: int) -> str:
    """Write a time as programs read it."""
    try:
        return f"{datetime.fromtimestamp(seconds, ZoneInfo('UTC')):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return ""


def lasting(seconds: int | None) -> str:
    """Write how long something takes: ``4 s``, ``12 min``, ``3 h 05``, ``2 d 4 h``.

    An age below zero is of a clock that is a little ahead: nothing has passed yet.
    """
    if seconds is None:
        return UNKNOWN
    seconds = max(0, seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86400:
        return f"{seconds // 3600} h {seconds % 3600 // 60:02}"
    return f"{seconds // 86400} d {seconds % 86400 // 3600} h"
