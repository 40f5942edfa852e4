"""JSON of builds, build requests and jobs, as existing clients know it [docs/api.md]."""

from __future__ import annotations

from typing import cast

from buildapi.jobs.completeness import status
from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.jobs.step_states import step_state
from buildapi.model.build_steps import BuildRecord, BuildStep
from buildapi.model.rebuilds import OF_BUILD, OF_REQUEST, Rebuild, RebuildLinks
from buildapi.model.records import (
    BranchDay,
    Build,
    BuildDetails,
    BuildRequest,
    JobRecord,
    RequestDetails,
    Stage,
    UserBuilds,
)
from buildapi.model.wire import readable_items, readable_report
from buildapi.web.selfserve.documents import (
    BuildDetailsDocument,
    BuildDocument,
    BuildFields,
    BuildStepDocument,
    BuildStepsDocument,
    JobDocument,
    OpenRequestDocument,
    RebuildOfDocument,
    RebuildsFields,
    RequestDetailsDocument,
    RequestDocument,
    UserDocument,
)


def request_json(request: BuildRequest) -> RequestDocument:
    """Return a build request as JSON; clients tell a pending one by its missing ``status``."""
    return {
        "request_id": request.id,
        "buildername": request.buildername,
        "branch": request.branch,
        "revision": request.revision,
        "submittime": request.submitted_at,
        # Clients check that it is an integer: a JSON boolean would fail them.
        "complete": int(request.complete),
        "complete_at": request.complete_at,
        "priority": request.priority,
        "claimed_at": request.claimed_at,
        "reason": request.reason,
    }


def alone_json(request: BuildRequest, pushes: PushIndex = NO_PUSHES) -> OpenRequestDocument:
    """Return a request that is an item of its own: open without a build, or dropped.

    It has ``claimed_by_name`` if a master has claimed it and is starting its build, ``author``
    and ``comments`` if its push is known.
    """
    # Not copied: lists have thousands.
    shaped = cast("OpenRequestDocument", request_json(request))
    if request.stage is Stage.CLAIMED:
        shaped["claimed_by_name"] = request.claimed_by_name
    _add_push(shaped, request, pushes)
    return shaped


def _add_push(
    shaped: BuildDocument | OpenRequestDocument, request: BuildRequest, pushes: PushIndex
) -> None:
    """Add whose push it is, if that is known: an item without one looks as it always did."""
    words = pushes.words(request.branch, request.revision)
    if words is not None:
        shaped["author"], shaped["comments"] = words


def build_json(build: Build, pushes: PushIndex = NO_PUSHES) -> BuildDocument:
    """Return a build as JSON; ``status`` is the result of its request, ``branch`` as stored.

    Several ``requests`` were coalesced by the master.  ``abandoned`` is true, or missing: a
    Buildbot 0.8 master that is killed leaves the builds row without an end for ever.  ``author``
    and ``comments`` are of the push of the first request, and missing if that is not known.
    """
    first = build.requests[0]
    shaped: BuildDocument = {
        "build_id": build.id,
        "buildnumber": build.number,
        "buildername": first.buildername,
        "branch": first.branch,
        "revision": first.revision,
        "starttime": build.start_time,
        "endtime": build.finish_time,
        "status": status(build),
        "claimed_by_name": first.claimed_by_name,
        "requests": [request_json(r) for r in build.requests],
    }
    # Absent from all other builds, so that these look as the Pylons program showed them.
    if build.is_abandoned:
        shaped["abandoned"] = True
    _add_push(shaped, first, pushes)
    return shaped


def build_details_json(
    details: BuildDetails,
    links: RebuildLinks | None = None,
    pushes: PushIndex = NO_PUSHES,
) -> BuildDetailsDocument:
    """Return a build as JSON, its requests with their properties, and its rebuilds."""
    fields: BuildFields = build_json(details.build, pushes)
    requests = zip(details.build.requests, details.properties, strict=True)
    return {
        **fields,
        "requests": [{**request_json(r), "properties": dict(p)} for r, p in requests],
        **rebuilds_json(links),
    }


