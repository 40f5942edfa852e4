"""Local days in the time zone of the farm."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def day_window(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Return a local day as ``[midnight, next midnight)`` in seconds since the epoch.

    It is 23 or 25 hours long when daylight saving time begins or ends.

    :raises OverflowError: it is the last day that Python can represent.
    """
    # Not 24 hours later [docs/compatibility.md, "Developers and sheriffs"].
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp())


def day_of(seconds: float, zone: ZoneInfo) -> date:
    """Return the local day of a time in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, zone).date()
