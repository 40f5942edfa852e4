"""Plans without steps, the outcome of a plan, and the messages of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import msgspec

from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import OutcomeLine, Plan

REASON_MAX = 256
"""Characters of ``buildsets.reason``: VARCHAR(256) in Buildbot 0.8, and in 4 still."""

OK = "Ok"
NOTHING_CREATED = "No builds to create"


@attrs.frozen
class StepResult:
    """The items of a step that was carried out.

    ``is_extra``: nobody asked for it, so its failure is shown and is no error of the job.
    """

    items: Sequence[Item]
    is_extra: bool = False


def conclude(
    outcome: Outcome, lines: Sequence[OutcomeLine], results: Sequence[StepResult]
) -> Outcome:
    """Return the outcome of an executed plan: an error if an item failed or is unconfirmed."""
    everything = (*outcome.items, *(item for result in results for item in result.items))
    if not lines:
        return msgspec.structs.replace(outcome, items=everything)
    asked = [item for result in results if not result.is_extra for item in result.items]
    counted = (*outcome.items, *asked)
    failed, open_ = _with_state(counted, "failed"), _with_state(counted, "unconfirmed")
    words = [_words(line, failed, open_) for line in lines]
    return Outcome(bool(failed | open_), "\n".join(words), everything, outcome.warnings)


def _with_state(items: Iterable[Item], state: str) -> set[int | None]:
    return {item.request_id for item in items if item.state == state}


def _words(line: OutcomeLine, failed: set[int | None], open_: set[int | None]) -> str:
    # A failure is certain and counts first: the rest may still be in doubt.
    if line.brid in open_ - failed:
        return line.open or line.failure
    return line.failure if line.brid in failed else line.ok


def reason(verb: str, who: str) -> str:
    """Return the reason of a buildset we submit, cut to :data:`REASON_MAX` characters.

    The masters of the farm do not coalesce requests with ``Self-serve`` in their reason.
    """
    # Other programs read it [docs/compatibility.md, "Texts"].
    return f"Self-serve: {verb} by {who}"[:REASON_MAX]


def refused(msg: str, detail: str | None = None, *, brid: int | None = None) -> Plan:
    """Return a plan without steps whose outcome is an error."""
    return Plan(Outcome(True, msg, (Item("failed", detail or msg, request_id=brid),)))


def nothing(msg: str, detail: str, *, brid: int | None = None, bid: int | None = None) -> Plan:
    """Return a plan without steps whose outcome is that there is nothing to do."""
    return Plan(Outcome(False, msg, (Item("nothing", detail, request_id=brid, build_id=bid),)))


def line(brid: int) -> OutcomeLine:
    """Return the messages for the cancel of one request."""
    return OutcomeLine(brid, f"{brid}: {OK}", f"Error cancelling build (request {brid})")
