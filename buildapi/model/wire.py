"""Encode and decode the AMQP messages of job requests and their outcomes [docs/amqp.md]."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import attrs
import msgspec

from buildapi.model.actions import ACTIONS, ID_MAX, Action, full_name
from buildapi.model.job_identity import JobIdentity, is_identity
from buildapi.model.json_types import JSONObject
from buildapi.model.outcome import Item, Outcome
from buildapi.model.validators import InvalidValueError

_TRACE = re.compile(r"[A-Za-z0-9._:@/+=-]{1,64}")
"""The same pattern as in buildapi.tracing, which this layer may not import."""

REQUESTS, FINISHED = "requests", "finished"
"""Routing keys: from web processes to agents, and back."""


@attrs.frozen
class JobMessage:
    """A job request as sent to agents; ``when`` is the time it was accepted.

    ``trace`` is the id of the HTTP request that submitted it, ``identity`` that of the job [see
    model.identity]; each is empty if unknown.
    """

    request_id: int
    who: str
    when: int
    action: Action
    trace: str = ""
    identity: str = ""

    @property
    def of(self) -> JobIdentity:
        """Return the identity of the job; :raises ValueError: the message has none."""
        return JobIdentity(self.request_id, self.identity, self.when)


class Malformed(Exception):
    """Report why a message is malformed; ``request_id`` is set if it could be read.

    ``message`` is what could be read of it, else empty.
    """

    def __init__(
        self,
        reason: str,
        request_id: int | None = None,
        message: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason, self.request_id, self.message = reason, request_id, message or {}


def what(action: Action) -> dict[str, object]:
    """Return the body of an action, as ``jobrequests.what`` stores it.

    Empty fields that older programs do not know are left out.
    """
    fields = ((f, getattr(action, f.name)) for f in attrs.fields(type(action)))
    # Unused ones leave messages and rows as older programs write them [docs/amqp.md, "requests"].
    return {f.name: _plain(v) for f, v in fields if v or not f.metadata.get("added")}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def encode_request(message: JobMessage) -> bytes:
    """Encode a message of routing key ``requests``."""
    body: dict[str, object] = {
        "request_id": message.request_id,
        "when": message.when,
        **what(message.action),
    }
    whole: dict[str, object] = {"action": message.action.name, "who": message.who, "body": body}
    return _dump(whole | _traced(message.trace) | _identified(message.identity))


def decode_request(data: bytes) -> JobMessage:
    """Decode a message of routing key ``requests``; unknown keys are ignored.

    :raises Malformed: with the reason and, where it can be read, the request id.
    """
    message = _object(data)
    body = message.get("body")
    if not isinstance(body, dict):
        raise Malformed("no body")
    request_id = _request_id(body.get("request_id"), "body.request_id")
    who, name = message.get("who"), message.get("action")
    if not isinstance(who, str) or not who:
        raise Malformed("no who", request_id, message)
    try:
        action = action_from(name, body)
    except (InvalidValueError, LookupError) as e:
        raise Malformed(str(e.args[0]), request_id, message) from e
    when = _seconds(body.get("when"))
    return JobMessage(request_id, who, when, action, trace_of(message), identity_of(message))


def action_from(name: object, body: JSONObject) -> Action:
    """Build an action from its name and body, whose values the validators of its class check.

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
    # Older web processes leave out count and priority [docs/amqp.md, "requests"].
    return cls(**{f.name: body[f.name] for f in fields if f.name in body})


def trace_of(message: Mapping[str, object]) -> str:
    """Return the id of the HTTP request in a message; empty if it has none."""
    trace = message.get("trace")
    return trace if isinstance(trace, str) and _TRACE.fullmatch(trace) else ""


def _traced(trace: str) -> dict[str, str]:
    return {"trace": trace} if trace else {}


def identity_of(message: Mapping[str, object]) -> str:
    """Return the job's identity in a message; empty if it has none."""
    identity = message.get("identity")
    return identity if isinstance(identity, str) and is_identity(identity) else ""


def _identified(identity: str) -> dict[str, str]:
    return {"identity": identity} if identity else {}


