"""Name the dumps of whole days, and choose those to write and to remove."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from buildapi.model.ended_builds import DAY_SECONDS, DumpWindow

TODAY_SECONDS = 600
"""Age in seconds at which the file of today is written again."""

LATE_SECONDS = 900
"""Seconds after a day's end until its file is final: builds of it may be recorded late."""

_NAME = re.compile(r"builds-(\d{4}-\d\d-\d\d)\.js\.gz")


def day_name(day: date) -> str:
    """Return the file name for the builds that ended on a day."""
    return f"builds-{day.isoformat()}.js.gz"


def day_of(name: str) -> date | None:
    """Return the day in a file name; None if it is the name of no such file."""
    match = _NAME.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def day_at(moment: float) -> date:
    """Return the UTC day of a time in seconds since the epoch."""
    return datetime.fromtimestamp(moment, UTC).date()


def day_window(day: date) -> DumpWindow:
    """Return the window of a UTC day, both midnights included."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    # A dump includes both ends (docs/commands.md, "`buildapi dump`"), so that a build that ends at
    # midnight is in the files of both days.
    return DumpWindow(start, start + DAY_SECONDS)


def due_days(
    now: float,
    kept: int,
    written: Mapping[date, float],
    tried: Mapping[date, float],
    pause: float,
) -> Sequence[date]:
    """List the days whose files are to be written in this round, at most two.

    Today's file is rewritten as the day goes on; of the ``kept`` - 1 days before, one per round,
    so that a first start does not read weeks at once.  ``written`` and ``tried`` are the times of
    the last success and attempt; a day that fails goes behind the others.  ``pause`` is the time
    between two rounds, in seconds.
    """
    today = day_at(now)
    past = [today - timedelta(days=n) for n in range(1, kept)]
    left = [day for day in past if not _final(day, now, written.get(day))]
    left.sort(key=lambda day: (tried.get(day, 0.0), -day.toordinal()))
    at = written.get(today)
    # Less the pause: a file that is not quite ten minutes old would otherwise wait for another
    # round.
    grows = kept > 0 and (at is None or not 0 <= now - at <= TODAY_SECONDS - pause)
    return [*([today] if grows else []), *left[:1]]


def _final(day: date, now: float, written: float | None) -> bool:
    """Return whether the file of a past day need not be written now."""
    settled = day_window(day).end + LATE_SECONDS
    return written is not None and (written >= settled or now < settled)


def expired_days(now: float, kept: int, days: Collection[date]) -> Sequence[date]:
    """List those of ``days`` that are older than the last ``kept`` days, today included."""
    first = day_at(now) - timedelta(days=kept - 1)
    return sorted(day for day in days if day < first)
