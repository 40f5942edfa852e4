"""An HTTP client for the service: deadlines, bounded responses, credentials for it alone."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote, urljoin

import attrs
import click
import httpx

from buildapi.cli.client_settings import ClientSettings, origin
from buildapi.cli.command_error import CommandError, ServiceRefusal
from buildapi.cli.terminal import printable
from buildapi.exit_codes import FORBIDDEN, UNAVAILABLE, UNCLEAR, WRONG

JSON = Any
"""A decoded JSON value. What services of several versions send is checked by ``output.unpack``."""

Document = Mapping[str, JSON]
"""A JSON object."""

ANSWER_MAX = 64 * 1024 * 1024
REDIRECTS_MAX = 3
TRIES, PAUSE, PAUSE_MAX = 4, 0.5, 60.0
TOO_MANY = 429
RETRY_STATUSES = (409, TOO_MANY, 502, 503, 504)
"""Statuses after which a request with an idempotency key is sent again."""

LOST_STATUSES = (502, 504)
"""Statuses of a proxy that got no response: the service may have handled the request."""

Unreachable = (httpx.TransportError, TimeoutError)


@attrs.frozen
class ServiceResponse:
    """A response; ``document`` is None if it is not JSON, ``retry_after`` is in seconds."""

    status: int
    document: JSON
    retry_after: float | None = None

    @property
    def is_good(self) -> bool:
        """Return whether the request succeeded."""
        return self.status < 300 and self.document is not None


@attrs.define
class ServiceClient:
    """Send requests to one service; ``sleep`` is called between tries."""

    settings: ClientSettings
    sleep: Callable[[float], None] = time.sleep
    _http: httpx.Client = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._http = _open_http(self.settings)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, *path: str, wait: float = 0, patience: float = 0, **params: JSON) -> JSON:
        """Get a document.

        :param wait: seconds that the service may hold the response back (long poll).
        :param patience: seconds beyond the timeout, for slow reports.
        :raises CommandError: there is no response, or a refusal.
        """
        # Whole seconds, and at least one: 0 would not be a long poll at all.
        asked = {**params, "wait": max(1, int(wait))} if wait else params
        answer = self._once("GET", join_path(*path), asked, None, headers={}, wait=wait + patience)
        return self._good(answer, join_path(*path))

    def send(
        self, method: str, *path: str, body: JSON = None, key: str = "", **params: JSON
    ) -> JSON:
        """Submit a change; with an idempotency ``key``, retry if the service is busy or silent.

        :raises CommandError: it is refused, or there is no response.
        """
        try:
            return self._sent(method, join_path(*path), params, body, key)
        except KeyboardInterrupt:
            if key:
                click.echo(_repeat_hint(key), err=True)
            raise

    def stream(
        self, *path: str, headers: Mapping[str, str], silence: float, **params: JSON
    ) -> Iterator[bytes]:
        """Yield the parts of an answer that does not end by itself, as they come.

        It counts as lost after so many seconds of ``silence``.

        :raises CommandError: it is refused, or the connection is lost.
        """
        where = join_path(*path)
        request = self._http.build_request(
            "GET",
            f"{self.settings.url}{where}",
            params={k: v for k, v in params.items() if v not in (None, "", ())} or None,
            headers={"Accept": "text/event-stream", **headers},
            timeout=httpx.Timeout(self.settings.timeout, read=silence),
        )
        try:
            with closing(self._http.send(request, stream=True)) as response:
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    yield from response.iter_bytes()
                    return
                end = time.monotonic() + self.settings.timeout
                document = _parse_json(_read_body(response, end))
        except (*Unreachable, httpx.StreamError, httpx.DecodingError) as e:
            reason = str(e) or type(e).__name__
            raise CommandError(f"{self.settings.url}: no answer: {reason}", UNAVAILABLE) from None
        if response.is_redirect:
            self._same(str(request.url), response.headers["location"], "GET", response.status_code)
        if response.status_code < 400:
            message = f"{self.settings.url}{where} did not answer with events: check the URL"
            raise CommandError(message, UNCLEAR)
        answer = ServiceResponse(response.status_code, document)
        raise ServiceRefusal(answer.status, message_of(answer))

    def _sent(self, method: str, where: str, params: Document, body: JSON, key: str) -> JSON:
        headers = {"Idempotency-Key": key} if key else {}
        # Only a key makes a repetition harmless (docs/howto-bots.md, "When to retry").
        for left in reversed(range(TRIES if key else 1)):
            try:
                answer = self._once(method, where, params, body, headers=headers)
            except CommandError as e:
                if e.exit_code != UNAVAILABLE or not key:
                    raise
                if not left:
                    raise CommandError(f"{e.message}; {_repeat_hint(key)}", UNAVAILABLE) from e
                self._pause(TRIES - left, None, e.message)
                continue
            # 409: the first request with this key is still being accepted (docs/api.md, "Format").
            if answer.status not in RETRY_STATUSES or not left or _is_long_limit(answer):
                break
            self._pause(
                TRIES - left, answer.retry_after, message_of(answer) or f"answered {answer.status}"
            )
        if key and answer.status in LOST_STATUSES:
            message = f"{message_of(answer) or 'no answer from the service'} ({answer.status})"
            raise CommandError(f"{message}; {_repeat_hint(key)}", UNAVAILABLE)
        return self._good(answer, where)

    def _pause(self, tried: int, asked: float | None, reason: str) -> None:
        seconds = PAUSE * 2 ** (tried - 1) if asked is None else min(asked, PAUSE_MAX)
        click.echo(f"{printable(reason)}; retrying in {seconds:g} s", err=True)
        self.sleep(seconds)

    def _good(self, answer: ServiceResponse, where: str) -> JSON:
        if answer.is_good:
            return answer.document
        # A login page of a proxy may be answered 200.
        if answer.status < 300:
            message = f"{self.settings.url}{where} did not answer with JSON: check the URL"
            raise CommandError(message, UNCLEAR)
        raise ServiceRefusal(answer.status, message_of(answer))

    def _once(
        self,
        method: str,
        where: str,
        params: Document,
        body: JSON,
        *,
        headers: Mapping[str, str],
        wait: float = 0,
    ) -> ServiceResponse:
        """Send one request, and follow redirects within the service."""
        url = f"{self.settings.url}{where}"
        asked: JSON = {k: v for k, v in params.items() if v not in (None, "", ())}
        for _ in range(REDIRECTS_MAX + 1):
            request = self._http.build_request(
                method,
                url,
                params=asked or None,
                json=body,
                headers={"Accept": "application/json", **headers},
                # httpx applies it to each read; _read_body() bounds all of them together.
                timeout=self.settings.timeout + wait,
            )
            target, answer = self._exchange(request, wait)
            if target is None:
                return answer
            url, asked = self._same(url, target, method, answer.status), None
        raise CommandError(
            f"{self.settings.url}{where} redirects more than {REDIRECTS_MAX} times", UNCLEAR
        )

    def _exchange(self, request: httpx.Request, wait: float) -> tuple[str | None, ServiceResponse]:
        end = time.monotonic() + self.settings.timeout + wait
        try:
            # A stream, or httpx would read a body of any size into memory.
            response = self._http.send(request, stream=True)
            with_body = _read_body(response, end)
        except (*Unreachable, httpx.StreamError, httpx.DecodingError) as e:
            reason = str(e) or type(e).__name__
            raise CommandError(f"{self.settings.url}: no answer: {reason}", UNAVAILABLE) from None
        # IDNA refuses some host names only when they are encoded.
        except (UnicodeError, httpx.InvalidURL) as e:
            raise CommandError(f"{self.settings.url}: not a usable URL: {e}", WRONG) from None
        target = response.headers.get("location") if response.is_redirect else None
        return target, ServiceResponse(
            response.status_code, _parse_json(with_body), _retry_after(response)
        )

    def _same(self, url: str, target: str, method: str, status: int) -> str:
        """Return the target of a redirect; :raises CommandError: another host or method."""
        goal = urljoin(url, target)
        # Credentials would go to wherever a proxy points, such as its login page.
        if origin(goal) != origin(self.settings.url):
            raise CommandError(
                f"{self.settings.url} redirects to {goal.split('?')[0]}, which is not followed:"
                " check the URL, and whether you need to log in",
                FORBIDDEN,
            )
        # Clients may change POST to GET after 301 and 302 (RFC 9110, section 15.4), and a 303 means
        # GET: nothing would be submitted.
        if method != "GET" and status not in (307, 308):
            message = f"{self.settings.url} redirects a {method}, which is not followed"
            raise CommandError(message, UNCLEAR)
        return goal


def _is_long_limit(answer: ServiceResponse) -> bool:
    """Return whether a rate limit lasts longer than a command waits."""
    return answer.status == TOO_MANY and (answer.retry_after or 0) > PAUSE_MAX


def _repeat_hint(key: str) -> str:
    return f"it may have arrived; --key {key} repeats it safely"


def _open_http(settings: ClientSettings) -> httpx.Client:
    headers, auth = {"User-Agent": "buildapi"}, None
    if settings.token:
        headers["Authorization"] = f"Bearer {settings.token}"
    elif settings.user and settings.password is not None:
        auth = httpx.BasicAuth(settings.user, settings.password)
    if settings.cookie:
        headers["Cookie"] = settings.cookie
    try:
        context = ssl.create_default_context(cafile=settings.ca)
    except OSError as e:
        raise CommandError(
            f"{settings.ca}: cannot read certificates: {e.strerror or e}", WRONG
        ) from e
    # trust_env would bring in credentials of ~/.netrc, and proxies that then see ours.
    return httpx.Client(headers=headers, auth=auth, verify=context, trust_env=False)


def _read_body(response: httpx.Response, end: float) -> bytes:
    """Read a body; :raises CommandError: it is too large; :raises TimeoutError: it is too slow."""
    body = bytearray()
    with closing(response):
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > ANSWER_MAX:
                raise CommandError(f"the answer has more than {ANSWER_MAX >> 20} MiB", UNCLEAR)
            if time.monotonic() > end:
                raise TimeoutError("timed out")
    return bytes(body)


def _parse_json(body: bytes) -> JSON:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _retry_after(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    # Retry-After may be a date as well (RFC 9110, section 10.2.3), which the service never sends.
    return float(text) if text.isdecimal() and text.isascii() else None


def message_of(answer: ServiceResponse) -> str:
    """Return the message of a refusal; empty if there is none."""
    document = answer.document
    msg = document.get("msg") if isinstance(document, dict) else None
    return str(msg or "")


def join_path(*path: str) -> str:
    """Quote and join the segments of a path; :raises CommandError: one is empty or dots."""
    for segment in path:
        # quote() leaves dots alone, and clients remove such segments (RFC 3986, section 5.2.4):
        # another path would be called.
        if segment in ("", ".", ".."):
            raise CommandError(f"{segment!r} is not allowed as a name", WRONG)
    return "".join(f"/{quote(segment, safe='')}" for segment in path)
