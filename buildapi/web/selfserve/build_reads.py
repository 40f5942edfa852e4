"""Serve one build, its steps, and one build request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import NotFound, Unavailable
from buildapi.interfaces import Builds, BuildSteps, JobStore
from buildapi.jobs.push_index import PushIndex
from buildapi.model.branches import Branch
from buildapi.model.rebuilds import RebuildLinks
from buildapi.model.records import Build, BuildDetails, BuildRequest, RequestDetails
from buildapi.parameters.texts import id_of_path
from buildapi.web.http.cache import Kept, SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import branch_topic
from buildapi.web.selfserve.build_page import BuildPage
from buildapi.web.selfserve.build_surroundings import BuildPlace, SurroundingReads, Surroundings
from buildapi.web.selfserve.row_pushes import RowPushes
from buildapi.web.selfserve.serializers import (
    build_details_json,
    request_details_json,
    steps_json,
)

T = TypeVar("T")


@attrs.define
class BuildReads:
    """Serve one build or build request; ``branch`` returns a branch by name or raises NotFound.

    ``deadline`` bounds what is read beside it, and is shorter than that of a request.
    """

    _branch: Callable[[str], Branch]
    _builds: Builds
    _store: JobStore
    _answers: SingleFlightCache[JSONBody]
    _page: BuildPage
    _deadline: Deadline
    _row_pushes: RowPushes
    _surroundings: SurroundingReads
    _steps: BuildSteps
    _log = Logger()

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        b = "/self-serve/{branch}"
        return (
            Route("GET", f"{b}/build/{{build_id}}", self.build, BUILD, (FORMAT,)),
            Route("GET", f"{b}/build/{{build_id}}/steps", self.steps, STEPS, (FORMAT,)),
            Route("GET", f"{b}/request/{{request_id}}", self.request, REQUEST, (FORMAT,)),
        )

    async def build(self, call: Call) -> Reply:
        """Show one build."""
        branch, text = self._branch(call.path["branch"]), call.path["build_id"]

        async def document(found: BuildDetails) -> JSONBody:
            build = found.build
            links, pushes = await self._beside([build.id], build.requests)
            body = JSONBody.of(build_details_json(found, links, pushes))
            place = _place(branch, build.requests[0], links, build=build)
            return _with(body, place, pushes)

        kept = await self._one(branch, "build", text, self._builds.build, document)
        return self._reply(f"Build {text} of", kept, call, branch)

    async def request(self, call: Call) -> Reply:
        """Show one build request."""
        branch, text = self._branch(call.path["branch"]), call.path["request_id"]

        async def document(found: RequestDetails) -> JSONBody:
            # A rebuild of one of its builds is one of the request.
            links, pushes = await self._beside(found.build_ids, [found.request])
            body = JSONBody.of(request_details_json(found, links, pushes))
            newest = max(found.build_ids, default=None)
            return _with(body, _place(branch, found.request, links, newest=newest), pushes)

        kept = await self._one(branch, "request", text, self._builds.request, document)
        return self._reply(f"Request {text} for", kept, call, branch)

    async def steps(self, call: Call) -> Reply:
        """List the steps of a build, as its master reports them."""
        branch, text = self._branch(call.path["branch"]), call.path["build_id"]

        async def document(found: BuildDetails) -> JSONBody:
            return JSONBody.of(steps_json(await self._steps.of_build(found.build)))

        kept = await self._one(branch, "build", text, self._builds.build, document, part="steps")
        reply = Reply.data(f"Steps of build {text}", kept.value)
        return attrs.evolve(reply, freshness=kept.freshness)

    def _reply(self, title: str, kept: Kept[JSONBody], call: Call, branch: Branch) -> Reply:
        document = kept.value
        place: BuildPlace = document.once("place", _nowhere)

        async def around() -> Surroundings:
            async def compute() -> JSONBody:
                found = await self._surroundings.around(place)
                return JSONBody.of_page(found, len(found.results))

            # For each page of this document, whose user may differ.
            key = ("around", *place.key, branch.name)
            topics = [branch_topic(branch.name)]
            found: Surroundings = (
                await self._answers.kept(key, compute, topics=topics)
            ).value.value
            return found

        title = f"{title} {place.builder}"
        page = self._page.page(title, document, call, branch.name, around)
        return Reply(document, page, freshness=kept.freshness)

    async def _one(
        self,
        branch: Branch,
        kind: str,
        text: str,
        read: Callable[[Branch, int], Awaitable[T | None]],
        document: Callable[[T], Awaitable[JSONBody]],
        *,
        part: str = "",
    ) -> Kept[JSONBody]:
        """Return one build or build request; :raises NotFound: it is not on the branch."""
        id_ = id_of_path(text)

        async def compute() -> JSONBody:
            found = None if id_ is None else await read(branch, id_)
            return JSONBody.of(None) if found is None else await document(found)

        if id_ is not None:
            topics = [branch_topic(branch.name)]
            kept = await self._answers.kept((kind, id_, part, branch.name), compute, topics=topics)
            if kept.value.value is not None:
                return kept
        raise NotFound(f"{kind.capitalize()} {text} not found on branch {branch.name}")

    async def _beside(
        self, builds: Sequence[int], requests: Sequence[BuildRequest]
    ) -> tuple[RebuildLinks | None, PushIndex]:
        """Return the rebuilds and the pushes of requests and their builds."""
        # The first is begun before the second is awaited: they are of two databases.
        linked = defer.ensureDeferred(self._rebuilds(builds, [r.id for r in requests]))
        pushes = await self._row_pushes.of(r.revision for r in requests)
        return await linked, pushes

    async def _rebuilds(
        self, builds: Sequence[int], requests: Sequence[int]
    ) -> RebuildLinks | None:
        """Return the links of rebuilds; None if the jobs database does not respond in time."""
        try:
            return await self._deadline.bound(self._store.rebuilds(builds, requests))
        except Unavailable as e:
            self._log.warn("a build is shown without its rebuilds: {msg}", msg=e.msg)
            return None


def _place(
    branch: Branch,
    request: BuildRequest,
    links: RebuildLinks | None,
    *,
    build: Build | None = None,
    newest: int | None = None,
) -> BuildPlace:
    job = links.origins[0].job_id if links and links.origins else None
    return BuildPlace(branch, request.buildername, request.id, build, newest, job)


def _with(body: JSONBody, place: BuildPlace, pushes: PushIndex) -> JSONBody:
    """Keep beside a document what only its page shows."""
    body.once("place", lambda: place)
    body.once("pushes", lambda: pushes)
    return body


def _nowhere() -> BuildPlace:
    raise LookupError("a document of a build has no place")


STEPS = "The worker and the steps of a build, as its master reports them."
BUILD = "One build, with the requests it serves and their properties."
REQUEST = "One build request, with its properties and builds."
