"""Parse request bodies: urlencoded, multipart or JSON, with the same parameter names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any
from urllib.parse import parse_qsl

import attrs
from multipart import MultipartError, MultipartParser, MultipartPart, parse_options_header

from buildapi.errors import BadRequest
from buildapi.parameters.types import once

# A bulk action has up to 500 items (docs/api.md, Bulk actions).
FIELDS_MAX = 1000
IN_MEMORY = {"spool_limit": 2**26, "memory_limit": 2**26}
"""Limits that keep multipart parts out of files: the body limit bounds all of them."""

CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
"""Charsets that a multipart part may name; all are read as UTF-8.

A client's charset is never passed to ``codecs``: some of Python's codecs, such as punycode, take
quadratic time.
"""


@attrs.frozen
class Form:
    """Parameter values by name, in order; JSON values other than strings as they are.

    ``entries`` holds the items of a JSON list, None for any other body.  ``nulls`` are the names
    with a JSON null, which counts as missing.
    """

    values: Mapping[str, Sequence[object]]
    entries: Sequence[object] | None = None
    nulls: Sequence[str] = ()

    def get(self, name: str) -> Any:
        """Return the last value of a name, None without one."""
        values = self.values.get(name)
        return values[-1] if values else None

    def text(self, name: str) -> str | None:
        """Return the last value of a name if it is a string, else None."""
        value = self.get(name)
        return value if isinstance(value, str) else None


def parse_form(content_type: str, body: IO[bytes]) -> Form:
    """Parse a body.

    :raises BadRequest: it does not parse as its content type, or is of another one.  If it were
        ignored, a job request could do more than its sender meant.
    """
    kind, options = parse_options_header(content_type)
    match kind:
        case "application/x-www-form-urlencoded":
            return _gather(_urlencoded(body.read()))
        case "multipart/form-data":
            return _gather(_multipart(body, options.get("boundary")))
        case "application/json":
            return _json(body.read())
        case _ if body.read().strip():
            of = f"of content type {kind[:60]!r}" if kind else "without a content type"
            raise BadRequest(
                f"The body is {of}: send application/x-www-form-urlencoded, multipart/form-data"
                " or application/json"
            )
        case _:
            return Form({})


def _gather(pairs: Sequence[tuple[str, str]]) -> Form:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return Form(values)


def _urlencoded(data: bytes) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(
            data.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError as e:
        raise BadRequest("The form is not UTF-8, or has too many fields") from e


def _multipart(body: IO[bytes], boundary: str | None) -> Sequence[tuple[str, str]]:
    if not boundary:
        raise BadRequest("The multipart form has no boundary")
    try:
        parts = list(MultipartParser(body, boundary, part_limit=FIELDS_MAX, **IN_MEMORY))
        return [(part.name, _decoded(part)) for part in parts]
    except (MultipartError, ValueError) as e:
        raise BadRequest("The multipart form cannot be read") from e


def _decoded(part: MultipartPart) -> str:
    """Decode a part; :raises BadRequest: its charset is not one of ``CHARSETS``."""
    if part.charset.lower() not in CHARSETS:
        raise BadRequest(
            f"The form's part {part.name[:40]!r} is in charset {part.charset[:40]!r};"
            " only UTF-8 is allowed"
        )
    value: bytes = part.raw
    return value.decode()


def _json(data: bytes) -> Form:
    if not data.strip():
        return Form({})
    try:
        # Not orjson, which has no hook for pairs: of equal names it would take one without a word,
        # as many parsers do [RFC 8259 4]. Deeply nested brackets raise RecursionError.
        document = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as e:
        raise BadRequest("The body is not JSON") from e
    if isinstance(document, list):
        return Form({}, document)
    if not isinstance(document, dict):
        raise BadRequest("The body is not a JSON object")
    return form_of(document)


def form_of(document: Mapping[str, object]) -> Form:
    """Return a JSON object as a form; null counts as missing."""
    values = {name: [value] for name, value in document.items() if value is not None}
    return Form(values, nulls=tuple(name for name in document if name not in values))
