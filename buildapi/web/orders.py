"""What a job request comes to once it is checked, and the routes that take them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import attrs

from buildapi.model.actions import Action
from buildapi.web.call import Call
from buildapi.web.routes import Handler, Param, Route

WAIT_MAX = 60


@attrs.frozen
class Order:
    """A checked job request; ``words`` say what it is, as in "Rebuild of build 11".

    ``warnings`` are what is known already and may surprise whoever asks.
    """

    action: Action
    words: str
    warnings: Sequence[str] = ()


Check = Callable[[Call], Awaitable[Order]]
"""Checks a call; raises BadRequest, NotFound or Unavailable."""


@attrs.frozen
class JobRoute:
    """A job request: where it is sent, and what checks it.

    HTML clients of one that is ``followed`` are sent to the page of the job; the others read the
    answer itself.
    """

    method: str
    path: str
    check: Check
    summary: str
    params: Sequence[Param] = ()
    followed: bool = True

    @property
    def known(self) -> Sequence[Param]:
        """List the parameters that it knows."""
        return (*self.params, *COMMON)

    def served(self, handler: Handler) -> Route:
        """Give the route that serves it."""
        return Route(self.method, self.path, handler, self.summary, self.known, job=True)


COMMON = (
    Param("dry_run", "1: answer with what would be done, and do nothing", in_query=True),
    Param(
        "wait",
        f"answer when the job is finished, or after so many seconds, up to {WAIT_MAX}",
        in_query=True,
    ),
)
