"""Act on a 0.8 farm: one guarded transaction in the scheduler database, then its masters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
import msgspec
from twisted.logger import Logger

from buildapi.buildbot.v08 import lower, markers
from buildapi.buildbot.v08.observer import Observer
from buildapi.buildbot.v08.poking import Poker
from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    Query,
    ValueRefusedError,
)
from buildapi.errors import BadRequest
from buildapi.model.actions import Action
from buildapi.model.facts import Known
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import Plan, Poke, Recorded, Written

TABLES = (
    "sourcestamps",
    "changes",
    "change_files",
    "sourcestamp_changes",
    "buildsets",
    "buildset_properties",
    "buildrequests",
)
"""What the writes of a plan go to."""


def _recorded(state: str, plan: str, outcome: str | None) -> Recorded:
    return Recorded(
        plan=msgspec.json.decode(plan, type=Plan),
        outcome=msgspec.json.decode(outcome, type=Outcome) if outcome else None,
        whole=state != markers.STARTED,
    )


@attrs.define
class V08Farm:
    """Write to the scheduler database and poke masters; ``now`` gives seconds since the epoch.

    ``observer`` must read from the same database.
    """

    _db: Database
    _observer: Observer
    _poker: Poker
    _marker: str
    _now: Callable[[], float]
    _transactional: bool | None = None
    _log = Logger()

    async def recall(self, request_id: int) -> Recorded | None:
        """Tell how far a job got before, by its marker row."""
        query = Query(
            f"SELECT state, plan, outcome FROM {self._marker}"  # noqa: S608  # a checked name
            " WHERE request_id = :request_id",
            _recorded,
        )
        return await query.maybe(self._db, request_id=request_id)

    async def read(self, action: Action) -> Known:
        """Read what is to be known before an action is decided."""
        return await self._observer.read(action)

    async def write(self, request_id: int, plan: Plan) -> tuple[Written, Sequence[Item]]:
        """Do all writes of a plan and the marker row in one short transaction, or nothing.

        :raises BadRequest: a value cannot be stored; nothing was written.
        """
        whole = await self._has_transactions()
        try:
            statements = lower.lower(
                plan, request_id, marker=self._marker, now=int(self._now()), transactional=whole
            )
            ids = await self._db.transact(statements)
        except DuplicateError:
            return Written.BEFORE, ()
        except GuardFailedError:
            await self._unmark(request_id, whole=whole)
            return Written.STALE, ()
        except (ValueRefusedError, UnicodeEncodeError) as e:
            await self._unmark(request_id, whole=whole)
            raise BadRequest("The scheduler database cannot store a text of this job") from e
        return Written.APPLIED, lower.made(statements, ids)

    async def _unmark(self, request_id: int, *, whole: bool) -> None:
        """Take the marker back where no transaction did."""
        if not whole:
            await self._db.transact([markers.unmark(self._marker, request_id)])

    async def poke(self, request_id: int, step: Poke, who: str) -> Sequence[Item]:
        """Carry out one step outside the database and look for its effect; safe to repeat."""
        return await self._poker.poke(request_id, step, who)

    async def settle(self, request_id: int, outcome: Outcome) -> None:
        """Record the final outcome in the marker row."""
        encoded = msgspec.json.encode(outcome)
        await self._db.transact([markers.settle(self._marker, request_id, encoded)])

    async def forget(self, days: int) -> None:
        """Remove the markers of jobs settled so long ago that no message of theirs is left."""
        before = int(self._now()) - days * 86400
        await self._db.transact([markers.forget(self._marker, before)])

    async def _has_transactions(self) -> bool:
        if self._transactional is None:
            self._transactional = await self._db.transactional((*TABLES, self._marker))
            if not self._transactional:
                self._log.warn(
                    "the scheduler database has no transactions (MyISAM): an agent that dies"
                    " in the middle of a job leaves it for a person to look at"
                )
        return self._transactional
