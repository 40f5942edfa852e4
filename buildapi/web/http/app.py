"""The root of the HTTP interface: routing, formats, errors and CORS, unseen by the handlers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, cast
from urllib.parse import quote

import attrs
from klein import Klein
from klein.interfaces import IKleinRequest
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.server import Site
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from buildapi import tracing
from buildapi.errors import (
    AccessDenied,
    BadRequest,
    BadToken,
    BuildAPIError,
    NotFound,
    Overloaded,
    TooLarge,
    TooManyRequests,
    Unavailable,
    UnknownParameter,
)
from buildapi.model.audit import AuditRecord, subject_of_path
from buildapi.reactor_time import ReactorTime
from buildapi.web.http.audit_records import RECORDED, actor_from, client_from, refusal
from buildapi.web.http.auth import NO_GROUPS, NOBODY, Authenticator, AuthMethod, Identity
from buildapi.web.http.call import Call, call_of
from buildapi.web.http.client_limits import UNLIMITED, ClientLimits
from buildapi.web.http.compression import Compressor
from buildapi.web.http.connection import Traffic, channel_class
from buildapi.web.http.csrf import CSRFTokens
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.form import Form
from buildapi.web.http.negotiation import HTML, JSON, requested
from buildapi.web.http.page_permissions import OPEN, PagePermissions, Reader
from buildapi.web.http.page_text import KeptPages, PageText
from buildapi.web.http.parameter_names import (
    NAMED_MOST,
    check,
    known_of,
    told,
    unknown_names,
    warnings,
)
from buildapi.web.http.path_converter import SLASH
from buildapi.web.http.ready_answers import ANYBODY, ReadyAnswers
from buildapi.web.http.rendering import (
    VARY,
    Frame,
    Reply,
    Stream,
    cors,
    format_of_error,
    rendered,
    shows_page,
    write,
    write_error,
)
from buildapi.web.http.request import BuildAPIRequest, RequestLimits, request_class
from buildapi.web.http.route_map import Router
from buildapi.web.http.routes import Route
from buildapi.web.http.send_budget import SendBudget
from buildapi.web.http.token_auth import TokenAuthenticator, bearer
from buildapi.web.http.token_revocation import until_token_revoked

# Without Access-Control-Max-Age browsers keep a preflight for 5 s [Fetch, CORS-preflight fetch].
PREFLIGHT_SECONDS = 600


class MethodError(BuildAPIError):
    """The path does not have the request's method."""

    status, code = 405, "method_not_allowed"


PermissionsOf = Callable[[Identity], PagePermissions]
"""Return what a user may do."""


@attrs.frozen
class Policy:
    """Settings that apply to every route; ``deadline`` bounds the time to an answer.

    ``bearers`` authenticates bearer tokens; None if none are accepted.  ``strict`` refuses reads
    with unknown parameters, which otherwise get a ``Warning`` header.  ``ignores_foreign`` ignores
    a foreign bearer token if a trusted proxy names the user.  ``permissions`` returns what a user
    may do, for pages.  ``answer_bytes`` is the maximum
    size of an answer.  Without ``reads_free``, reads need a user as changes do.  ``away`` lists
    the services that do not respond.  ``record`` adds a record to the audit log.
    """

    auth: Authenticator
    origins: Sequence[str]
    tokens: CSRFTokens
    deadline: Deadline
    bearers: TokenAuthenticator | None = None
    strict: bool = False
    answer_bytes: int = 2**26
    reads_free: bool = True
    away: Callable[[], Sequence[str]] = list
    ignores_foreign: bool = False
    permissions: PermissionsOf = lambda _: OPEN
    record: Callable[[AuditRecord], None] = lambda _: None


