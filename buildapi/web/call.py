"""One call of the API: what was asked, by whom, in which format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import attrs

from buildapi.errors import AccessDenied, BadRequest
from buildapi.web.auth import Authenticator
from buildapi.web.form import Form
from buildapi.web.params import Query


@attrs.frozen
class Call:
    """What a handler gets: path values, query, body and the user if there is one.

    ``key`` is what the client calls the request by, to repeat it safely; ``mount`` goes before
    the paths it uses.
    """

    path: Mapping[str, str]
    query: Query
    body: Form | BadRequest
    who: str | None
    cross_site: bool = False
    key: str = ""
    mount: str = ""

    @property
    def form(self) -> Form:
        """Give the body.

        :raises BadRequest: it cannot be read, or is a JSON list.
        """
        form = self._read()
        if form.entries is not None:
            raise BadRequest("The body is not a JSON object")
        return form

    @property
    def entries(self) -> Sequence[Any]:
        """Give the body, a JSON list; :raises BadRequest: it is none."""
        entries = self._read().entries
        if entries is None:
            raise BadRequest("The body is not a JSON list")
        return entries

    def _read(self) -> Form:
        if isinstance(self.body, BadRequest):
            raise self.body
        return self.body

    @property
    def user(self) -> str:
        """Name the user of a job request; :raises AccessDenied: there is none.

        A page of another site may not act with the credentials of who looks at it.
        """
        if self.who is None:
            raise AccessDenied
        if self.cross_site:
            raise AccessDenied("A page of another site may not send job requests")
        return self.who


def call_of(
    request: Any,
    path: Mapping[str, str],
    auth: Authenticator,
    origins: Sequence[str],
    *,
    job: bool,
) -> Call:
    """Read a call off a request; that of a ``job`` request must have a user first of all.

    :raises AccessDenied: it has none.
    :raises BadRequest: something in it cannot be read.
    """
    values = request.requestHeaders.getRawHeaders(auth.header.encode(), [])
    who, cross_site = auth.user(request.peer, values), is_cross_site(request, origins)
    call = Call(path, {}, request.body, who, cross_site, mount=request.mount)
    if job:
        _ = call.user
    return attrs.evolve(
        call, query=query_of(request.uri), key=request.text_header("idempotency-key")
    )


def query_of(uri: bytes) -> Query:
    """Decode the query; :raises BadRequest: it is not UTF-8."""
    _, _, text = uri.partition(b"?")
    try:
        return parse_qs(text.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as e:
        raise BadRequest("The query is not UTF-8, percent-encoded") from e


def is_cross_site(request: Any, origins: Sequence[str]) -> bool:
    """Tell whether a browser says that a page of another, not configured, site asks.

    Browsers leave Sec-Fetch-Site out on plain HTTP; then Origin must be the host asked.
    """
    origin, site = request.text_header("origin"), request.text_header("sec-fetch-site")
    if not origin or origin in origins or site:
        return bool(site == "cross-site" and origin not in origins)
    return bool(origin.partition("://")[2] != request.text_header("host"))
