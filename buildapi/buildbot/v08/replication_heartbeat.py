"""Renew a heartbeat row in the scheduler database, which shows the lag of a replica.

It is a marker with the id 0, which no job has, so that it needs no table and no privilege of its
own.
"""

from __future__ import annotations

import attrs

from buildapi.db.sql import Database, DuplicateError, GuardFailedError, Query, Statement

PULSE = 0
STATE = "pulse"


@attrs.frozen
class ReplicationHeartbeat:
    """Renew and read the row in the table ``marker``, a checked name."""

    _marker: str

    async def renew(self, db: Database, now: int) -> None:
        """Write the time, in epoch seconds."""
        row = {"id": PULSE, "now": now, "state": STATE}
        update = f"UPDATE {self._marker} SET created_at = :now WHERE request_id = :id"  # noqa: S608  # a checked name
        try:
            await db.transact([Statement(update, {"id": PULSE, "now": now}, 1)])
        except GuardFailedError:
            insert = (
                f"INSERT INTO {self._marker} (request_id, state, plan, created_at)"  # noqa: S608  # a checked name
                " VALUES (:id, :state, '{}', :now)"
            )
            try:
                await db.transact([Statement(insert, row, 1)])
            except DuplicateError:  # another agent was faster
                return

    async def read(self, db: Database) -> int | None:
        """Return the time that was written last; None if there is none.

        :raises MissingTableError: no agent has created the table yet.
        """
        text = f"SELECT created_at FROM {self._marker} WHERE request_id = :id"  # noqa: S608  # a checked name
        return await Query(text, int).maybe(db, id=PULSE)


async def lag(pulse: ReplicationHeartbeat, primary: Database, replica: Database) -> int | None:
    """Return the lag of a replica in seconds, as exact as the heartbeat interval.

    None if no agent has written a heartbeat yet.
    """
    written = await pulse.read(primary)
    if written is None:
        return None
    arrived = await pulse.read(replica)
    return None if arrived is None else max(0, written - arrived)
