"""Check whether build N of a builder on a 0.8 master is the build we mean."""

from __future__ import annotations

import enum
import json
from urllib.parse import quote

from buildapi.model.results import known_result
from buildapi.model.steps import StopBuild

CLOCK_TOLERANCE = 3.0
"""Maximum seconds between the start a master shows and ``builds.start_time``.

Both come from the master's own clock in the same reactor iteration; MySQL stores whole seconds.
"""


class BuildIdentity(enum.Enum):
    """Name what a master shows under a build number."""

    SAME = "same"
    ENDED = "ended"
    OTHER = "other"


def build_path(step: StopBuild) -> str:
    """Return the path of a build below a master's root; a slash in the name must be %2F there."""
    # Not quote_plus: a space must be %20, and a plus is answered 404 (0.8.2).
    return f"builders/{quote(step.buildername, safe='')}/builds/{step.number}"


def identify(step: StopBuild, answer: bytes) -> BuildIdentity:
    """Compare a master's ``/json/builders/B/builds/N`` with the build to stop.

    The number alone proves nothing: two 0.8 masters can both claim a request, and the claim names
    only the last of them, on which the number may be another build's.
    """
    try:
        build = json.loads(answer)
    # json raises RecursionError for deep nesting, and whoever answers is not trusted.
    except (ValueError, RecursionError):
        return BuildIdentity.OTHER
    if not isinstance(build, dict) or not _matches(step, build):
        return BuildIdentity.OTHER
    # results is null while the build runs (0.8.2, /json/builders/B/builds/N).
    return BuildIdentity.SAME if known_result(build.get("results")) is None else BuildIdentity.ENDED


def _matches(step: StopBuild, build: dict[str, object]) -> bool:
    times = build.get("times")
    start = times[0] if isinstance(times, list) and times else None
    revisions = _revisions(build.get("sourceStamp"))
    return (
        build.get("builderName") == step.buildername
        and isinstance(start, int | float)
        and abs(start - step.start_time) <= CLOCK_TOLERANCE
        # A forced build may have no revision; builder, number and start have to do then.
        and (not revisions or step.revision is None or step.revision in revisions)
    )


def _revisions(source: object) -> set[str]:
    """List the revisions of a build: coalesced requests with changes may have several."""
    if not isinstance(source, dict):
        return set()
    changes = source.get("changes")
    stamps = [source, *(changes if isinstance(changes, list) else [])]
    found = (stamp.get("revision") for stamp in stamps if isinstance(stamp, dict))
    return {revision for revision in found if isinstance(revision, str)}
