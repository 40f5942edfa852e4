"""Send the changes of job requests to 0.8 masters, each once, and verify that they are stored.

A master that hangs reads a change from its socket minutes later, so a change without an answer may
be stored at any time. The marker of the job therefore records that sending has begun before the
change leaves, and what was begun is never sent again: the database shows the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import attrs

from buildapi.buildbot.directory import Master
from buildapi.buildbot.v08.sendchange import ChangeError, PBChange, send_change
from buildapi.buildbot.v08.text_limits import SQLTextLimits
from buildapi.db.sql import Database, Query
from buildapi.errors import Unavailable, Unconfirmed
from buildapi.model.job_identity import JobIdentity
from buildapi.model.ops import CLOCKS_APART
from buildapi.model.outcome import Item
from buildapi.model.steps import SendChange
from buildapi.reactor_time import ReactorTime, pause

# Other programs read comments and file [docs/compatibility.md, "Texts"].
COMMENTS = "Submitted via self-serve"
FILES = ("dummy",)
"""Files of a change; Buildbot 0.8.2 drops a change without files."""

JOB_PROPERTY = "selfserve_job"
"""Property of a change with the id of its job request, for people."""

IDENTITY_PROPERTY = "selfserve_identity"
"""Property of a change with the identity of that job [model.job_identity]."""

LOOK_SECONDS = 0.25
"""Seconds between two queries for the change."""

LATER = "the master may still store the change"
BEGUN = f"an agent was interrupted while it sent the change; {LATER}"

# Few changes have the same revision, which is indexed, as is the change of a property. Changes of
# older versions have no identity: with the id of this job, but stored before it was accepted, they
# belong to another job.
CHANGE_OF_JOB: Query[int] = Query(
    """SELECT c.changeid FROM changes c JOIN change_properties p ON p.changeid = c.changeid
 WHERE c.revision = :revision AND (
  (p.property_name = :identity_name AND p.property_value LIKE :identity)
  OR (p.property_name = :name AND p.property_value LIKE :value AND c.when_timestamp >= :since
   AND NOT EXISTS (SELECT 1 FROM change_properties o
    WHERE o.changeid = c.changeid AND o.property_name = :identity_name)))
 ORDER BY c.changeid LIMIT 1""",
    int,
)


@attrs.frozen
class ChangeLogin:
    """Hold the user from whom masters accept changes."""

    username: str
    password: str = attrs.field(repr=False)


class SendRecord(Protocol):
    """Record durably that the change of a job is being sent."""

    async def begun(self, job: JobIdentity) -> bool:
        """Return whether sending was begun before."""

    async def begin(self, job: JobIdentity) -> None:
        """Record that sending begins; :raises Unavailable: it could not be recorded."""


@attrs.define
class ChangeSender:
    """Send changes, each within ``seconds``; wait ``verify_seconds`` for each to be stored.

    ``db`` is the scheduler database of the masters; ``sent`` records there what is being sent.
    """

    _reactor: ReactorTime
    _db: Database
    _sent: SendRecord
    _directory: Callable[[], Mapping[str, Master]]
    _login: ChangeLogin
    _seconds: float
    _verify_seconds: float
    _limits: SQLTextLimits = attrs.field(init=False)

    @_limits.default
    def _limits_of_database(self) -> SQLTextLimits:
        return SQLTextLimits(self._db)

    async def send(self, job: JobIdentity, step: SendChange, who: str) -> Item:
        """Send one change for a job request unless it was sent before; verify the effect.

        :raises Unconfirmed: it is sent, and the database cannot be read for the effect.
        """
        before = await self._find(job, step)
        if before is not None:
            return _item(step, "done", f"change {before} had already been sent")
        if await self._sent.begun(job):
            return await self._result(job, step, BEGUN)
        try:
            await self._send(job, step, who)
        except ChangeError as e:
            return await self._after_error(job, step, e)
        taken = (
            f"the master accepted the change, but did not store it within {self._verify_seconds:g}"
            " s"
        )
        # 0.8.2 answers after its commit, so that the first query normally finds the change.
        return await self._result(job, step, taken)

    async def _send(self, job: JobIdentity, step: SendChange, who: str) -> None:
        master = self._directory().get(step.master)
        if master is None:
            raise ChangeError(f"no master {step.master} in the directory")
        # Unlike a stop, which goes to disabled masters as well [docs/configuration.md,
        # "[directory]"].
        if not master.enabled:
            raise ChangeError(f"master {step.master} is disabled in the masters file")
        if master.pb_port is None:
            raise ChangeError(
                f"master {step.master} accepts no changes: it has no pb_port in the masters file"
            )
        change = PBChange(
            # The master stores it, and would refuse what its database cannot hold.
            who=await self._limits.author(who),
            branch=step.branch,
            revision=step.revision,
            revlink=step.revlink,
            comments=COMMENTS,
            files=FILES,
            properties={JOB_PROPERTY: job.id, IDENTITY_PROPERTY: job.identity},
        )
        await send_change(
            self._reactor,
            master.hostname,
            master.pb_port,
            change,
            username=self._login.username,
            password=self._login.password,
            seconds=self._seconds,
            leaving=lambda: self._sent.begin(job),
        )

    async def _after_error(self, job: JobIdentity, step: SendChange, error: ChangeError) -> Item:
        if error.sent:
            return await self._result(job, step, f"{error}; {LATER}")
        # Query even after a refusal: a master may fail after it has stored the change.
        change = await self._find(job, step)
        if change is not None:
            return _stored(step, change)
        return _item(step, "failed", f"not sent: {error}")

    async def _result(self, job: JobIdentity, step: SendChange, otherwise: str) -> Item:
        """Return the outcome of a change that has left, or may have, from the database."""
        change = await self._seen(job, step)
        if change is not None:
            return _stored(step, change)
        return _item(step, "unconfirmed", otherwise)

    async def _seen(self, job: JobIdentity, step: SendChange) -> int | None:
        """Wait for a change that may have left; return its id, or None."""
        end = self._reactor.seconds() + self._verify_seconds
        try:
            while (change := await self._find(job, step)) is None:
                if self._reactor.seconds() >= end:
                    return None
                await pause(self._reactor, LOOK_SECONDS)
        except Unavailable as e:
            open_ = f"cannot check whether the change is stored: {e.msg}"
            raise Unconfirmed(e.msg, _item(step, "unconfirmed", open_)) from e
        return change

    async def _find(self, job: JobIdentity, step: SendChange) -> int | None:
        return await CHANGE_OF_JOB.maybe(
            self._db,
            revision=step.revision,
            # JSON, [value, "Change"]
            identity_name=IDENTITY_PROPERTY,
            identity=f'["{job.identity}",%',
            name=JOB_PROPERTY,
            value=f"[{job.id:d},%",
            # when_timestamp comes from the clock of the master.
            since=job.when - CLOCKS_APART,
        )


def _stored(step: SendChange, change: int) -> Item:
    return _item(step, "done", f"change {change} sent to {step.master}")


def _item(step: SendChange, state: str, detail: str) -> Item:
    return Item(state, detail, master=step.master)
