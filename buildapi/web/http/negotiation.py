"""Choose the format of an answer: ``format`` wins, then ``Accept``, else HTML.

``Accept`` is a list of media types, each with a weight ``q`` from 0 to 1, where 0 excludes the
type [RFC 9110 12.5.1]. Weights are not compared: browsers name ``*/*``, programs ask for JSON by
name.
"""

from __future__ import annotations

from collections.abc import Sequence

from buildapi.errors import BadRequest
from buildapi.parameters.param import Query
from buildapi.parameters.types import Choice, Values, only_text

JSON, HTML = "json", "html"
FORMATS = (HTML, JSON)


class Format(Choice):
    """The name of a format, with the error that existing clients know."""

    def parse(self, name: str, values: Values) -> str | None:
        """Return a format."""
        wanted = only_text(name, values)
        if wanted and wanted not in self._allowed:
            known = ", ".join(self._allowed)
            raise BadRequest(f"Unsupported {name}: {wanted[:40]}; allowed are {known}")
        return wanted or None


def requested(query: Query, accept: str, formats: Sequence[str] = FORMATS) -> str:
    """Return the format to use; :raises BadRequest: ``format`` is unknown or repeated."""
    return Format(formats).parse("format", query.get("format", ())) or accepted(accept)


def lenient(query: Query, accept: str) -> str:
    """Return the format for an error; a bad ``format`` falls back to ``Accept``."""
    try:
        return requested(query, accept)
    except BadRequest:
        return accepted(accept)


def accepted(accept: str) -> str:
    """Return the format of an ``Accept`` header: JSON if it is named without ``q=0``, else HTML."""
    return JSON if names(accept, "application/json") else HTML


def names(header: str, kind: str) -> bool:
    """Return whether a list such as ``Accept`` names a value, and not with ``q=0``."""
    return any(_names(part, kind) for part in header.split(","))


def _names(part: str, kind: str) -> bool:
    name, *options = (text.strip().lower() for text in part.split(";"))
    return name == kind and not any(map(_refuses, options))


def _refuses(option: str) -> bool:
    name, _, value = option.partition("=")
    if name.strip() != "q":
        return False
    try:
        return float(value) == 0
    except ValueError:
        return False
