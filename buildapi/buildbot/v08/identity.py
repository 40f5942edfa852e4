"""Tell whether what a 0.8 master calls build N of a builder is the build we mean."""

from __future__ import annotations

import enum
import json
from typing import Any
from urllib.parse import quote

from buildapi.model.results import known_result
from buildapi.model.steps import StopBuild

CLOCK_TOLERANCE = 3.0
"""Seconds by which the start a master tells may differ from ``builds.start_time``.

Both are of the master's own clock, in the same turn; MySQL stores whole seconds.
"""


class Identity(enum.Enum):
    """What a master says of a build number."""

    SAME = "same"
    ENDED = "ended"
    OTHER = "other"


def build_path(step: StopBuild) -> str:
    """Give the path of a build below a master's root; a slash in the name is %2F there."""
    return f"builders/{quote(step.buildername, safe='')}/builds/{step.number}"


def identify(step: StopBuild, answer: bytes) -> Identity:
    """Compare a master's ``/json/builders/B/builds/N`` with the build to stop.

    The number alone proves nothing: after a double claim it may be another build's.
    """
    try:
        build = json.loads(answer)
    except (ValueError, RecursionError):
        return Identity.OTHER
    if not isinstance(build, dict) or not _matches(step, build):
        return Identity.OTHER
    return Identity.SAME if known_result(build.get("results")) is None else Identity.ENDED


def _matches(step: StopBuild, build: dict[str, Any]) -> bool:
    times = build.get("times")
    start = times[0] if isinstance(times, list) and times else None
    revisions = _revisions(build.get("sourceStamp"))
    return (
        build.get("builderName") == step.buildername
        and isinstance(start, int | float)
        and abs(start - step.start_time) <= CLOCK_TOLERANCE
        and (not revisions or step.revision is None or step.revision in revisions)
    )


def _revisions(source: Any) -> set[str]:
    """List what a build is of: coalesced requests with changes may be of several revisions."""
    if not isinstance(source, dict):
        return set()
    changes = source.get("changes")
    stamps = [source, *(changes if isinstance(changes, list) else [])]
    found = (stamp.get("revision") for stamp in stamps if isinstance(stamp, dict))
    return {revision for revision in found if isinstance(revision, str)}
