"""Register the running processes in SQL: one row each, renewed every few seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs
import msgspec

from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import Column, Database, DuplicateError, GuardFailedError, Query, Statement
from buildapi.model.ops import Heartbeat, ProcessState

STATES = {state.value for state in ProcessState}
MOST = 1000
"""Maximum number of processes listed, the most recently heard of."""

COLUMNS = ("name", "pid", "version", "roles", "state", "started_at", "beat_at", "detail")
RENEW = f"""UPDATE buildapi_processes SET {", ".join(f"{c} = :{c}" for c in COLUMNS)}
 WHERE instance = :instance"""  # noqa: S608  # names of columns
ENTER = f"""INSERT INTO buildapi_processes (instance, {", ".join(COLUMNS)})
 VALUES (:instance, {", ".join(f":{c}" for c in COLUMNS)})"""  # noqa: S608  # names of columns
LEAVE = "DELETE FROM buildapi_processes WHERE instance = :instance"
FORGET = "DELETE FROM buildapi_processes WHERE beat_at < :before"


def _beat(*c: Column) -> Heartbeat:
    detail = _detail(c[8])
    return Heartbeat(
        instance=c[0],
        name=c[1],
        pid=c[2],
        version=c[3],
        roles=c[4].split(","),
        state=ProcessState(c[5]) if c[5] in STATES else ProcessState.UNKNOWN,
        started_at=c[6],
        beat_at=c[7],
        in_hand=detail.in_hand,
        jobs=detail.jobs,
        masters=detail.masters,
        unreachable=detail.unreachable,
    )


class _Detail(msgspec.Struct, frozen=True):
    # With defaults: during an upgrade other versions of the program write here too.
    in_hand: int = 0
    jobs: list[int] = []
    masters: int | None = None
    unreachable: list[str] | None = None


def _detail(text: str) -> _Detail:
    """Decode the detail of a heartbeat; what cannot be read counts as empty."""
    try:
        return msgspec.json.decode(text, type=_Detail)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _Detail()


ALL = Query(
    f"SELECT instance, {', '.join(COLUMNS)} FROM buildapi_processes"  # noqa: S608  # names of columns
    f" ORDER BY beat_at DESC LIMIT {MOST}",
    _beat,
)


@attrs.frozen
class SQLProcessRegistry:
    """Implement ``ProcessRegistry`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)

    async def beat(self, beat: Heartbeat) -> None:
        """Record the heartbeat of a process, replacing the one before."""
        row = _row(beat)
        try:
            await self._db.transact([Statement(RENEW, row, 1)])
        except GuardFailedError:
            await self._enter(row)

    async def _enter(self, row: dict[str, object]) -> None:
        try:
            await self._db.transact([Statement(ENTER, row, 1)])
        except DuplicateError:  # the commit whose answer was lost had been one
            await self._db.transact([Statement(RENEW, row)])

    async def leave(self, instance: str) -> None:
        """Delete a process that shuts down properly."""
        await self._db.transact([Statement(LEAVE, {"instance": instance})])

    async def processes(self) -> Sequence[Heartbeat]:
        """List the last heartbeats by name, including those of processes that fell silent."""
        found = await ALL.many(self._db)
        return sorted(found, key=lambda beat: (beat.name, beat.instance))

    async def forget(self, before: int) -> None:
        """Delete processes without a heartbeat since a time."""
        await self._db.transact([Statement(FORGET, {"before": before})])


def _row(beat: Heartbeat) -> dict[str, object]:
    detail = {
        "in_hand": beat.in_hand,
        "jobs": list(beat.jobs),
        "masters": beat.masters,
        "unreachable": None if beat.unreachable is None else list(beat.unreachable),
    }
    row = {name: getattr(beat, name) for name in COLUMNS if name not in ("roles", "detail")}
    told = {"roles": ",".join(beat.roles), "state": beat.state.value, "detail": json.dumps(detail)}
    return {**row, "instance": beat.instance, **told}
