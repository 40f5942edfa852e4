"""Render replies and errors as bytes and headers, in the requested format."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Hashable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import attrs
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from buildapi.errors import BadRequest, BuildAPIError, NotFound, NotPermitted
from buildapi.model.results import RESULT_WORDS
from buildapi.model.revisions import short_revision
from buildapi.parameters.read_parameters import LOOKUP_KINDS
from buildapi.reactor_time import AsyncCall
from buildapi.web.http import template_filters
from buildapi.web.http.assets import File, assets, module_paths
from buildapi.web.http.cache import Freshness
from buildapi.web.http.call import query_of
from buildapi.web.http.compression import Compressor, compressed
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.negotiation import JSON, accepted, lenient, names
from buildapi.web.http.page_permissions import OPEN, PagePermissions, Reader
from buildapi.web.http.page_text import PageText
from buildapi.web.http.path_converter import segment

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"
# Origin, since only listed origins get CORS headers [Fetch, CORS protocol and HTTP caches].
VARY = "Accept, Accept-Encoding, Origin"
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

_SAFE = [(name.encode(), [value.encode()]) for name, value in SAFE.items()]

BODY_HEADERS = {n.encode() for n in ("content-type", "content-encoding", "content-length", *SAFE)}
"""Headers that describe a body, which 304 does without."""

PRIVATE = "private, no-store"
"""Pages with a user's name are kept neither by shared caches nor by the browser."""

FILE_CACHE = "public, max-age=31536000, immutable"
"""The URL of a file has a version of its content, so a cached file never changes."""

OTHER_VERSION_CACHE = "no-cache"
"""The URL names no version, or another one, as during an upgrade: caches ask each time."""


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
    "ago": template_filters.ago,
    "breakable": template_filters.breakable,
    "lasting": template_filters.lasting,
    "master_host": template_filters.master_host,
    "segment": segment,
    "short_revision": short_revision,
}

Context = Mapping[str, object]


@attrs.frozen
class Frame:
    """Context of every page: ``mount`` is the prefix of all paths, ``here`` the path below it.

    ``token`` is the CSRF token of the user ``who``; it is empty for nobody.  ``with_tokens`` is
    whether users can create bearer tokens.  ``permissions`` are what the user may do.
    ``who_query`` is the user in a path or a query.
    """

    mount: str
    who: str | None = None
    token: str = ""
    here: str = ""
    with_tokens: bool = False
    permissions: PagePermissions = OPEN
    who_query: str = attrs.field(init=False)

    @who_query.default
    def _who_query(self) -> str:
        return quote(self.who or "", safe="", errors="replace")

    @property
    def values(self) -> dict[str, str]:
        """Return the values of the user that pages show, by name."""
        found = {"who": self.who, "who_query": self.who_query, "token": self.token}
        return {name: value for name, value in found.items() if value}

    @property
    def reader(self) -> Reader:
        """Return whom a page is for; None for nobody."""
        return None if self.who is None else (self.who, self.permissions.key)

    @property
    def kind(self) -> tuple[str, bool, bool, Hashable]:
        """Return what a page depends on, besides its URI and these values."""
        return self.mount, bool(self.who), bool(self.token), self.permissions.key


@attrs.frozen
class ErrorContext:
    """What an error page says beside its message, for people to go on.

    ``trace`` is the request id.  ``kind`` and ``text`` are what the path names, for the search on
    all branches; empty if it names nothing that can be searched.  ``needed`` names who is permitted
    what was refused.
    """

    trace: str = ""
    kind: str = ""
    text: str = ""
    needed: str = ""

    @property
    def query(self) -> str:
        """Return the query of the search."""
        return urlencode({"kind": self.kind, "q": self.text}, errors="replace")

    @classmethod
    def of(cls, error: BuildAPIError, trace: str, values: Mapping[str, str]) -> ErrorContext:
        """Return the context of an error of a request whose path has these values."""
        needed = error.needed if isinstance(error, NotPermitted) else ""
        if error.status == NotFound.status:
            for name, kind in IN_PATHS.items():
                if values.get(name):
                    return cls(trace, kind, values[name], needed)
        return cls(trace, needed=needed)


