"""Renew a heartbeat row in the scheduler database, which shows the lag of a replica.

It is a marker with the id 0, which no job has, so that it needs no table and no privilege of its
own.
"""

from __future__ import annotations

import attrs

from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    MissingTableError,
    Query,
    Statement,
)
from buildapi.errors import Unavailable

# SHOW REPLICA STATUS needs a privilege that only administrators have [docs/design.md, "Who is
# there, and how it is"].
PULSE = 0
STATE = "pulse"


@attrs.frozen
class ReplicationHeartbeat:
    """Implement ``ReplicaLag`` by a row in the table ``marker``, a checked name.

    ``replica`` is None where there is none.
    """

    _marker: str
    _primary: Database
    _replica: Database | None

    async def renew(self, now: int) -> None:
        """Write the time, in epoch seconds."""
        row = {"id": PULSE, "now": now, "state": STATE}
        update = f"UPDATE {self._marker} SET created_at = :now WHERE request_id = :id"  # noqa: S608  # a checked name
        try:
            # No upsert: MySQL (ON DUPLICATE KEY) and SQLite (ON CONFLICT) have no common spelling.
            await self._primary.transact([Statement(update, {"id": PULSE, "now": now}, 1)])
        except GuardFailedError:
            insert = (
                f"INSERT INTO {self._marker} (request_id, state, plan, created_at)"  # noqa: S608  # a checked name
                " VALUES (:id, :state, '{}', :now)"
            )
            try:
                await self._primary.transact([Statement(insert, row, 1)])
            except DuplicateError:  # another agent was faster
                return

    async def seconds(self) -> int | None:
        """Return the lag in seconds; None if no heartbeat has been written, or has arrived, yet.

        :raises Unavailable: no agent has created the table yet, or the replica does not have it.
        """
        try:
            written = await self._read(self._primary)
            arrived = None if self._replica is None else await self._read(self._replica)
        except MissingTableError as e:
            raise Unavailable("no agent has written a heartbeat that the replica has") from e
        # The replica is asked later, and may have a newer heartbeat by then.
        return None if written is None or arrived is None else max(0, written - arrived)

    async def _read(self, db: Database) -> int | None:
        text = f"SELECT created_at FROM {self._marker} WHERE request_id = :id"  # noqa: S608  # a checked name
        return await Query(text, int).maybe(db, id=PULSE)
