"""A line for each request that was answered; whatever a client sent, it is one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

from buildapi.redaction import hidden, hidden_in_url
from buildapi.web.auth import Authenticator, Identity, address_of

LONGEST = {"uri": 2000, "referer": 500, "agent": 500, "user": 512, "client": 100, "method": 20}
"""Characters that are kept of what a client may choose."""

PLAIN = {chr(c) for c in range(0x20, 0x7F)} - {'"', "\\"}


@attrs.define
class AccessLog:
    """Write lines, JSON objects with ``json``, to a file, with ``write`` and ``close``.

    ``now`` gives seconds since the epoch.
    """

    file: Any
    _now: Callable[[], float]
    json: bool = False

    def __call__(self, request: Any) -> None:
        """Note a request that was answered."""
        facts, at = facts_of(request), datetime.fromtimestamp(self._now(), UTC)
        self.file.write((as_json if self.json else as_text)(facts, at) + "\n")

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        self.file.close()


def facts_of(request: Any) -> Mapping[str, Any]:
    """Gather what is told of a request."""
    texts = {
        "client": request.client_address,
        "user": _who(request.identity),
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


def _who(identity: Identity | None) -> str:
    return "" if identity is None else identity.who or ""


def as_text(facts: Mapping[str, Any], at: datetime) -> str:
    """Give the line in the combined format, with id and seconds of the request after it."""
    quoted = {n: quote(v) if isinstance(v, str) else v for n, v in facts.items()}
    user = quoted["user"].replace(" ", "\\x20") or "-"
    client = quoted["client"].replace(" ", "\\x20") or "-"
    return (
        f"{client} - {user} [{at:%d/%b/%Y:%H:%M:%S %z}]"
        f' "{quoted["method"]} {quoted["uri"]} {quoted["protocol"]}"'
        f" {facts['status']} {facts['bytes'] or '-'}"
        f' "{quoted["referer"] or "-"}" "{quoted["agent"] or "-"}"'
        f" {quoted['trace'] or '-'} {facts['seconds']:.4f}"
    )


def as_json(facts: Mapping[str, Any], at: datetime) -> str:
    """Give the line as a JSON object, in plain ASCII."""
    head = {"ts": f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z", "level": "info"}
    told = {n: v for n, v in facts.items() if v != ""}
    return json.dumps(head | {"ns": "access"} | told)


def quote(text: str) -> str:
    """Spell what is not plain ASCII, a quotation mark or a backslash, as ``\\xNN``."""
    return "".join(c if c in PLAIN else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="replace"))


def client_of(peer: str, forwarded: Sequence[str], auth: Authenticator) -> str:
    """Tell who asks: the last one that a trusted proxy names and that is none itself."""
    client = peer
    for name in reversed(forwarded):
        if not auth.trusts(client) or address_of(name) is None:
            break
        client = name
    return client
