"""In which format to answer: ``format`` wins, then ``Accept``, else HTML."""

from __future__ import annotations

from buildapi.errors import BadRequest
from buildapi.web.params import Query, single

JSON, HTML = "json", "html"
FORMATS = (HTML, JSON)


def requested(query: Query, accept: str) -> str:
    """Choose the format; :raises BadRequest: ``format`` is unknown or repeated."""
    wanted = single(query, "format")
    if not wanted:
        return accepted(accept)
    if wanted not in FORMATS:
        raise BadRequest(f"Unsupported format: {wanted[:40]}; allowed are {', '.join(FORMATS)}")
    return wanted


def lenient(query: Query, accept: str) -> str:
    """Choose the format of an error, which must not fail itself."""
    try:
        return requested(query, accept)
    except BadRequest:
        return accepted(accept)


def accepted(accept: str) -> str:
    """Choose by an ``Accept`` header: JSON where it is named and not refused with ``q=0``."""
    return JSON if any(_wants_json(part) for part in accept.split(",")) else HTML


def _wants_json(part: str) -> bool:
    kind, *options = (text.strip().lower() for text in part.split(";"))
    return kind == "application/json" and not any(map(_refuses, options))


def _refuses(option: str) -> bool:
    name, _, value = option.partition("=")
    if name.strip() != "q":
        return False
    try:
        return float(value) == 0
    except ValueError:
        return False