IN_PATHS = {"build_id": "build", "request_id": "request", "revision": "revision"}
"""Parts of paths that the search finds on any branch."""


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
    caching.  A ``file`` is sent as it is in any format, and kept for a year if it has the version
    that its URL names (``versioned``).  So is ``attached`` sent, which may change.
    A ``stream`` writes to the request and returns the last bytes.  A ``notice`` is sent as a
    ``Warning`` header, and ``retry_after``, in seconds, with an answer that may change soon.
    ``headers`` are more headers of the JSON document.
    ``freshness`` is that of a document from the cache which depends on nothing but the URI and
    ``Accept``; None for all others, above all those made for one user.
    """

    document: JSONBody
    page: Page
    status: int = 200
    location: str | None = None
    fresh: bool = False
    file: File | None = None
    versioned: bool = False
    attached: File | None = None
    stream: Stream | None = None
    notice: str = ""
    retry_after: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    freshness: Freshness | None = None

    @classmethod
    def data(cls, title: str, document: JSONBody) -> Reply:
        """Return a reply whose page just shows the document."""
        return cls(document, Page("document.html", title, {"document": document}))


def shows_page(reply: Reply, form: str) -> bool:
    """Return whether the answer to a request is the page of its reply."""
    others = (reply.location, reply.file, reply.attached, reply.stream)
    return form != JSON and all(other is None for other in others)


async def write(
    request: BuildAPIRequest,
    reply: Reply,
    form: str,
    frame: Frame,
    *,
    text: PageText | None,
    compressor: Compressor,
) -> bytes:
    """Set status and headers of a reply; return its body: ``text``, if it is a page.

    The body is compressed if the client accepts that.
    """
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
    if form == JSON:
        for name, value in reply.headers.items():
            request.setHeader(name, value)
    if form != JSON and reply.location is not None:
        # Existing clients expect 302 after a job request (docs/api.md, Job requests); browsers then
        # change POST to GET [RFC 9110 15.4.3].
        request.setResponseCode(302)
        request.setHeader("location", request.mount + reply.location)
        words = {"location": reply.location}
        return _short(request, HTML_TYPE, page(frame, "moved.html", reply.page.title, words))
    request.setResponseCode(reply.status)
    kind, content, etag = _shown(request, reply, frame, text)
    if request.method in (b"GET", b"HEAD") and not reply.fresh:
        request.setHeader("etag", etag)
        if known(request, etag):
            request.setResponseCode(304)
            return b""
    _describe(request, kind)
    if not accepts_gzip(request):
        return _measured(request, content())
    packed = None if text is None else text.packed(frame.values)
    if packed is not None:
        return _measured(request, _zipped(request, b"", packed))
    body = content()
    # The tag of a user's page names its content but for the token.
    named = not reply.fresh and (text is None or frame.who is None)
    packed = await compressor.gzip(body, etag if named else None)
    return _measured(request, _zipped(request, body, packed))


def _shown(
    request: BuildAPIRequest, reply: Reply, frame: Frame, text: PageText | None
) -> tuple[str, Callable[[], bytes], bytes]:
    """Return the media type of a body, a function that returns the body, and its entity tag."""
    if reply.file is not None:
        request.setHeader("cache-control", FILE_CACHE if reply.versioned else OTHER_VERSION_CACHE)
        file = reply.file
        return file.type, lambda: file.body, file.etag
    if reply.attached is not None:
        _name(request, reply.attached)
        attached = reply.attached
        return attached.type, lambda: attached.body, attached.etag
    if text is None:
        return JSON_TYPE, lambda: reply.document.body, reply.document.etag
    return HTML_TYPE, lambda: text.filled(frame.values), text.etag(frame.who)


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
    values = request.requestHeaders.getRawHeaders(b"if-none-match")
    if values is None:
        return False
    given = b",".join(values)
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
    about = ErrorContext.of(error, request.trace, request.path_values)
    kind, body = _error(error, form, frame, more, about)
    return _short(request, kind, body)


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
    """Return the CORS headers that let a page of ``origin`` read an answer and its headers."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        # By name: with credentials, * is not a wildcard [Fetch, CORS protocol and credentials].
        "Access-Control-Expose-Headers": ", ".join(EXPOSED),
    }


EXPOSED = (
    *("Link", "X-Total-Count"),
    *("RateLimit", "RateLimit-Policy", "Retry-After"),
    *("X-Request-Id", "ETag", "Warning"),
)
"""Headers of answers that pages of allowed origins may read, beside those that all may.

Scripts read no others but the safelisted ones [Fetch, CORS-safelisted response-header name].
"""


def _error(
    error: BuildAPIError,
    form: str,
    frame: Frame,
    more: Context | None = None,
    about: ErrorContext | None = None,
) -> tuple[str, bytes]:
    if form == JSON:
        return JSON_TYPE, JSONBody.of({**error.document(), **(more or {})}).body
    title = f"{error.status} {phrase(error.status)}"
    context = {
        "msg": error.msg,
        "code": error.code,
        "more": more,
        "about": about or ErrorContext(),
        "kinds": LOOKUP_KINDS,
    }
    return HTML_TYPE, page(frame, "error.html", title, context)


def page(frame: Frame, template: str, title: str, context: Context) -> bytes:
    """Render a page for one user."""
    return rendered(frame, template, title, context).filled(frame.values)


def rendered(frame: Frame, template: str, title: str, context: Context) -> PageText:
    """Render a page without the values of its user."""

    def render(marks: Mapping[str, str]) -> bytes:
        around = {
            "assets": assets(),
            "modules": module_paths(),
            "result_words": RESULTS,
            "title": title,
            **attrs.asdict(frame, recurse=False),
            **marks,
        }
        parts = environment.get_template(template).generate({**around, **context})
        # Part by part: an arrow in one part would make all of the text twice as wide. Stored texts
        # may hold lone surrogates.
        return b"".join([part.encode(errors="replace") for part in parts])

    return PageText.rendered(render, list(frame.values))


RESULTS = " ".join(RESULT_WORDS[n] for n in range(len(RESULT_WORDS)))


def accepts_gzip(request: BuildAPIRequest) -> bool:
    """Return whether the client accepts a compressed body."""
    return names(request.text_header("accept-encoding"), "gzip")


def _short(request: BuildAPIRequest, kind: str, body: bytes) -> bytes:
    """Set the headers of a short body; return it, compressed if the client accepts that."""
    _describe(request, kind)
    if accepts_gzip(request):
        body = _zipped(request, body, compressed(body))
    return _measured(request, body)


def _describe(request: BuildAPIRequest, kind: str) -> None:
    """Set the headers of a body that do not depend on its compression."""
    request.setHeader("content-type", kind)
    for name, values in _SAFE:
        request.responseHeaders.setRawHeaders(name, values)


def _zipped(request: BuildAPIRequest, body: bytes, as_gzip: bytes | None) -> bytes:
    """Return the compressed body and set its header; return the body itself without one.

    Twisted's gzip encoder would write its trailer after a 304 and a HEAD as well.
    """
    if as_gzip is None:
        return body
    request.setHeader("content-encoding", "gzip")
    return as_gzip


def _measured(request: BuildAPIRequest, body: bytes) -> bytes:
    request.setHeader("content-length", str(len(body)))
    return body
