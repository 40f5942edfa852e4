"""Parse the parameters of reports: the path before the query, the last of repeated values."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import attrs

from buildapi.errors import BadRequest
from buildapi.parameters.param import AnyParam, Param
from buildapi.parameters.texts import bad
from buildapi.parameters.types import Integer, ParamType, Schema, Values, only_text
from buildapi.reports.window import Window, window_of
from buildapi.web.http.call import Call

TIME_MAX = 253_402_300_799
"""The last second of the year 9999."""

INTERVALS_MAX = 5000
"""Maximum intervals of one report: more cannot be told apart."""

HOURS_MAX = 24 * 400
WHOLE_MAX = 10**9
V = TypeVar("V")
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

    def of(self, param: Param[V]) -> V:
        """Return a parameter of the path or the query; :raises BadRequest: it is not allowed."""
        return param.parse(self._sent(param.name))

    def _sent(self, name: str) -> Sequence[str]:
        in_path = self.call.path.get(name)
        return [in_path] if in_path else self.call.query.get(name, ())[-1:]

    def text(self, param: AnyParam) -> str:
        """Return a parameter as it was sent, for a field of the form; empty without one."""
        return "".join(self._sent(param.name))

    def window(self, parts: int = 0) -> Window:
        """Return the time window; ``parts`` is its default number of intervals, 0 for none.

        ``from`` and ``to`` stand for ``starttime`` and ``endtime`` if these are missing; ``hours``
        counts back from the end if there is no start.

        :raises BadRequest: a parameter is invalid, or the start is after the end.
        """
        start = self.of(STARTTIME) or self._day("from")
        end = self.of(ENDTIME) or self._day("to")
        if start is not None and end is not None and start > end:
            raise BadRequest("Bad starttime: must not be after endtime")
        hours = self.of(HOURS)
        # Before "hours" is applied, since "hours" counts back from the end that this may have
        # filled in.
        window = window_of(start, end, self.now)
        if hours and start is None:
            window = attrs.evolve(window, start=max(0, window.end - 3600 * hours))
        return self.divided(window, parts) if parts else window

    def _day(self, name: str) -> float | None:
        moment = self.of(DAYS[name])
        if moment is None:
            return None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
        try:
            # Dates before 1970 are no error: nothing is stored of them.
            return max(0, math.floor(aware.timestamp()))
        except (ValueError, OverflowError, OSError) as e:
            raise bad(name, self.text(DAYS[name]), ISO_DATES) from e

    def divided(self, window: Window, parts: int) -> Window:
        """Return the window in intervals of ``int_size`` seconds, or in ``parts`` of them."""
        found = attrs.evolve(window, int_size=self.of(INT_SIZE)).divided(parts)
        if found.intervals > INTERVALS_MAX:
            raise bad("int_size", str(found.int_size), f"at most {INTERVALS_MAX} intervals")
        return found


class Epoch(ParamType[float]):
    """Seconds since the epoch, of which 0 counts as missing."""

    def parse(self, name: str, values: Values) -> float | None:
        """Parse a time."""
        text = only_text(name, values)
        if not text:
            return None
        number = float(text) if _NUMBER.fullmatch(text) else -1.0
        if not 0 <= number <= TIME_MAX:
            raise bad(name, text, "seconds since the epoch")
        # 0 counts as not given (docs/reports.md, "Time"). Whole numbers stay integers in the JSON.
        return (int(number) if number.is_integer() else number) or None

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "number", "minimum": 0, "maximum": TIME_MAX}

    def words(self) -> str:
        """Return the unit."""
        return "seconds since the epoch"


class ISODate(ParamType[datetime]):
    """A date or time in ISO format, of the farm's zone unless it names another."""

    def parse(self, name: str, values: Values) -> datetime | None:
        """Parse a date or time."""
        text = only_text(name, values)
        try:
            return datetime.fromisoformat(text) if text else None
        except ValueError as e:
            raise bad(name, text, ISO_DATES) from e

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return how it is written."""
        return "a date in the farm's time zone, 2026-11-24 or 2026-11-24T13:00"


ISO_DATES = "dates as 2026-11-24 or 2026-11-24T13:00"
STARTTIME = Param("starttime", "start (inclusive); default a day before the end", Epoch())
ENDTIME = Param("endtime", "end (exclusive); default the last whole minute", Epoch())
DAYS = {
    "from": Param("from", "start as a date", ISODate()),
    "to": Param("to", "end as a date", ISODate()),
}
HOURS = Param(
    "hours",
    "length of the window in hours, instead of a start",
    Integer(0, HOURS_MAX),
    default=0,
)
INT_SIZE = Param(
    "int_size",
    "length of an interval in seconds; 0 for a fraction of the window",
    Integer(0, WHOLE_MAX),
    default=0,
)
