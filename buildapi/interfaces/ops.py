"""Interfaces to the registry of processes, the audit trail and log, and what is kept of users."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from buildapi.model.audit import AuditFilter, AuditRecord
from buildapi.model.farm_load import LoadSample
from buildapi.model.ops import Heartbeat, Part, Token, TrailEntry
from buildapi.model.token_scope import NO_LIMITS, TokenScope


class ProcessRegistry(Protocol):
    """Register the processes of all hosts by their heartbeats.

    Every method raises DatabaseUnavailable.
    """

    async def beat(self, beat: Heartbeat) -> None:
        """Record a heartbeat, in place of the last one of its process."""

    async def leave(self, instance: str) -> None:
        """Remove a process that shuts down cleanly."""

    async def processes(self) -> Sequence[Heartbeat]:
        """List the last heartbeat of each process, by name, silent processes included."""

    async def forget(self, before: int) -> None:
        """Remove processes without a heartbeat since a time."""


class Trail(Protocol):
    """Record the events of job requests in the audit trail."""

    def note(self, job_id: int, part: Part, event: str, detail: str = "") -> None:
        """Record an event, a short word, with the trace of the running context.

        Return at once and never fail: entries that cannot be stored in time are dropped and
        logged.
        """


class TrailStore(Protocol):
    """Store the audit trail of job requests.

    Every method raises DatabaseUnavailable.
    """

    async def add(self, entries: Sequence[TrailEntry]) -> None:
        """Store entries, all or none."""

    # Since: an earlier job may have had the id [docs/explanation/failure-model.md, "The jobs
    # database"].
    async def of_job(self, job_id: int, since: float) -> Sequence[TrailEntry]:
        """List the events of a job at ``since`` or later, in order, at most 1000."""

    async def forget(self, before: float) -> None:
        """Delete entries older than a time, at most some thousand in one call."""


class AuditLog(Protocol):
    """Record who did what in the audit log."""

    def record(self, done: AuditRecord) -> None:
        """Record what was done or refused, now, with the trace of the running context if it has
        none.

        Return at once and never fail: records that cannot be stored in time are dropped, counted
        and logged. Equal refusals within a minute may be recorded together.
        """


class AuditStore(Protocol):
    """Store the audit log.

    Every method raises DatabaseUnavailable.
    """

    async def add(self, entries: Sequence[AuditRecord]) -> None:
        """Store records, all or none; one that is stored already, by its identity, stays one."""

    async def search(self, sought: AuditFilter, limit: int) -> Sequence[AuditRecord]:
        """List the records that match in the order of their ids, the highest first."""

    async def forget(self, before: float) -> None:
        """Delete records older than a time, at most some thousand in one call."""


class TokenStore(Protocol):
    """Store API tokens by their digests (64 hex digits each).

    Every method raises DatabaseUnavailable.
    """

    async def add(
        self,
        who: str,
        label: str,
        digest: str,
        now: int,
        expires_at: int,
        *,
        scope: TokenScope = NO_LIMITS,
    ) -> Token:
        """Store a new token; :raises BadRequest: the name or label cannot be stored."""

    async def find(self, digest: str) -> Token | None:
        """Return the token of a digest, expired or not; None if there is none."""

    async def of_user(self, who: str) -> Sequence[Token]:
        """List the tokens of a user, newest first."""

    async def used(self, token_id: int, now: int, address: str) -> bool:
        """Record that a token was used from an address, unless it was within USED_SECONDS.

        Return whether the address is none of the last ADDRESSES_KEPT that used the token.
        """

    async def revoke(self, token_id: int, who: str) -> bool:
        """Delete a token of a user; return False if the user has no such token."""

    async def revoke_all(self, who: str) -> Sequence[int]:
        """Delete all tokens of a user; return their ids."""

    async def forget(self, before: int) -> None:
        """Delete the tokens that expired before a time."""


class GroupStore(Protocol):
    """Store the groups that a proxy named of users, for requests with their tokens.

    Every method raises DatabaseUnavailable.
    """

    async def remember(self, who: str, groups: frozenset[str], now: int) -> None:
        """Store the groups of a user as seen now, in place of those seen earlier."""

    async def of_user(self, who: str, since: int) -> frozenset[str]:
        """Return the groups of a user if they were seen at ``since`` or later, else none."""

    async def forget(self, before: int) -> None:
        """Delete the groups that were last seen before a time."""


class LoadStore(Protocol):
    """Store samples of the farm's load, at most one of each minute.

    Times are epoch seconds. Every method raises DatabaseUnavailable.
    """

    async def known(self, at: int) -> bool:
        """Return whether there is a sample of the minute of a time."""

    async def add(self, sample: LoadSample) -> None:
        """Store a sample as that of its minute, unless there is one."""

    async def samples(self, since: int, until: int, step: int) -> Sequence[LoadSample]:
        """List the samples of a span, the oldest first: the greatest numbers of each ``step``.

        ``step`` is in seconds, at least a minute; each begins at a multiple of it, which is the
        time of its sample. The first begins at ``since`` or before it, ``until`` is left out. A
        step without samples is left out.
        """

    async def forget(self, before: int) -> None:
        """Delete the samples from before a time."""
