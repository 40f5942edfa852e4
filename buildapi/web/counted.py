"""Numbers of what was answered, by names that no client can make up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}
"""The others are ``other``."""


@attrs.frozen
class Counted:
    """Count answers by method, route and status; note how long those took that are no streams.

    ``count`` takes the name of a number and its labels, ``observe`` the seconds in between.
    """

    _count: Callable[..., None]
    _observe: Callable[..., None]

    def __call__(self, request: Any) -> None:
        """Note a request that was answered."""
        method = request.method.decode("latin-1")
        known = method if method in METHODS else "other"
        self._count("buildapi_http_requests", known, request.route, str(int(request.code)))
        if not request.streams:
            self._observe("buildapi_http_request_seconds", request.seconds, request.route)
