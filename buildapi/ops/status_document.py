"""Build the /status document: the known state of the program, with a verdict on each part.

Its format is described in docs/api.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

import attrs

from buildapi.model.ops import Heartbeat, ProcessState
from buildapi.model.status import StatusDocument, VerdictDocument

T = TypeVar("T")


@attrs.frozen
class UnreadValue:
    """Stand for a value that could not be read, and the reason."""

    error: str


@attrs.frozen
class StatusMoment:
    """Hold what any part may refer to: the time, this process, and the heartbeats of all."""

    now: int
    me: Heartbeat
    processes: Sequence[Heartbeat] | UnreadValue
    beat_seconds: float


@attrs.frozen
class Verdict:
    """State whether something works as far as is known, and its last error.

    ``order`` puts what could not be read after everything else.
    """

    name: str
    ok: bool
    detail: str
    last_error: str | None = None
    last_error_at: float | None = None
    order: int = 0


def unjudged(_value: object, _moment: StatusMoment) -> Sequence[Verdict]:
    """Return no verdict."""
    return ()


@attrs.frozen
class StatusPart(Generic[T]):
    """One part of the document: how it is read, shown and judged.

    ``read`` returns a value in memory, or something to await that ends in time and does not fail
    (see BoundedReader). ``show`` returns keys of the document, ``judge`` the verdicts.
    """

    read: Callable[[], T | Awaitable[T]]
    show: Callable[[T, StatusMoment], Mapping[str, object]]
    judge: Callable[[T, StatusMoment], Sequence[Verdict]] = unjudged


def document(
    moment: StatusMoment, readings: Sequence[tuple[StatusPart[Any], Any]]
) -> StatusDocument:
    """Return the document of parts with their values; keys and verdicts are in that order."""
    found, verdicts = dict[str, object](), list[Verdict]()
    for part, value in readings:
        found |= part.show(value, moment)
        verdicts += part.judge(value, moment)
    # A stable sort: verdicts of one order stay in that of the parts.
    verdicts.sort(key=lambda verdict: verdict.order)
    told = {
        "status": _word(moment.me, bool(found["ready"]), verdicts),
        **found,
        "parts": [_verdict(verdict) for verdict in verdicts],
    }
    # Each part returns the keys of its own; which are listed is seen where the process is built.
    return cast("StatusDocument", told)


def _verdict(verdict: Verdict) -> VerdictDocument:
    return {
        "name": verdict.name,
        "ok": verdict.ok,
        "detail": verdict.detail,
        "last_error": verdict.last_error,
        "last_error_at": verdict.last_error_at,
    }


def _word(me: Heartbeat, ready: bool, verdicts: Sequence[Verdict]) -> str:
    if me.state is not ProcessState.RUNNING:
        return str(me.state.value).upper()
    return "OK" if ready and all(verdict.ok for verdict in verdicts) else "DEGRADED"
