"""The job requests of self-serve: checked, accepted at once, carried out by an agent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from buildapi.errors import BadRequest, NotFound
from buildapi.interfaces import Builds
from buildapi.model.actions import (
    INT32_MAX,
    INT32_MIN,
    Action,
    CancelBuild,
    CancelRequest,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.branches import Branch
from buildapi.model.records import BuildRequest, Stage
from buildapi.web.answers import Document
from buildapi.web.call import Call
from buildapi.web.deadline import Deadline
from buildapi.web.desk import Desk
from buildapi.web.form import Form
from buildapi.web.params import form_integer, id_of_path, is_digits, within
from buildapi.web.render import Page, Reply
from buildapi.web.routes import Param, Route

PRIORITY = Param("priority", "a whole number of 32 bits, higher runs earlier; default 0")


@attrs.define
class JobRequests:
    """Accept job requests; ``count_max`` bounds the rebuilds of one.

    ``looking`` bounds how long it may take to find out whether a thing is there.
    """

    _branch: Callable[[str], Branch]
    _builds: Builds
    _desk: Desk
    _count_max: int
    _looking: Deadline

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        build, request = "/self-serve/{branch}/build", "/self-serve/{branch}/request"
        one_build, one_request = f"{build}/{{build_id}}", f"{request}/{{request_id}}"
        count = Param("count", f"how many times, 1 to {self._count_max}; default 1")
        build_id = Param("build_id", "which build")
        request_id = Param("request_id", "which request")
        new = Param("priority", "the new priority, a whole number of 32 bits; higher runs earlier")
        return (
            Route("POST", build, self.rebuild_build, REBUILD, (build_id, PRIORITY, count), True),
            Route(
                "POST", request, self.rebuild_request, AGAIN, (request_id, PRIORITY, count), True
            ),
            Route("DELETE", one_build, self.cancel_build, CANCEL_BUILD, (), True),
            Route("DELETE", one_request, self.cancel_request, CANCEL_REQUEST, (), True),
            Route("PUT", one_request, self.reprioritize, REPRIORITIZE, (new,), True),
        )

    async def rebuild_build(self, call: Call) -> Reply:
        """Rebuild a build."""
        who, branch = call.user, self._branch(call.path["branch"])
        build_id = form_integer(call.form, "build_id")
        priority, count = _priority(call.form, 0), self._count(call.form)
        await self._build(branch, str(build_id))
        action = RebuildBuild(build_id, priority, count)
        return await self._accept(action, who, f"Rebuild of build {build_id}")

    async def rebuild_request(self, call: Call) -> Reply:
        """Rebuild a request."""
        who, branch = call.user, self._branch(call.path["branch"])
        request_id = form_integer(call.form, "request_id")
        priority, count = _priority(call.form, 0), self._count(call.form)
        await self._request(branch, str(request_id))
        action = RebuildRequest(request_id, priority, count)
        return await self._accept(action, who, f"Rebuild of request {request_id}")

    async def cancel_build(self, call: Call) -> Reply:
        """Cancel a build."""
        who, branch = call.user, self._branch(call.path["branch"])
        text = _digits(call.path["build_id"], "build_id")
        await self._build(branch, text)
        return await self._accept(CancelBuild(int(text)), who, f"Cancel of build {text}")

    async def cancel_request(self, call: Call) -> Reply:
        """Cancel a request."""
        who, branch = call.user, self._branch(call.path["branch"])
        text = _digits(call.path["request_id"], "request_id")
        await self._request(branch, text)
        return await self._accept(CancelRequest(int(text)), who, f"Cancel of request {text}")

    async def reprioritize(self, call: Call) -> Reply:
        """Give a pending request another priority."""
        who, branch = call.user, self._branch(call.path["branch"])
        text = _digits(call.path["request_id"], "request_id")
        priority = _priority(call.form)
        _must_be_pending(await self._request(branch, text))
        action = Reprioritize(int(text), priority)
        return await self._accept(action, who, f"Priority {priority} for request {text}")

    def _count(self, form: Form) -> int:
        return within("count", form_integer(form, "count", 1), 1, self._count_max)

    async def _build(self, branch: Branch, text: str) -> None:
        build_id = id_of_path(text)
        if build_id is None or not await self._looking.bound(self._builds.build(branch, build_id)):
            raise NotFound(f"Build {text} not found on branch {branch.name}")

    async def _request(self, branch: Branch, text: str) -> BuildRequest:
        request_id = id_of_path(text)
        read = None if request_id is None else self._builds.request(branch, request_id)
        found = await self._looking.bound(read) if read else None
        if found is None:
            raise NotFound(f"Request {text} not found on branch {branch.name}")
        return found.request

    async def _accept(self, action: Action, who: str, words: str) -> Reply:
        job_id = await self._desk.accept(action, who)
        msg = f"{words} is queued as job {job_id}"
        return Reply(
            Document.of({"status": "OK", "request_id": job_id, "msg": msg}),
            Page("accepted.html", "Accepted", {"msg": msg, "job_id": job_id}),
            status=202,
            location=f"/self-serve/jobs/{job_id}",
            fresh=True,
        )


def _priority(form: Form, default: int | None = None) -> int:
    return within("priority", form_integer(form, "priority", default), INT32_MIN, INT32_MAX)


def _digits(text: str, name: str) -> str:
    if not is_digits(text):
        raise BadRequest(f"Non-integer {name}")
    return text


def _must_be_pending(request: BuildRequest) -> None:
    """Refuse what is decided already; the agent looks again before it writes."""
    if request.stage is Stage.COMPLETE:
        raise BadRequest("Request already complete")
    if request.stage is Stage.CLAIMED:
        raise BadRequest("Request is already running")


REBUILD = "Build again what a build built."
AGAIN = "Ask again for what a request asked for."
CANCEL_BUILD = "Stop a running build."
CANCEL_REQUEST = "Drop a pending request, or stop the build of a running one."
REPRIORITIZE = "Give a pending request another priority."
