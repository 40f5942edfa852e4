"""Count answers for the metrics, under labels that no client can make up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

# Each set of labels is a time series of its own [Prometheus, Metric and label naming], and a client
# may send any word as its method.
METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}
"""Methods with a label of their own; the others are ``other``."""


@attrs.frozen
class HTTPMetrics:
    """Count answers by method, route and status; observe durations, except of streams.

    ``count`` takes a metric name and labels; ``observe`` takes the seconds after the name.
    """

    _count: Callable[..., None]
    _observe: Callable[..., None]

    def __call__(self, request: BuildAPIRequest) -> None:
        """Count an answered request."""
        method = request.method.decode("latin-1")
        known = method if method in METHODS else "other"
        self._count("buildapi_http_requests", known, request.route, str(int(request.code)))
        if request.ready:
            self._count("buildapi_http_ready_answers")
        # A stream lasts as long as its client listens: that is not the time of an answer.
        if not request.streams:
            self._observe("buildapi_http_request_seconds", request.seconds, request.route)
