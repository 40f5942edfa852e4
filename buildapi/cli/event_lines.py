"""Server-sent events [HTML Standard, 9.2.6]: read them from bytes, and write them as lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import attrs

from buildapi.cli.command_error import CommandError
from buildapi.cli.service_client import JSON, Document
from buildapi.cli.table_rows import Time, state, what
from buildapi.exit_codes import UNCLEAR
from buildapi.model.revisions import short_revision

LINE_MAX = 16 * 1024 * 1024
"""Maximum bytes of a line, and of the data of an event: a job with thousands of items is one."""


@attrs.frozen
class ServerEvent:
    """An event: ``id`` is the last one that was sent."""

    id: str
    kind: str
    data: JSON


def events(parts: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Yield the events of a stream; one that the end of the stream cuts is none.

    :raises CommandError: its data is not JSON or too long, or a line is.
    """
    id_, kind, data = "", "", ""
    for line in _lines(parts):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            id_ = value
        elif name == "event":
            kind = value
        elif name == "data":
            data += value
            if len(data) > LINE_MAX:
                raise _too_long()
        elif not line:
            if kind:
                yield ServerEvent(id_, kind, _decoded(data))
            kind, data = "", ""


def _lines(parts: Iterable[bytes]) -> Iterator[str]:
    begun = b""
    for part in parts:
        *whole, begun = (begun + part).split(b"\n")
        if len(begun) > LINE_MAX:
            raise _too_long()
        yield from (line.decode(errors="replace").rstrip("\r") for line in whole)


def _too_long() -> CommandError:
    return CommandError(f"an event has more than {LINE_MAX >> 20} MiB", UNCLEAR)


def _decoded(data: str) -> JSON:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise CommandError("an event is not JSON: check the URL", UNCLEAR) from None


def as_json(event: ServerEvent) -> str:
    """Write an event as one line of JSON."""
    return json.dumps({"event": event.kind, "id": event.id, "data": event.data})


def as_text(event: ServerEvent, time: Time, now: float) -> str:
    """Write an event as a line for people."""
    return f"{time(now)}  {event.kind:<7}  {_describe(event.kind, event.data)}"


def _describe(kind: str, data: Document) -> str:
    if kind in ("build", "request"):
        id_, revision = data[f"{kind}_id"], short_revision(data["revision"] or "")
        place = data["branch_name"] or data["branch"] or ""
        return _joined(id_, state(data), data["buildername"], place, revision)
    if kind == "job":
        parts = (data["id"], data["state"], data["action"], data["who"], what(data["what"]))
        return _joined(*parts)
    return json.dumps(data)


def _joined(*parts: object) -> str:
    return "  ".join(text for text in map(str, parts) if text)
