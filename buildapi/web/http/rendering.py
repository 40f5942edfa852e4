"""Render replies and errors as bytes and headers, in the requested format."""

from __future__ import annotations

import gzip
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

import attrs
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from buildapi.errors import BadRequest, BuildAPIError
from buildapi.model.results import RESULT_WORDS
from buildapi.model.revisions import short_revision
from buildapi.reactor_time import AsyncCall
from buildapi.web.http import template_filters
from buildapi.web.http.assets import File, assets
from buildapi.web.http.cache import Freshness
from buildapi.web.http.call import query_of
from buildapi.web.http.json_body import JSONBody, entity_tag
from buildapi.web.http.negotiation import JSON, accepted, lenient, names
from buildapi.web.http.path_converter import segment

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"
# Origin, since only listed origins get CORS headers [Fetch, CORS protocol and HTTP caches].
VARY = "Accept, Accept-Encoding, Origin"
GZIP_LEVEL = 5
SAFE = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    # for browsers without frame-ancestors, which overrides it [CSP Level 3, frame-ancestors]
    "x-frame-options": "DENY",
    # with no-referrer, our own forms would send Origin: null [Fetch, append a request Origin
    # header]
    "referrer-policy": "same-origin",
}
"""Headers that keep foreign scripts, frames and forms off the pages."""

PRIVATE = "private, no-store"
"""Pages with a user's name are kept neither by shared caches nor by the browser."""

FILE_CACHE = "public, max-age=31536000, immutable"
"""The URL of a file has a version of its content, so a cached file never changes."""


environment = Environment(
    loader=PackageLoader("buildapi.web"),
    autoescape=select_autoescape(default=True),
    # a misspelled variable fails in tests, where it would be shown as nothing
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
environment.filters |= {
    "in_utc": template_filters.in_utc,
    "in_zone": template_filters.in_zone,
    "lasting": template_filters.lasting,
    "segment": segment,
    "short_revision": short_revision,
}

Context = Mapping[str, object]


@attrs.frozen
class Frame:
    """Context of every page: ``mount`` is the prefix of all paths, ``here`` the path below it.

    ``token`` is the CSRF token of the user ``who``; it is empty for nobody.  ``with_tokens`` is
    whether users can create bearer tokens.
    """

    mount: str
    who: str | None = None
    token: str = ""
    here: str = ""
    with_tokens: bool = False


@attrs.frozen
class Page:
    """An HTML page: its template, and the context or a function that returns it when needed."""

    template: str
    title: str
    context: Context | Callable[[], Context | Awaitable[Context]] = attrs.field(factory=dict)

    async def shown(self) -> Context:
        """Return the context."""
        context = self.context() if callable(self.context) else self.context
        return await context if isinstance(context, Awaitable) else context


Stream = Callable[["BuildAPIRequest"], AsyncCall[bytes]]


@attrs.frozen
class Reply:
    """An answer in both formats: a JSON document, and the page that shows it.

    ``location`` is a path below the mount prefix to redirect HTML clients to.  ``fresh`` forbids
    caching.  A ``file`` is sent as it is in any format, and so is ``attached``, which may change.
    A ``stream`` writes to the request and returns the last bytes.  A ``notice`` is sent as a
    ``Warning`` header, and ``retry_after``, in seconds, with an answer that may change soon.
    ``freshness`` is that of a document from the cache which depends on nothing but the URI and
    ``Accept``; None for all others, above all those made for one user.
    """

    document: JSONBody
    page: Page
    status: int = 200
    location: str | None = None
    fresh: bool = False
    file: File | None = None
    attached: File | None = None
    stream: Stream | None = None
    notice: str = ""
    retry_after: int | None = None
    freshness: Freshness | None = None

    @classmethod
    def data(cls, title: str, document: JSONBody) -> Reply:
        """Return a reply whose page just shows the document."""
        return cls(document, Page("document.html", title, {"document": document}))


async def prepared(reply: Reply, form: str) -> Reply:
    """Return the reply with the context of its page computed, if the page will be rendered."""
    if form == JSON or reply.location is not None or not callable(reply.page.context):
        return reply
    return attrs.evolve(reply, page=attrs.evolve(reply.page, context=await reply.page.shown()))


def write(request: BuildAPIRequest, reply: Reply, form: str, frame: Frame) -> bytes:
    """Set status and headers of a reply; return its body."""
    request.setHeader("vary", VARY)
    if is_private(frame, form) and reply.file is None and reply.attached is None:
        request.setHeader("cache-control", PRIVATE)
    elif reply.fresh:
        request.setHeader("cache-control", "no-store")
    if reply.notice:
        # A JSON string in ASCII has the form of a quoted-string [RFC 9110 5.6.4].
        request.setHeader("warning", f"299 - {json.dumps(reply.notice)}")
    if reply.retry_after is not None:
        request.setHeader("retry-after", str(reply.retry_after))
    if form != JSON and reply.location is not None:
        # Existing clients expect 302 after a job request (docs/api.md, Job requests); browsers then
        # change POST to GET [RFC 9110 15.4.3].
        request.setResponseCode(302)
        request.setHeader("location", request.mount + reply.location)
        words = Page("moved.html", reply.page.title, {"location": reply.location})
        return _body(request, HTML_TYPE, page(frame, words))
    request.setResponseCode(reply.status)
    kind, body, etag = _shown(request, reply, form, frame)
    if request.method in (b"GET", b"HEAD") and not reply.fresh:
        request.setHeader("etag", etag)
        if known(request, etag):
            request.setResponseCode(304)
            return b""
    return _body(request, kind, body)


def _shown(
    request: BuildAPIRequest, reply: Reply, form: str, frame: Frame
) -> tuple[str, bytes, bytes]:
    if reply.file is not None:
        request.setHeader("cache-control", FILE_CACHE)
        return reply.file.type, reply.file.body, reply.file.etag
    if reply.attached is not None:
        _name(request, reply.attached)
        return reply.attached.type, reply.attached.body, reply.attached.etag
    if form == JSON:
        return JSON_TYPE, reply.document.body, reply.document.etag
    body = page(frame, reply.page)
    bare = body.replace(frame.token.encode(), b"") if frame.token else body
    return HTML_TYPE, body, entity_tag(bare)  # without the token, which differs each time


def _name(request: BuildAPIRequest, file: File) -> None:
    """Set the name under which browsers save a file."""
    if file.name:
        request.setHeader("content-disposition", f'attachment; filename="{file.name}"')


def is_private(frame: Frame, form: str) -> bool:
    """Return whether an answer is a page that shows its user's name."""
    return form != JSON and frame.who is not None


def phrase(status: int) -> str:
    """Return the reason phrase of a status; Twisted lacks those of RFC 6585 and 9110."""
    return HTTPStatus(status).phrase


def known(request: BuildAPIRequest, etag: bytes) -> bool:
    """Return whether the client has this version; tags compare weakly [RFC 9110 13.1.2]."""
    given = b",".join(request.requestHeaders.getRawHeaders(b"if-none-match", []))
    tags = {tag.strip().removeprefix(b"W/") for tag in given.split(b",")}
    return bool({b"*", etag.removeprefix(b"W/")} & tags)


def write_error(
    request: BuildAPIRequest,
    error: BuildAPIError,
    form: str,
    frame: Frame,
    more: Context | None = None,
) -> bytes:
    """Set status and headers of an error; return its body, with the details in ``more``."""
    request.setResponseCode(error.status, phrase(error.status).encode())
    request.setHeader("cache-control", PRIVATE if is_private(frame, form) else "no-store")
    request.setHeader("vary", VARY)
    if error.retry_after is not None:
        request.setHeader("retry-after", str(error.retry_after))
    if error.challenge is not None:
        request.setHeader("www-authenticate", error.challenge)
    kind, body = _error(error, form, frame, more)
    return _body(request, kind, body)


def early(error: BuildAPIError, uri: bytes, accept: str) -> tuple[dict[str, str], bytes]:
    """Return headers and body of an error sent before the request is complete."""
    kind, body = _error(error, format_of_error(uri, accept), Frame(""))
    head = {"Content-Type": kind, "Content-Length": str(len(body))}
    return head | {"Cache-Control": "no-store", "Vary": VARY}, body


def format_of_error(uri: bytes, accept: str) -> str:
    """Return the format for an error, even if the query cannot be parsed."""
    try:
        return lenient(query_of(uri), accept)
    except BadRequest:
        return accepted(accept)


def cors(origin: str) -> dict[str, str]:
    """Return the CORS headers that let a page of ``origin`` read an answer."""
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}


