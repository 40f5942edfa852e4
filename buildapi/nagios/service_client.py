"""An HTTP client for the service: one deadline, bounded responses, no redirects, checked JSON."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nagiosplugin import CheckError

import buildapi
from buildapi.nagios.formatting import format_duration, join_names, printable

BODY_MAX = 32 * 2**20
SECRET_MAX = 4096
NUMBER_MAX = 10**15
OK = 200
TYPE_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


class UnreachableError(CheckError):
    """The service sent no response, or an incomplete one."""


@dataclass(frozen=True)
class Response:
    """A response; ``seconds`` is the time from connecting to the last byte."""

    status: int
    reason: str
    body: bytes
    seconds: float

    @property
    def summary(self) -> str:
        """Return the status, with the message of the service if there is one."""
        status = f"{self.status} {printable(self.reason, 60)}".strip()
        try:
            # Errors of the service are JSON with "msg" (docs/api.md, "Format"); those of a proxy
            # are not.
            message = json.loads(self.body)["msg"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return status
        return f"{status} ({printable(message)})" if isinstance(message, str) else status


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follow no redirects: the Authorization header would go to wherever they point."""

    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


@dataclass(frozen=True)
class ServiceClient:
    """Send requests to the service at ``url``; all of them share one deadline."""

    url: str
    headers: Mapping[str, str]
    opener: urllib.request.OpenerDirector
    seconds: float
    deadline: float

    @classmethod
    def from_arguments(cls, args: Namespace) -> ServiceClient:
        """Return the client of a command line; :raises CheckError: a file of it is unusable."""
        handlers = [
            _NoRedirects(),
            # An empty dictionary means no proxy; None would take those of the environment.
            urllib.request.ProxyHandler(None if args.proxy_from_environment else {}),
        ]
        if args.url.startswith("https:"):
            handlers.append(urllib.request.HTTPSHandler(context=_tls_context(args.ca)))
        opener = urllib.request.build_opener(*handlers)
        return cls(args.url, _headers(args), opener, args.timeout, time.monotonic() + args.timeout)

    def get(self, path: str) -> Response:
        """Get a page, whatever its status; :raises UnreachableError: no response in time."""
        # service_url accepts nothing but http and https.
        request = urllib.request.Request(self.url + path, headers=dict(self.headers))  # noqa: S310
        return self._run_until_deadline(lambda: self._read(request))

    def document(self, path: str) -> JSONValue:
        """Get a JSON document; :raises CheckError: there is none."""
        response = self.get(path)
        name = path.partition("?")[0]
        if response.status != OK:
            raise CheckError(f"{name} answered {response.summary}")
        try:
            return JSONValue(json.loads(response.body), name.rpartition("/")[2])
        except (ValueError, RecursionError):
            raise CheckError(f"{name} did not answer with JSON") from None

    def _read(self, request: urllib.request.Request) -> Response:
        began = time.monotonic()
        try:
            with self._open(request) as response:
                # One byte more than allowed tells a body that is too large from one that just fits.
                body = response.read(BODY_MAX + 1)
                if len(body) > BODY_MAX:
                    raise UnreachableError(f"the response is larger than {BODY_MAX // 2**20} MiB")
                if response.length:  # bytes that Content-Length announced and that are missing
                    raise UnreachableError("the response was cut short")
                seconds = time.monotonic() - began
                return Response(response.status, response.reason or "", body, seconds)
        # Before OSError, of which it is a subclass: its reason has the message that helps.
        except urllib.error.URLError as e:
            raise UnreachableError(f"cannot reach {self.url}: {_reason(e.reason)}") from e
        except (OSError, http.client.HTTPException, ValueError) as e:
            raise UnreachableError(f"no answer from {self.url}: {_reason(e)}") from e

    def _open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        try:
            # The socket gets a second more than the deadline, whose message is the clearer one.
            response: http.client.HTTPResponse = self.opener.open(request, timeout=self.seconds + 1)
        except urllib.error.HTTPError as e:
            return e  # type: ignore[return-value]  # urllib raises responses with an error status
        return response

    def _run_until_deadline(self, work: Callable[[], Response]) -> Response:
        """Run blocking work in a daemon thread, which is abandoned at the deadline.

        Timeouts of sockets bound neither the resolver nor a server that sends a byte a second.
        """
        outcome: list[Response | BaseException] = []

        def run() -> None:
            try:
                outcome.append(work())
            except BaseException as e:  # raised again in the calling thread
                outcome.append(e)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(max(self.deadline - time.monotonic(), 0))
        if not outcome:
            raise UnreachableError(f"no answer within {format_duration(self.seconds)}")
        (result,) = outcome
        if isinstance(result, BaseException):
            raise result
        return result


def _tls_context(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca or None)
    except OSError as e:
        raise CheckError(f"cannot read the certificates in {printable(ca)}: {_reason(e)}") from e


