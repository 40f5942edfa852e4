"""Build API calls from HTTP requests, and check that a change may be made for its user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

import attrs

from buildapi.errors import AccessDenied, BadRequest
from buildapi.model.audit import Client
from buildapi.parameters.param import Query
from buildapi.web.http.audit_records import client_from
from buildapi.web.http.auth import AuthMethod, Identity
from buildapi.web.http.csrf import CSRFTokens, may_be_read_by_others, refusal_of
from buildapi.web.http.form import Form
from buildapi.web.http.path_converter import SLASH

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest


@attrs.frozen
class Call:
    """The input of a handler: path values, query, body and user.

    ``key`` is the client's idempotency key.  ``mount`` is the prefix of all paths, ``here`` the
    path below it.  ``refusal`` says why the call may not change anything; empty if it may.
    ``new_token`` returns a CSRF token for forms in the answer; ``html`` is whether a page is
    wanted.  ``client`` returns where the request came from.  ``count_jobs`` is called with the
    number of job requests in the call, if that is not one, and raises TooManyRequests;
    ``begin_wait`` by who begins to wait for something.
    """

    path: Mapping[str, str]
    query: Query
    body: Form | BadRequest
    identity: Identity
    refusal: str = ""
    key: str = ""
    mount: str = ""
    here: str = ""
    new_token: Callable[[], str] = str
    html: bool = False
    client: Callable[[], Client] = Client
    count_jobs: Callable[[int], None] = lambda _: None
    begin_wait: Callable[[], None] = lambda: None

    @property
    def who(self) -> str | None:
        """Return the user, None without one."""
        return self.identity.who

    @property
    def form(self) -> Form:
        """Return the body as a form.

        :raises BadRequest: it cannot be parsed, or is a JSON list.
        """
        form = self._read()
        if form.entries is not None:
            raise BadRequest("The body is not a JSON object")
        return form

    @property
    def entries(self) -> Sequence[object]:
        """Return the entries of a JSON list; :raises BadRequest: the body is not one."""
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
        """Return the user of a change; :raises AccessDenied: there is none, or it is refused.

        A page of another site must not act with the credentials of the person who views it.
        """
        if self.who is None:
            raise AccessDenied
        if self.refusal:
            raise AccessDenied(self.refusal)
        return self.who


def call_of(
    request: BuildAPIRequest,
    path: Mapping[str, str],
    identity: Identity,
    origins: Sequence[str],
    tokens: CSRFTokens,
    *,
    acts: bool,
    own_pages: bool = False,
) -> Call:
    """Build the call of a request; check the user first if it ``acts``.

    ``origins`` are the other sites whose pages may act.  A call for ``own_pages`` needs the CSRF
    token of a form.

    :raises AccessDenied: a call that ``acts`` has no user, or may not act for that user.
    :raises BadRequest: the query, or the ``Referer`` that is needed, cannot be parsed.
    """
    call = Call(path, {}, request.body, identity, mount=request.mount, here=here_of(request))
    if acts:
        _ = call.user
        by_browser = not by_token(call)
        refusal = refusal_of(request, call.user, origins, tokens, own_pages) if by_browser else ""
        call = attrs.evolve(call, refusal=refusal)
        _ = call.user
    return attrs.evolve(
        call,
        # after the checks: a change without a user is 403, whatever else is wrong with it
        query=query_of(request.uri),
        key=request.text_header("idempotency-key"),
        new_token=partial(_token, request, call, tokens),
        client=partial(client_from, request),
        count_jobs=partial(request.clients.count_jobs, request),
        begin_wait=request.leave,
    )


def _token(request: BuildAPIRequest, call: Call, tokens: CSRFTokens) -> str:
    """Return a CSRF token for forms; empty if a page of another site can read the answer."""
    if call.who is None or by_token(call) or may_be_read_by_others(request, request.origins):
        return ""
    return tokens.of(call.who)


def by_token(call: Call) -> bool:
    """Return whether a call is authenticated by a bearer token, which browsers never add."""
    return call.identity.by is AuthMethod.TOKEN


def here_of(request: BuildAPIRequest) -> str:
    """Return the path of a request below the mount prefix, percent-encoded."""
    path: bytes = request.path.replace(SLASH.encode(), b"%2F")
    # % stays: the path is percent-encoded, except for bytes that the client left as they are.
    return quote(path.decode(errors="replace"), safe="/%")


def query_of(uri: bytes) -> Query:
    """Parse the query; :raises BadRequest: it is not percent-encoded UTF-8."""
    _, _, text = uri.partition(b"?")
    try:
        # Blank values are kept, or the check of names would not see `onyl=`. The number of fields
        # is bounded by the length of the request line [HTTPChannel.totalHeadersSize].
        return parse_qs(text.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as e:
        raise BadRequest("The query is not percent-encoded UTF-8") from e
