"""Build the entries of a dump of ended builds [docs/commands.md]."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from buildapi.model.ended_builds import NEAR_SECONDS, DumpWindow, EndedBuild, StartedRequest

HOUR, DAY = 3600, 86_400


def window(now: float, length: int | None = None, start: int | None = None) -> DumpWindow:
    """Return the window of a dump: ``length`` seconds (default: a day) up to now.

    With ``start`` it begins there instead.

    :raises ValueError: the window is before 1970 or after the year 9999, or ends before it begins.
    """
    seconds = DAY if length is None else length
    first = int(now) - seconds if start is None else start
    return DumpWindow(first, first + seconds)


@attrs.frozen
class Requests:
    """The requests that a build served, and the submission time of the first."""

    ids: Sequence[object] = ()
    time: float | None = None


@attrs.frozen
class ReadBuild:
    """A build with its decoded properties; ``bad`` names those that are not JSON.

    ``requests`` is None if they have to be read from the scheduler database.
    """

    build: EndedBuild
    properties: Mapping[str, object]
    bad: Sequence[str]
    requests: Requests | None


def read_build(build: EndedBuild) -> ReadBuild:
    """Decode the properties of a build; the first of each name counts."""
    properties: dict[str, object] = {}
    bad: list[str] = []
    for name, text in build.properties:
        try:
            value = decoded(text)
        except (ValueError, TypeError, RecursionError):
            bad.append(str(name))
        else:
            # Of two with the same name the first counts (docs/commands.md, "`buildapi dump`").
            properties.setdefault(str(name), value)
    return ReadBuild(build, properties, bad, requests_told(properties))


def decoded(text: str | None) -> Any:
    """Decode a stored JSON value; NaN and infinities become None.

    :raises ValueError: it is NULL or not JSON.
    """
    if text is None:
        raise ValueError("NULL")
    # JSON has no NaN or Infinity (RFC 8259, section 6), but Python writes and reads them; 1e999 is
    # read as an infinity too.
    return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def requests_told(properties: Mapping[str, object]) -> Requests | None:
    """Return the requests named by properties; None if properties do not name them.

    Without a ``buildername`` there are none.
    """
    if not properties.get("buildername"):
        return Requests()
    ids, times = properties.get("request_ids"), properties.get("request_times")
    moments = list(times.values()) if isinstance(times, dict) else times
    if not isinstance(ids, list) or not isinstance(moments, list):
        return None
    # min() of numbers and texts would raise TypeError for the whole dump.
    if any(isinstance(m, bool) or not isinstance(m, int | float) for m in moments):
        return None
    return Requests(ids, min(moments, default=None))


def matched(read: ReadBuild, started: Iterable[StartedRequest]) -> Requests:
    """Find the requests of a build among rows of the scheduler database.

    Builder, number and start must agree: a number is unique only per master and builder.
    """
    build, name = read.build, read.properties.get("buildername")
    # Without a start, a number alone would match builds of other masters.
    if build.starttime is None:
        return Requests()
    found = [
        s
        for s in started
        if (s.buildername, s.number) == (name, build.buildnumber)
        # Requests merged into one build have a row each, with starts some milliseconds apart.
        and abs(s.start_time - build.starttime) < NEAR_SECONDS
    ]
    ids = sorted({s.request_id for s in found})
    return Requests(ids, min((s.submitted_at for s in found), default=None))


def entries(
    reads: Sequence[ReadBuild], started: Iterable[StartedRequest]
) -> Sequence[Mapping[str, object]]:
    """Return the entries of builds, with requests from properties or the scheduler database."""
    by_number: dict[int, list[StartedRequest]] = {}
    for s in started:
        by_number.setdefault(s.number, []).append(s)
    return [
        _entry(read, read.requests or matched(read, by_number.get(read.build.buildnumber, ())))
        for read in reads
    ]


def _entry(read: ReadBuild, requests: Requests) -> Mapping[str, object]:
    shaped = attrs.asdict(read.build, filter=attrs.filters.exclude("properties"))
    return {
        **shaped,
        "properties": dict(read.properties),
        "request_ids": list(requests.ids),
        "requesttime": requests.time,
    }
