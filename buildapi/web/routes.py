"""The routes as data: what the router serves is what the documentation shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from buildapi.web.call import Call
from buildapi.web.render import Reply

Handler = Callable[[Call], Awaitable[Reply]]


@attrs.frozen
class Param:
    """A parameter of the query or, for job requests, of the body."""

    name: str
    meaning: str


@attrs.frozen
class Route:
    """A method and a path; ``{name}`` is one segment, which may hold an encoded slash."""

    method: str
    path: str
    handler: Handler
    summary: str
    params: Sequence[Param] = ()
    job: bool = False

    @property
    def rule(self) -> str:
        """Give the path as the router writes it."""
        return self.path.replace("{", "<seg:").replace("}", ">")

    def described(self) -> dict[str, Any]:
        """Describe it for the documentation."""
        return {
            "method": self.method,
            "path": self.path,
            "summary": self.summary,
            "job_request": self.job,
            "parameters": {p.name: p.meaning for p in self.params},
        }
