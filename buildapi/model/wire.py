"""The AMQP messages, and the values they stand for [docs/amqp.md]."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from buildapi.model.actions import ACTIONS, ID_MAX, Action, full_name
from buildapi.model.outcome import Item, Outcome
from buildapi.model.values import InvalidValueError

_TRACE = re.compile(r"[A-Za-z0-9._:@/+=-]{1,64}")
"""As buildapi.tracing has it, which this layer does not know."""

REQUESTS, FINISHED = "requests", "finished"
"""Routing keys: to the agents, and back to the web processes."""


@attrs.frozen
class JobMessage:
    """A job request on its way to an agent; ``when`` is when it was accepted.

    ``trace`` is the id of the HTTP request it began with, empty where that is not known.
    """

    request_id: int
    who: str
    when: int
    action: Action
    trace: str = ""


class Malformed(Exception):
    """Say why a message is not a job request; ``request_id`` is set where one could be read."""

    def __init__(self, reason: str, request_id: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.request_id = reason, request_id


def what(action: Action) -> dict[str, Any]:
    """Give the body of an action, as ``jobrequests.what`` stores it.

    What older programs do not know is left out where it says nothing.
    """
    fields = ((f, getattr(action, f.name)) for f in attrs.fields(type(action)))
    return {f.name: _plain(v) for f, v in fields if v or not f.metadata.get("added")}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def encode_request(message: JobMessage) -> bytes:
    """Encode for routing key ``requests``."""
    body = {"request_id": message.request_id, "when": message.when, **what(message.action)}
    whole = {"action": message.action.name, "who": message.who, "body": body}
    return _dump(whole | _traced(message.trace))


def decode_request(data: bytes) -> JobMessage:
    """Decode a message of routing key ``requests``; keys nobody knows are ignored.

    :raises Malformed: with the reason and, where it can be read, the request id.
    """
    message = _object(data)
    body = message.get("body")
    if not isinstance(body, dict):
        raise Malformed("no body")
    request_id = _request_id(body.get("request_id"), "body.request_id")
    who, name = message.get("who"), message.get("action")
    if not isinstance(who, str) or not who:
        raise Malformed("no who", request_id)
    try:
        action = action_from(name, body)
    except (InvalidValueError, LookupError) as e:
        raise Malformed(str(e.args[0]), request_id) from e
    trace = trace_of(message)
    return JobMessage(request_id, who, _seconds(body.get("when")), action, trace)


def action_from(name: object, body: Mapping[str, Any]) -> Action:
    """Build the action a name and a body stand for.

    :raises LookupError: the name is unknown, or a value without default is missing.
    :raises InvalidValueError: a value is not allowed.
    """
    cls = ACTIONS.get(full_name(name)) if isinstance(name, str) else None
    if cls is None:
        raise LookupError(f"unknown action {name!r:.60}")
    fields = attrs.fields(cls)
    missing = [f.name for f in fields if f.default is attrs.NOTHING and f.name not in body]
    if missing:
        raise LookupError(f"{name} without {', '.join(missing)}")
    return cls(**{f.name: body[f.name] for f in fields if f.name in body})


def trace_of(message: Mapping[str, Any]) -> str:
    """Give the id of the HTTP request that a message began with; empty where it names none."""
    trace = message.get("trace")
    return trace if isinstance(trace, str) and _TRACE.fullmatch(trace) else ""


def _traced(trace: str) -> dict[str, str]:
    return {"trace": trace} if trace else {}


def finished(
    request_id: int, outcome: Outcome, agent: str | None = None, trace: str = ""
) -> dict[str, Any]:
    """Build the report of an agent; the whole of it is stored as ``complete_data``."""
    message: dict[str, Any] = {
        "body": {"errors": outcome.errors, "msg": outcome.msg},
        "request_id": request_id,
    }
    if outcome.items:
        message["items"] = [item_data(i) for i in outcome.items]
    return message | ({"agent": agent} if agent else {}) | _traced(trace)


def item_data(item: Item) -> dict[str, Any]:
    """Give an item as plain data without its empty fields."""
    return {k: v for k in item.__struct_fields__ if (v := getattr(item, k)) is not None}


def encode_finished(message: Mapping[str, Any]) -> bytes:
    """Encode for routing key ``finished``."""
    return _dump(message)


def decode_finished(data: bytes) -> tuple[int, dict[str, Any]]:
    """Decode a message of routing key ``finished`` into the request id and the whole report.

    :raises Malformed: with the reason.
    """
    message = _object(data)
    request_id, body = _request_id(message.get("request_id"), "request_id"), message.get("body")
    if not isinstance(body, dict):
        raise Malformed("no body", request_id)
    return request_id, message


def _request_id(value: object, key: str) -> int:
    if type(value) is not int or not 0 < value <= ID_MAX:
        raise Malformed(f"no whole number as {key}")
    return value


def _seconds(value: object) -> int:
    return int(value) if isinstance(value, int | float) and -1e18 < value < 1e18 else 0


def _object(data: bytes) -> dict[str, Any]:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise Malformed(f"not JSON: {e}"[:200]) from e
    if not isinstance(message, dict):
        raise Malformed("not a JSON object")
    return message


def _dump(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()
