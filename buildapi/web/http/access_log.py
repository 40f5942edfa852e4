"""Write the access log: one line for each answered request, whatever the client sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import attrs

from buildapi.redaction import hidden, hidden_in_url
from buildapi.web.http.auth import Authenticator, address_of

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

LONGEST = {"uri": 2000, "referer": 500, "agent": 500, "user": 512, "client": 100, "method": 20}
"""Maximum lengths, in characters, of values that a client chooses."""

# A line feed could forge a line; a quotation mark or a backslash would end or change its field
# (docs/logging.md, The access log).
PLAIN = {chr(c) for c in range(0x20, 0x7F)} - {'"', "\\"}


class LineFile(Protocol):
    """A file that lines are appended to, and that is opened again when it was moved away."""

    def write(self, text: str) -> object:
        """Append a text."""

    def reopen(self) -> None:
        """Open the file that now has the path."""

    def close(self) -> None:
        """Close the file; a later line opens it again."""


@attrs.define
class AccessLog:
    """Write access log lines to ``file``, as JSON or text.

    ``now`` returns seconds since the epoch.
    """

    file: LineFile
    _now: Callable[[], float]
    json: bool = False

    def __call__(self, request: BuildAPIRequest) -> None:
        """Log an answered request."""
        facts, at = facts_of(request), datetime.fromtimestamp(self._now(), UTC)
        self.file.write((as_json if self.json else as_text)(facts, at) + "\n")

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        self.file.close()


@attrs.define
class AccessLogSwitch:
    """Write the access log, which may be replaced while requests are answered, or is None."""

    current: AccessLog | None

    def __call__(self, request: BuildAPIRequest) -> None:
        """Log an answered request."""
        if self.current is not None:
            self.current(request)

    def replace(self, access_log: AccessLog | None) -> None:
        """Switch to another access log, and close the one before."""
        self.close()
        self.current = access_log

    def write_as(self, *, json: bool) -> None:
        """Write further lines as JSON or as text."""
        if self.current is not None:
            self.current.json = json

    def reopen(self) -> None:
        """Reopen the file after it was renamed."""
        if self.current is not None:
            self.current.file.reopen()

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        if self.current is not None:
            self.current.close()


def facts_of(request: BuildAPIRequest) -> Mapping[str, object]:
    """Collect the values of a log line from a request; tokens in URLs and headers are masked."""
    texts = {
        "client": request.client_address,
        "user": request.who or "",
        # latin-1 has a character for every byte: a line is written whatever the client sent.
        "method": request.method.decode("latin-1"),
        "uri": hidden_in_url(request.uri.decode("latin-1")),
        "protocol": request.clientproto.decode("latin-1"),
        "referer": hidden_in_url(request.text_header("referer")),
        "agent": hidden(request.text_header("user-agent")),
    }
    cut = {name: text[: LONGEST.get(name, 100)] for name, text in texts.items()}
    sent = request.sentLength
    return cut | {
        "status": int(request.code),
        "bytes": sent if isinstance(sent, int) else 0,
        "seconds": round(request.seconds, 4),
        "trace": request.trace,
    }


def as_text(facts: Mapping[str, object], at: datetime) -> str:
    """Format a line in the combined log format, followed by the request id and the seconds."""
    quoted = {n: quote(v) for n, v in facts.items() if isinstance(v, str)}
    # A blank ends these fields, which have no quotation marks [Apache HTTP Server, Log Files].
    user = quoted["user"].replace(" ", "\\x20") or "-"
    client = quoted["client"].replace(" ", "\\x20") or "-"
    return (
        f"{client} - {user} [{at:%d/%b/%Y:%H:%M:%S %z}]"
        f' "{quoted["method"]} {quoted["uri"]} {quoted["protocol"]}"'
        # "-" for no bytes, as %b has it [Apache HTTP Server, mod_log_config]
        f" {facts['status']} {facts['bytes'] or '-'}"
        f' "{quoted["referer"] or "-"}" "{quoted["agent"] or "-"}"'
        f" {quoted['trace'] or '-'} {facts['seconds']:.4f}"
    )


def as_json(facts: Mapping[str, object], at: datetime) -> str:
    """Format a line as a JSON object in plain ASCII; empty values are left out."""
    head = {"ts": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z", "level": "info"}
    told = {n: v for n, v in facts.items() if v != ""}
    return json.dumps(head | {"ns": "access"} | told)


def quote(text: str) -> str:
    """Escape what is not plain ASCII, quotation marks and backslashes as ``\\xNN``."""
    return "".join(c if c in PLAIN else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="replace"))


def client_of(peer: str, forwarded: Sequence[str], auth: Authenticator) -> str:
    """Return the client's address: the last forwarded one that is not a trusted proxy itself."""
    client = peer
    # Each proxy appends its peer [nginx, $proxy_add_x_forwarded_for]: what stands before the first
    # untrusted address from the end may be made up.
    for name in reversed(forwarded):
        if not auth.trusts(client) or address_of(name) is None:
            break
        client = name
    return client