@attrs.define
class WebApp:
    """Serve the routes under one policy; ``pages`` keeps what may be shown again.

    ``limits`` are those of each client.
    """

    _routes: Sequence[Route]
    _policy: Policy
    _pages: KeptPages
    _ready: ReadyAnswers
    _limits: ClientLimits = attrs.field(factory=ClientLimits)
    _compressor: Compressor = attrs.field(factory=Compressor)
    _log = Logger()

    @property
    def policy(self) -> Policy:
        """Return the current policy."""
        return self._policy

    def trust(self, auth: Authenticator, origins: Sequence[str]) -> None:
        """Replace the authenticator and the allowed origins (after a reload)."""
        self._policy = attrs.evolve(self._policy, auth=auth, origins=origins)
        self._ready.forget()

    def answer_ready(self, request: BuildAPIRequest) -> bool:
        """Answer a read before routing if its answer is ready; return whether it was."""
        try:
            identity = self._named(request)
        except BadRequest:  # the long way says why
            return False
        if identity.who is None and not self._policy.reads_free:
            return False
        found = self._ready.find(request, lambda: self._reader(identity))
        if found is None:
            return False
        request.identity = identity
        reads = self._limits.reads
        if reads is not None:
            taken = self._limits.take(request, reads)
            if not taken.granted:  # the long way refuses it
                return False
            request.rate_lines = reads.lines(taken)
        self._remember(request, identity)
        found.send(request)
        return True

    def admit(self, request: BuildAPIRequest) -> bool:
        """Return whether a request may be routed; answer it if too many are in flight."""
        error = self._limits.enter(request)
        if error is None:
            return True
        self._cors(request)
        body = self._refuse(request, error)
        request.send_refusal(body)
        return False

    def klein(self) -> Klein:
        """Build the Klein router of all routes."""
        app = Router()
        for rule, routes in groupby(sorted(self._routes, key=_rule), key=_rule):
            by_method = {route.method: route for route in routes}
            self._add(app, rule, by_method)
            self._add_options(app, rule, sorted({"OPTIONS", *_methods(by_method)}))
        # In this order: Klein calls the first handler whose exception fits [KleinResource.render].
        app.handle_errors(HTTPException)(self._not_routed)
        app.handle_errors(Exception)(self._failed)
        return app

    def _add(self, app: Klein, rule: str, routes: Mapping[str, Route]) -> None:
        """Serve the routes of one path; a POST may turn into a PUT or DELETE by ``_method``."""

        async def endpoint(request: BuildAPIRequest, **path: str) -> bytes:
            request.route, request.path_values = next(iter(routes.values())).path, path
            with tracing.about(request.trace):
                return await self._answer(request, routes, path)

        # Klein keeps handlers by name [Klein.route]: of two with one name the second would answer
        # both.
        endpoint.__name__ = rule
        # Forms cannot send PUT or DELETE [HTML Standard, Attributes for form submission]. Which one
        # is meant stands in the body, which is parsed after routing, and only for a user.
        methods = {*routes, "POST"} if {"PUT", "DELETE"} & {*routes} else {*routes}
        app.route(rule, methods=sorted(methods))(endpoint)

    def _add_options(self, app: Klein, rule: str, methods: Sequence[str]) -> None:
        def endpoint(request: BuildAPIRequest, **_path: str) -> bytes:
            return self._options(request, methods)

        endpoint.__name__ = f"OPTIONS {rule}"
        app.route(rule, methods=["OPTIONS"])(endpoint)

    async def _answer(
        self, request: BuildAPIRequest, routes: Mapping[str, Route], path: Mapping[str, str]
    ) -> bytes:
        # First: pages of other sites can read errors only with these headers [Fetch, CORS check].
        self._cors(request)
        policy = self._policy
        try:
            if request.refusal is not None:
                raise request.refusal
            request.identity = await self._identify(request)
        finally:  # whoever it turns out to be, or fails to
            self._charge(request)
        route = self._chosen(request, routes)
        call = call_of(
            request,
            path,
            request.identity,
            # these pages may not create tokens (docs/security.md, A page of another site)
            policy.origins if route.job else (),
            policy.tokens,
            acts=route.acts,
            own_pages=route.own_pages,
        )
        self._check_names(request, route, call)
        form = requested(call.query, request.text_header("accept"), route.formats)
        more = route.patience(call) if route.patience else 0.0
        answering = route.handler(attrs.evolve(call, html=True) if form == HTML else call)
        if not route.acts:  # what acts bounds its own parts: it must not be left halfway
            answering = policy.deadline.bound(answering, more)
        reply = await answering
        if reply.stream is not None:
            # No deadline from here on: a stream ends with its client, its content or its token.
            request.streams = True
            request.leave()
            return await self._streamed(request, reply.stream)
        token = call.new_token() if form == HTML else ""
        with_tokens = policy.bearers is not None
        # Nobody has buttons, and nothing in JSON depends on it.
        shown = OPEN if form != HTML or call.who is None else policy.permissions(call.identity)
        frame = Frame(call.mount, call.who, token, call.here, with_tokens, shown)
        text = None
        if shows_page(reply, form):
            text = await policy.deadline.bound(self._text(request, reply, frame), more)
        body = await write(request, reply, form, frame, text=text, compressor=self._compressor)
        self._bounded(request, body)
        if reply.freshness is not None:
            reader = ANYBODY if form == JSON else frame.reader
            self._ready.keep(request, reply.freshness, body, reader)
        return body

    def _charge(self, request: BuildAPIRequest) -> None:
        """Count a request of a client; :raises TooManyRequests: it has sent too many."""
        if request.path not in UNLIMITED:
            self._limits.charge(request)

    def _reader(self, identity: Identity) -> Reader:
        """Return whom a page is for: groups and rules change what it shows as permitted."""
        if identity.who is None:
            return None
        return identity.who, self._policy.permissions(identity).key

    async def _text(self, request: BuildAPIRequest, reply: Reply, frame: Frame) -> PageText:
        """Return the page of a reply, rendered unless it is kept."""
        key = (request.uri, *frame.kind)
        text = self._pages.fresh(key, reply.freshness)
        if text is None:
            context = await reply.page.shown()
            text = rendered(frame, reply.page.template, reply.page.title, context)
            self._pages.keep(key, reply.freshness, text)
        return text

    def _bounded(self, request: BuildAPIRequest, body: bytes) -> None:
        """Raise TooLarge for a body so long that its connection would be cut."""
        most = self._policy.answer_bytes
        if len(body) > most:
            # `write` has set them for the body that is not sent: a browser would save the error.
            for header in (b"etag", b"content-disposition"):
                request.responseHeaders.removeHeader(header)
            raise TooLarge(f"The answer exceeds {most} bytes: request less at a time")

    def _chosen(self, request: BuildAPIRequest, routes: Mapping[str, Route]) -> Route:
        """Return the route for the request's method, reading the body where ``_method`` may be.

        :raises AccessDenied: the request has no user, and changes something or reads what is not
            public; its body is not parsed then.
        :raises MethodError: the path does not have the method.
        """
        reads = request.method in (b"GET", b"HEAD")
        free = reads and (self._policy.reads_free or routes["GET"].open)
        # Before the body is parsed: a stranger must not take time on the reactor (docs/security.md,
        # From the network).
        if request.who is None and not free:
            raise AccessDenied
        if reads:
            return routes["GET"]
        request.read_body()
        route = routes.get(request.method.decode())
        if route is None:
            if isinstance(request.body, BadRequest):  # it may contain _method
                raise request.body
            raise self._wrong_method(request)
        return route

    def _check_names(self, request: BuildAPIRequest, route: Route, call: Call) -> None:
        """Check the parameter names before a handler reads anything with them.

        :raises UnknownParameter: one is unknown, in a change or where reads are ``strict``.
        :raises BadRequest: a parameter of a change is repeated, or in the query and not the body.
        """
        if route.acts:
            body = call.body  # an unreadable one is refused by its handler
            check(route.params, call.query, body if isinstance(body, Form) else Form({}))
            return
        known = known_of(route.params, call.path)
        unknown = unknown_names(call.query, known)
        if unknown and self._policy.strict:
            raise UnknownParameter("; ".join(told(n, known) for n in unknown[:NAMED_MOST]))
        if unknown:
            request.responseHeaders.setRawHeaders(b"warning", warnings(unknown))

    async def _streamed(self, request: BuildAPIRequest, stream: Stream) -> bytes:
        """Write a stream to its end, or until the token of the request is revoked or expires."""
        shown = self._shown(request)
        bearers = self._policy.bearers
        if shown is None or bearers is None:
            return await stream(request)
        return await until_token_revoked(
            stream(request), lambda: bearers.token(shown, request.client_address), request.reactor
        )

    async def _identify(self, request: BuildAPIRequest) -> Identity:
        """Authenticate a request: by its token if it has one, else by the proxy's header.

        With a token, the user in the header is ignored: a proxy that lets tokens through has not
        authenticated their senders.

        :raises BadToken: the token is malformed, unknown, revoked or expired, or tokens are off.
        :raises BadRequest: the proxy's header is malformed.
        :raises Unavailable: the token, or the groups of its user, cannot be read at the moment.
        """
        shown, bearers, auth = self._shown(request), self._policy.bearers, self._policy.auth
        if shown is None:
            identity = self._named(request)
            self._remember(request, identity)
            return identity
        if bearers is None:
            raise BadToken("Tokens are not accepted: they are switched off ([web] tokens)")
        token = await bearers.token(shown, request.client_address)
        listed = await bearers.groups.of_user(token.who) if auth.groups_header else NO_GROUPS
        return auth.owner(token, listed)

    def _shown(self, request: BuildAPIRequest) -> str | None:
        """Return a request's bearer token, None without one; :raises BadToken: it is invalid."""
        policy, headers = self._policy, request.requestHeaders
        named = any(v.strip() for v in headers.getRawHeaders(policy.auth.header.encode(), []))
        passes = policy.ignores_foreign and named and policy.auth.trusts(request.peer)
        return bearer(headers.getRawHeaders(b"authorization", []), foreign_passes=passes)

    def _named(self, request: BuildAPIRequest) -> Identity:
        auth, headers = self._policy.auth, request.requestHeaders
        listed = auth.groups_header
        groups = headers.getRawHeaders(listed.name.encode(), []) if listed else ()
        names = headers.getRawHeaders(auth.header.encode(), [])
        return auth.identity(request.peer, names, groups)

    def _remember(self, request: BuildAPIRequest, identity: Identity) -> None:
        """Remember the groups that the proxy names of a user, for the user's tokens.

        Only of a request without a token, whose user the proxy has authenticated.
        """
        listed, bearers = self._policy.auth.groups_header, self._policy.bearers
        if listed and bearers and identity.who and identity.by is AuthMethod.PROXY:
            values = request.requestHeaders.getRawHeaders(listed.name.encode(), [])
            bearers.groups.note(identity.who, listed.groups(values))

    def _options(self, request: BuildAPIRequest, methods: Sequence[str]) -> bytes:
        if request.refusal is not None:
            return self._refuse(request, request.refusal)
        # For anybody: browsers send preflights without credentials [Fetch, CORS-preflight fetch].
        request.setResponseCode(204)
        request.setHeader("allow", ", ".join(methods))
        request.setHeader("vary", VARY)
        if self._cors(request) and request.text_header("access-control-request-method"):
            request.setHeader("access-control-allow-methods", ", ".join(methods))
            # Repeated by name: with credentials, * is not a wildcard [Fetch, CORS protocol and
            # credentials].
            headers = request.text_header("access-control-request-headers")
            request.setHeader("access-control-allow-headers", headers or "Accept, Content-Type")
            request.setHeader("access-control-max-age", str(PREFLIGHT_SECONDS))
        return b""

    def _cors(self, request: BuildAPIRequest) -> bool:
        origin = request.text_header("origin")
        if origin not in self._policy.origins:
            return False
        for name, value in cors(origin).items():
            request.setHeader(name, value)
        return True

    def _not_routed(self, request: BuildAPIRequest, failure: Failure) -> bytes:
        """Answer a request without a route: an earlier refusal, a redirect, 405 or 404."""
        self._cors(request)
        try:
            self._charge(request)
        except TooManyRequests as e:
            return self._refuse(request, e)
        if request.refusal is not None:
            return self._refuse(request, request.refusal)
        if len(request.path) > 1 and request.path.endswith(b"/"):
            return _without_slash(request)
        if isinstance(failure.value, MethodNotAllowed):
            return self._refuse(request, self._wrong_method(request))
        path = request.path.decode(errors="replace").replace(SLASH, "%2F")
        return self._refuse(request, NotFound(f"No page at {path}"))

    def _wrong_method(self, request: BuildAPIRequest) -> MethodError:
        """Return the 405 error and set ``Allow``; POST is listed only if a route declares it."""
        mapper = IKleinRequest(request).mapper
        allowed = set(mapper.allowed_methods())
        if "POST" in allowed:
            rule, _ = mapper.match(method="POST", return_rule=True)
            if not any(r.method == "POST" and r.rule == rule.rule for r in self._routes):
                allowed.remove("POST")
        words = ", ".join(sorted(allowed))
        request.setHeader("allow", words)
        return MethodError(f"Allowed methods are {words}")

    def _failed(self, request: BuildAPIRequest, failure: Failure) -> bytes:
        """Answer an expected error with its message, any other with an incident id."""
        if isinstance(failure.value, BuildAPIError):
            return self._refuse(request, failure.value)
        # A number in place of the traceback, which may show paths and values (docs/security.md,
        # From the network).
        incident = uuid.uuid4().hex[:8]
        with tracing.about(request.trace):
            self._log.failure(
                "incident {incident}: {method} {path}",
                failure=failure,
                incident=incident,
                method=request.method.decode(errors="replace"),
                path=request.path.decode(errors="replace"),
            )
        return self._refuse(request, BuildAPIError(f"Internal error: incident {incident}"))

    def _refuse(self, request: BuildAPIRequest, error: BuildAPIError) -> bytes:
        form = format_of_error(request.uri, request.text_header("accept"))
        with_tokens = self._policy.bearers is not None
        identity = self._identity_of(request)
        self._record(request, identity, error)
        frame = Frame(request.mount, identity.who or None, with_tokens=with_tokens)
        more = None
        if error.status == Unavailable.status:
            overloaded = isinstance(error, Overloaded)  # which is counted, not logged one by one
            away = () if overloaded else self._unavailable(request, error)
            more = _details(request, error, away)
        return write_error(request, error, form, frame, more)

    def _record(self, request: BuildAPIRequest, identity: Identity, error: BuildAPIError) -> None:
        """Record a refusal in the audit log: every one that is not of an entry of a batch."""
        if error.status not in RECORDED:
            return
        method = request.method.decode(errors="replace")
        named = (r.action for r in self._routes if (r.path, r.method) == (request.route, method))
        action = next(named, "") or f"{method} {request.route}"
        actor, subject = actor_from(identity), subject_of_path(request.path_values)
        refused = refusal(error, action, actor, client_from(request), subject)
        self._policy.record(attrs.evolve(refused, trace=request.trace))

    def _unavailable(self, request: BuildAPIRequest, error: BuildAPIError) -> Sequence[str]:
        """Log a 503, and list what is away."""
        cause = error.__cause__
        away = list(self._policy.away())
        if isinstance(cause, BuildAPIError) and cause.msg not in (*away, error.msg):
            away.append(cause.msg)
        with tracing.about(request.trace):
            self._log.info(
                "{method} {path} answered 503: {msg}; unavailable: {away}",
                method=request.method.decode(errors="replace"),
                path=request.path.decode(errors="replace"),
                msg=error.msg,
                away=", ".join(away) or "unknown",
            )
        return away

    def _identity_of(self, request: BuildAPIRequest) -> Identity:
        """Return the user of a refused request; nobody if unknown."""
        if request.identity is not None:
            return request.identity
        try:
            shown = self._shown(request)
            # The owner of a token is not looked up: that may take a query, and nothing here waits.
            return self._named(request) if shown is None else NOBODY
        except (BadRequest, BadToken):
            return NOBODY


