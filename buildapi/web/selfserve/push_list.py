"""Serve lists of pushes: of a branch, of all branches, and of an author on all branches."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from urllib.parse import urlencode

import attrs

from buildapi.errors import NotFound
from buildapi.interfaces import Directory
from buildapi.jobs.push_selection import PushSelection
from buildapi.jobs.push_summary import PushJob, PushSummary
from buildapi.model.branches import Branch
from buildapi.model.pushes import PushFilter, PushPlace
from buildapi.parameters.param import AnyParam
from buildapi.parameters.push_parameters import (
    AFTER,
    AUTHOR,
    BUILDER,
    FAILURES,
    JOBS,
    LIMIT,
    REVISION,
    SHOW,
    STATE,
    UNFINISHED,
    cursor,
)
from buildapi.parameters.read_parameters import since, until
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.path_converter import segment
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import FARM, branch_topic, revision_topic, revisions_topic
from buildapi.web.selfserve.documents import (
    PushDocument,
    PushJobDocument,
    PushListDocument,
)
from buildapi.web.selfserve.push_pages import PushPages, ShownPushes
from buildapi.web.selfserve.push_reader import PushList, PushReader


@attrs.frozen
class _Asked:
    """What a call asks for: the pushes, the jobs of them, and how they are shown.

    ``query`` are the parameters of the call that links to other parts of the list keep.
    """

    wanted: PushFilter
    selection: PushSelection
    limit: int
    revision: str | None
    jobs: bool
    query: tuple[tuple[str, str], ...]

    @property
    def key(self) -> Hashable:
        """Return what an answer depends on."""
        names = tuple(branch.name for branch in self.wanted.branches)
        wanted = attrs.evolve(self.wanted, branches=())
        return names, wanted, self.selection, self.limit, self.revision, self.jobs, self.query


@attrs.define
class PushLists:
    """Serve lists of pushes."""

    _directory: Directory
    _reader: PushReader
    _answers: SingleFlightCache[JSONBody]
    _pages: PushPages

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        span = since(self._pages.zone), until(self._pages.zone)
        jobs = (STATE, BUILDER, UNFINISHED, FAILURES)
        shown = (REVISION, *span, *jobs, JOBS, LIMIT, AFTER, SHOW, FORMAT)
        listed: tuple[AnyParam, ...] = (AUTHOR, *shown)
        return (
            Route("GET", "/self-serve/pushes", self.farm, FARM_PUSHES, listed),
            Route("GET", "/self-serve/user/{user}", self.user, USER_PUSHES, shown),
            Route("GET", "/self-serve/{branch}/pushes", self.branch, BRANCH_PUSHES, listed),
        )

    async def branch(self, call: Call) -> Reply:
        """List the pushes of a branch."""
        name = call.path["branch"]
        branch = self._directory.branches().get(name)
        if branch is None:
            raise NotFound(f"Branch {name} not found")
        asked = self._asked(call, (branch,))
        topics: Sequence[Hashable] = [branch_topic(name)]
        if asked.revision is not None:
            topics = [revisions_topic(name), revision_topic(name, asked.revision)]
        place = ShownPushes(f"/self-serve/{segment(name)}/pushes", branch=name)
        return await self._listed(call, asked, place, topics)

    async def farm(self, call: Call) -> Reply:
        """List the pushes of all branches."""
        asked = self._asked(call, self._branches())
        return await self._listed(call, asked, ShownPushes("/self-serve/pushes"), [FARM])

    async def user(self, call: Call) -> Reply:
        """List the pushes of an author on all branches."""
        user = call.path["user"]
        asked = self._asked(call, self._branches(), user)
        place = ShownPushes(f"/self-serve/user/{segment(user)}", user=user)
        return await self._listed(call, asked, place, [FARM])

    def _branches(self) -> tuple[Branch, ...]:
        return tuple(self._directory.branches().by_name.values())

    def _asked(self, call: Call, branches: tuple[Branch, ...], user: str | None = None) -> _Asked:
        """Return what a call asks for; :raises BadRequest: a parameter is invalid."""
        wanted = PushFilter(
            branches,
            author=AUTHOR.of(call) if user is None else user,
            since=since(self._pages.zone).of(call),
            until=until(self._pages.zone).of(call),
            after=AFTER.of(call),
        )
        selection = PushSelection(
            STATE.of(call), BUILDER.of(call), UNFINISHED.of(call), FAILURES.of(call)
        )
        SHOW.of(call)
        names = (AUTHOR.name, *KEPT) if user is None else KEPT
        kept = tuple((n, v) for n in names for v in call.query.get(n, ()) if v)
        return _Asked(wanted, selection, LIMIT.of(call), REVISION.of(call), JOBS.of(call), kept)

    async def _listed(
        self, call: Call, asked: _Asked, place: ShownPushes, topics: Sequence[Hashable]
    ) -> Reply:
        async def compute() -> JSONBody:
            found = await self._read(asked)
            if call.html:
                return JSONBody.of_page(found, found.rows, found.text)
            following = _next(call.mount, place.path, asked, found.next)
            told: PushListDocument = {
                "pushes": [push_json(one, with_jobs=asked.jobs) for one in found.pushes],
                "next": following,
            }
            return JSONBody.of(told)

        # With the mount prefix, which links of the document begin with.
        key = ("pushes of", call.mount, place.path, asked.key, call.html)
        kept = await self._answers.kept(key, compute, topics=topics)
        page = self._pages.page(place, kept.value, asked.selection, asked.query, call)
        headers: Mapping[str, str] = {}
        if not call.html and kept.value.value["next"] is not None:
            # [RFC 8288, 3]
            headers = {"link": f'<{kept.value.value["next"]}>; rel="next"'}
        return Reply(kept.value, page, headers=headers, freshness=kept.freshness)

    async def _read(self, asked: _Asked) -> PushList:
        if asked.revision is not None:
            return await self._reader.of_revision(asked.wanted, asked.revision, asked.selection)
        return await self._reader.read(asked.wanted, asked.selection, asked.limit)


def _next(mount: str, path: str, asked: _Asked, place: PushPlace | None) -> str | None:
    if place is None:
        return None
    query = urlencode([*asked.query, (AFTER.name, cursor(place))], errors="replace")
    return f"{mount}{path}?{query}"


def push_json(one: PushSummary, *, with_jobs: bool) -> PushDocument:
    """Return a push as JSON."""
    push = one.push
    told: PushDocument = {
        "branch": push.branch.name,
        "revision": push.revision,
        "author": push.first.author,
        "comments": push.first.subject,
        "when": push.when,
        "changes": len(push.changes),
        "revlink": push.first.revlink,
        "pushed_with": [{"revision": p.revision, "comments": p.first.subject} for p in one.others],
        "counts": dict(one.counts),
        "job_complete": one.complete,
        "job_passed": one.passed,
        "started": one.started,
        "ended": one.ended,
        "expected_seconds": one.expected,
    }
    if one.omits_jobs:
        told["jobs_omitted"] = True
    if with_jobs:
        told["jobs"] = list(map(_job_json, one.jobs))
    return told


def _job_json(job: PushJob) -> PushJobDocument:
    return {
        "build_id": job.build_id,
        "request_id": job.requests[0],
        "requests": list(job.requests),
        "buildername": job.builder,
        "state": job.state,
        "platform": job.of.platform,
        "kind": job.of.kind,
        "symbol": job.of.symbol,
        "submittime": job.submitted,
        "starttime": job.started,
        "endtime": job.ended,
        "priority": job.priority,
        "claimed_by_name": job.master or None,
    }


KEPT = (
    "revision",
    "since",
    "until",
    "state",
    "builder",
    "unfinished",
    "failures",
    "jobs",
    "limit",
    "show",
    "format",
)
"""Parameters that the link to the next part keeps: all but the place."""

BRANCH_PUSHES = "Pushes of a branch, newest first, with their jobs and a summary."
FARM_PUSHES = "Pushes of all branches, newest first, with their jobs and a summary."
USER_PUSHES = "Pushes of an author on all branches, newest first."
