"""Ask the service over HTTP: with deadlines, bounded answers, and credentials for it alone."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import quote, urljoin

import attrs
import click
import httpx

from buildapi.cli.client_settings import Settings, origin
from buildapi.cli.command_error import Failure, Refused
from buildapi.cli.terminal import printable
from buildapi.exit_codes import FORBIDDEN, UNAVAILABLE, UNCLEAR, WRONG

ANSWER_MAX = 64 * 1024 * 1024
REDIRECTS_MAX = 3
TRIES, PAUSE, PAUSE_MAX = 4, 0.5, 60.0
TOO_MANY = 429
AGAIN = (409, TOO_MANY, 502, 503, 504)
"""What a job request with a key is sent again for."""

LOST = (502, 504)
"""What a proxy answers where it heard nothing: the service may have done it all the same."""

Unreachable = (httpx.TransportError, TimeoutError)


@attrs.frozen
class Answer:
    """An answer: its status, its document (None where it is no JSON), when to ask again."""

    status: int
    document: Any
    retry_after: float | None = None

    @property
    def is_good(self) -> bool:
        """Tell whether it says that what was asked for is so."""
        return self.status < 300 and self.document is not None


@attrs.define
class Client:
    """Talk to one service; ``sleep`` takes the seconds between two tries."""

    settings: Settings
    sleep: Callable[[float], None] = time.sleep
    _http: httpx.Client = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._http = _http(self.settings)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def get(self, *path: str, wait: float = 0, patience: float = 0, **params: Any) -> Any:
        """Read a document; the service may ``wait`` so long, ``patience`` is for slow reports.

        :raises Failure: it cannot be had.
        """
        asked = {**params, "wait": max(1, int(wait))} if wait else params
        answer = self._once("GET", address(*path), asked, None, headers={}, wait=wait + patience)
        return self._good(answer, address(*path))

    def send(self, method: str, *path: str, body: Any = None, key: str = "", **params: Any) -> Any:
        """Ask for a change; with a ``key`` again, where nothing was done or nothing was heard.

        :raises Failure: it is refused, or there is no answer.
        """
        try:
            return self._sent(method, address(*path), params, body, key)
        except KeyboardInterrupt:
            if key:
                click.echo(_repeats(key), err=True)
            raise

    def _sent(self, method: str, where: str, params: Mapping[str, Any], body: Any, key: str) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        for left in reversed(range(TRIES if key else 1)):
            try:
                answer = self._once(method, where, params, body, headers=headers)
            except Failure as e:
                if e.exit_code != UNAVAILABLE or not key:
                    raise
                if not left:
                    raise Failure(f"{e.message}; {_repeats(key)}", UNAVAILABLE) from e
                self._pause(TRIES - left, None, e.message)
                continue
            if answer.status not in AGAIN or not left or _is_long(answer):
                break
            self._pause(
                TRIES - left, answer.retry_after, said(answer) or f"answered {answer.status}"
            )
        if key and answer.status in LOST:
            told = f"{said(answer) or 'no answer of the service'} ({answer.status})"
            raise Failure(f"{told}; {_repeats(key)}", UNAVAILABLE)
        return self._good(answer, where)

    def _pause(self, tried: int, asked: float | None, reason: str) -> None:
        seconds = PAUSE * 2 ** (tried - 1) if asked is None else min(asked, PAUSE_MAX)
        click.echo(f"{printable(reason)}; again in {seconds:g} s", err=True)
        self.sleep(seconds)

    def _good(self, answer: Answer, where: str) -> Any:
        if answer.is_good:
            return answer.document
        if answer.status < 300:
            told = f"{self.settings.url}{where} answered no JSON: is the address right?"
            raise Failure(told, UNCLEAR)
        raise Refused(answer.status, said(answer))

    def _once(
        self,
        method: str,
        where: str,
        params: Mapping[str, Any],
        body: Any,
        *,
        headers: Mapping[str, str],
        wait: float = 0,
    ) -> Answer:
        """Send one request, and follow it where the same service says so."""
        url = f"{self.settings.url}{where}"
        asked: Any = {k: v for k, v in params.items() if v not in (None, "", ())}
        for _ in range(REDIRECTS_MAX + 1):
            request = self._http.build_request(
                method,
                url,
                params=asked or None,
                json=body,
                headers={"Accept": "application/json", **headers},
                timeout=self.settings.timeout + wait,
            )
            target, answer = self._exchange(request, wait)
            if target is None:
                return answer
            url, asked = self._same(url, target, method, answer.status), None
        raise Failure(f"{self.settings.url}{where} redirects in circles", UNCLEAR)

    def _exchange(self, request: httpx.Request, wait: float) -> tuple[str | None, Answer]:
        end = time.monotonic() + self.settings.timeout + wait
        try:
            response = self._http.send(request, stream=True)
            with_body = _bounded(response, end)
        except (*Unreachable, httpx.StreamError, httpx.DecodingError) as e:
            reason = str(e) or type(e).__name__
            raise Failure(f"{self.settings.url}: no answer: {reason}", UNAVAILABLE) from None
        except (UnicodeError, httpx.InvalidURL) as e:
            raise Failure(f"{self.settings.url}: no such address: {e}", WRONG) from None
        target = response.headers.get("location") if response.is_redirect else None
        return target, Answer(response.status_code, _document(with_body), _seconds(response))

    def _same(self, url: str, target: str, method: str, status: int) -> str:
        """Check that a redirect stays with the service and keeps the method."""
        goal = urljoin(url, target)
        if origin(goal) != origin(self.settings.url):
            raise Failure(
                f"{self.settings.url} redirects to {goal.split('?')[0]}, which is not followed:"
                " is the address right, and are you signed in?",
                FORBIDDEN,
            )
        if method != "GET" and status not in (307, 308):
            told = f"{self.settings.url} redirects a {method}, which is not followed"
            raise Failure(told, UNCLEAR)
        return goal


def _is_long(answer: Answer) -> bool:
    """Tell whether a limit holds for longer than anybody waits for a command."""
    return answer.status == TOO_MANY and (answer.retry_after or 0) > PAUSE_MAX


def _repeats(key: str) -> str:
    return f"it may have arrived; --key {key} repeats it safely"


def _http(settings: Settings) -> httpx.Client:
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
        raise Failure(f"{settings.ca}: no certificates: {e.strerror or e}", WRONG) from e
    # trust_env would bring in credentials of ~/.netrc, and proxies that then see ours.
    return httpx.Client(headers=headers, auth=auth, verify=context, trust_env=False)


def _bounded(response: httpx.Response, end: float) -> bytes:
    """Read a body; :raises Failure: it is too large, or takes too long."""
    body = bytearray()
    with closing(response):
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > ANSWER_MAX:
                raise Failure(f"the answer has more than {ANSWER_MAX >> 20} MiB", UNCLEAR)
            if time.monotonic() > end:
                raise TimeoutError("it takes too long")
    return bytes(body)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _seconds(response: httpx.Response) -> float | None:
    text = response.headers.get("retry-after", "")
    return float(text) if text.isdecimal() and text.isascii() else None


def said(answer: Answer) -> str:
    """Give the message of a refusal; empty where there is none."""
    document = answer.document
    msg = document.get("msg") if isinstance(document, dict) else None
    return str(msg or "")


def address(*path: str) -> str:
    """Make a path of segments; :raises Failure: one of them cannot be one."""
    for segment in path:
        if segment in ("", ".", ".."):
            raise Failure(f"{segment!r} cannot be part of a path", WRONG)
    return "".join(f"/{quote(segment, safe='')}" for segment in path)