def finished(
    request_id: int,
    outcome: Outcome,
    agent: str | None = None,
    trace: str = "",
    identity: str = "",
    *,
    revision: str | None = None,
) -> dict[str, object]:
    """Return the message of a finished job, of which ``stored_report`` becomes ``complete_data``.

    ``revision`` is the only one that the job was about; None if it is not known.
    """
    message: dict[str, object] = {
        "body": {"errors": outcome.errors, "msg": outcome.msg},
        "request_id": request_id,
    }
    if outcome.items:
        message["items"] = [item_data(i) for i in outcome.items]
    if outcome.warnings:
        message["warnings"] = list(outcome.warnings)
    # Without identity only the outcome of the agent that has begun the job is accepted
    # [docs/amqp.md, "Whose a message is"].
    message |= {"revision": revision} if revision else {}
    return message | ({"agent": agent} if agent else {}) | _traced(trace) | _identified(identity)


def stored_report(message: Mapping[str, object]) -> dict[str, object]:
    """Return what is stored of the message of a finished job, and shown to clients.

    Whoever knows the identity could forge an outcome [docs/amqp.md, "Whose a message is"]; the
    revision is for the caches of the process that takes the message.
    """
    return {key: value for key, value in message.items() if key not in ("identity", "revision")}


def revision_of(message: Mapping[str, object]) -> str | None:
    """Return the revision that a finished job was about; None if the message names none."""
    revision = message.get("revision")
    return revision if isinstance(revision, str) and revision else None


def item_data(item: Item) -> dict[str, object]:
    """Return an item as plain data without the fields that are None."""
    return {k: v for k in item.__struct_fields__ if (v := getattr(item, k)) is not None}


def encode_finished(message: Mapping[str, object]) -> bytes:
    """Encode a message of routing key ``finished``."""
    return _dump(message)


def decode_finished(data: bytes) -> tuple[int, dict[str, object]]:
    """Decode a message of routing key ``finished``: the job id and the whole message.

    :raises Malformed: with the reason.
    """
    message = _object(data)
    request_id = _request_id(message.get("request_id"), "request_id")
    reason = _unlike_report(message)
    if reason is not None:
        raise Malformed(reason, request_id, message)
    return request_id, message


def _unlike_report(message: Mapping[str, object]) -> str | None:
    """Return what is wrong with the shape of a finished message; None if nothing is."""
    body, items = message.get("body"), message.get("items", [])
    if not isinstance(body, dict):
        return "no body"
    if not isinstance(body.get("errors"), bool):
        return "body.errors must be true or false"
    if not isinstance(body.get("msg"), str):
        return "body.msg must be a text"
    if not isinstance(items, list) or not all(_is_item(one) for one in items):
        return "items must be a list of objects with state and detail"
    return None


def readable_items(items: object) -> list[Mapping[str, object]]:
    """List the stored items that are JSON objects; another program may have stored others."""
    return [one for one in items if isinstance(one, dict)] if isinstance(items, list) else []


def _is_item(value: object) -> bool:
    try:
        msgspec.convert(value, Item)
    except msgspec.ValidationError:
        return False
    return isinstance(value, dict)


def readable_report(report: Mapping[str, object]) -> JSONObject:
    """Return stored ``complete_data`` with a body and ``msg`` of the types that pages read."""
    body, readable = report.get("body"), dict(report)
    # Old rows are shown too, whatever wrote them [docs/compatibility.md, "What stays the same"].
    if "body" in report and not isinstance(body, dict):
        readable["body"] = {}
    elif isinstance(body, dict) and not isinstance(body.get("msg", ""), str):
        readable["body"] = body | {"msg": json.dumps(body["msg"])}
    return readable


def job_of(routing_key: str, body: bytes) -> int | None:
    """Return the job id of a message; None if the message is malformed."""
    try:
        if routing_key == FINISHED:
            return decode_finished(body)[0]
        return decode_request(body).request_id
    except Malformed:
        return None


def _request_id(value: object, key: str) -> int:
    # Not isinstance: JSON true would be job 1.
    if type(value) is not int or not 0 < value <= ID_MAX:
        raise Malformed(f"no whole number as {key}")
    return value


def _seconds(value: object) -> int:
    # The bounds also refuse NaN and Infinity, which json accepts and int() does not.
    return int(value) if isinstance(value, int | float) and -1e18 < value < 1e18 else 0


def _object(data: bytes) -> dict[str, object]:
    try:
        message = json.loads(data)
    # json raises RecursionError for deep nesting, and anybody who may publish can send it.
    except (ValueError, RecursionError) as e:
        raise Malformed(f"not JSON: {e}"[:200]) from e
    if not isinstance(message, dict):
        raise Malformed("not a JSON object")
    return message


def _dump(value: Mapping[str, object]) -> bytes:
    return json.dumps(value).encode()
