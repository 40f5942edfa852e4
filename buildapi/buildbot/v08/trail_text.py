"""Describe briefly what was decided, written and asked of masters for a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import attrs

from buildapi.buildbot.v08.lowered_plan import LoweredPlan, Poke, WatchDropped
from buildapi.model.outcome import Item
from buildapi.model.revisions import short_revision
from buildapi.model.steps import Clobber, SendChange, StopBuild

ITEMS_MOST = 5
"""Maximum number of items named one by one."""

ASKED_MOST = 50
"""Maximum number of calls to masters recorded one by one for a job; the rest is counted."""


def decided(plan: LoweredPlan) -> str:
    """Describe a plan; one without effect by its reason."""
    if not plan.writes and not plan.pokes:
        return plan.outcome.msg
    return f"{_count(len(plan.writes), 'write')}, {_count(len(plan.pokes), 'request')} to masters"


def made_words(made: Sequence[Item]) -> str:
    """Describe what the writes have created."""
    named = [_item(item) for item in made[:ITEMS_MOST]]
    more = [f"and {len(made) - ITEMS_MOST} more"] if len(made) > ITEMS_MOST else []
    return "; ".join(named + more)


def asked_of(step: Poke) -> str:
    """Describe what a step asks of whom."""
    match step:
        case StopBuild():
            return f"{step.master}: stop build {step.build_id} of {step.buildername}"
        case Clobber():
            return f"clobberer: the slave of build {step.build.build_id}"
        case SendChange():
            return f"{step.master}: change {short_revision(step.revision)} of {step.branch}"
        case WatchDropped():
            return f"database: check {_count(len(step.brids), 'cancelled request')}"


def _item(item: Item) -> str:
    ids = {"build": item.build_id, "request": item.request_id, "buildset": item.buildset_id}
    named = ", ".join(f"{name} {id_}" for name, id_ in ids.items() if id_ is not None)
    return f"{item.detail} ({named})" if named else item.detail


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@attrs.define
class MasterCallTrail:
    """Record the results of calls to masters, a limited number of them one by one."""

    _tell: Callable[[str, str], None]
    _told: int = 0
    _rest: Counter[str] = attrs.field(factory=Counter)

    def of(self, step: Poke, items: Sequence[Item]) -> None:
        """Record the result of a step."""
        states = Counter(item.state for item in items)
        if self._told >= ASKED_MOST:
            self._rest += states
            return
        came = made_words(items) if len(items) <= ITEMS_MOST else _counts(states)
        self._one(f"{asked_of(step)}: {came or 'nothing to do'}")

    def waits(self, step: Poke, why: str) -> None:
        """Record that a step cannot be done now."""
        if self._told < ASKED_MOST:
            self._one(f"{asked_of(step)}: deferred, {why}")
        else:
            self._rest["deferred"] += 1

    def end(self) -> None:
        """Record the totals of the rest."""
        if self._rest:
            self._tell("asked", f"and more: {_counts(self._rest)}")

    def _one(self, words: str) -> None:
        self._told += 1
        self._tell("asked", words)


def _counts(states: Counter[str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
