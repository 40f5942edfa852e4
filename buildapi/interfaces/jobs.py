"""Interfaces to the AMQP broker and to the store of job requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Protocol

from buildapi.model.messages import BrokerStatus, Handler, QueueDepth, Review
from buildapi.model.rebuilds import Rebuild, RebuildLinks
from buildapi.model.records import (
    EVERY_JOB,
    AskedBuilds,
    Backlog,
    JobFilter,
    JobKey,
    JobRecord,
    KeyedJob,
    Progress,
)
from buildapi.model.row_marks import RowMarks


class Consumer(Protocol):
    """A running consumer of a queue."""

    async def stop(self, seconds: float) -> bool:
        """Cancel the consumer and wait up to ``seconds`` for its handlers.

        Return whether all of them ended; the messages of the others stay unacknowledged and are
        redelivered.
        """


class Broker(Protocol):
    """Deliver messages at least once.

    ``keeps_messages`` is false if a restart of this process empties the queues.
    """

    # Unfinished jobs are then sent again at start [docs/design.md, "The life of a job request"].
    keeps_messages: bool

    async def publish(
        self, routing_key: str, body: bytes, *, message_id: str, correlation_id: str | None = None
    ) -> None:
        """Publish a message and return when the broker has confirmed it.

        :raises BrokerUnavailable: it was not confirmed; it may be delivered nevertheless.
        """

    async def consume(self, queue: str, handler: Handler, *, prefetch: int) -> Consumer:
        """Call ``handler`` for each message of ``queue``, at most ``prefetch`` at a time.

        The consumer survives reconnects until it is stopped.  If a handler raises, its message is
        redelivered, and dead-lettered after the configured number of attempts.
        """

    async def review(self, queue: str, judge: Review, *, limit: int) -> None:
        """Pass dead letters of ``queue`` to ``judge``, oldest first, and do what it returns.

        At most ``limit`` of them; concurrent reviews do not see them.

        :raises BrokerUnavailable: there is no connection, or it was lost.
        """

    def status(self) -> BrokerStatus:
        """Return the state of the connection, without a request to the broker."""

    async def depth(self, queue: str) -> QueueDepth:
        """Ask the broker for the depth of a queue.

        :raises BrokerUnavailable: there is no connection.
        """


class JobStore(Protocol):
    """Store job requests and their outcomes: the ``jobrequests`` table."""

    async def add(
        self,
        who: str,
        when: int,
        action: str,
        what: Mapping[str, object],
        key: JobKey | None = None,
        *,
        branch: str | None = None,
        identity: str | None = None,
    ) -> int:
        """Record a job request as queued and not yet sent; return its id.

        ``identity`` is unique among all jobs there ever were; None generates one.

        :raises DatabaseUnavailable: nothing was recorded.
        :raises BadRequest: a value cannot be stored; the message says why.
        :raises InProgress: a job has this key already; nothing was recorded.
        """

    async def keyed(self, name: str, since: int) -> KeyedJob | None:
        """Return the job of an idempotency key, recorded at ``since`` or later and not refused."""

    async def forget_keys(self, before: int) -> None:
        """Delete the idempotency keys of jobs recorded before a time."""

    async def sent(self, request_id: int) -> None:
        """Record that the broker has confirmed the message of a job."""

    async def refuse(self, request_id: int, report: Mapping[str, object], now: int) -> bool:
        """Finish a job that no agent has begun as failed, and free its key.

        It is never executed then.  Return False if it is known to be sent or an agent was faster:
        then it counts as accepted.
        """

    async def begin(self, request_id: int, agent: str, now: int) -> bool:
        """Record that an agent begins an unfinished job, or begins it again after redelivery.

        Return False if the job is finished or unknown: then it must not be executed.
        """

    async def progress(self, request_id: int, progress: Progress, now: int) -> None:
        """Record the progress of an unfinished job."""

    async def finished(self, request_ids: Sequence[int]) -> Set[int]:
        """Return the ids of those jobs that are finished or unknown."""

    async def finish(
        self,
        request_id: int,
        report: Mapping[str, object],
        now: int,
        rebuilds: Sequence[Rebuild] = (),
    ) -> bool:
        """Store the outcome of an unfinished job; return False if it was finished already.

        Its ``rebuilds`` are recorded with it; those of another job that has finished it are not.
        """

    async def rebuilds(self, builds: Sequence[int], requests: Sequence[int]) -> RebuildLinks:
        """Return the rebuilds of builds and requests, and what these requests are rebuilds of.

        The newest come first, at most ``REBUILDS_MAX``.
        """

    async def get(self, request_id: int) -> JobRecord | None:
        """Return a job; None if there is none."""

    async def latest(
        self, limit: int, offset: int, wanted: JobFilter = EVERY_JOB
    ) -> Sequence[JobRecord]:
        """List the jobs that a filter selects, newest first."""

    async def backlog(self, since: int, failed_since: int) -> Backlog:
        """Count the unfinished jobs recorded at ``since`` or later.

        ``failed`` counts those that finished as failed at ``failed_since`` or later.
        """

    async def asked_builds(self, who: str, since: int) -> Sequence[AskedBuilds]:
        """List the builds a user's jobs asked for after ``since``, without refused jobs."""

    async def marks(self, limit: int) -> RowMarks:
        """Return the marks of the newest jobs, which change with their state and progress."""

    async def unsettled(
        self, *, sent: bool, before: int, limit: int, after: int = 0
    ) -> Sequence[JobRecord]:
        """List unfinished jobs recorded before a time, by id, above the id ``after``.

        ``sent`` selects those whose message the broker confirmed, or those for which that is
        unknown; never jobs that only an older web process knows.
        """
