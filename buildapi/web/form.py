"""Bodies of job requests: urlencoded, multipart, or a JSON object, all with the same names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any
from urllib.parse import parse_qsl

import attrs
from multipart import MultipartError, MultipartParser, MultipartPart, parse_options_header

from buildapi.errors import BadRequest

FIELDS_MAX = 1000
IN_MEMORY = {"spool_limit": 2**26, "memory_limit": 2**26}
"""No parts in files: the limit of the body bounds them all."""

CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
"""Charsets that a part of a form may name; all are read as UTF-8.

Codecs are never looked up by a client's word: some of Python's, such as punycode, take quadratic
time.
"""


@attrs.frozen
class Form:
    """Values by name, in the order in which they came; JSON values other than texts as they are.

    ``entries`` is what a JSON list holds, None for any other body.  ``nulls`` are names whose value
    is null in JSON, which stands for none.
    """

    values: Mapping[str, Sequence[Any]]
    entries: Sequence[Any] | None = None
    nulls: Sequence[str] = ()

    def get(self, name: str) -> Any:
        """Give the last value of a name, or None."""
        values = self.values.get(name)
        return values[-1] if values else None

    def text(self, name: str) -> str | None:
        """Give the last value of a name if it is a text."""
        value = self.get(name)
        return value if isinstance(value, str) else None


def parse_form(content_type: str, body: IO[bytes]) -> Form:
    """Read a body; one of another type, or of none, has no values.

    :raises BadRequest: it is not what its content type says.
    """
    kind, options = parse_options_header(content_type)
    match kind:
        case "application/x-www-form-urlencoded":
            return _gather(_urlencoded(body.read()))
        case "multipart/form-data":
            return _gather(_multipart(body, options.get("boundary")))
        case "application/json":
            return _json(body.read())
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
    """Decode the value of a part; :raises BadRequest: it names another charset than UTF-8."""
    if part.charset.lower() not in CHARSETS:
        raise BadRequest(
            f"The form's part {part.name[:40]!r} is in charset {part.charset[:40]!r};"
            " UTF-8 is allowed"
        )
    value: bytes = part.raw
    return value.decode()


def _json(data: bytes) -> Form:
    if not data.strip():
        return Form({})
    try:
        document = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as e:
        raise BadRequest("The body is not JSON") from e
    if isinstance(document, list):
        return Form({}, document)
    if not isinstance(document, dict):
        raise BadRequest("The body is not a JSON object")
    return form_of(document)


def form_of(document: Mapping[str, Any]) -> Form:
    """Make a form of a JSON object; null stands for a value that is not there."""
    values = {name: [value] for name, value in document.items() if value is not None}
    return Form(values, nulls=tuple(name for name in document if name not in values))


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make the object of a JSON text; :raises BadRequest: it has a name twice."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest(f"{name[:60]!r} is given twice in a JSON object, once is allowed")
        found[name] = value
    return found
