"""Asking the service: one deadline for everything, bounded answers, no redirects."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nagiosplugin import CheckError

from buildapi.nagios.formatting import format_duration, printable
from buildapi.nagios.json_document import JSONValue

BODY_MAX = 32 * 2**20
OK = 200


class UnreachableError(CheckError):
    """The service gave no answer, or none that can be read to its end."""


@dataclass(frozen=True)
class Response:
    """An answer, and how many seconds it took from the connection to the last byte."""

    status: int
    reason: str
    body: bytes
    seconds: float

    @property
    def summary(self) -> str:
        """Name the status, with the message of the service if there is one."""
        status = f"{self.status} {printable(self.reason, 60)}".strip()
        try:
            said = json.loads(self.body)["msg"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return status
        return f"{status} ({printable(said)})" if isinstance(said, str) else status


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follow no redirects: what authenticates us would go along to wherever they point."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


@dataclass(frozen=True)
class ServiceClient:
    """Ask the service at ``url``; all answers together must be there after ``seconds``."""

    url: str
    headers: Mapping[str, str]
    opener: urllib.request.OpenerDirector
    seconds: float
    until: float

    @classmethod
    def open(
        cls, url: str, headers: Mapping[str, str], seconds: float, *, ca: str, proxies: bool
    ) -> ServiceClient:
        """Get ready to ask; :raises CheckError: the file of the authority cannot be used."""
        handlers = [_NoRedirects(), urllib.request.ProxyHandler(None if proxies else {})]
        if url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=_tls_context(ca)))
        opener = urllib.request.build_opener(*handlers)
        return cls(url, headers, opener, seconds, time.monotonic() + seconds)

    def get(self, path: str) -> Response:
        """Get a page, whatever its status; :raises Unreachable: there is none in time."""
        # The options let nothing but http and https in.
        request = urllib.request.Request(self.url + path, headers=dict(self.headers))  # noqa: S310
        return _run_within(self.until - time.monotonic(), self.seconds, lambda: self._read(request))

    def document(self, path: str) -> JSONValue:
        """Get a JSON document; :raises CheckError: there is none."""
        answer = self.get(path)
        name = path.partition("?")[0]
        if answer.status != OK:
            raise CheckError(f"{name} answered {answer.summary}")
        try:
            return JSONValue(json.loads(answer.body), name.rpartition("/")[2])
        except (ValueError, RecursionError):
            raise CheckError(f"{name} did not answer with JSON") from None

    def _read(self, request: urllib.request.Request) -> Response:
        began = time.monotonic()
        try:
            with self._open(request) as answer:
                body = answer.read(BODY_MAX + 1)
                if len(body) > BODY_MAX:
                    raise UnreachableError(f"the answer is larger than {BODY_MAX // 2**20} MiB")
                if answer.length:  # what was announced and did not come
                    raise UnreachableError("the answer broke off")
                seconds = time.monotonic() - began
                return Response(answer.status, answer.reason or "", body, seconds)
        except urllib.error.URLError as e:
            raise UnreachableError(f"cannot reach {self.url}: {_reason(e.reason)}") from e
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise UnreachableError(f"no answer from {self.url}: {_reason(e)}") from e

    def _open(self, request: urllib.request.Request) -> Any:
        try:
            # A little more: the deadline of all of it says what happened, and says it alike.
            return self.opener.open(request, timeout=self.seconds + 1)
        except urllib.error.HTTPError as e:
            return e  # an answer as well


def _tls_context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as e:
        raise CheckError(f"cannot read the certificates in {printable(ca)}: {_reason(e)}") from e


def _reason(error: Any) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({printable(error.verify_message)})"
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return printable(str(error) or type(error).__name__)


def _run_within(seconds: float, all_seconds: float, work: Callable[[], Response]) -> Response:
    """Do something in a thread that is left alone when the time is over.

    No other limit holds for everything that may hang: looking the name up, or a byte a second.
    """
    outcome: list[Response | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except BaseException as e:  # handed to who waits
            outcome.append(e)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(max(seconds, 0))
    if not outcome:
        raise UnreachableError(f"no answer within {format_duration(all_seconds)}")
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result
