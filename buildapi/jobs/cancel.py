"""Plan the cancel of a build request, a build, or all requests of a revision."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

import attrs
import msgspec

from buildapi.jobs.plan_outcomes import OK, line, nothing, refused
from buildapi.jobs.warnings import others, shared
from buildapi.model.actions import CancelBuild, CancelRevision
from buildapi.model.facts import RequestFacts, RevisionFacts
from buildapi.model.outcome import Item, Outcome
from buildapi.model.records import BuildRequest, RequestBuild
from buildapi.model.revisions import ambiguity
from buildapi.model.rules import Rules
from buildapi.model.steps import (
    Clobber,
    DropRequest,
    DropRequests,
    OutcomeLine,
    Plan,
    Sharer,
    Step,
    StopBuild,
    StopClaimed,
)

CANCEL_FAILED = "Error cancelling build"
NOT_CLAIMED = "no master has claimed the request"


def cancel_request(facts: RequestFacts | None, rules: Rules) -> Plan:
    """Plan to cancel a pending request, or to stop the builds of a claimed one.

    A master claims 10 to 50 ms before it inserts the build; with a hung slave it never does.  Such
    a build is awaited.
    """
    if facts is None:
        return refused("No request with that id")
    request = facts.request
    if _is_pending(request):
        drop = DropRequest(request.id, request.buildsetid)
        return Plan(Outcome(False, ""), (drop,), (line(request.id),))
    stops = _stops(facts, facts.running)
    # Complete or not: a request that was claimed while it was completed is built nevertheless
    # [docs/design.md, "Acting on Buildbot 0.8"].
    if stops and request.claimed_at:
        outcome = Outcome(False, "", warnings=shared(stops))
        return Plan(outcome, _with_clobbers(stops, rules), (line(request.id),))
    if request.complete:
        msg = f"Request {request.id} is complete, nothing to do"
        return nothing(msg, "the request is complete", brid=request.id)
    return Plan(Outcome(False, ""), (StopClaimed((request.id,)),), (line(request.id),))


def cancel_build(action: CancelBuild, facts: RequestFacts | None, rules: Rules) -> Plan:
    """Plan to stop a running build."""
    build = facts.try_of(action.bid) if facts else None
    if facts is None or build is None:
        return refused("No build with that id", f"there is no build {action.bid}")
    request = facts.request
    # The number of an ended build may be that of another one by now [docs/compatibility.md,
    # "Developers and sheriffs"].
    if build.finish_time is not None or build not in facts.running:
        msg = "Build is complete, nothing to do"
        return nothing(msg, "the build is complete", brid=request.id, bid=build.id)
    stops = _stops(facts, [build])
    if not stops:
        return refused(CANCEL_FAILED, NOT_CLAIMED, brid=request.id)
    outcome = Outcome(False, "", warnings=shared(stops))
    lines = (OutcomeLine(request.id, OK, CANCEL_FAILED),)
    return Plan(outcome, _with_clobbers(stops, rules), lines)


def cancel_revision(action: CancelRevision, facts: RevisionFacts | None, rules: Rules) -> Plan:
    """Plan to cancel the pending requests of a revision, and to stop its running builds.

    All pending requests are cancelled in one transaction, except those that a master claims
    first: these are watched afterwards, with claimed requests that have no build yet.
    """
    if facts is None:
        return refused(f"Branch {action.branch} not found")
    if facts.between:
        return refused(ambiguity(action.wanted.text, facts.between))
    parts = _parts(_meant(action, facts.requests, rules))
    if not parts.lines:
        return nothing("", "no pending requests and no running builds")
    stops = [msgspec.structs.replace(s, note=action.reason) for s in parts.stops]
    claimed = [f.request.id for f in parts.claimed]
    return Plan(
        Outcome(False, "", parts.failed, shared(stops)),
        (
            *((_drop(parts.pending, action),) if parts.pending else ()),
            *_with_clobbers(stops, rules),
            *((StopClaimed(claimed, action.reason),) if claimed else ()),
        ),
        parts.lines,
    )


@attrs.frozen
class _Parts:
    """The requests of a revision, by what the plan does with each."""

    pending: Sequence[RequestFacts]
    claimed: Sequence[RequestFacts]
    stops: Sequence[StopBuild]
    failed: Sequence[Item]
    lines: Sequence[OutcomeLine]


def _parts(meant: Sequence[RequestFacts]) -> _Parts:
    ids = {f.request.id for f in meant}
    pending = [f for f in meant if _is_pending(f.request)]
    rest = [f for f in meant if not _is_pending(f.request)]
    # A claim without a name: there is no master to ask.
    lost = [f.request.id for f in rest if f.request.claimed_by_name is None]
    return _Parts(
        pending,
        [f for f in rest if not f.running and f.request.claimed_by_name is not None],
        [s for f in rest for s in _stops(f, f.running, ids)],
        [Item("failed", NOT_CLAIMED, request_id=brid) for brid in lost],
        [line(brid) for brid in sorted(f.request.id for f in meant)],
    )


def _meant(
    action: CancelRevision, found: Iterable[RequestFacts], rules: Rules
) -> Sequence[RequestFacts]:
    """Select the requests to cancel; a complete request counts while a build of it runs.

    A master that claimed a request just as it was completed may build it nevertheless
    [docs/design.md, "Acting on Buildbot 0.8"].
    """
    return [
        f
        for f in found
        if (not f.request.complete or (f.running and f.request.claimed_at))
        and _is_named(action, f.request.buildername)
        and not (action.exclude_builds and rules.builds.takes(f.request.buildername))
        and (action.only is None or (action.only == "pending") == _is_pending(f.request))
    ]


def _is_named(action: CancelRevision, name: str) -> bool:
    return not action.builders or any(fnmatchcase(name, glob) for glob in action.builders)


def _is_pending(request: BuildRequest) -> bool:
    return not request.complete and not request.claimed_at


def _drop(pending: Sequence[RequestFacts], action: CancelRevision) -> DropRequests:
    # No master completes the buildset of a request that it did not build [docs/design.md, "Acting
    # on Buildbot 0.8"].
    buildsets = dict.fromkeys(f.request.buildsetid for f in pending)
    return DropRequests(
        [f.request.id for f in pending],
        list(buildsets),
        claimed=action.only != "pending",
        note=action.reason,
    )


def _stops(
    facts: RequestFacts, tries: Sequence[RequestBuild], meant: Collection[int] = ()
) -> Sequence[StopBuild]:
    """Return the steps that stop builds of a request; none if no master has claimed it."""
    return () if facts.request.claimed_by_name is None else stops_of(facts, tries, meant=meant)


def stops_of(
    facts: RequestFacts,
    tries: Sequence[RequestBuild],
    note: str = "",
    *,
    meant: Collection[int] = (),
) -> Sequence[StopBuild]:
    """Return the steps that stop builds of a request, each with the other requests that lose it.

    Requests of the job itself (``meant``) are not among these.
    """
    request, master = facts.request, facts.request.claimed_by_name or ""
    ours = {request.id, *meant} if facts.sharers else ()
    return tuple(
        _stop(request, t, master, note, others(facts.sharers.get(t.id, ()), ours)) for t in tries
    )


def _stop(
    request: BuildRequest, build: RequestBuild, master: str, note: str, sharers: Sequence[Sharer]
) -> StopBuild:
    return StopBuild(
        build_id=build.id,
        brid=request.id,
        number=build.number,
        buildername=request.buildername,
        start_time=build.start_time,
        revision=request.revision,
        master=master,
        note=note,
        sharers=sharers,
    )


def _with_clobbers(stops: Sequence[StopBuild], rules: Rules) -> Sequence[Step]:
    if rules.clobber is None:
        return stops
    return (*stops, *(Clobber(s) for s in stops if rules.clobber.takes(s.buildername)))