def _details(
    request: BuildAPIRequest, error: BuildAPIError, away: Sequence[str]
) -> Mapping[str, object]:
    """Return the details of a 503: what is away, the request id and the status page."""
    status_page = f"{request.mount}/status"
    told = {"away": list(away), "trace": request.trace, "status_page": status_page}
    return told if error.retry_after is None else told | {"retry_after": error.retry_after}


def _rule(route: Route) -> str:
    return route.rule


def _methods(routes: Mapping[str, Route]) -> set[str]:
    # Werkzeug adds HEAD to each rule that has GET [werkzeug.routing.Rule, methods].
    methods = set(routes)
    return methods | {"HEAD"} if "GET" in methods else methods


def _without_slash(request: BuildAPIRequest) -> bytes:
    """Redirect to the path without its trailing slash, on this host and with the query."""
    # One slash only: a Location that begins with // names another host [RFC 3986 4.2].
    path = "/" + request.path.decode(errors="replace").strip("/").replace(SLASH, "%2F")
    _, mark, query = request.uri.partition(b"?")
    target = request.mount + quote(path, safe="/%") + (mark + query).decode("ascii", "replace")
    request.setResponseCode(301)
    request.setHeader("location", target)
    request.setHeader("content-length", "0")
    return b""


class LoggingSite(Site):
    """A site that reports each answered request to ``answered``, in place of Twisted's access log.

    ``closing`` is called when the last port is closed.
    """

    protocol: Any
    answered: Callable[[BuildAPIRequest], None]
    closing: Callable[[], None]

    def acceptableProtocols(self) -> list[bytes]:
        """Return the ALPN protocols for TLS: HTTP/1.1 alone, which our channel speaks."""
        return [b"http/1.1"]

    def log(self, request: Request) -> None:
        """Report an answered request, through its channel while it has one."""
        ours = cast("BuildAPIRequest", request)  # see `requestFactory`
        if ours.channel is None:
            self.answered(ours)
        else:
            ours.channel.answered(ours)

    def stopFactory(self) -> None:
        """Close the access log with the last port."""
        Site.stopFactory(self)
        self.closing()

    def trust(self, auth: Authenticator, origins: Sequence[str]) -> None:
        """Replace the authenticator and the allowed origins of new requests (after a reload)."""
        requests: Any = self.requestFactory
        requests.auth, requests.origins = auth, origins


