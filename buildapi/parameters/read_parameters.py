"""Parameters of reads, which the commands have as options, too."""

from __future__ import annotations

from buildapi.model.actions import ACTIONS
from buildapi.model.records import JobState
from buildapi.parameters.param import Param
from buildapi.parameters.types import Choice, Text, TolerantInteger

OFFSET_MAX = 2**31 - 1

# --- of lists of job requests
OFFSET = Param("offset", "number of newest ones to skip", TolerantInteger(0, OFFSET_MAX), default=0)
WHO = Param("who", "only job requests of this user", Text())
BRANCH = Param("branch", "only job requests of this branch", Text())
ACTION = Param("action", "only job requests of this action", Choice(tuple(ACTIONS)))
STATE = Param("state", "only job requests in this state", Choice(tuple(s.value for s in JobState)))

# --- of is_done
STABLE_DELAY = 180
STABLE = Param(
    "stableDelay",
    "seconds since its end after which a build counts as ended",
    TolerantInteger(),
    default=STABLE_DELAY,
)
