"""Accept job requests: record them, send them to the broker, or refuse them for good."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildapi import tracing
from buildapi.errors import (
    BrokerUnavailable,
    BuildAPIError,
    DatabaseUnavailable,
    OutcomeUnknownError,
    Unavailable,
)
from buildapi.interfaces import Broker, JobStore, Trail
from buildapi.model.actions import Action
from buildapi.model.ops import Part
from buildapi.model.outcome import Outcome
from buildapi.model.records import JobKey
from buildapi.model.wire import (
    REQUESTS,
    JobMessage,
    action_from,
    encode_request,
    finished,
    what,
)
from buildapi.web.http.deadline import Deadline

T = TypeVar("T")

NOT_RECORDED = "Couldn't create JobRequest row"
NOT_SENT = "Couldn't send message to broker"
UNKNOWN = "The outcome is not known yet: check job {id} before you send the request again"

log = Logger()


@attrs.define
class JobDispatcher:
    """Record and send job requests; ``recording`` bounds the time of one database operation.

    Recording and sending must not be cancelled when the client disconnects, or a job would be left
    halfway.  ``now`` returns seconds since the epoch.  ``owe`` is called with the id of a job that
    was sent when recording that failed.
    """

    _store: JobStore
    _broker: Broker
    _now: Callable[[], float]
    _recording: Deadline
    _trail: Trail
    _owe: Callable[[int], None] = lambda _: None
    _accepting: set[int] = attrs.field(factory=set, init=False)

    async def record(
        self, action: Action, who: str, key: JobKey | None = None, branch: str | None = None
    ) -> JobMessage:
        """Record a job request; return the message to send.

        :raises Unavailable: the job is not executed, and never will be.
        :raises InProgress: another job has this key.
        """
        now, identity = int(self._now()), secrets.token_hex(16)
        try:
            adding = self._store.add(
                who, now, action.name, what(action), key, branch=branch, identity=identity
            )
            request_id = await self._recording.bound(adding)
        except Unavailable as e:
            log.warn("job request not recorded: {msg}", msg=e.msg)
            raise DatabaseUnavailable(NOT_RECORDED) from e
        except BuildAPIError:
            raise
        except Exception as e:  # whatever was recorded: only sent jobs are executed
            log.failure("job request not recorded")
            raise DatabaseUnavailable(NOT_RECORDED) from e
        self._accepting.add(request_id)
        self._note(request_id, "recorded", f"{action.name} by {who}")
        return JobMessage(request_id, who, now, action, tracing.trace(), identity)

    def _note(self, request_id: int, event: str, detail: str = "") -> None:
        self._trail.note(request_id, Part.HTTP, event, detail)

    def is_accepting(self, request_id: int) -> bool:
        """Return whether this process is between the record of a job and its message."""
        return request_id in self._accepting

    async def take_up(self, request_id: int) -> None:
        """Send a recorded job whose process died before sending it; a finished one is left alone.

        If that process is alive and sends it, too, an agent executes it once.

        :raises Unavailable: the job is not executed, and never will be.
        :raises OutcomeUnknownError: whether it will be executed is not known yet.
        """
        job = await self._recording.bound(self._store.get(request_id))
        if job is None or job.completed_at is not None:
            return
        action = action_from(job.action, job.what)
        self._note(request_id, "taken up", "a request with the same Idempotency-Key")
        trace = tracing.trace()
        await self.send(JobMessage(job.id, job.who, job.when, action, trace, job.identity))

    def repeated(self, request_id: int) -> None:
        """Record in the audit trail that a repeated request got the answer of this job."""
        self._note(request_id, "answered again", "a request with the same Idempotency-Key")

    async def send(self, message: JobMessage) -> None:
        """Send a recorded job; errors carry its id.

        :raises Unavailable: the job is not executed, and never will be.
        :raises OutcomeUnknownError: whether it will be executed is not known yet.
        """
        with tracing.about(job=message.request_id):
            try:
                sent = await self._send(message)
            finally:
                self._accepting.discard(message.request_id)
            if sent:
                log.info(
                    "job {id} {action} by {who} accepted",
                    id=message.request_id,
                    action=message.action.name,
                    who=message.who,
                )

    async def _send(self, message: JobMessage) -> bool:
        try:
            await self._broker.publish(
                REQUESTS,
                encode_request(message),
                message_id=f"job-{message.request_id}",
                correlation_id=str(message.request_id),
            )
        except BrokerUnavailable as e:
            log.error("job {id} not sent: {msg}", id=message.request_id, msg=e.msg)
            return await self._refuse(message.request_id, e)
        except Exception as e:
            log.failure("job {id} not sent", id=message.request_id)
            return await self._refuse(message.request_id, BrokerUnavailable(type(e).__name__))
        self._note(message.request_id, "sent")
        try:
            await self._recording.bound(self._store.sent(message.request_id))
        except Unavailable as e:
            self._not_noted(message.request_id, e.msg)
        except Exception as e:
            log.failure("job {id} sent, but this could not be recorded", id=message.request_id)
            self._not_noted(message.request_id, type(e).__name__)
        return True

    def _not_noted(self, request_id: int, why: str) -> None:
        """Request that the "sent" mark of an accepted job is recorded later."""
        log.warn("job {id} sent, but this is not recorded yet: {why}", id=request_id, why=why)
        self._owe(request_id)

    async def _refuse(self, request_id: int, error: BrokerUnavailable) -> bool:
        """Finish a job as failed, unless an agent has begun it; return True if one has.

        A message without RabbitMQ's publisher confirm may still reach the queue, and a 503 promises
        that the job is never executed: it may be answered only once the refusal is recorded.
        """
        self._note(request_id, "not sent", error.msg)
        report = finished(request_id, Outcome(True, NOT_SENT))
        try:
            refusing = self._store.refuse(request_id, report, int(self._now()))
            refused = await self._recording.bound(refusing)
        except Exception as e:  # the outbox refuses it later, unless an agent begins it
            if not isinstance(e, Unavailable):
                log.failure("job {id} could not be marked as refused", id=request_id)
            raise OutcomeUnknownError(UNKNOWN.format(id=request_id), request_id) from e
        if refused:
            self._note(request_id, "refused", NOT_SENT)
            raise BrokerUnavailable(NOT_SENT, request_id) from error
        return True


async def shielded(work: Awaitable[T]) -> T:
    """Return the result of ``work``, which goes on if the waiting is cancelled."""
    running = defer.ensureDeferred(_await(work))
    waiting: defer.Deferred[T] = defer.Deferred(lambda _: None)

    def pass_on(result: Any) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure) and not result.check(BuildAPIError):
            log.failure("background work failed", failure=result)

    running.addBoth(pass_on)
    return await waiting


async def _await(work: Awaitable[T]) -> T:
    return await work