def request_details_json(
    details: RequestDetails,
    links: RebuildLinks | None = None,
    pushes: PushIndex = NO_PUSHES,
) -> RequestDetailsDocument:
    """Return a build request as JSON, with its properties, builds and rebuilds."""
    shaped = alone_json(details.request, pushes)
    if not details.starting:
        shaped.pop("claimed_by_name", None)
    return {
        **shaped,
        "properties": dict(details.properties),
        "build_ids": list(details.build_ids),
        **rebuilds_json(links),
    }


def rebuilds_json(links: RebuildLinks | None) -> RebuildsFields:
    """Return as JSON what a build or request was rebuilt as, and of what it is a rebuild.

    Both are None where that is not known.
    """
    if links is None:
        return {"rebuilt_as": None, "rebuild_of": None}
    return {
        "rebuilt_as": [rebuild.request_id for rebuild in links.rebuilds],
        "rebuild_of": rebuild_of_json(links.origins[0]) if links.origins else None,
    }


def rebuild_of_json(rebuild: Rebuild) -> RebuildOfDocument:
    """Return as JSON of what a new request is a rebuild, and which job asked for it."""
    kind, old = rebuild.origin.kind, rebuild.origin.id
    return {
        "build_id": old if kind == OF_BUILD else None,
        "request_id": old if kind == OF_REQUEST else None,
        "job_id": rebuild.job_id,
    }


def steps_json(record: BuildRecord | None) -> BuildStepsDocument:
    """Return the steps of a build as JSON; empty if its master reports none."""
    failing = None if record is None else record.failing
    return {
        "worker": None if record is None else record.worker,
        "log_url": None if record is None else record.log_url,
        "failing_step": None if failing is None else failing.name,
        "steps": [] if record is None else [_step_json(step) for step in record.steps],
    }


def _step_json(step: BuildStep) -> BuildStepDocument:
    return {
        "name": step.name,
        "text": step.text,
        "state": step_state(step),
        "starttime": step.started,
        "endtime": step.ended,
        "status": step.result,
    }


def list_json(
    found: BranchDay, pushes: PushIndex = NO_PUSHES
) -> list[BuildDocument | OpenRequestDocument]:
    """Return a flat list as JSON: builds, then open requests without a build."""
    builds = [build_json(b, pushes) for b in found.builds]
    return [*builds, *(alone_json(r, pushes) for r in found.pending)]


def user_json(found: UserBuilds, pushes: PushIndex = NO_PUSHES) -> UserDocument:
    """Return the builds and pending requests of a user as JSON."""
    return {
        "builds": [build_json(b, pushes) for b in found.builds],
        "running": [build_json(b, pushes) for b in found.running],
        "pending": [alone_json(r, pushes) for r in found.pending],
    }


def job_json(job: JobRecord) -> JobDocument:
    """Return a job request as JSON; ``id``, ``state`` and what follows ``complete_data`` are new.

    The items of a running job are those settled so far.
    """
    # Any agent may have written the outcome, that of the Pylons program too.
    report = None if job.complete_data is None else readable_report(job.complete_data)
    noted = job.progress.items if job.progress else ()
    items = readable_items((report or {}).get("items")) or noted
    total = job.progress.total if job.progress else None
    return {
        "id": job.id,
        "state": job.state.value,
        "action": job.action,
        "who": job.who,
        "when": job.when,
        "completed_at": job.completed_at,
        "what": dict(job.what),
        "complete_data": report,
        "items": list(items),
        "warnings": _texts((report or {}).get("warnings")),
        "progress": None if total is None else {"done": len(items), "total": total},
    }


def _texts(value: object) -> list[str]:
    """Return the strings of a list, which any agent may have written; empty for anything else."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
