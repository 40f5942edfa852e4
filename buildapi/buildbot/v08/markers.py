"""Store the marker row of a job, in the same transaction as its writes.

A row is found by the id of its job. Its ``plan`` is JSON that begins with the identity of the job,
so that a table made by an older version needs no new column. After a restore of the jobs database
an id is given out again; the marker of the earlier job is then moved aside, to a negative id
derived from its own identity, where that job still finds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import attrs
import msgspec

from buildapi.buildbot.v08.lowered_plan import LoweredPlan, Recorded
from buildapi.db.sql import Database, Query, Read, Statement, any_of
from buildapi.model.job_identity import JobIdentity
from buildapi.model.ops import CLOCKS_APART
from buildapi.model.outcome import Outcome

STARTED, WRITTEN, SENDING, SETTLED = "started", "written", "sending", "settled"
"""States of a marker row; ``started`` occurs only on engines without transactions.

``sending``: a change is being sent, or was, and the outcome is not settled.
"""

# request_id is INTEGER, 32 bits on MySQL; ids of jobs are positive.
ASIDE_MAX = 2**31 - 1
_NAMED = '{"identity":"'


def encoded(identity: str, plan: LoweredPlan) -> str:
    """Encode a plan with the identity of its job; older versions skip the identity."""
    # Spelled by hand: LIKE finds the identity only if it is the first key. msgspec skips keys that
    # it does not know.
    return f'{_NAMED}{identity}",{msgspec.json.encode(plan).decode()[1:]}'


def aside(identity: str) -> int:
    """Return the id to which the marker of a job is moved when another job takes its own."""
    return -1 - int(hashlib.sha256(identity.encode()).hexdigest()[:12], 16) % ASIDE_MAX


# A marker without identity is from a version that had none. It was written after its job was
# accepted; a job with the same id that was accepted later is another one.
_OWN = """request_id IN (:request_id, :aside)
 AND (plan LIKE :own OR (plan NOT LIKE :named AND state <> 'pulse' AND created_at >= :since))"""


def _owner(job: JobIdentity) -> dict[str, object]:
    return {
        "request_id": job.id,
        "aside": aside(job.identity),
        # Nothing to escape for LIKE: an identity is hexadecimal.
        "own": f"{_NAMED}{job.identity}%",
        "named": f"{_NAMED}%",
        "since": job.when - CLOCKS_APART,
    }


Settled = tuple[JobIdentity, LoweredPlan, Outcome]
"""A job that is done with the transaction that writes it, its plan, and its outcome."""


class _Named(msgspec.Struct):
    identity: str = ""


def _recorded(state: str, plan: str, outcome: str | None) -> Recorded:
    return Recorded(
        plan=msgspec.json.decode(plan, type=LoweredPlan),
        outcome=msgspec.json.decode(outcome, type=Outcome) if outcome else None,
        whole=state != STARTED,
    )


@attrs.frozen
class Markers:
    """Read and write the marker table; ``table`` is a checked name."""

    table: str

    async def find(self, db: Database, job: JobIdentity) -> Recorded | None:
        """Return what the marker of a job records; None if it has none."""
        return await self._own.maybe(db, **_owner(job))

    def find_in(self, read: Read, job: JobIdentity) -> Recorded | None:
        """Return what the marker of a job records, within a transaction; None if it has none."""
        return self._own.first_of(read, **_owner(job))

    def any_in(self, read: Read, jobs: Sequence[JobIdentity]) -> bool:
        """Return whether any of these jobs may have a marker, or an earlier job of the same id."""
        ids, params = any_of("id", [id_ for job in jobs for id_ in (job.id, aside(job.identity))])
        text = f"SELECT request_id FROM {self.table} WHERE request_id IN ({ids}) LIMIT 1"  # noqa: S608  # a checked name
        return bool(read(text, params))

    @property
    def _own(self) -> Query[Recorded]:
        text = f"SELECT state, plan, outcome FROM {self.table} WHERE {_OWN}"  # noqa: S608  # a checked name
        return Query(text, _recorded)

    async def foreign(self, db: Database, job: JobIdentity) -> str | None:
        """Return the stored plan of another job that has this one's id; None if there is none."""
        text = f"SELECT plan FROM {self.table} WHERE request_id = :request_id AND NOT ({_OWN})"  # noqa: S608  # a checked name
        return await Query(text, str).maybe(db, **_owner(job))

    async def is_sending(self, db: Database, job: JobIdentity) -> bool:
        """Return whether the change of a job was being sent when the job was left."""
        text = f"SELECT state FROM {self.table} WHERE {_OWN}"  # noqa: S608  # a checked name
        return await Query(text, str).maybe(db, **_owner(job)) == SENDING

    def mark(self, job: JobIdentity, plan: LoweredPlan, state: str, now: int) -> Statement:
        """Insert the marker of a job; a second one fails as a duplicate."""
        return Statement(
            f"INSERT INTO {self.table} (request_id, state, plan, created_at)"  # noqa: S608  # a checked name
            " VALUES (:request_id, :state, :plan, :now)",
            {
                "request_id": job.id,
                "state": state,
                "plan": encoded(job.identity, plan),
                "now": now,
            },
        )

    def mark_settled(self, done: Sequence[Settled], now: int) -> Statement:
        """Insert the markers of jobs together with their outcomes; a second one is a duplicate."""
        rows, params = [], dict[str, object]()
        for n, (job, plan, outcome) in enumerate(done):
            rows.append(f"(:request_id{n}, '{SETTLED}', :plan{n}, :outcome{n}, :now)")
            params[f"request_id{n}"] = job.id
            params[f"plan{n}"] = encoded(job.identity, plan)
            params[f"outcome{n}"] = msgspec.json.encode(outcome).decode()
        return Statement(
            f"INSERT INTO {self.table} (request_id, state, plan, outcome, created_at)"  # noqa: S608  # a checked name
            f" VALUES {', '.join(rows)}",
            {**params, "now": now},
        )

    def move_aside(self, job: JobIdentity, foreign: str) -> Statement:
        """Move the marker of another job aside, if its plan is still ``foreign``."""
        try:
            identity = msgspec.json.decode(foreign, type=_Named).identity
        except msgspec.DecodeError:
            identity = ""
        return Statement(
            f"UPDATE {self.table} SET request_id = :to WHERE request_id = :id AND plan = :plan",  # noqa: S608  # a checked name
            {"to": aside(identity or foreign), "id": job.id, "plan": foreign},
            # Another agent may have moved it already.
            rows=1,
        )

    def set_state(self, job: JobIdentity, state: str, rows: int | None = None) -> Statement:
        """Set the state of a job's marker."""
        return Statement(
            f"UPDATE {self.table} SET state = :state WHERE {_OWN}",  # noqa: S608  # a checked name
            {**_owner(job), "state": state},
            rows,
        )

    def settle(self, job: JobIdentity, outcome: Outcome) -> Statement:
        """Record the final outcome in the marker of a job."""
        return Statement(
            f"UPDATE {self.table} SET state = :state, outcome = :outcome WHERE {_OWN}",  # noqa: S608  # a checked name
            {
                **_owner(job),
                "state": SETTLED,
                "outcome": msgspec.json.encode(outcome).decode(),
            },
        )

    def unmark(self, job: JobIdentity) -> Statement:
        """Delete the marker of a job that wrote nothing."""
        return Statement(f"DELETE FROM {self.table} WHERE {_OWN}", _owner(job))  # noqa: S608  # a checked name

    def forget(self, before: int) -> Statement:
        """Delete markers of jobs that can no longer be redelivered."""
        return Statement(
            f"DELETE FROM {self.table} WHERE state = :state AND created_at < :before",  # noqa: S608  # a checked name
            # An open marker is all that is known of a job that was begun: it stays, however old.
            {"state": SETTLED, "before": before},
        )

    async def highest(self, db: Database) -> int:
        """Return the highest id of a job that has a marker; 0 if none has.

        :raises MissingTableError: no agent has created the table yet.
        """
        text = f"SELECT MAX(request_id) FROM {self.table}"  # noqa: S608  # a checked name
        # Negative if there are only markers that were moved aside.
        return max(0, await Query(text, lambda highest: highest or 0).maybe(db) or 0)


@attrs.frozen
class MarkerSendRecord:
    """Record durably that a change is being sent, so that it is sent at most once."""

    _db: Database
    _markers: Markers

    async def begun(self, job: JobIdentity) -> bool:
        """Return whether any agent has begun sending before."""
        return await self._markers.is_sending(self._db, job)

    async def begin(self, job: JobIdentity) -> None:
        """Record that the change is sent now; raise GuardFailedError if the job has no marker."""
        await self._db.transact([self._markers.set_state(job, SENDING, rows=1)])
