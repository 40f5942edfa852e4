"""Parameters of subscriptions to events, which the commands have as options, too."""

from __future__ import annotations

import attrs

from buildapi.errors import BadRequest
from buildapi.parameters.param import Param
from buildapi.parameters.texts import bad, id_of_path
from buildapi.parameters.types import Schema, Texts, Values

# The list of job requests subscribes to up to 100 (`query` in static/scripts/events.js).
VALUES_MAX = 100
"""Maximum values of one parameter; more are refused."""


@attrs.frozen
class SubscribedTexts(Texts):
    """Branches or revisions to subscribe to."""

    most: int = VALUES_MAX

    def too_many(self, name: str, times: int) -> BadRequest:  # noqa: ARG002  # clients know it
        """Return the error for too many values."""
        return BadRequest(f"Parameter {name} is given more than {self.most} times")


@attrs.frozen
class SubscribedJobs(SubscribedTexts):
    """Jobs to subscribe to."""

    def parse(self, name: str, values: Values) -> tuple[str, ...] | None:
        """Return ids, ``mine`` and ``all``."""
        texts = super().parse(name, values)
        for text in texts or ():
            if text not in ("mine", "all") and id_of_path(text) is None:
                raise bad(name, text, "ids of jobs, mine and all")
        return texts

    def schema(self) -> Schema:
        """Return the JSON schema."""
        item = {"type": "string", "pattern": "^([0-9]{1,30}|mine|all)$"}
        return {"type": "array", "items": item, "maxItems": self.most}


BRANCH = Param(
    "branch", "events of builds, requests and jobs of this branch", SubscribedTexts(), default=()
)
REVISION = Param(
    "revision", "events of builds and requests of this revision", SubscribedTexts(), default=()
)
JOB = Param("job", "a job id, mine or all", SubscribedJobs(), default=())
SUBSCRIBED = BRANCH, REVISION, JOB
