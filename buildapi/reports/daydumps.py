"""The files of whole days: how they are named, when each is written, when it is removed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from buildapi.model.dumps import DAY_SECONDS, Window

TODAY_SECONDS = 600
"""How old the file of today may become before it is written again."""

LATE_SECONDS = 900
"""How long after a day's end builds of it may still be recorded: then its file is final."""

_NAME = re.compile(r"builds-(\d{4}-\d\d-\d\d)\.js\.gz")


def day_name(day: date) -> str:
    """Name the file of the builds that ended on a day."""
    return f"builds-{day.isoformat()}.js.gz"


def day_of(name: str) -> date | None:
    """Return the day that a file is named after; None where it is named otherwise."""
    match = _NAME.fullmatch(name)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def day_at(moment: float) -> date:
    """Return the day of a time in seconds since the epoch: days are those of UTC."""
    return datetime.fromtimestamp(moment, UTC).date()


def day_window(day: date) -> Window:
    """Return the time of a day, both midnights included."""
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return Window(start, start + DAY_SECONDS)


def due_days(
    now: float,
    kept: int,
    written: Mapping[date, float],
    tried: Mapping[date, float],
    pause: float,
) -> Sequence[date]:
    """List the days whose files are to be written in this round, at most two.

    Today's is written again as it grows; of the ``kept`` - 1 days before it one at a time, so
    that a start with none does not read weeks at once.  ``written`` and ``tried`` say when each
    was; one that cannot be written does not keep the others from their turn.  ``pause`` is the
    time between two rounds, in seconds.
    """
    today = day_at(now)
    past = [today - timedelta(days=n) for n in range(1, kept)]
    left = [day for day in past if not _final(day, now, written.get(day))]
    left.sort(key=lambda day: (tried.get(day, 0.0), -day.toordinal()))
    at = written.get(today)
    grows = kept > 0 and (at is None or not 0 <= now - at <= TODAY_SECONDS - pause)
    return [*([today] if grows else []), *left[:1]]


def _final(day: date, now: float, written: float | None) -> bool:
    """Return whether the file of a past day needs no writing now."""
    settled = day_window(day).end + LATE_SECONDS
    return written is not None and (written >= settled or now < settled)


def expired_days(now: float, kept: int, days: Collection[date]) -> Sequence[date]:
    """List those of ``days`` that are not among the ``kept`` newest that there can be."""
    first = day_at(now) - timedelta(days=kept - 1)
    return sorted(day for day in days if day < first)