def _reason(error: BaseException | str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({printable(error.verify_message)})"
    if isinstance(error, OSError) and error.strerror:
        return printable(error.strerror)
    return printable(str(error) or type(error).__name__)


# --- secrets


def _headers(args: Namespace) -> Mapping[str, str]:
    headers = {"Accept": "application/json", "User-Agent": f"check_buildapi/{buildapi.__version__}"}
    if args.token_file:
        headers["Authorization"] = _token_header(args.token_file)
    if args.user_file:
        headers["Authorization"] = _user_header(args.user_file)
    return headers


def _token_header(path: str) -> str:
    token = _read_line(path)
    if not is_plain_ascii(token):
        raise CheckError(f"{printable(path)} does not hold a token (expected ASCII, no spaces)")
    return f"Bearer {token}"


def _user_header(path: str) -> str:
    text = _read_line(path)
    # The name ends at the first colon, and a password may have others (RFC 7617, section 2).
    if not text.partition(":")[2] or text.startswith(":"):
        raise CheckError(f"{printable(path)} does not hold name:password")
    # The only charset that RFC 7617, section 2.1, lets a server name.
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def _read_line(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            # Bounded: the path may be that of a device or a log by mistake.
            text = file.read(SECRET_MAX).strip()
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else "not UTF-8"
        raise CheckError(f"cannot read {printable(path)}: {reason}") from None
    if not text or "\n" in text:
        raise CheckError(f"{printable(path)} does not hold exactly one line")
    return text


def is_plain_ascii(text: str) -> bool:
    """Return whether a text can stand in a header or a URL as it is."""
    return text.isascii() and text.isprintable() and " " not in text


# --- JSON documents


@dataclass(frozen=True)
class JSONValue:
    """A value of a JSON document and its path; each method raises CheckError for another type."""

    value: object
    path: str

    def __getitem__(self, key: str) -> JSONValue:
        """Return a member of an object, which must exist."""
        if not isinstance(self.value, dict):
            raise self._type_error("an object")
        if key not in self.value:
            raise CheckError(f"{self.path} lacks {key!r}")
        return JSONValue(self.value[key], f"{self.path}.{key}")

    def optional(self, key: str) -> JSONValue:
        """Return a member that older services lack; a missing one is null."""
        lacks = isinstance(self.value, dict) and key not in self.value
        return JSONValue(None, f"{self.path}.{key}") if lacks else self[key]

    @property
    def is_null(self) -> bool:
        """Return whether it is null."""
        return self.value is None

    def items(self) -> Sequence[JSONValue]:
        """Return the items of a list."""
        if not isinstance(self.value, list):
            raise self._type_error("a list")
        return [JSONValue(value, f"{self.path}[{n}]") for n, value in enumerate(self.value)]

    def number(self) -> float:
        """Return a number; a negative one, as clocks that differ produce it, is zero."""
        value = self.value
        # JSON's true is an int in Python.
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._type_error("a number")
        if not -NUMBER_MAX <= value <= NUMBER_MAX:  # true for NaN
            raise CheckError(f"{self.path} is out of bounds")
        return max(value, 0)

    def count(self) -> int:
        """Return a whole number, at least zero."""
        number = self.number()
        if not isinstance(number, int):
            raise self._type_error("a whole number")
        return number

    def text(self) -> str:
        """Return a text in printable characters."""
        if not isinstance(self.value, str):
            raise self._type_error("a text")
        return printable(self.value)

    def texts(self) -> Sequence[str]:
        """Return the texts of a list."""
        return [item.text() for item in self.items()]

    def boolean(self) -> bool:
        """Return true or false."""
        if not isinstance(self.value, bool):
            raise self._type_error("true or false")
        return self.value

    def number_or_none(self) -> float | None:
        """Return a number, or None if it is null."""
        return None if self.is_null else self.number()

    def count_or_none(self) -> int | None:
        """Return a whole number, or None if it is null."""
        return None if self.is_null else self.count()

    def text_or_none(self) -> str | None:
        """Return a text, or None if it is null; an empty error is an error as well."""
        return None if self.is_null else self.text() or "no reason given"

    def _type_error(self, expected: str) -> CheckError:
        value = self.value
        found = "null" if value is None else TYPE_NAMES.get(type(value), "a number")
        if isinstance(value, float) and expected == "a whole number":
            found = "a number with a fraction"
        return CheckError(f"{self.path} is {found}, not {expected}")


def require_no_error(part: JSONValue, what: str) -> None:
    """Raise CheckError if a part of the status has an ``error``, as what it reports is unknown."""
    error = part["error"].text_or_none()
    if error is not None:
        raise CheckError(f"the service cannot tell {what}: {error}")


def names_of(values: Sequence[JSONValue], key: str = "name") -> str:
    """List the names of objects in one text."""
    return join_names([value[key].text() for value in values])
