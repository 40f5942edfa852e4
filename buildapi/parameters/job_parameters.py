"""Parameters of job requests, which the commands have as options, too."""

from __future__ import annotations

from buildapi.model.validators import GLOBS_MAX, INT32_MAX, INT32_MIN, NAME_MAX
from buildapi.parameters.param import Param, Place
from buildapi.parameters.types import (
    AsSent,
    Bound,
    Choice,
    Id,
    JSONObject,
    JSONTexts,
    Patterns,
    Seconds,
    Switch,
    TerseInteger,
    Text,
)

WAIT_MAX = 60
REASON_MAX = 200
BODY, EITHER = Place.BODY, Place.EITHER

# --- of every job request
DRY_RUN = Param(
    "dry_run", "show what would be done, and change nothing", Switch(), EITHER, default=False
)
WAIT = Param(
    "wait",
    "answer when the job is finished, or after so many seconds",
    Seconds(WAIT_MAX),
    EITHER,
    default=0.0,
)

# --- of builds and build requests
INT32 = TerseInteger(INT32_MIN, INT32_MAX)
PRIORITY = Param(
    "priority", "priority of the new requests; higher runs earlier", INT32, BODY, default=0
)
NEW_PRIORITY = Param("priority", "the new priority; higher runs earlier", INT32, BODY, needed=True)
BUILD_ID = Param("build_id", "the build to rebuild", Id(), BODY, needed=True)
REQUEST_ID = Param("request_id", "the request to rebuild", Id(), BODY, needed=True)


def count(high: Bound = None) -> Param[int]:
    """Return the number of rebuilds, bounded by that of the configuration where it is known."""
    return Param("count", "number of rebuilds", TerseInteger(1, high), BODY, default=1)


# --- of revisions
ONLY = Param("only", "cancel only these", AsSent(Choice(("pending", "running"))), EITHER)
BUILDER = Param(
    "builder",
    "a pattern such as *talos*: cancel only on these builders",
    Patterns(GLOBS_MAX, NAME_MAX),
    EITHER,
    default=(),
)
EXCLUDE_BUILDS = Param(
    "exclude_builds", "do not cancel compile builds", Switch(), EITHER, default=False
)
REASON = Param(
    "reason",
    "the reason, shown with the stopped builds",
    AsSent(Text(0, REASON_MAX)),
    EITHER,
    default="",
)
IGNORED_PRIORITY = Param(
    "priority",
    "accepted and ignored: schedulers set the priority of their builds",
    AsSent(INT32),
    BODY,
    deprecated=True,
)
PROPERTIES = Param("properties", "properties of the build", JSONObject(), BODY, default=dict)
FILES = Param(
    "files",
    "files of the change; for tests, the URLs of the builds to test",
    JSONTexts(),
    BODY,
    default=(),
)
