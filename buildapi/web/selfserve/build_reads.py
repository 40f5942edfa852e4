"""Serve one build and one build request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import NotFound, Unavailable
from buildapi.interfaces import Builds, JobStore
from buildapi.jobs.push_index import PushIndex
from buildapi.model.branches import Branch
from buildapi.model.rebuilds import RebuildLinks
from buildapi.model.records import BuildDetails, BuildRequest, RequestDetails
from buildapi.parameters.texts import id_of_path
from buildapi.web.http.cache import Kept, SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import branch_topic
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.row_pushes import RowPushes
from buildapi.web.selfserve.serializers import (
    build_details_json,
    request_details_json,
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
    _pages: SelfServePages
    _deadline: Deadline
    _row_pushes: RowPushes
    _log = Logger()

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        b = "/self-serve/{branch}"
        return (
            Route("GET", f"{b}/build/{{build_id}}", self.build, BUILD, (FORMAT,)),
            Route("GET", f"{b}/request/{{request_id}}", self.request, REQUEST, (FORMAT,)),
        )

    async def build(self, call: Call) -> Reply:
        """Show one build."""
        branch, text = self._branch(call.path["branch"]), call.path["build_id"]

        async def document(found: BuildDetails) -> object:
            build = found.build
            links, pushes = await self._beside([build.id], build.requests)
            return build_details_json(found, links, pushes)

        kept = await self._one(branch, "build", text, self._builds.build, document)
        page = self._pages.thing(f"Build {text}", kept.value, call, branch.name)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def request(self, call: Call) -> Reply:
        """Show one build request."""
        branch, text = self._branch(call.path["branch"]), call.path["request_id"]

        async def document(found: RequestDetails) -> object:
            # A rebuild of one of its builds is one of the request.
            links, pushes = await self._beside(found.build_ids, [found.request])
            return request_details_json(found, links, pushes)

        kept = await self._one(branch, "request", text, self._builds.request, document)
        page = self._pages.thing(f"Request {text}", kept.value, call, branch.name)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def _one(
        self,
        branch: Branch,
        kind: str,
        text: str,
        read: Callable[[Branch, int], Awaitable[T | None]],
        document: Callable[[T], Awaitable[object]],
    ) -> Kept[JSONBody]:
        """Return one build or build request; :raises NotFound: it is not on the branch."""
        id_ = id_of_path(text)

        async def compute() -> JSONBody:
            found = None if id_ is None else await read(branch, id_)
            return JSONBody.of(None if found is None else await document(found))

        if id_ is not None:
            topics = [branch_topic(branch.name)]
            kept = await self._answers.kept((kind, id_, branch.name), compute, topics=topics)
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


BUILD = "One build, with the requests it serves and their properties."
REQUEST = "One build request, with its properties and builds."
