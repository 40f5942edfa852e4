"""Submit job requests: check them, record them, send them to the broker, or refuse them for good.

What is recorded and not sent is refused in its row before the client hears of it, so that a 503
means that the job is never executed.  Recording and sending go on if the client disconnects.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import attrs
from twisted.internet import defer
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildapi import tracing
from buildapi.errors import (
    AccessDenied,
    BrokerUnavailable,
    BuildAPIError,
    DatabaseUnavailable,
    InProgress,
    OutcomeUnknownError,
    Unavailable,
)
from buildapi.interfaces import AuditLog, Broker, JobStore, TextLimits, Trail
from buildapi.model.actions import Action, builds_asked
from buildapi.model.audit import (
    AuditOutcome,
    AuditRecord,
    AuditSubject,
    subject_of,
    subject_of_path,
)
from buildapi.model.branches import Branch
from buildapi.model.ops import Part
from buildapi.model.outcome import Outcome
from buildapi.model.records import JobKey, KeyedJob
from buildapi.model.wire import (
    REQUESTS,
    JobMessage,
    action_from,
    encode_request,
    finished,
    what,
)
from buildapi.parameters.job_parameters import DRY_RUN, WAIT
from buildapi.web.http.audit_records import RECORDED, actor_from, refusal
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import Handler, Route
from buildapi.web.selfserve.build_quota import BuildQuota
from buildapi.web.selfserve.documents import AcceptedDocument, JobDocument
from buildapi.web.selfserve.dry_run_page import DryRun
from buildapi.web.selfserve.idempotency import IdempotencyKeys, key_of
from buildapi.web.selfserve.job_routes import CheckedRequest, JobRoute
from buildapi.web.selfserve.job_waiter import JobWaiter
from buildapi.web.selfserve.permissions import JobPermissions
from buildapi.web.selfserve.serializers import job_json

T = TypeVar("T")

AT_ONCE = 100
"""Maximum number of job requests of one call that are recorded in one go."""

QUICK = 0.1
"""Part of the time left; more are recorded in one go after some that took no more of it."""

NOT_RECORDED = "Couldn't create JobRequest row"
NOT_SENT = "Couldn't send message to broker"
UNKNOWN = "The outcome is not known yet: check job {id} before you send the request again"
LATE = "Not accepted: the batch took too long"

log = Logger()


@attrs.frozen(eq=False)
class Submission:
    """A checked job request of a user that is not recorded yet."""

    call: Call
    route: JobRoute
    checked: CheckedRequest
    key: JobKey | None = None

    @property
    def builds(self) -> int:
        """Return the number of builds that it asks for."""
        return builds_asked(self.checked.action.name, what(self.checked.action))


@attrs.frozen
class Accepted:
    """An accepted job request."""

    route: JobRoute
    job_id: int
    words: str
    warnings: Sequence[str] = ()

    def reply(self, job: JobDocument | None = None) -> Reply:
        """Return the 202 answer, with the ``job`` as it is if the client waited for it."""
        msg = f"{self.words} is queued as job {self.job_id}"
        told: AcceptedDocument = {"status": "OK", "request_id": self.job_id, "msg": msg}
        warned = {"warnings": list(self.warnings)} if self.warnings else {}
        if self.warnings:
            told["warnings"] = list(self.warnings)
        if job:
            told["job"] = job
        document = JSONBody.of(told)
        shown = Reply.data("Accepted", document)
        if self.route.followed:
            page = Page("accepted.html", "Accepted", {"msg": msg, "job_id": self.job_id, **warned})
            where = f"/self-serve/jobs/{self.job_id}"
            shown = Reply(document, page, location=where)
        return attrs.evolve(shown, status=202, fresh=True)


Prepared = Submission | Accepted | Reply
"""A checked call: still to be recorded, accepted before, or answered with its plan."""

Submitted = Accepted | Reply | BuildAPIError
"""The result of a prepared call: accepted, answered with its plan, or refused."""


@attrs.frozen
class JobSubmitter:
    """Serve job requests; ``looking`` bounds the read of a job that was waited for.

    ``checking`` bounds how long it may take to learn what the farm can store.  ``branch`` raises
    NotFound for an unknown branch name.
    """

    _branch: Callable[[str], Branch]
    _dispatcher: JobDispatcher
    _store: JobStore
    _dry_run: DryRun
    _keys: IdempotencyKeys
    _waiter: JobWaiter
    _looking: Deadline
    _quota: BuildQuota
    _limits: TextLimits
    _checking: Deadline
    _permissions: JobPermissions
    _audit: AuditLog

    def routes(self, routes: Sequence[JobRoute]) -> Sequence[Route]:
        """Return the served routes of job requests."""
        return [route.served(self._handler(route)) for route in routes]

    def _handler(self, route: JobRoute) -> Handler:
        async def handler(call: Call) -> Reply:
            return await self.serve(route, call)

        return handler

    async def serve(self, route: JobRoute, call: Call) -> Reply:
        """Accept one job request, or return its plan for ``dry_run``."""
        # An unknown branch is 404 whatever else is wrong, and a bad "wait" 400 before anything is
        # recorded.
        branch = self._branch(call.path["branch"])
        seconds = WAIT.of(call)
        prepared = await self.prepare(route, call, branch)
        (submitted,) = await self.submit([prepared])
        match submitted:
            case BuildAPIError():
                raise submitted
            case Accepted():
                return await self._answer(call, submitted, seconds)
            case Reply():
                return submitted

    async def prepare(self, route: JobRoute, call: Call, branch: Branch | None = None) -> Prepared:
        """Check a call; return its plan, its earlier acceptance, or what to record.

        :raises NotFound: it names no known branch; this is checked before anything else.
        """
        branch = branch or self._branch(call.path["branch"])
        # Before the key: a dry run must not use up the key of the request that it previews.
        if DRY_RUN.of(call):
            checked = await self._checked(route, call, branch)
            return await self._dry_run.reply(route, call, checked)
        key = key_of(call, route)
        if key is not None and (first := await self._first(route, key)):
            self._audit.record(repetition_record(route, call, first))
            return first
        checked = await self._checked(route, call, branch)
        # Stored with the key, for the answer to a repetition.
        known = None if key is None else attrs.evolve(key, words=checked.words)
        return Submission(call, route, checked, known)

    async def _checked(self, route: JobRoute, call: Call, branch: Branch) -> CheckedRequest:
        """Check a call, that its user may do it, and that the farm can store its texts.

        Where the last is not known now, the agent finds out.
        """
        checked = await route.check(call, branch)
        try:
            await self._permissions.require(call.identity, checked, branch)
        except AccessDenied as e:  # the audit log says what was asked for, also in the body
            e.subject = subject_of(checked.action, call.path["branch"])
            raise
        try:
            warnings = await self._checking.bound(self._limits.check(checked.action, call.user))
        except Unavailable:
            return checked
        return attrs.evolve(checked, warnings=(*checked.warnings, *warnings))

    async def submit(
        self,
        prepared: Sequence[Prepared | BuildAPIError],
        seconds_left: Callable[[], float] = lambda: 1.0,
    ) -> Sequence[Submitted]:
        """Record and send the job requests of one user in order; return the result of each.

        They are recorded in their order, more in one go while that is quick; sending one does not
        wait for the others.  Once ``seconds_left`` returns less than 0, the rest is refused.  The
        work goes on to its end even if the client disconnects.

        :raises TooManyBuilds: together they exceed a limit; none is recorded.
        :raises DatabaseUnavailable: that cannot be told now; none is recorded.
        """
        submissions = [one for one in prepared if isinstance(one, Submission)]
        if not submissions:
            return [one for one in prepared if not isinstance(one, Submission)]
        who, builds = submissions[0].call.user, sum(one.builds for one in submissions)

        async def work() -> Sequence[Submitted]:
            async with self._quota.recording(who, builds, NOT_RECORDED):
                going = await self._begin_all(submissions, seconds_left)
                return [
                    await self._ended(one, going[one]) if isinstance(one, Submission) else one
                    for one in prepared
                ]

        # Klein cancels the handler's Deferred when the client disconnects; a job recorded and not
        # sent would be left to the outbox.
        try:
            return await shielded(work())
        except BuildAPIError as e:
            if len(submissions) == 1:
                e.subject = subject_of_submission(submissions[0])
            raise

    async def _ended(self, submission: Submission, going: defer.Deferred[Submitted]) -> Submitted:
        """Return the result of a job request, and record it in the audit log."""
        ended = await going
        self._audit.record(submission_record(submission, ended))
        return ended

    def refused(self, route: JobRoute, call: Call, error: BuildAPIError) -> None:
        """Record the refusal of an entry of a batch, whose answer is none of a request."""
        if error.status in RECORDED:
            actor, subject = actor_from(call.identity), subject_of_path(call.path)
            self._audit.record(refusal(error, route.action, actor, call.client(), subject))

    async def _begin_all(
        self, submissions: Sequence[Submission], seconds_left: Callable[[], float]
    ) -> Mapping[Submission, defer.Deferred[Submitted]]:
        """Record job requests; return Deferreds that fire once each is sent, or refused."""
        going: dict[Submission, defer.Deferred[Submitted]] = {}
        # Groups begin with one job and grow while that is quick: a slow database must not hold a
        # group beyond the deadline.
        at_once = 1
        while len(going) < len(submissions):
            left = seconds_left()
            if left < 0:
                late = submissions[len(going) :]
                return going | {one: defer.succeed(Unavailable(LATE)) for one in late}
            some = submissions[len(going) : len(going) + at_once]
            # The store records in the order of the calls, and what waits in one transaction.
            recording = [defer.ensureDeferred(self._record(one)) for one in some]
            for one, recorded in zip(some, recording, strict=True):
                going[one] = self._begin_sending(one, await recorded)
            if left - seconds_left() <= QUICK * left:
                at_once = min(2 * at_once, AT_ONCE)
        return going

    async def _record(self, submission: Submission) -> JobMessage | BuildAPIError:
        call, action = submission.call, submission.checked.action
        try:
            return await self._dispatcher.record(
                action, call.user, submission.key, call.path["branch"]
            )
        except BuildAPIError as e:
            return e

    def _begin_sending(
        self, submission: Submission, recorded: JobMessage | BuildAPIError
    ) -> defer.Deferred[Submitted]:
        match recorded:
            case JobMessage():
                return defer.ensureDeferred(_or_error(self._send(submission, recorded)))
            case InProgress():
                return defer.ensureDeferred(_or_error(self._second(submission, recorded)))
            case BuildAPIError():
                return defer.succeed(recorded)

    async def _send(self, submission: Submission, message: JobMessage) -> Accepted:
        await self._dispatcher.send(message)
        token = submission.call.identity.token
        if token is not None:
            log.info(
                "job {id} by token {token} ({label}) of {who}",
                id=message.request_id,
                token=token.id,
                label=token.label,
                who=message.who,
            )
        checked = submission.checked
        return Accepted(submission.route, message.request_id, checked.words, checked.warnings)

    # --- repeated requests

    async def _first(self, route: JobRoute, key: JobKey) -> Accepted | None:
        """Return the acceptance of the first request with a key; None without one."""
        known = await self._keys.known(key.name, key.content)
        if known is not None and not known.accepted:
            known = await self._taken_up(key, known.request_id)
        if known is None:
            return None
        self._dispatcher.repeated(known.request_id)
        return Accepted(route, known.request_id, known.key.words)

    async def _taken_up(self, key: JobKey, job_id: int) -> KeyedJob | None:
        """Send a job whose process died between recording and sending it; None if it was refused.

        :raises InProgress: this process is accepting it at the moment.
        """
        if self._dispatcher.is_accepting(job_id):
            raise InProgress("Another request with this Idempotency-Key is being accepted")
        await shielded(self._dispatcher.take_up(job_id))
        try:
            known = await self._keys.known(key.name, key.content)
        except Unavailable as e:  # a 503 would deny that it is accepted
            raise OutcomeUnknownError(UNKNOWN.format(id=job_id), job_id) from e
        if known is not None and not known.accepted:  # sent, but recording that failed
            return attrs.evolve(known, accepted=True)
        return known

    async def _second(self, submission: Submission, error: InProgress) -> Accepted:
        """Return the answer of the other of two concurrent requests with the same key."""
        key = submission.key
        first = None if key is None else await self._first(submission.route, key)
        if first is None:
            raise error
        return first

    # --- answers

    async def _answer(self, call: Call, accepted: Accepted, seconds: float) -> Reply:
        """Return the answer, after waiting up to ``seconds`` for the job to finish."""
        if seconds <= 0:
            return accepted.reply()
        call.begin_wait()
        await self._waiter.finished(accepted.job_id, seconds)
        try:
            job = await self._looking.bound(self._store.get(accepted.job_id))
        except Unavailable:  # the job is accepted, which a 503 would deny
            job = None
        except Exception:  # nor would an incident name the job
            log.failure("job {id} accepted, but it could not be read", id=accepted.job_id)
            job = None
        return accepted.reply(None if job is None else job_json(job))


def subject_of_submission(submission: Submission) -> AuditSubject:
    """Return what a job request acts on."""
    return subject_of(submission.checked.action, submission.call.path["branch"])


def submission_record(submission: Submission, ended: Submitted) -> AuditRecord:
    """Return the record of a checked job request: who asked for what, and how it ended."""
    call = submission.call
    record = AuditRecord(
        submission.checked.action.name,
        AuditOutcome.ACCEPTED,
        actor_from(call.identity),
        call.client(),
        subject_of_submission(submission),
    )
    match ended:
        case Accepted():
            return attrs.evolve(record, job_id=ended.job_id)
        case BuildAPIError():
            refused = ended.status in RECORDED
            return attrs.evolve(
                record,
                outcome=AuditOutcome.REFUSED if refused else AuditOutcome.FAILED,
                status=ended.status,
                code=ended.code,
                job_id=ended.job_id,
                detail=ended.msg,
            )
        case Reply():
            return record


def repetition_record(route: JobRoute, call: Call, first: Accepted) -> AuditRecord:
    """Return the record of a request that is answered as an earlier one with the same key."""
    return AuditRecord(
        route.action,
        AuditOutcome.ACCEPTED,
        actor_from(call.identity),
        call.client(),
        subject_of_path(call.path),
        job_id=first.job_id,
        detail="answered again: the same Idempotency-Key",
    )


async def _or_error(work: Awaitable[Accepted]) -> Submitted:
    try:
        return await work
    except BuildAPIError as e:
        return e


@attrs.define
class JobDispatcher:
    """Record and send job requests; ``recording`` bounds the time of one database operation.

    Neither may be cancelled when the client disconnects, or a job would be left halfway: see
    ``shielded``.  ``now`` returns seconds since the epoch.  ``owe`` is called with the id of a job
    that was sent when recording that failed.
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
        # The id alone does not prove whose message it is (docs/amqp.md, "Whose a message is").
        now, identity = int(self._now()), secrets.token_hex(16)
        try:
            adding = self._store.add(
                who, now, action.name, what(action), key, branch=branch, identity=identity
            )
            request_id = await self._recording.bound(adding)
        except Unavailable as e:
            log.warn("cannot record the job request: {msg}", msg=e.msg)
            raise DatabaseUnavailable(NOT_RECORDED) from e
        except BuildAPIError:
            raise
        except Exception as e:  # whatever was recorded: only sent jobs are executed
            log.failure("cannot record the job request")
            raise DatabaseUnavailable(NOT_RECORDED) from e
        # Until its message is sent: a repetition that arrives meanwhile must not send it a second
        # time.
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
                # The same for every copy of the message, so that copies can be recognized in a
                # queue.
                message_id=f"job-{message.request_id}",
                correlation_id=str(message.request_id),
            )
        # Refused in its row before the client hears of it: a 503 promises that the job is never
        # executed (docs/compatibility.md, "Bots and scripts").
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
            # The message is confirmed, so an agent will execute the job: any error here would deny
            # that.
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
    # Awaiting "running" itself would pass a cancellation on to it (Twisted, Deferred.cancel). With
    # a canceller the late result must not be called back: that raises AlreadyCalledError.
    waiting: defer.Deferred[T] = defer.Deferred(lambda _: None)

    def pass_on(result: T | Failure) -> None:
        if not waiting.called:
            waiting.callback(result)
        elif isinstance(result, Failure) and not result.check(BuildAPIError):
            log.failure("background work failed", failure=result)

    running.addBoth(pass_on)
    return await waiting


async def _await(work: Awaitable[T]) -> T:
    return await work
