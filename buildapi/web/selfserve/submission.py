"""Process job requests: accept them, preview them, or repeat the first answer of a key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import msgspec
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import BuildAPIError, InProgress, OutcomeUnknownError, Unavailable
from buildapi.interfaces import FactsReader, JobStore, TextLimits
from buildapi.jobs.decide import decide
from buildapi.model.actions import builds_asked
from buildapi.model.ops import Token
from buildapi.model.records import JobKey, KeyedJob
from buildapi.model.rules import Rules
from buildapi.model.steps import Plan
from buildapi.model.wire import JobMessage, item_data, what
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.params import duration, given_once, switch
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import Handler, Route
from buildapi.web.selfserve.build_quota import BuildQuota
from buildapi.web.selfserve.dispatch import NOT_RECORDED, UNKNOWN, JobDispatcher, shielded
from buildapi.web.selfserve.dry_run_page import shown_plan
from buildapi.web.selfserve.idempotency import IdempotencyKeys, key_of
from buildapi.web.selfserve.job_routes import WAIT_MAX, CheckedRequest, JobRoute
from buildapi.web.selfserve.job_waiter import JobWaiter
from buildapi.web.selfserve.serializers import job_json


@attrs.frozen
class Submission:
    """A checked job request that is not yet recorded."""

    route: JobRoute
    order: CheckedRequest
    who: str
    key: JobKey | None
    branch: str
    token: Token | None = None


@attrs.frozen
class Accepted:
    """An accepted job request."""

    route: JobRoute
    job_id: int
    words: str
    warnings: Sequence[str] = ()

    def reply(self, job: dict[str, Any] | None = None) -> Reply:
        """Return the 202 answer, with the ``job`` as it is if the client waited for it."""
        msg = f"{self.words} is queued as job {self.job_id}"
        told = {"status": "OK", "request_id": self.job_id, "msg": msg}
        warned = {"warnings": list(self.warnings)} if self.warnings else {}
        document = JSONBody.of(told | warned | ({"job": job} if job else {}))
        shown = Reply.data("Accepted", document)
        if self.route.followed:
            page = Page("accepted.html", "Accepted", {"msg": msg, "job_id": self.job_id, **warned})
            where = f"/self-serve/jobs/{self.job_id}"
            shown = Reply(document, page, location=where)
        return attrs.evolve(shown, status=202, fresh=True)


log = Logger()

LATE = "Not accepted: the batch took too long"

Prepared = Submission | Accepted | Reply
"""A checked call: still to be recorded, accepted before, or answered with its plan."""


@attrs.frozen
class JobSubmitter:
    """Serve job requests; ``looking`` bounds the reads for a plan and of a job waited for.

    ``checking`` bounds how long it may take to learn what the farm can store.  ``branch`` raises
    NotFound for an unknown branch name.
    """

    _branch: Callable[[str], object]
    _desk: JobDispatcher
    _store: JobStore
    _observer: FactsReader
    _rules: Rules
    _keys: IdempotencyKeys
    _watch: JobWaiter
    _looking: Deadline
    _quota: BuildQuota
    _limits: TextLimits
    _checking: Deadline

    def routes(self, routes: Sequence[JobRoute]) -> Sequence[Route]:
        """Return the served routes of job requests."""
        return [route.served(self._handler(route)) for route in routes]

    def _handler(self, route: JobRoute) -> Handler:
        async def handler(call: Call) -> Reply:
            return await self.serve(route, call)

        return handler

    async def serve(self, route: JobRoute, call: Call) -> Reply:
        """Accept one job request, or return its plan for ``dry_run``."""
        self._admit(call)
        seconds = duration(given_once(call.query, call.form, "wait"), "wait", WAIT_MAX)
        match await self.prepare(route, call):
            case Reply() as plan:
                return plan
            case Accepted() as receipt:
                return await self._answer(receipt, seconds)
            case Submission() as ticket:
                return await self._answer(await shielded(self._accept(ticket)), seconds)

    async def prepare(self, route: JobRoute, call: Call) -> Prepared:
        """Check a call; return its plan, its earlier acceptance, or what to record."""
        self._admit(call)
        if switch(call.query, call.form, "dry_run"):
            return await self._plan(await self._checked(route, call), call, route)
        key = key_of(call, route)
        if key is not None and (first := await self._first(route, key)):
            return first
        order = await self._checked(route, call)
        known = None if key is None else attrs.evolve(key, words=order.words)
        token = call.identity.token
        return Submission(route, order, call.user, known, call.path["branch"], token)

    async def _checked(self, route: JobRoute, call: Call) -> CheckedRequest:
        """Check a call, and that the farm can store its texts.

        Where that is not known now, the agent finds out.
        """
        order = await route.check(call)
        try:
            warnings = await self._checking.bound(self._limits.check(order.action, call.user))
        except Unavailable:
            return order
        return attrs.evolve(order, warnings=(*order.warnings, *warnings))

    def _admit(self, call: Call) -> None:
        """Require a user, then a known branch, before anything else is checked."""
        _ = call.user
        self._branch(call.path["branch"])

    async def take(
        self, prepared: Sequence[Prepared | BuildAPIError], is_late: Callable[[], bool]
    ) -> Sequence[Reply | BuildAPIError]:
        """Record and send job requests in order; refuse the rest once ``is_late`` returns true.

        The work goes on to its end even if the client disconnects.

        :raises TooManyBuilds: together they exceed a limit; none is recorded.
        """
        return await shielded(self._take(prepared, is_late))

    async def _take(
        self, prepared: Sequence[Prepared | BuildAPIError], is_late: Callable[[], bool]
    ) -> Sequence[Reply | BuildAPIError]:
        tickets = [one for one in prepared if isinstance(one, Submission)]
        if not tickets:
            return await self._take_all(prepared, is_late)
        builds = sum(map(builds_of, tickets))
        async with self._quota.recording(tickets[0].who, builds, NOT_RECORDED):
            return await self._take_all(prepared, is_late)

    async def _take_all(
        self, prepared: Sequence[Prepared | BuildAPIError], is_late: Callable[[], bool]
    ) -> Sequence[Reply | BuildAPIError]:
        going: list[defer.Deferred[Reply | BuildAPIError]] = []
        for one in prepared:
            match one:
                case Submission():
                    going.append(await self._begin(one, late=is_late()))
                case Accepted():
                    going.append(defer.succeed(one.reply()))
                case _:
                    going.append(defer.succeed(one))
        return await defer.gatherResults(going)

    async def _begin(
        self, ticket: Submission, *, late: bool
    ) -> defer.Deferred[Reply | BuildAPIError]:
        """Record a job request; return a Deferred of its answer, which fires once it is sent."""
        if late:
            return defer.succeed(Unavailable(LATE))
        try:
            message = await self._record(ticket)
        except InProgress as e:
            return defer.ensureDeferred(_caught(self._second(ticket, e)))
        except BuildAPIError as e:
            return defer.succeed(e)
        return defer.ensureDeferred(_caught(self._send(ticket, message)))

    async def _record(self, ticket: Submission) -> JobMessage:
        action, who = ticket.order.action, ticket.who
        return await self._desk.record(action, who, ticket.key, ticket.branch)

    async def _accept(self, ticket: Submission) -> Accepted:
        async with self._quota.recording(ticket.who, builds_of(ticket), NOT_RECORDED):
            return await self._accept_counted(ticket)

    async def _accept_counted(self, ticket: Submission) -> Accepted:
        try:
            message = await self._record(ticket)
        except InProgress as e:
            return await self._second(ticket, e)
        return await self._send(ticket, message)

    async def _send(self, ticket: Submission, message: JobMessage) -> Accepted:
        await self._desk.send(message)
        if ticket.token is not None:
            log.info(
                "job {id} by token {token} ({label}) of {who}",
                id=message.request_id,
                token=ticket.token.id,
                label=ticket.token.label,
                who=ticket.who,
            )
        order = ticket.order
        return Accepted(ticket.route, message.request_id, order.words, order.warnings)

    async def _first(self, route: JobRoute, key: JobKey) -> Accepted | None:
        known = await self._keys.known(key.name, key.content)
        if known is not None and not known.accepted:
            known = await self._taken_up(key, known.request_id)
        if known is None:
            return None
        receipt = Accepted(route, known.request_id, known.key.words)
        self._desk.repeated(receipt.job_id)
        return receipt

    async def _taken_up(self, key: JobKey, job_id: int) -> KeyedJob | None:
        """Send a job whose process died between recording and sending it; None if it was refused.

        :raises InProgress: this process is accepting it at the moment.
        """
        if self._desk.is_accepting(job_id):
            raise InProgress("Another request with this Idempotency-Key is being accepted")
        await shielded(self._desk.take_up(job_id))
        try:
            known = await self._keys.known(key.name, key.content)
        except Unavailable as e:  # a 503 would deny that it is accepted
            raise OutcomeUnknownError(UNKNOWN.format(id=job_id), job_id) from e
        if known is not None and not known.accepted:  # sent, but recording that failed
            return attrs.evolve(known, accepted=True)
        return known

    async def _second(self, ticket: Submission, error: InProgress) -> Accepted:
        """Return the answer of the other of two concurrent requests with the same key."""
        first = None if ticket.key is None else await self._first(ticket.route, ticket.key)
        if first is None:
            raise error
        return first

    async def _answer(self, receipt: Accepted, seconds: float) -> Reply:
        if seconds <= 0:
            return receipt.reply()
        await self._watch.finished(receipt.job_id, seconds)
        try:
            job = await self._looking.bound(self._store.get(receipt.job_id))
        except Unavailable:  # the job is accepted, which a 503 would deny
            job = None
        except Exception:  # nor would an incident name the job
            log.failure("job {id} accepted, but it could not be read", id=receipt.job_id)
            job = None
        return receipt.reply(None if job is None else job_json(job))

    async def _plan(self, order: CheckedRequest, call: Call, route: JobRoute) -> Reply:
        """Return what a job request would do now; record and send nothing."""
        facts = await self._looking.bound(self._observer.read(order.action))
        plan = _warned(decide(order.action, facts, call.user, self._rules), order.warnings)
        words = f"{order.words}: dry run, nothing was done"
        told = {"status": "OK", "dry_run": True, "msg": words, "plan": plan_json(plan)}
        document = JSONBody.of(told)
        page = Page("plan.html", order.words, lambda: shown_plan(plan, call, route, document))
        return Reply(document, page, fresh=True)


def _warned(plan: Plan, warnings: Sequence[str]) -> Plan:
    """Return a plan with these warnings as well, each once."""
    both = tuple(dict.fromkeys((*plan.outcome.warnings, *warnings)))
    outcome = msgspec.structs.replace(plan.outcome, warnings=both)
    return msgspec.structs.replace(plan, outcome=outcome)


def builds_of(ticket: Submission) -> int:
    """Return the number of builds that a job request asks for."""
    action = ticket.order.action
    return builds_asked(action.name, what(action))


async def _caught(work: Awaitable[Accepted]) -> Reply | BuildAPIError:
    try:
        return (await work).reply()
    except BuildAPIError as e:
        return e


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON: its writes, its requests to masters, and the expected outcome."""
    outcome = plan.outcome
    return {
        "errors": outcome.errors,
        "msg": outcome.msg,
        "items": [item_data(item) for item in outcome.items],
        "warnings": list(outcome.warnings),
        "writes": msgspec.to_builtins(list(plan.writes)),
        "pokes": msgspec.to_builtins(list(plan.pokes)),
    }
