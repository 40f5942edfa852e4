"""Split a plan for a farm of Buildbot 0.8: writes of one transaction, then pokes at its masters.

Masters of 0.8 find what is submitted, reprioritised or cancelled in the scheduler database, which
they poll; only builds that run, changes and clobbers need a request to somebody.  All writes and
the marker of the job are one transaction, so they are done once; pokes are safe to repeat.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Sequence

import attrs
import msgspec

from buildapi.model.charsets import escaped
from buildapi.model.facts import Facts, RequestFacts
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import (
    Clobber,
    DropRequest,
    DropRequests,
    NewChange,
    OutcomeLine,
    Plan,
    Rebuild,
    SendChange,
    SetPriority,
    StepsDocument,
    StopBuild,
    StopClaimed,
    SubmitBuilds,
)
from buildapi.model.validators import stored_property

# --- what only 0.8 stores, and how plans and markers spell it


@attrs.frozen
class BuildsetRow:
    """What a copy of a buildset takes over; ``properties`` are pairs of name and stored text."""

    sourcestampid: int = 0
    external_idstring: str | None = None
    properties: Sequence[tuple[str, str]] = ()


@attrs.frozen
class StoredRequestFacts(RequestFacts):
    """The facts of a request with the row of its buildset, empty where nothing copies it."""

    buildset: BuildsetRow = BuildsetRow()


# Tags and fields stand in markers and in the plans that clients read: they outlive class names.
class CopyBuildset(msgspec.Struct, frozen=True, tag="Requeue"):
    """Insert a copy of a buildset with one build request.

    ``properties`` are pairs of name and stored text, copied as they are.
    """

    buildername: str
    priority: int
    reason: str
    sourcestampid: int
    external_idstring: str | None
    properties: Sequence[tuple[str, str]]


class InsertBuildset(msgspec.Struct, frozen=True, tag="NewBuildset"):
    """Insert a buildset for a new source stamp, with one build request per builder.

    ``properties`` are pairs of name and stored text.
    """

    branch: str
    revision: str
    reason: str
    priority: int
    properties: Sequence[tuple[str, str]]
    builders: Sequence[str]
    change: NewChange | None = None


class CompleteRequests(msgspec.Struct, frozen=True, tag="DropRequests"):
    """Complete the requests that are still pending as failed, and their buildsets with the last.

    A master of Buildbot 0.8 never completes the buildset of a request that it did not build.
    """

    brids: Sequence[int]
    buildsetids: Sequence[int]


class WatchDropped(msgspec.Struct, frozen=True, tag=True):
    """Check cancelled requests again: a master may have claimed them in the same moment.

    A master of Buildbot 0.8.2 claims by a SELECT and an unconditional UPDATE, so it may build a
    request that was completed between the two.  ``claimed``: also stop requests that a master
    claimed before they could be cancelled.
    """

    brids: Sequence[int]
    claimed: bool = True
    note: str = ""


Write = CopyBuildset | InsertBuildset | SetPriority | DropRequest | CompleteRequests
Poke = StopBuild | Clobber | WatchDropped | SendChange


class LoweredPlan(msgspec.Struct, frozen=True):
    """The writes of one transaction, the pokes after it, and the outcome, as in ``Plan``.

    This is what a marker stores; older versions read and wrote the same.
    """

    outcome: Outcome
    writes: Sequence[Write] = ()
    pokes: Sequence[Poke] = ()
    lines: Sequence[OutcomeLine] = ()


class Written(enum.Enum):
    """The result of the transaction of a plan.

    ``STALE``: a guard failed, nothing was written; read and decide again.
    ``BEFORE``: this job has a marker row already, nothing was written.
    """

    APPLIED = "applied"
    STALE = "stale"
    BEFORE = "before"


class Recorded(msgspec.Struct, frozen=True):
    """The marker row of a job: its plan as applied, and its outcome once settled.

    ``whole`` is false if writes may be missing: the agent died between them on a storage engine
    without transactions (MyISAM).
    """

    plan: LoweredPlan
    outcome: Outcome | None = None
    whole: bool = True


@attrs.frozen
class Performed:
    """What one transaction has done for a job, or found done before, as ``recorded``.

    ``made`` are the items of its writes.  The outcome is there if nothing is left to do.
    """

    recorded: Recorded
    made: Sequence[Item] = ()
    is_new: bool = True


# --- the split


def lowered(plan: Plan, facts: Facts) -> LoweredPlan:
    """Split a plan that was decided on these facts; the watch of its requests comes last."""
    writes: list[Write] = []
    pokes: list[Poke] = []
    watches: list[WatchDropped] = []
    for step in plan.steps:
        match step:
            case SetPriority():
                writes.append(step)
            case Rebuild():
                writes.append(_copy(step, facts))
            case SubmitBuilds():
                writes.append(_insert(step))
            case DropRequest():
                writes.append(step)
                watches.append(WatchDropped([step.brid]))
            case DropRequests():
                writes.append(CompleteRequests(step.brids, step.buildsetids))
                watches.append(WatchDropped(step.brids, step.claimed, step.note))
            case StopClaimed():
                watches.append(WatchDropped(step.brids, note=step.note))
            case StopBuild() | Clobber() | SendChange():
                pokes.append(step)
    return LoweredPlan(plan.outcome, writes, [*pokes, *_together(watches)], plan.lines)


def _together(watches: Sequence[WatchDropped]) -> Sequence[WatchDropped]:
    """Combine watches: one read of the database a round is enough for all of a job."""
    if not watches:
        return ()
    brids = [brid for watch in watches for brid in watch.brids]
    # The watches of a job agree in the rest: with only=pending, no claimed request is meant.
    return [WatchDropped(brids, all(w.claimed for w in watches), watches[0].note)]


def _copy(step: Rebuild, facts: Facts) -> CopyBuildset:
    if not isinstance(facts, StoredRequestFacts):  # only the facts of a request yield this step
        raise TypeError(f"{type(facts).__name__} has no buildset to copy")
    row = facts.buildset
    return CopyBuildset(
        step.buildername,
        step.priority,
        step.reason,
        row.sourcestampid,
        row.external_idstring,
        row.properties,
    )


def _insert(step: SubmitBuilds) -> InsertBuildset:
    return InsertBuildset(
        step.branch,
        step.revision,
        step.reason,
        step.priority,
        # A text that is no pair would block the builder on every master [docs/design.md, "Acting on
        # Buildbot 0.8"].
        [(name, stored_property(value)) for name, value in step.properties.items()],
        step.builders,
        step.change,
    )


def steps_json(plan: Plan, facts: Facts) -> StepsDocument:
    """Return the steps of a plan as clients read them: its ``writes``, then its ``pokes``."""
    split = lowered(plan, facts)
    return {
        "writes": msgspec.to_builtins(list(split.writes)),
        "pokes": msgspec.to_builtins(list(split.pokes)),
    }


# --- texts that the database cannot hold


def in_ascii(plan: LoweredPlan) -> LoweredPlan:
    """Return a plan with its reasons and authors in ASCII, which any database can store.

    A reason is ours to word, and loses its accents.  An author is somebody's name: without its
    accents it would be somebody else's, so it is escaped.
    """
    return msgspec.structs.replace(plan, writes=tuple(map(_plain, plan.writes)))


def _plain(step: Write) -> Write:
    match step:
        case InsertBuildset(change=NewChange() as change):
            named = msgspec.structs.replace(change, author=escaped(change.author))
            return msgspec.structs.replace(step, reason=_ascii(step.reason), change=named)
        case CopyBuildset() | InsertBuildset():
            return msgspec.structs.replace(step, reason=_ascii(step.reason))
        case SetPriority() | DropRequest() | CompleteRequests():
            return step


def _ascii(text: str) -> str:
    """Remove accents, and replace characters without an ASCII letter by question marks."""
    # NFKD splits a letter from its accents (Unicode Standard Annex 15).
    bare = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(bare).encode("ascii", "replace").decode()
