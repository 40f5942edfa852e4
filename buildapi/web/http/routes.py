"""Routes as data, for the router and for the API documentation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypedDict

import attrs

from buildapi.parameters.param import AnyParam, Param
from buildapi.web.http.call import Call
from buildapi.web.http.negotiation import FORMATS, Format
from buildapi.web.http.rendering import Reply

Handler = Callable[[Call], Awaitable[Reply]]


def rule_of(path: str) -> str:
    """Return a path in the router's syntax."""
    return path.replace("{", "<seg:").replace("}", ">")


WHOLE_BODY = "(the body)"
"""Placeholder name of a body that does not consist of parameters."""


FORMAT = Param("format", "format of the answer; default from the Accept header", Format(FORMATS))


class RouteDocument(TypedDict):
    """A route: its parameters in words, and their JSON schemas."""

    method: str
    path: str
    summary: str
    job_request: bool
    parameters: dict[str, str]
    schema: dict[str, dict[str, Any]]


@attrs.frozen
class Route:
    """A method and a path; ``{name}`` is one segment, which may hold an encoded slash.

    A ``job``, and any other ``change``, needs a user; pages of other configured sites may send jobs
    only.  A route for ``own_pages`` needs the CSRF token of a form of ours.  ``patience`` returns
    the extra seconds that a call may take because its client asked to wait.  ``formats`` are the
    values of ``format``.  An ``open`` route needs no user even where other reads do.
    ``action`` is its name in the audit log; its method and path if empty.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    params: Sequence[AnyParam] = ()
    job: bool = False
    change: bool = False
    own_pages: bool = False
    patience: Callable[[Call], float] | None = None
    formats: Sequence[str] = FORMATS
    open: bool = False
    action: str = ""

    @property
    def acts(self) -> bool:
        """Return whether it changes something for a user."""
        return self.job or self.change

    @property
    def rule(self) -> str:
        """Return the path in the router's syntax."""
        return rule_of(self.path)

    def described(self) -> RouteDocument:
        """Return the route's entry in the API documentation."""
        return {
            "method": self.method,
            "path": self.path,
            "summary": self.summary,
            "job_request": self.job,
            "parameters": {p.name: p.text() for p in self.params},
            "schema": {p.name: p.schema() for p in self.params},
        }
