"""The routes as data: what the router serves is what the documentation shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from buildapi.web.call import Call
from buildapi.web.negotiate import FORMATS
from buildapi.web.render import Reply

Handler = Callable[[Call], Awaitable[Reply]]


def rule_of(path: str) -> str:
    """Write a path as the router does."""
    return path.replace("{", "<seg:").replace("}", ">")


WHOLE_BODY = "(the body)"
"""Stands in the place of a name where the body is something else than parameters."""


@attrs.frozen
class Param:
    """A parameter of the query or, for job requests, of the body.

    One that ``repeats`` may be given several times, one that is ``needed`` has no default.
    ``in_query`` is what a request that changes something reads from its query as well.
    """

    name: str
    meaning: str
    repeats: bool = False
    in_query: bool = False
    needed: bool = False


FORMAT = Param("format", "json or html; without it the Accept header decides, then html")


@attrs.frozen
class Route:
    """A method and a path; ``{name}`` is one segment, which may hold an encoded slash.

    A ``job``, and any other ``change``, must have a user; pages of other sites, if configured, may
    send jobs alone.  One for ``own_pages`` needs the token of a form of ours.  ``patience``
    tells how many seconds longer than usual a call may take: those its client asked to wait.
    ``formats`` are those that ``format`` may ask for.  One that is ``open`` is for anybody, even
    where reads are for users.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    params: Sequence[Param] = ()
    job: bool = False
    change: bool = False
    own_pages: bool = False
    patience: Callable[[Call], float] | None = None
    formats: Sequence[str] = FORMATS
    open: bool = False

    @property
    def acts(self) -> bool:
        """Tell whether it changes something for a user."""
        return self.job or self.change

    @property
    def rule(self) -> str:
        """Give the path as the router writes it."""
        return rule_of(self.path)

    def described(self) -> dict[str, Any]:
        """Describe it for the documentation."""
        return {
            "method": self.method,
            "path": self.path,
            "summary": self.summary,
            "job_request": self.job,
            "parameters": {p.name: p.meaning for p in self.params},
        }
