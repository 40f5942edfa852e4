"""Plans without steps, the outcome of a plan, and the messages of both."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

import msgspec

from buildapi.model.charsets import escaped
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import (
    Clobber,
    NewBuildset,
    NewChange,
    OutcomeLine,
    Plan,
    Poke,
    RebuildStep,
    Write,
)

REASON_MAX = 256
"""Characters of ``buildsets.reason``, VARCHAR(256) in Buildbot 0.8."""

OK = "Ok"
NOTHING_CREATED = "No builds to create"

Did = Sequence[tuple[Poke, Sequence[Item]]]
"""The executed pokes of a plan, each with its items."""


def conclude(plan: Plan, made: Sequence[Item], did: Did) -> Outcome:
    """Return the outcome of an executed plan: an error if an item failed or is unconfirmed.

    A clobber is an extra: if it fails, it adds its item but no error.
    """
    count = [item for poke, items in did if not isinstance(poke, Clobber) for item in items]
    everything = (*plan.outcome.items, *made, *(item for _, items in did for item in items))
    if not plan.lines:
        return Outcome(plan.outcome.errors, plan.outcome.msg, everything, plan.outcome.warnings)
    counted = (*plan.outcome.items, *count)
    failed, open_ = _with_state(counted, "failed"), _with_state(counted, "unconfirmed")
    words = [_words(line, failed, open_) for line in plan.lines]
    return Outcome(bool(failed | open_), "\n".join(words), everything, plan.outcome.warnings)


def _with_state(items: Iterable[Item], state: str) -> set[int | None]:
    return {item.request_id for item in items if item.state == state}


def _words(line: OutcomeLine, failed: set[int | None], open_: set[int | None]) -> str:
    if line.brid in open_ - failed:
        return line.open or line.failure
    return line.failure if line.brid in failed else line.ok


def reason(verb: str, who: str) -> str:
    """Return the reason of a buildset we submit, cut to :data:`REASON_MAX` characters.

    The masters of the farm do not coalesce requests with ``Self-serve`` in their reason.
    """
    return f"Self-serve: {verb} by {who}"[:REASON_MAX]


def in_ascii(plan: Plan) -> Plan:
    """Return a plan with its reasons and authors in ASCII, which any database can store.

    A reason is ours to word, and loses its accents.  An author is somebody's name: without its
    accents it would be somebody else's, so it is escaped.
    """
    return msgspec.structs.replace(plan, writes=tuple(map(_plain, plan.writes)))


def _plain(step: Write) -> Write:
    match step:
        case NewBuildset(change=NewChange() as change):
            named = msgspec.structs.replace(change, author=escaped(change.author))
            return msgspec.structs.replace(step, reason=_ascii(step.reason), change=named)
        case RebuildStep() | NewBuildset():
            return msgspec.structs.replace(step, reason=_ascii(step.reason))
        case _:
            return step


def _ascii(text: str) -> str:
    """Remove accents, and replace characters without an ASCII letter by question marks."""
    bare = (c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return "".join(bare).encode("ascii", "replace").decode()


def refused(msg: str, detail: str | None = None, *, brid: int | None = None) -> Plan:
    """Return a plan without steps whose outcome is an error."""
    return Plan(Outcome(True, msg, (Item("failed", detail or msg, request_id=brid),)))


def nothing(msg: str, detail: str, *, brid: int | None = None, bid: int | None = None) -> Plan:
    """Return a plan without steps whose outcome is that there is nothing to do."""
    return Plan(Outcome(False, msg, (Item("nothing", detail, request_id=brid, build_id=bid),)))


def line(brid: int) -> OutcomeLine:
    """Return the messages for the cancel of one request."""
    return OutcomeLine(brid, f"{brid}: {OK}", f"Error cancelling build (request {brid})")