def site(
    app: WebApp,
    *,
    reactor: ReactorTime,
    limits: RequestLimits,
    prefix: str,
    idle_seconds: float,
    answered: Callable[[BuildAPIRequest], None],
    closing: Callable[[], None] = lambda: None,
    traffic: Traffic,
    budget: SendBudget,
    hosts: Sequence[str] = (),
) -> LoggingSite:
    """Make the site; ``traffic`` tracks open requests, ``budget`` the bytes waiting to be sent.

    It accepts the host names ``hosts``, or any if empty.  ``answered`` is called with each
    answered request, ``closing`` after the last.
    """
    policy = app.policy
    made = LoggingSite(  # type: ignore[no-untyped-call]  # Twisted's Site has no types
        app.klein().resource(),
        requestFactory=request_class(
            limits=limits,
            prefix=prefix,
            auth=policy.auth,
            origins=policy.origins,
            hosts=hosts,
            reactor=reactor,
            in_flight=traffic.requests,
            answer_ready=app.answer_ready,
            admits=app.admit,
            clients=traffic.limits,
        ),
        timeout=idle_seconds,
        # Twisted would parse forms before routing, those of strangers as well
        parsePOSTFormSubmission=False,
        reactor=reactor,
    )
    made.answered, made.closing = answered, closing
    made.protocol = channel_class(limits.request_seconds, idle_seconds, traffic, budget)
    return made
