"""Format log events as lines: text for people, JSON objects for programs."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from twisted.logger import LogEvent, LogLevel, eventAsText, formatEvent

from buildapi import tracing
from buildapi.redaction import hidden

MESSAGE_MAX = 8000
TRACEBACK_MAX = 16_000
FIELD_MAX = 1000
FIELDS_MOST = 30
INTEGER_MAX = 2**63

OURS = ("ts", "level", "ns", "msg", "trace", "job", "incident", "traceback")
# twisted.logger keeps them in events of twisted.python.log, beside keys of its own.
LEGACY = {"message", "time", "system", "isError", "format", "why", "failure", "printed", "log"}
"""Keys of legacy events that repeat others."""

_HIDDEN = re.compile(r"password|secret|token|authorization|cookie", re.IGNORECASE)
# Without tab and line feed, which `as_text` indents; with the line separators of Unicode, and
# surrogates, which UTF-8 cannot encode. So no input can forge a line [docs/logging.md, The log].
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def level_of(event: LogEvent) -> Any:
    """Return the level of an event; info if it has none."""
    level = event.get("log_level")
    if level in tuple(LogLevel.iterconstants()):
        return level
    return LogLevel.error if event.get("isError") else LogLevel.info


def as_text(event: LogEvent) -> str:
    """Return a line in twistd's format, with trace and job; lines after the first are indented."""
    try:
        text = _as_text(event)
    except Exception as e:
        text = f"{_moment(None):%Y-%m-%dT%H:%M:%S+0000} [-] {_unfit(e)}"
    shown = _CONTROL.sub(lambda m: repr(m[0])[1:-1], text.rstrip("\n"))
    return shown.replace("\n", "\n\t") + "\n"


def _as_text(event: LogEvent) -> str:
    message = _message(event)
    system = _system(event)
    about = _about()
    parts = [f"{_moment(event.get('log_time')).astimezone():%Y-%m-%dT%H:%M:%S%z}", f"[{system}]"]
    parts += [f"[{about}]"] if about else []
    traceback = _traceback(event)
    return " ".join([*parts, message]) + (f"\n{traceback}" if traceback else "")


def _system(event: LogEvent) -> str:
    system = event.get("log_system")
    if system is not None:
        return _cut(str(system), FIELD_MAX).replace("\n", " ")
    return f"{_namespace(event)}#{level_of(event).name}"


def _about() -> str:
    job = tracing.job()
    return " ".join([*filter(None, [tracing.trace()]), *([] if job is None else [f"job {job}"])])


def as_json(event: LogEvent) -> str:
    """Return one JSON object in plain ASCII on one line, whatever the event holds."""
    try:
        # NaN and Infinity are not JSON [RFC 8259, 6]; `_simple` writes them as texts.
        return json.dumps(_object(event), allow_nan=False) + "\n"
    except Exception as e:
        ts = _timestamp(None)
        return json.dumps({"ts": ts, "level": "error", "ns": "-", "msg": _unfit(e)}) + "\n"


def _object(event: LogEvent) -> Mapping[str, object]:
    told = {
        "ts": _timestamp(event.get("log_time")),
        "level": level_of(event).name,
        "ns": _namespace(event),
        "msg": _message(event),
        "trace": tracing.trace() or None,
        "job": tracing.job(),
        "incident": _simple(event.get("incident")),
        "traceback": _traceback(event) or None,
    }
    return {k: v for k, v in told.items() if v is not None} | _fields(event)


def _fields(event: LogEvent) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in event.items():
        name = _cut(str(key), 100)
        if name in OURS or name in LEGACY or name.startswith("log_") or _HIDDEN.search(name):
            continue
        simple = _simple(value)
        if simple is not None and len(found) < FIELDS_MOST:
            found[name] = simple
    return found


def _simple(value: object) -> str | int | float | bool | None:
    """Return a value that JSON can hold, cut if it is long; None for any other."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        # Many readers of JSON cannot hold more [RFC 8259, 6].
        return int(value) if -INTEGER_MAX < value < INTEGER_MAX else "a huge number"
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return _cut(hidden(str(value)), FIELD_MAX) if isinstance(value, str) else None


def _namespace(event: LogEvent) -> str:
    return _cut(str(event.get("log_namespace") or "-"), FIELD_MAX).replace("\n", " ")


def _message(event: LogEvent) -> str:
    # Cut last: half a URL does not show that a password is in it.
    return _cut(hidden(formatEvent(event)), MESSAGE_MAX)


def _traceback(event: LogEvent) -> str:
    if event.get("log_failure") is None:
        return ""
    whole = eventAsText(
        # Without its message, which both formats have already.
        {**event, "log_format": "", "log_flattened": {}},
        includeTraceback=True,
        includeTimestamp=False,
        includeSystem=False,
    ).strip()
    whole = hidden(whole)
    # The error is at the end.
    return whole if len(whole) <= TRACEBACK_MAX else f"... {whole[-TRACEBACK_MAX:]}"


def _moment(at: Any) -> datetime:
    try:
        return datetime.fromtimestamp(at, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC)


def _timestamp(at: Any) -> str:
    moment = _moment(at)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


def _unfit(error: Exception) -> str:
    return f"an event that cannot be formatted: {type(error).__name__}"
