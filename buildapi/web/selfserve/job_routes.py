"""Checked job requests, and the routes that check and accept them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from buildapi.model.actions import Action
from buildapi.model.branches import Branch
from buildapi.parameters.job_parameters import DRY_RUN, WAIT
from buildapi.parameters.param import AnyParam
from buildapi.web.http.call import Call
from buildapi.web.http.form import form_of
from buildapi.web.http.path_converter import segment
from buildapi.web.http.routes import Handler, Route


@attrs.frozen
class CheckedRequest:
    """A checked job request; ``words`` name it, as in "Rebuild of build 11".

    ``warnings`` tell the client what is known already and may surprise it.  ``builders`` are those
    it is about, as far as its check has learned them.
    """

    action: Action
    words: str
    warnings: Sequence[str] = ()
    builders: Sequence[str] = ()


Check = Callable[[Call, Branch], Awaitable[CheckedRequest]]
"""Check a call of a user on a known branch; raise BadRequest, NotFound or Unavailable."""


@attrs.frozen
class JobRoute:
    """The route of a job request, and the function that checks it.

    HTML clients are redirected to the job's page if it is ``followed``; else they get the answer.
    ``action`` is the name of what it asks for.
    """

    method: str
    path: str
    check: Check
    summary: str
    action: str
    params: Sequence[AnyParam] = ()
    followed: bool = True

    @property
    def known(self) -> Sequence[AnyParam]:
        """List the known parameters."""
        return (*self.params, *COMMON)

    def call(self, call: Call, values: Mapping[str, str], body: Mapping[str, object]) -> Call:
        """Return a call of this route with values for its path and its body, for the same user."""
        here = self.path.format_map({name: segment(value) for name, value in values.items()})
        return attrs.evolve(call, path=values, query={}, body=form_of(body), here=here)

    def served(self, handler: Handler) -> Route:
        """Return the route that serves it with a handler."""
        return Route(
            self.method, self.path, handler, self.summary, self.known, job=True, action=self.action
        )


COMMON = (DRY_RUN, WAIT)
