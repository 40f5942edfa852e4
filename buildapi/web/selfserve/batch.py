"""Accept many job requests in one call, each answered as if it had been sent alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import unquote

import attrs
from twisted.internet import defer
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from buildapi.errors import BadRequest, BuildAPIError, NotFound, Unavailable, UnknownParameter
from buildapi.model.json_types import JSONValue
from buildapi.parameters.job_parameters import DRY_RUN
from buildapi.parameters.param import Param, Place
from buildapi.parameters.types import ParamType, Schema, Values
from buildapi.web.http.call import Call
from buildapi.web.http.form import form_of
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.parameter_names import check, told
from buildapi.web.http.path_converter import SLASH
from buildapi.web.http.rendering import Reply
from buildapi.web.http.route_map import RouteMap
from buildapi.web.http.routes import WHOLE_BODY, Route, rule_of
from buildapi.web.selfserve.job_routes import JobRoute
from buildapi.web.selfserve.submission import LATE, Accepted, JobSubmitter, Prepared, Submitted

T = TypeVar("T")
JobCall = tuple[JobRoute, Call]
"""A call of a job request, and its route."""

ENTRIES_MAX = 500
AT_ONCE = 16
"""Entries that are checked concurrently."""

ENTRY_KEYS = ("body", "idempotency_key", "method", "path")
METHODS = ("POST", "PUT", "DELETE")


@attrs.frozen
class BatchAnswer:
    """The status and body for one entry of a batch."""

    status: int
    body: JSONValue

    @classmethod
    def of_error(cls, error: BuildAPIError) -> BatchAnswer:
        """Return the answer that the error would have been."""
        return cls(error.status, error.document())


class Batch:
    """Accept lists of job requests.

    New ones are recorded for ``recording_seconds`` at most; later entries are refused.
    """

    def __init__(
        self,
        routes: Sequence[JobRoute],
        submitter: JobSubmitter,
        clock: Callable[[], float],
        recording_seconds: float,
    ) -> None:
        rules = [Rule(rule_of(r.path), methods=[r.method], endpoint=r) for r in routes]
        self._map = RouteMap(rules)
        self._submitter, self._clock, self._seconds = submitter, clock, recording_seconds

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return [Route("POST", "/self-serve/batch", self.batch, BATCH, (OF_ALL, ENTRIES), job=True)]

    async def batch(self, call: Call) -> Reply:
        """Check all entries, then record and send them in order."""
        entries = call.entries
        if len(entries) > ENTRIES_MAX:
            raise BadRequest(
                f"Too many job requests in a batch: {len(entries)} (max {ENTRIES_MAX})"
            )
        call.count_jobs(len(entries))
        dry_run = OF_ALL.of(call)

        def job_call(number: int) -> JobCall:
            return self._read(numbered(call, number), entries[number], dry_run=dry_run)

        told = [attrs.asdict(answer) for answer in await self.run(len(entries), job_call)]
        return attrs.evolve(Reply.data("Batch", JSONBody.of(told)), fresh=True)

    async def run(self, count: int, job_call: Callable[[int], JobCall]) -> Sequence[BatchAnswer]:
        """Submit job requests 0 to ``count`` - 1; return the answer to each, in order.

        ``job_call`` returns one by its number, or raises the error that answers it.
        """
        began = self._clock()

        async def prepare(number: int) -> Prepared | BuildAPIError:
            if self._seconds_left(began) < 0:
                # Later entries are still answered one by one: nothing was recorded of them, so a
                # 503 is true.
                return Unavailable(LATE)
            try:
                route, one = job_call(number)
            except BuildAPIError as e:
                return e
            try:
                return await self._submitter.prepare(route, one)
            except BuildAPIError as e:
                self._submitter.refused(route, one, e)
                return e

        prepared = await each(AT_ONCE, range(count), prepare)
        submitted = await self._submitter.submit(prepared, lambda: self._seconds_left(began))
        return [_answered(one) for one in submitted]

    def _seconds_left(self, began: float) -> float:
        return began + self._seconds - self._clock()

    def _read(self, call: Call, entry: object, *, dry_run: bool) -> JobCall:
        """Parse an entry; its key, if any, replaces that of ``call``."""
        method, path, body, key = _fields(entry)
        # Clients send the paths they know, with or without the mount prefix (docs/api.md, "HTTP
        # API").
        inside = path.startswith(call.mount + "/")
        route, values = self._match(method, path.removeprefix(call.mount) if inside else path)
        body = body | ({"dry_run": True} if dry_run else {})
        form = form_of(body)
        # A misspelt parameter is refused here as in a single request (docs/api.md, "Job requests"):
        # ignored, it could cancel a whole push.
        check(route.known, {}, form)
        # One entry that waits would hold back the answers to all the others.
        if "wait" in form.values:
            raise BadRequest("Parameter wait is not allowed in a batch")
        # The query is that of the batch, and no entry's.
        one = attrs.evolve(call, path=values, query={}, body=form, here=path)
        return route, attrs.evolve(one, key=key or call.key)

    def _match(self, method: str, path: str) -> tuple[JobRoute, Mapping[str, str]]:
        # Before unquote(), which would make a slash in a builder's name a separator of segments.
        marked = path.replace("%2F", SLASH).replace("%2f", SLASH)
        try:
            decoded = unquote(marked, errors="strict")
            route, values = self._map.bind("localhost").match(decoded, method)
        except UnicodeDecodeError as e:
            raise BadRequest("The path is not UTF-8") from e
        except HTTPException as e:
            raise NotFound(f"Unknown job request: {method} {path[:200]}") from e
        return route, values


def numbered(call: Call, number: int) -> Call:
    """Return a call whose idempotency key, if any, is that of one of its job requests."""
    return attrs.evolve(call, key=f"{call.key}#{number}" if call.key else "")


def _fields(entry: object) -> tuple[str, str, dict[str, object], str]:
    if not isinstance(entry, dict):
        raise BadRequest(f"An entry is a JSON object of {', '.join(ENTRY_KEYS)}")
    unknown = [key for key in entry if key not in ENTRY_KEYS]
    if unknown:
        said = told(unknown[0], ENTRY_KEYS)
        raise UnknownParameter(f"An entry is a JSON object of {', '.join(ENTRY_KEYS)}: {said}")
    method, path = entry.get("method", "POST"), entry.get("path")
    body, key = entry.get("body"), entry.get("idempotency_key")
    if method not in METHODS:
        raise BadRequest(f"method must be one of {', '.join(METHODS)}")
    if not isinstance(path, str) or not path.startswith("/"):
        raise BadRequest("path must be a path such as /self-serve/try/build")
    # After // a reader expects the name of a host (RFC 3986, section 4.2).
    if path.startswith("//") or "?" in path or "#" in path:
        raise BadRequest("path must be only a path: send parameters in body")
    if not isinstance(body, dict | None):
        raise BadRequest("body must be a JSON object")
    if not isinstance(key, str | None):
        raise BadRequest("idempotency_key must be a string")
    return method, path, body or {}, key or ""


def _answered(submitted: Submitted) -> BatchAnswer:
    if isinstance(submitted, BuildAPIError):
        return BatchAnswer.of_error(submitted)
    reply = submitted.reply() if isinstance(submitted, Accepted) else submitted
    return BatchAnswer(reply.status, reply.document.value)


async def each(
    at_once: int, values: Sequence[int], do: Callable[[int], Awaitable[T]]
) -> Sequence[T]:
    """Call ``do`` with each value, at most ``at_once`` at a time; return the results in order."""
    left, results = iter(values), dict[int, T]()

    async def work() -> None:
        for value in left:
            results[value] = await do(value)

    # All workers take from one iterator: they run in the reactor's thread, so each value is taken
    # once.
    workers = [defer.ensureDeferred(work()) for _ in range(at_once)]
    try:
        await defer.gatherResults(workers, consumeErrors=True)
    except defer.FirstError as e:
        # gatherResults() reports the first failure and leaves the other Deferreds running.
        for worker in workers:
            worker.cancel()
        e.subFailure.raiseException()
    return [results[value] for value in values]


BATCH = f"Send up to {ENTRIES_MAX} job requests; each has its own status and body in the answer."
# The body is the list of entries, so a parameter of the whole batch can only be in the query.
OF_ALL = DRY_RUN.changed(place=Place.QUERY)


class Entries(ParamType[Sequence[object]]):
    """The list of job requests, read entry by entry: each has an answer of its own."""

    def parse(self, name: str, values: Values) -> Sequence[object]:  # noqa: ARG002  # no error here
        """Return the entries."""
        return values

    def schema(self) -> Schema:
        """Return the JSON schema."""
        text = {"type": "string"}
        entry = {
            "type": "object",
            "properties": {
                "method": {"enum": list(METHODS), "default": "POST"},
                "path": {**text, "pattern": "^/[^?#]*$"},
                "body": {"type": "object"},
                "idempotency_key": text,
            },
            "required": ["path"],
            "additionalProperties": False,
        }
        return {"type": "array", "items": entry, "maxItems": ENTRIES_MAX}

    def words(self) -> str:
        """Return how many there may be."""
        return f"up to {ENTRIES_MAX}"


ENTRIES = Param(
    WHOLE_BODY,
    "a JSON list of objects with method (default POST), path, body (its parameters) and"
    " idempotency_key; path and body are those of the single job request",
    Entries(),
    Place.BODY,
    needed=True,
)
