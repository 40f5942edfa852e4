"""The roles of those that record, pass on and take job requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Protocol

from buildapi.model.messages import BrokerStatus, Handler, QueueDepth, Review
from buildapi.model.records import (
    EVERY_JOB,
    AskedBuilds,
    Backlog,
    JobFilter,
    JobKey,
    JobMark,
    JobRecord,
    KeyedJob,
    Progress,
)


class Consumer(Protocol):
    """A running consumer."""

    async def stop(self, seconds: float) -> bool:
        """Take no more, wait up to ``seconds`` for what is in hand; tell whether all of it ended.

        What is still in hand then stays unacknowledged and is delivered again.
        """


class Broker(Protocol):
    """Pass messages on, at least once.

    ``keeps_messages`` is false where a restart of this process empties the queues.
    """

    keeps_messages: bool

    async def publish(
        self, routing_key: str, body: bytes, *, message_id: str, correlation_id: str | None = None
    ) -> None:
        """Return when the message is safe with the broker.

        :raises BrokerUnavailable: it is not known to be; it may arrive nevertheless.
        """

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> Consumer:
        """Call ``handler`` for each message of ``queue``, at most ``prefetch`` at a time.

        Goes on over reconnects until stopped.  A handler that raises has its message redelivered;
        after the configured number of tries it goes to the dead-letter queue.
        """

    async def review(self, queue: str, judge: Review, *, limit: int) -> None:
        """Show ``judge`` the dead letters of ``queue``, oldest first, and do as it says.

        At most ``limit`` of them; others who review meanwhile do not see them.

        :raises BrokerUnavailable: there is no connection, or no longer.
        """

    def status(self) -> BrokerStatus:
        """Tell how the connection is, without asking the broker."""

    async def depth(self, queue: str) -> QueueDepth:
        """Ask for the depth of a queue.

        :raises BrokerUnavailable: there is no connection.
        """


class JobStore(Protocol):
    """Keep job requests: the ``jobrequests`` table and what became of each."""

    async def add(
        self,
        who: str,
        when: int,
        action: str,
        what: Mapping[str, Any],
        key: JobKey | None = None,
        *,
        branch: str | None = None,
        identity: str | None = None,
    ) -> int:
        """Record a job request as queued and not yet sent; return its id.

        ``identity`` is its own among all that ever were; None has one minted.

        :raises DatabaseUnavailable: nothing was recorded.
        :raises BadRequest: it cannot be stored, and why.
        :raises InProgress: a job has this key already; nothing was recorded.
        """

    async def keyed(self, name: str, since: int) -> KeyedJob | None:
        """Find the job of a key, recorded at ``since`` or later and not refused."""

    async def forget_keys(self, before: int) -> None:
        """Forget the keys of jobs recorded before a time."""

    async def sent(self, request_id: int) -> None:
        """Note that the message is safe with the broker."""

    async def refuse(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        """Finish a job nobody has begun as failed, so that it is never executed, and free its key.

        Return False where it is known to be sent or an agent was faster: then it counts as
        accepted.
        """

    async def begin(self, request_id: int, agent: str, now: int) -> bool:
        """Let an agent start, or start again after a redelivery, on a job that is not finished.

        Return False where it is finished, or unknown: then it must not be executed.
        """

    async def progress(self, request_id: int, progress: Progress, now: int) -> None:
        """Note how far a job is that is not finished."""

    async def finished(self, request_ids: Sequence[int]) -> Set[int]:
        """Tell which of these jobs are finished, or not there."""

    async def finish(self, request_id: int, report: Mapping[str, Any], now: int) -> bool:
        """Store the report of an unfinished job; return False where it was finished already."""

    async def get(self, request_id: int) -> JobRecord | None:
        """Find one."""

    async def latest(
        self, limit: int, offset: int, wanted: JobFilter = EVERY_JOB
    ) -> Sequence[JobRecord]:
        """List the newest first, of those that are wanted."""

    async def backlog(self, since: int, failed_since: int) -> Backlog:
        """Count those not finished that were recorded at ``since`` or later.

        The failed ones are those finished at ``failed_since`` or later.
        """

    async def asked_builds(self, who: str, since: int) -> Sequence[AskedBuilds]:
        """List what a user's job requests after ``since`` asked for, refused ones left out."""

    async def marks(self, limit: int) -> Sequence[JobMark]:
        """Tell how far the newest are, without reading what they hold."""

    async def unsettled(
        self, *, sent: bool, before: int, limit: int, after: int = 0
    ) -> Sequence[JobRecord]:
        """List unfinished jobs recorded before a time, by id, only those above ``after``.

        Those whose message was safe with the broker, or those of which that is not known; never
        those that only an older web process knows of.
        """
