"""Serve the form for new builds, where people fill in what programs put into paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from buildapi.errors import BadRequest
from buildapi.model.branches import Branch
from buildapi.web.http.call import Call
from buildapi.web.http.form import Form
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.params import one_of, only_value, single
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import Param, Route
from buildapi.web.selfserve.job_routes import COMMON, JobRoute
from buildapi.web.selfserve.submission import JobSubmitter

KINDS = {
    "build": "All scheduled builds",
    "pgo": "PGO builds",
    "nightly": "Nightly builds",
    "builder": "Single builder",
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
            Route("GET", path, self.form, FORM, (REVISION, BUILDER)),
            Route("POST", path, self.submit, SUBMIT, PARAMS, job=True),
        ]

    async def form(self, call: Call) -> Reply:
        """Show the form, filled in from the query."""
        branch = self._branch(call.path["branch"])
        filled = {n: single(call.query, n) or "" for n in ("revision", "builder")}

        async def context() -> Mapping[str, object]:
            names = (await self._builders(branch)).value
            return {"branch": branch.name, "kinds": KINDS, "builders": names, **filled}

        page = Page("new.html", f"New builds on {branch.name}", context)
        return Reply(JSONBody.of({"branch": branch.name, "kinds": KINDS, **filled}), page)

    async def submit(self, call: Call) -> Reply:
        """Submit the job request of a filled form."""
        branch, form, query = self._branch(call.path["branch"]), call.form, call.query
        kind = one_of("kind", form.text("kind") or "", list(KINDS))
        values = {"branch": branch.name, "revision": _needed(form, "revision")}
        body = {name: only_value(query, form, name) for name in ("priority", "dry_run", "wait")}
        if kind == "builder":
            values["builder"] = _needed(form, "builder")
            body |= {"properties": _properties(form), "files": _files(form)}
        route = self._kinds[kind]
        reply = await self._submitter.serve(route, route.call(call, values, body))
        # New builds answer 202 with the job even as HTML, since their clients read the answer
        # (docs/api.md, "Job requests"). People who filled in this form are led to the job.
        if reply.status != 202:
            return reply
        return attrs.evolve(
            reply, location=f"/self-serve/jobs/{reply.document.value['request_id']}"
        )


def _needed(form: Form, name: str) -> str:
    """Return a text of the form; :raises BadRequest: it is missing or empty."""
    text = (form.text(name) or "").strip()
    if not text:
        raise BadRequest(f"Bad {name}: a {name} is needed")
    return text


def _properties(form: Form) -> Any:
    """Return the properties: JSON as it is, or the ``name=value`` lines as a dict."""
    text = (form.text("properties") or "").strip()
    if not text or text.startswith("{"):
        return text
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    wrong = [name for name, mark, _ in pairs if not mark]
    if wrong:
        raise BadRequest(f"Bad properties: {wrong[0][:60]!r} (expected NAME=VALUE)")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _files(form: Form) -> Any:
    """Return the files: JSON as it is, or the lines as a list."""
    text = (form.text("files") or "").strip()
    if not text or text.startswith("["):
        return text
    return [line.strip() for line in text.splitlines() if line.strip()]


FORM = "The form for new builds."
SUBMIT = "Submit the form for new builds."
REVISION = Param("revision", "the revision to fill in")
BUILDER = Param("builder", "the builder to fill in")
PARAMS = (
    Param("kind", "build, pgo, nightly or builder"),
    Param("revision", "the revision to build"),
    Param("builder", "the builder, if kind is builder"),
    Param("priority", "a 32-bit integer; default 0"),
    Param("properties", "a JSON object, or one NAME=VALUE per line"),
    Param("files", "a JSON list, or one file per line"),
    *COMMON,
)