def _error(
    error: BuildAPIError, form: str, frame: Frame, more: Context | None = None
) -> tuple[str, bytes]:
    if form == JSON:
        return JSON_TYPE, JSONBody.of({**error.document(), **(more or {})}).body
    title = f"{error.status} {phrase(error.status)}"
    return HTML_TYPE, page(frame, Page("error.html", title, {"msg": error.msg, "more": more}))


def page(frame: Frame, shown: Page) -> bytes:
    """Render a page; :raises TypeError: its context is still a function, see ``prepared``."""
    template = environment.get_template(shown.template)
    context = shown.context
    if callable(context):
        raise TypeError(f"{shown.template} is not prepared")
    around = {
        "assets": assets(),
        "result_words": " ".join(RESULT_WORDS[n] for n in range(len(RESULT_WORDS))),
        "title": shown.title,
        **attrs.asdict(frame),
    }
    text = template.render({**around, **context})
    return text.encode(errors="replace")  # stored texts may hold lone surrogates


def _body(request: BuildAPIRequest, kind: str, body: bytes) -> bytes:
    """Set the headers of a body and compress it if accepted.

    Twisted's gzip encoder would write its trailer after a 304 and a HEAD as well.
    """
    request.setHeader("content-type", kind)
    for name, value in SAFE.items():
        request.setHeader(name, value)
    if names(request.text_header("accept-encoding"), "gzip"):
        request.setHeader("content-encoding", "gzip")
        body = gzip.compress(body, GZIP_LEVEL, mtime=0)
    request.setHeader("content-length", str(len(body)))
    return body
