"""Serve the form for new builds, where people fill in what programs put into paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from buildapi.errors import BadRequest
from buildapi.model.actions import NewBuild, NewBuilderBuild, NewNightly, NewPGOBuild
from buildapi.model.branches import Branch
from buildapi.parameters.job_parameters import DRY_RUN, PRIORITY, WAIT
from buildapi.parameters.param import Param, Place
from buildapi.parameters.types import AnyType, Choice, Schema, Text, Values, only
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import Route
from buildapi.web.selfserve.documents import NewBuildsDocument
from buildapi.web.selfserve.job_routes import COMMON, JobRoute
from buildapi.web.selfserve.submission import JobSubmitter

KINDS = {
    "build": "All scheduled builds",
    "pgo": "PGO builds",
    "nightly": "Nightly builds",
    "builder": "Single builder",
}
KIND_ACTIONS = {
    "build": NewBuild.name,
    "pgo": NewPGOBuild.name,
    "nightly": NewNightly.name,
    "builder": NewBuilderBuild.name,
}


@attrs.frozen
class BuildForm:
    """Serve the form and accept it; ``builders`` returns the builder names of a branch.

    ``kinds`` has the route of each kind of new builds.
    """

    _branch: Callable[[str], Branch]
    _builders: Callable[[Branch], Awaitable[JSONBody]]
    _kinds: Mapping[str, JobRoute]
    _submitter: JobSubmitter

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        path = "/self-serve/{branch}/new"
        return [
            Route("GET", path, self.form, FORM, (FILLED_REVISION, FILLED_BUILDER)),
            Route("POST", path, self.submit, SUBMIT, PARAMS, job=True),
        ]

    async def form(self, call: Call) -> Reply:
        """Show the form, filled in from the query."""
        branch = self._branch(call.path["branch"])
        told: NewBuildsDocument = {
            "branch": branch.name,
            "kinds": KINDS,
            "revision": FILLED_REVISION.of(call),
            "builder": FILLED_BUILDER.of(call),
        }

        async def context() -> Mapping[str, object]:
            names = (await self._builders(branch)).value
            return {**told, "builders": names, "kind_actions": KIND_ACTIONS}

        page = Page("new.html", f"New builds on {branch.name}", context)
        return Reply(JSONBody.of(told), page)

    async def submit(self, call: Call) -> Reply:
        """Submit the job request of a filled form."""
        branch = self._branch(call.path["branch"])
        kind = KIND.of(call)
        values = {"branch": branch.name, "revision": REVISION.of(call)}
        body = {p.name: p.raw(call) for p in (PRIORITY, DRY_RUN, WAIT)}
        if kind == "builder":
            values["builder"] = BUILDER.of(call)
            body |= {"properties": PROPERTIES.of(call), "files": FILES.of(call)}
        route = self._kinds[kind]
        reply = await self._submitter.serve(route, route.call(call, values, body))
        # New builds answer 202 with the job even as HTML, since their clients read the answer
        # (docs/api.md, "Job requests"). People who filled in this form are led to the job.
        if reply.status != 202:
            return reply
        return attrs.evolve(
            reply, location=f"/self-serve/jobs/{reply.document.value['request_id']}"
        )


class Name(Text):
    """A text that is needed, without blanks around."""

    def parse(self, name: str, values: Values) -> str | None:
        """Return the text; None if it is empty."""
        return (super().parse(name, values) or "").strip() or None

    def missing(self, name: str) -> BadRequest:
        """Return the error for a missing text."""
        return BadRequest(f"Bad {name}: a {name} is needed")


class PropertyLines(AnyType):
    """Properties: JSON as it is, which the job request parses, or the lines as a dict."""

    def parse(self, name: str, values: Values) -> Any:
        """Return the properties."""
        text = _text(name, values)
        if not text or text.startswith("{"):
            return text
        pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
        wrong = [name for name, mark, _ in pairs if not mark]
        if wrong:
            raise BadRequest(f"Bad {name}: {wrong[0][:60]!r} (expected NAME=VALUE)")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return how they are written."""
        return "a JSON object, or one NAME=VALUE per line"


class FileLines(AnyType):
    """Files: JSON as it is, which the job request parses, or the lines as a list."""

    def parse(self, name: str, values: Values) -> Any:
        """Return the files."""
        text = _text(name, values)
        if not text or text.startswith("["):
            return text
        return [line.strip() for line in text.splitlines() if line.strip()]

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return how they are written."""
        return "a JSON list, or one file per line"


def _text(name: str, values: Values) -> str:
    value = only(name, values)
    return value.strip() if isinstance(value, str) else ""


FORM = "The form for new builds."
SUBMIT = "Submit the form for new builds."
FILLED_REVISION = Param("revision", "the revision to fill in", Text(), default="")
FILLED_BUILDER = Param("builder", "the builder to fill in", Text(), default="")
BODY = Place.BODY
KIND = Param("kind", "what to build", Choice(tuple(KINDS)), BODY, needed=True)
REVISION = Param("revision", "the revision to build", Name(), BODY, needed=True)
BUILDER = REVISION.changed(name="builder", meaning="the builder, if kind is builder")
PROPERTIES = Param("properties", "properties of the build", PropertyLines(), BODY)
FILES = Param("files", "files of the change", FileLines(), BODY)
PARAMS = (KIND, REVISION, BUILDER, PRIORITY, PROPERTIES, FILES, *COMMON)
