"""One call of the API: what was asked, by whom, in which format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote

import attrs

from buildapi.errors import AccessDenied, BadRequest
from buildapi.web.auth import By, Identity
from buildapi.web.csrf import FIELD, Tokens, is_cross_site, may_be_read_by_others
from buildapi.web.form import Form
from buildapi.web.params import Query
from buildapi.web.segment import SLASH


@attrs.frozen
class Call:
    """What a handler gets: path values, query, body and who asks.

    ``key`` is what the client calls the request by, to repeat it safely; ``mount`` goes before
    the paths it uses, ``here`` is its own path after that.  ``refusal`` is why it may not change
    anything, ``token`` what forms of its user carry; ``html`` tells a reader from a program.
    """

    path: Mapping[str, str]
    query: Query
    body: Form | BadRequest
    identity: Identity
    refusal: str = ""
    key: str = ""
    mount: str = ""
    here: str = ""
    token: str = ""
    html: bool = False

    @property
    def who(self) -> str | None:
        """Name the user, if there is one."""
        return self.identity.who

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
        if self.refusal:
            raise AccessDenied(self.refusal)
        return self.who


def call_of(
    request: Any,
    path: Mapping[str, str],
    identity: Identity,
    origins: Sequence[str],
    tokens: Tokens,
    *,
    acts: bool,
    own_pages: bool = False,
) -> Call:
    """Read a call off a request; one that ``acts`` for a user must have one first of all.

    ``origins`` are those of other sites whose pages may act; what is for ``own_pages`` needs the
    token of a form.

    :raises AccessDenied: it has none.
    :raises BadRequest: something in it cannot be read.
    """
    call = Call(path, {}, request.body, identity, mount=request.mount, here=here_of(request))
    if acts:
        _ = call.user
        refusal = _refusal(request, call, origins, tokens, own_pages=own_pages)
        call = attrs.evolve(call, refusal=refusal)
        _ = call.user
    return attrs.evolve(
        call,
        query=query_of(request.uri),
        key=request.text_header("idempotency-key"),
        token=_token(request, call, tokens),
    )


def _token(request: Any, call: Call, tokens: Tokens) -> str:
    """Make what forms of an answer carry: nothing where a page of another site can read it."""
    if call.who is None or by_token(call) or may_be_read_by_others(request, request.origins):
        return ""
    return tokens.of(call.who)


def by_token(call: Call) -> bool:
    """Tell whether a program showed a token: browsers never do so by themselves."""
    return call.identity.by is By.TOKEN


def _refusal(
    request: Any, call: Call, origins: Sequence[str], tokens: Tokens, *, own_pages: bool
) -> str:
    """Say why a change may not be taken; nothing where it may."""
    if by_token(call):
        return ""
    form = call.body
    token = form.get(FIELD) if isinstance(form, Form) else None
    if token is not None:  # a page of another site cannot know it
        return "" if tokens.fits(str(token), call.who or "") else OUT_OF_DATE
    if is_cross_site(request, origins):
        return CROSS_SITE
    return NO_FORM if own_pages else ""


CROSS_SITE = "A page of another site may not act for you"
NO_FORM = (
    "This is for our own pages, whose forms have a csrf_token;"
    " a program that you are logged in to finds yours in /self-serve/whoami"
)
OUT_OF_DATE = "This form is out of date, or another user's: load its page again"


def here_of(request: Any) -> str:
    """Give the path of a request after its mount, as it was sent."""
    path: bytes = request.path.replace(SLASH.encode(), b"%2F")
    return quote(path.decode(errors="replace"), safe="/%")


def query_of(uri: bytes) -> Query:
    """Decode the query; :raises BadRequest: it is not UTF-8."""
    _, _, text = uri.partition(b"?")
    try:
        return parse_qs(text.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError as e:
        raise BadRequest("The query is not UTF-8, percent-encoded") from e
