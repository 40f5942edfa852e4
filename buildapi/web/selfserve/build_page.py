"""HTML of the page of a build or build request, which lists also show as the panel of a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from buildapi.jobs.build_states import states_of
from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.jobs.step_states import step_state
from buildapi.jobs.warnings import loses
from buildapi.model.build_steps import BuildRecord, BuildStep
from buildapi.model.durations import elapsed
from buildapi.model.json_types import JSONObject
from buildapi.model.records import BranchDay, Build
from buildapi.model.revisions import short_revision
from buildapi.model.steps import Sharer
from buildapi.web.farm.master_links import MasterLinks
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody, encode
from buildapi.web.http.rendering import Page
from buildapi.web.http.template_filters import lasting
from buildapi.web.selfserve.build_surroundings import Surroundings
from buildapi.web.selfserve.listing import ListRow, row
from buildapi.web.selfserve.pages import SelfServePages, events_of
from buildapi.web.selfserve.row_markup import actions

FOLDED = 8
"""Number of properties from which they are folded."""


@attrs.frozen
class NearResult:
    """A build of the same builder: its id, the word for its state, and what its box says."""

    id: int
    state: str
    text: str
    is_this: bool


@attrs.frozen
class ShownStep:
    """A step in a table; ``log`` is the URL of its log on the master, if that has web pages."""

    step: BuildStep
    state: str
    took: int | None
    log: str | None


@attrs.frozen
class SharedProperties:
    """The properties that some requests of a build have alike, by the ids of these."""

    requests: list[int]
    properties: Mapping[str, object]

    @property
    def first(self) -> int:
        """Return the id of the first request."""
        return self.requests[0]

    @property
    def words(self) -> str:
        """Return the requests in words."""
        ids = ", ".join(map(str, self.requests))
        return f"request {ids}" if len(self.requests) == 1 else f"requests {ids}"


@attrs.frozen
class BuildPage:
    """Build the page from the document and from what is read around it."""

    _pages: SelfServePages

    def page(
        self,
        title: str,
        document: JSONBody,
        call: Call,
        branch: str,
        around: Callable[[], Awaitable[Surroundings]],
    ) -> Page:
        """Return the page of one build or build request."""

        async def context() -> Mapping[str, object]:
            item, near = document.value, await around()
            requests = item.get("requests", [item])
            one = _row(item, branch)
            links = self._pages.masters().get(one.master) if one else None
            found = _near(near.results, item)
            at = next((n for n, result in enumerate(found) if result.is_this), None)
            return self._pages.common() | {
                "item": item,
                "row": one,
                "requests": requests,
                "branch": branch,
                "events": events_of(branch, call),
                "on_master": links.build(one.builder, one.number or 0) if links and one else None,
                "actions": actions,
                "shared": loses(_sharers(requests)) if len(requests) > 1 else "",
                "pushes": document.once("pushes", _no_pushes),
                "around": near,
                "near": found,
                "later": found[at - 1] if at else None,
                "earlier": found[at + 1] if at is not None and at + 1 < len(found) else None,
                "failing": _shown(near.record.failing, one, links)
                if near.record and near.record.failing
                else None,
                "steps": _steps(near.record, one, links),
                "states": {result.id: result.state for result in found},
                "asked_by": _asked_by(near, requests),
                "properties": _properties(requests),
                "folded": FOLDED,
            }

        return Page("thing.html", title, context)


def _row(item: JSONObject, branch: str) -> ListRow | None:
    """Return the row of a build, or of a request that waits; None for a request with builds."""
    waits = "requests" not in item and not item["complete"]
    # claimed_by_name is added only while a claimed request has no build yet (docs/api.md,
    # "Reads"); afterwards its build is what can be stopped.
    waits = waits and (not item["claimed_at"] or "claimed_by_name" in item)
    return row(item, branch) if "requests" in item or waits else None


def _near(results: Sequence[Build], item: JSONObject) -> Sequence[NearResult]:
    """Return the boxes of builds; ``is_this`` is the one of the page, if it is a build's."""
    ours = {r["request_id"] for r in item.get("requests", ())}
    this = item.get("buildnumber"), item.get("starttime")
    found = []
    for build, (_, state) in zip(results, states_of(BranchDay(results, [])), strict=True):
        # A build of several requests has a row for each: its id may be that of any of them.
        shares = any(request.id in ours for request in build.requests)
        same = shares and (build.number, build.start_time) == this
        took = elapsed(build.start_time, build.finish_time)
        words = [state, short_revision(build.requests[0].revision or ""), took and lasting(took)]
        text = f"build {build.id}: {', '.join(word for word in words if word)}"
        found.append(NearResult(build.id, state, text, same))
    return found


def _steps(
    record: BuildRecord | None, one: ListRow | None, links: MasterLinks | None
) -> Sequence[ShownStep]:
    return [_shown(step, one, links) for step in record.steps] if record else []


def _shown(step: BuildStep, one: ListRow | None, links: MasterLinks | None) -> ShownStep:
    log = None
    if one is not None and links is not None and step.started is not None:
        log = links.log(one.builder, one.number or 0, step.name)
    return ShownStep(step, step_state(step), elapsed(step.started, step.ended), log)


def _asked_by(near: Surroundings, requests: Sequence[JSONObject]) -> str:
    """Return who asked for a build: the user of its job, or the owner that its properties name."""
    if near.job is not None:
        return near.job.who
    # Buildbot 0.8 sets it of builds that are forced on a master's page.
    owners = [request.get("properties", {}).get("owner") for request in requests]
    return ", ".join(dict.fromkeys(name for name in owners if isinstance(name, str) and name))


def _properties(requests: Sequence[JSONObject]) -> Sequence[SharedProperties]:
    """Return the properties of requests, once where several have the same."""
    found: dict[bytes, SharedProperties] = {}
    for request in requests:
        if of := request.get("properties"):
            # By their JSON: to Python, 1 and true are equal.
            known = found.setdefault(encode(of), SharedProperties([], of))
            known.requests.append(request["request_id"])
    return list(found.values())


def _sharers(requests: Sequence[JSONObject]) -> Sequence[Sharer]:
    """List the requests that share the build of the first one (coalesced by the master)."""
    return [Sharer(r["request_id"], r["branch"], r["revision"]) for r in requests[1:]]


def _no_pushes() -> PushIndex:
    return NO_PUSHES
