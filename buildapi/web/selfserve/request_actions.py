"""Job requests for existing builds and build requests: rebuild, cancel, reprioritize."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from buildapi.errors import BadRequest, NotFound
from buildapi.interfaces import Builds
from buildapi.jobs.warnings import unlisted
from buildapi.model.actions import (
    Action,
    CancelBuild,
    CancelRequest,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.branches import Branch
from buildapi.model.records import BuildRequest, Stage
from buildapi.parameters import job_parameters
from buildapi.parameters.job_parameters import BUILD_ID, NEW_PRIORITY, PRIORITY, REQUEST_ID
from buildapi.parameters.param import Param
from buildapi.parameters.texts import id_of_path, is_digits
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.selfserve.job_routes import CheckedRequest, JobRoute

Find = Callable[[Branch, int], Awaitable[BuildRequest | None]]
"""Read the request of this id, or of the build of this id, on a branch."""


ACTION_OF: Mapping[tuple[str, str], type[Action]] = {
    ("rebuild", "build"): RebuildBuild,
    ("rebuild", "request"): RebuildRequest,
    ("cancel", "build"): CancelBuild,
    ("cancel", "request"): CancelRequest,
    ("priority", "request"): Reprioritize,
}


@attrs.define
class RequestActions:
    """Check these job requests; ``count_max`` bounds the rebuilds of one.

    ``looking`` bounds the time to look up a build or request.  ``is_listed`` returns whether the
    builders file lists a builder, None if that is unknown.
    """

    _builds: Builds
    _count_max: int
    _looking: Deadline
    _is_listed: Callable[[str], bool | None] = lambda _: None

    def routes(self) -> Sequence[JobRoute]:
        """List the routes."""
        return tuple(self.of_items().values())

    def of_items(self) -> Mapping[tuple[str, str], JobRoute]:
        """Return the routes by what people choose on a page: an act, and a build or a request."""
        build, request = "/self-serve/{branch}/build", "/self-serve/{branch}/request"
        one_build, one_request = f"{build}/{{build_id}}", f"{request}/{{request_id}}"
        again = PRIORITY, self._count
        of_build, of_request, new = (BUILD_ID, *again), (REQUEST_ID, *again), (NEW_PRIORITY,)
        found = (
            ("rebuild", "build", "POST", build, self.rebuild_build, REBUILD, of_build),
            ("rebuild", "request", "POST", request, self.rebuild_request, AGAIN, of_request),
            ("cancel", "build", "DELETE", one_build, self.cancel_build, CANCEL_BUILD, ()),
            ("cancel", "request", "DELETE", one_request, self.cancel_request, CANCEL_REQUEST, ()),
            ("priority", "request", "PUT", one_request, self.reprioritize, REPRIORITIZE, new),
        )
        return {
            (act, kind): JobRoute(method, path, check, summary, ACTION_OF[act, kind].name, params)
            for act, kind, method, path, check, summary, params in found
        }

    @property
    def _count(self) -> Param[int]:
        return job_parameters.count(lambda: self._count_max)

    def bound(self, count: int) -> None:
        """Replace the maximum count of rebuilds (after a reload)."""
        self._count_max = count

    async def rebuild_build(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check a rebuild of a build."""
        # Everything that needs no database is checked first: bad parameters are refused even while
        # it is down.
        build_id = BUILD_ID.of(call)
        priority, count = PRIORITY.of(call), self._count.of(call)
        found = await self._build(branch, str(build_id))
        # Found on this branch first: builds of other branches are 404 (docs/compatibility.md,
        # "Branches").
        action = RebuildBuild(build_id, priority, count)
        return _of(found, action, f"Rebuild of build {build_id}", self._warnings(found))

    async def rebuild_request(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check a rebuild of a build request."""
        request_id = REQUEST_ID.of(call)
        priority, count = PRIORITY.of(call), self._count.of(call)
        found = await self._request(branch, str(request_id))
        action = RebuildRequest(request_id, priority, count)
        return _of(found, action, f"Rebuild of request {request_id}", self._warnings(found))

    async def cancel_build(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check the cancel of a build."""
        # 400 here, while reads answer 404 to such an id: clients know both (docs/compatibility.md,
        # "Texts").
        text = _digits(call.path["build_id"], "build_id")
        found = await self._build(branch, text)
        return _of(found, CancelBuild(int(text)), f"Cancel of build {text}")

    async def cancel_request(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check the cancel of a build request."""
        text = _digits(call.path["request_id"], "request_id")
        found = await self._request(branch, text)
        return _of(found, CancelRequest(int(text)), f"Cancel of request {text}")

    async def reprioritize(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check a new priority of a pending build request."""
        text = _digits(call.path["request_id"], "request_id")
        priority = NEW_PRIORITY.of(call)
        found = await self._request(branch, text)
        _must_be_pending(found)
        action = Reprioritize(int(text), priority)
        return _of(found, action, f"Priority {priority} for request {text}")

    def _warnings(self, request: BuildRequest) -> Sequence[str]:
        return unlisted(request.buildername, self._is_listed(request.buildername))

    async def _build(self, branch: Branch, text: str) -> BuildRequest:
        return await self._found("Build", branch, text, self._builds.find_build)

    async def _request(self, branch: Branch, text: str) -> BuildRequest:
        return await self._found("Request", branch, text, self._builds.find_request)

    async def _found(self, kind: str, branch: Branch, text: str, find: Find) -> BuildRequest:
        id_ = id_of_path(text)
        found = None if id_ is None else await self._looking.bound(find(branch, id_))
        if found is None:
            raise NotFound(f"{kind} {text} not found on branch {branch.name}")
        return found


def _of(
    found: BuildRequest, action: Action, words: str, warnings: Sequence[str] = ()
) -> CheckedRequest:
    return CheckedRequest(action, words, warnings, (found.buildername,))


def _digits(text: str, name: str) -> str:
    if not is_digits(text):
        raise BadRequest(f"Non-integer {name}")
    return text


def _must_be_pending(request: BuildRequest) -> None:
    """Refuse a complete or claimed request; the agent checks again, as a master may claim it."""
    if request.stage is Stage.COMPLETE:
        raise BadRequest("Request already complete")
    if request.stage is Stage.CLAIMED:
        raise BadRequest("Request is already running")


REBUILD = "Rebuild a build."
AGAIN = "Rebuild a request."
CANCEL_BUILD = "Cancel a running build."
CANCEL_REQUEST = (
    "Cancel a request: a pending one is removed, the build of a running one is stopped."
)
REPRIORITIZE = "Change the priority of a pending request."
