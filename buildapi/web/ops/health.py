"""Serve health, readiness, status and metrics for load balancers, monitoring and people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from buildapi.model.ops import ProcessState
from buildapi.model.status import StatusDocument
from buildapi.web.http.assets import File
from buildapi.web.http.cache import RecentValues, SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.ops.documents import HealthDocument, NotReadyDocument, ReadyDocument
from buildapi.web.selfserve.pages import SelfServePages

# The version of the text format [Prometheus, Exposition formats].
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

RETRY_SECONDS = 1
"""Seconds after which a probe may ask again a process that is not ready."""

KEPT_SECONDS = 2.0
"""Seconds for which a status is cached: many monitors cost no more than one."""


def is_ready(document: JSONBody) -> bool:
    """Return whether a document of /readyz says that the process is ready."""
    value = document.value
    return isinstance(value, dict) and value["ready"] is True


@attrs.frozen
class HealthAnswers:
    """Hold the cached documents of /readyz, by the state of the process, and of /status.

    A refusal is never cached: who waits for a process asks until it is ready.
    """

    ready: SingleFlightCache[JSONBody]
    status: SingleFlightCache[JSONBody]

    @classmethod
    def kept(cls, clock: Callable[[], float], seconds: float = KEPT_SECONDS) -> HealthAnswers:
        """Return caches for ``seconds``; ``clock`` returns seconds of a monotonic clock."""
        few = len(ProcessState)
        return cls(
            SingleFlightCache(RecentValues[JSONBody](clock, few), seconds, is_ready),
            SingleFlightCache(RecentValues[JSONBody](clock, 1), seconds),
        )


@attrs.frozen
class HealthRoutes:
    """Serve health, readiness, status and metrics, cached for many monitors.

    ``look`` collects the document of /status, ``state`` returns the word of the process's state,
    ``reasons`` lists why it is not ready, and ``numbers`` formats that document and the counters as
    Prometheus text.
    """

    _look: Callable[[], Awaitable[StatusDocument]]
    _state: Callable[[], str]
    _reasons: Callable[[], Awaitable[Sequence[str]]]
    _numbers: Callable[[Mapping[str, object]], bytes]
    _answers: HealthAnswers
    _pages: SelfServePages

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        # `open`: load balancers and monitors have no user (docs/api.md, Service health).
        return (
            Route("GET", "/healthz", self.health, HEALTH, (FORMAT,), open=True),
            Route("GET", "/readyz", self.ready, READY, (FORMAT,), open=True),
            Route("GET", "/status", self.status, STATUS, (FORMAT,), open=True),
            Route("GET", "/metrics", self.metrics, METRICS, open=True),
        )

    async def health(self, _call: Call) -> Reply:
        """Answer OK as long as the process responds."""
        told: HealthDocument = {"status": "OK"}
        return attrs.evolve(Reply.data("Health", JSONBody.of(told)), fresh=True)

    async def ready(self, _call: Call) -> Reply:
        """Return whether requests should be sent here: 200, or 503 with the reasons."""
        # The state is asked each time: a process that drains says so although it was ready before.
        document = await self._answers.ready.get(self._state(), self._readiness)
        reply = attrs.evolve(Reply.data("Readiness", document), fresh=True)
        if is_ready(document):
            return reply
        return attrs.evolve(reply, status=503, retry_after=RETRY_SECONDS)

    async def _readiness(self) -> JSONBody:
        reasons = list(await self._reasons())
        if not reasons:
            ready: ReadyDocument = {"status": "OK", "ready": True, "reasons": []}
            return JSONBody.of(ready)
        failed: NotReadyDocument = {
            "ready": False,
            "reasons": reasons,
            "status": "FAILED",
            "msg": "; ".join(reasons),
            "code": "not_ready",
        }
        return JSONBody.of(failed)

    async def status(self, _call: Call) -> Reply:
        """Show the status of every service."""
        document = await self._document()

        async def context() -> Mapping[str, object]:
            return self._pages.common() | {"of": document.value}

        return Reply(document, Page("status.html", "Status", context), fresh=True)

    async def metrics(self, _call: Call) -> Reply:
        """Return the metrics as Prometheus text."""
        text = self._numbers((await self._document()).value)
        reply = Reply.data("Metrics", JSONBody.of({}))
        return attrs.evolve(reply, attached=File("", METRICS_TYPE, text), fresh=True)

    async def _document(self) -> JSONBody:
        async def look() -> JSONBody:
            return JSONBody.of(await self._look())

        return await self._answers.status.get((), look)


HEALTH = "Whether this process answers; it checks nothing else."
READY = "Whether this process is ready for requests: 200, or 503 with the reasons."
STATUS = "The state of every service, on this host and on the others."
METRICS = "Metrics for Prometheus."
