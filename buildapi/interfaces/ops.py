"""The roles of what watches the program itself, and of what tells who somebody is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from buildapi.model.ops import Beat, Part, Token, TrailEntry


class Roster(Protocol):
    """Know which processes there are, on all hosts.

    Every method raises DatabaseUnavailable where that cannot be told or noted.
    """

    async def beat(self, beat: Beat) -> None:
        """Note what a process says of itself, in place of what it said before."""

    async def leave(self, instance: str) -> None:
        """Forget a process that ends in order."""

    async def processes(self) -> Sequence[Beat]:
        """List what processes said last, by name; those that fell silent, too."""

    async def forget(self, before: int) -> None:
        """Forget processes that have said nothing since a time."""


class Trail(Protocol):
    """Note what happens to job requests, for those who ask later."""

    def note(self, job_id: int, part: Part, event: str, detail: str = "") -> None:
        """Note an event, a short word, now; the trace is that of the running context.

        Returns at once and never fails: what cannot be kept in time is dropped, and logged.
        """


class TrailStore(Protocol):
    """Keep what happened to job requests.

    Every method raises DatabaseUnavailable.
    """

    async def add(self, entries: Sequence[TrailEntry]) -> None:
        """Keep entries, all or none."""

    async def of_job(self, job_id: int, since: float) -> Sequence[TrailEntry]:
        """List what happened to a job at ``since`` or later, in order, at most 1000 entries."""

    async def forget(self, before: float) -> None:
        """Forget what happened before a time, at most some thousand entries in one call."""


class TokenStore(Protocol):
    """Keep the digests of tokens (64 hex digits each).

    Every method raises DatabaseUnavailable.
    """

    async def add(self, who: str, label: str, digest: str, now: int, expires_at: int) -> Token:
        """Keep a new one; :raises BadRequest: the name or label cannot be stored."""

    async def find(self, digest: str) -> Token | None:
        """Find one by its digest, expired or not."""

    async def of_user(self, who: str) -> Sequence[Token]:
        """List those of a user, newest first."""

    async def used(self, token_id: int, now: int) -> None:
        """Note that one was used."""

    async def revoke(self, token_id: int, who: str) -> bool:
        """Delete one of a user's; return False where the user has no such token."""

    async def forget(self, before: int) -> None:
        """Delete those that expired before a time."""
