"""Times as parameters: days and times of a zone, or seconds."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

import attrs

from buildapi.jobs.local_days import day_window
from buildapi.parameters.texts import bad, integer
from buildapi.parameters.types import ParamType, Schema, Values, only_text

TIME_MAX = 2**53


@attrs.frozen
class DayOrTime(ParamType[int]):
    """A day or time of the farm's zone, or seconds since the epoch, as the latter.

    A day is its first midnight or, if the time ``ends`` a span, the next one.
    """

    _zone: ZoneInfo
    _ends: bool = False

    def parse(self, name: str, values: Values) -> int | None:
        """Parse a day or time."""
        text = only_text(name, values).strip()
        if not text:
            return None
        number = integer(text)
        if number is not None:
            return max(-TIME_MAX, min(number, TIME_MAX))
        try:
            # datetime.fromisoformat() accepts a day too, as its midnight, but "until" includes its
            # day (docs/api.md, "Reads").
            if len(text) == len("2026-01-31"):
                return day_window(date.fromisoformat(text), self._zone)[self._ends]
            moment = datetime.fromisoformat(text)
            aware = moment if moment.tzinfo else moment.replace(tzinfo=self._zone)
            return int(aware.timestamp())
        except (ValueError, OverflowError) as e:
            allowed = "YYYY-MM-DD, YYYY-MM-DDTHH:MM and seconds since the epoch"
            raise bad(name, text, allowed) from e

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return how it is written."""
        return "YYYY-MM-DD, YYYY-MM-DDTHH:MM or seconds since the epoch"
