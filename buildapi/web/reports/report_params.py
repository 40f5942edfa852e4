"""Parse the parameters of reports: the path before the query, the last of repeated values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import attrs

from buildapi.errors import BadRequest
from buildapi.reports.window import Window, window_of
from buildapi.web.http.call import Call
from buildapi.web.http.params import bad, one_of, whole_within

TIME_MAX = 253_402_300_799
"""The last second of the year 9999."""

INTERVALS_MAX = 5000
"""Maximum intervals of one report: more cannot be told apart."""

HOURS_MAX = 24 * 400
# float() would also take "nan", "1e3", "1_0" and digits of other scripts.
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)


@attrs.frozen
class ReportParams:
    """The parameters of a call; an empty one counts as missing.

    ``now`` is in seconds since the epoch, ``zone`` the farm's.
    """

    call: Call
    now: float
    zone: ZoneInfo

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter of the path or the query."""
        return self.call.path.get(name) or self.call.query.get(name, ("",))[-1] or default

    def maybe(self, name: str) -> str | None:
        """Return a parameter of the query, which may be empty; None if it is missing."""
        values = self.call.query.get(name)
        return values[-1] if values else None

    def choice(self, name: str, allowed: Sequence[str], default: str) -> str:
        """Return one of the allowed words; :raises BadRequest: it is not allowed."""
        return one_of(name, self.text(name, default), allowed)

    def many(self, name: str, allowed: Sequence[str]) -> tuple[str, ...]:
        """Return a comma-separated list, each word once; :raises BadRequest: one is not allowed."""
        words = filter(None, (word.strip() for word in self.text(name).split(",")))
        return tuple(dict.fromkeys(one_of(name, word, allowed) for word in words))

    def whole(self, name: str, default: int, low: int = 0, high: int = 10**9) -> int:
        """Return a whole number; :raises BadRequest: it is none, or out of range."""
        text = self.text(name)
        return whole_within(name, text, low, high) if text else default

    def time(self, name: str) -> float | None:
        """Return seconds since the epoch; None for 0 or missing; :raises BadRequest: invalid."""
        text = self.text(name)
        if not text:
            return None
        number = float(text) if _NUMBER.fullmatch(text) else -1.0
        if not 0 <= number <= TIME_MAX:
            raise bad(name, text, "seconds since the epoch")
        # 0 counts as not given (docs/reports.md, "Time"). Whole numbers stay integers in the JSON.
        return (int(number) if number.is_integer() else number) or None

    def day(self, name: str) -> float | None:
        """Return a date or time of the farm's zone as seconds since the epoch, None if missing.

        :raises BadRequest: it is not in ISO format.
        """
        text = self.text(name)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
            # Dates before 1970 are no error: nothing is stored of them.
            return max(0, math.floor(aware.timestamp()))
        except (ValueError, OverflowError, OSError) as e:
            raise bad(name, text, "dates as 2026-11-24 or 2026-11-24T13:00") from e

    def window(self, parts: int = 0) -> Window:
        """Return the time window; ``parts`` is its default number of intervals, 0 for none.

        ``from`` and ``to`` stand for ``starttime`` and ``endtime`` if these are missing; ``hours``
        counts back from the end if there is no start.

        :raises BadRequest: a parameter is invalid, or the start is after the end.
        """
        start = self.time("starttime") or self.day("from")
        end = self.time("endtime") or self.day("to")
        if start is not None and end is not None and start > end:
            raise BadRequest("Bad starttime: must not be after endtime")
        hours = self.whole("hours", 0, 0, HOURS_MAX)
        # Before "hours" is applied, since "hours" counts back from the end that this may have
        # filled in.
        window = window_of(start, end, self.now)
        if hours and start is None:
            window = attrs.evolve(window, start=max(0, window.end - 3600 * hours))
        return self.divided(window, parts) if parts else window

    def divided(self, window: Window, parts: int) -> Window:
        """Return the window in intervals of ``int_size`` seconds, or in ``parts`` of them."""
        found = attrs.evolve(window, int_size=self.whole("int_size", 0)).divided(parts)
        if found.intervals > INTERVALS_MAX:
            raise bad("int_size", str(found.int_size), f"at most {INTERVALS_MAX} intervals")
        return found
