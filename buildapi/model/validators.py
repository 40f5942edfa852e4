"""Validators for the fields of actions: what the scheduler database and masters can hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

# Ids and priorities of build requests are INTEGER columns: 32 bits in MySQL.
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
NAME_MAX = 256
"""Characters of branches, revisions and builder names.

Buildbot 0.8 declares them VARCHAR(256); strict MySQL refuses more (1406, DATA_TOO_LONG).
"""

PROPERTY_MAX = 1024
"""Characters of a stored property, its source included.

``buildset_properties.property_value`` of Buildbot 0.8 is VARCHAR(1024).
"""

# change_files.filename of Buildbot 0.8 is VARCHAR(1024).
FILE_MAX = 1024
PROPERTIES_MAX, FILES_MAX, GLOBS_MAX = 100, 1000, 50
SOURCE = "self-serve"
"""Source of the properties that we add, as masters show it."""


class InvalidValueError(ValueError):
    """Name the field of an action with a bad value, and the allowed values."""

    def __init__(self, field: str, allowed: str) -> None:
        super().__init__(f"{field} must be {allowed}")
        self.field, self.allowed = field, allowed


def whole(low: int, high: int) -> Any:
    """Return a validator of integers within bounds, both included."""
    allowed = f"a whole number from {low} to {high}"

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        # Not isinstance: JSON true is no id, and would be 1.
        if type(value) is not int or not low <= value <= high:
            raise InvalidValueError(attribute.name, allowed)

    return check


def text(least: int, most: int) -> Any:
    """Return a validator of printable texts, bounded by their number of characters."""
    allowed = f"a text of {least} to {most} printable characters"

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise InvalidValueError(attribute.name, allowed)
        if not value.isprintable():
            raise InvalidValueError(attribute.name, allowed)

    return check


ASCII_ALLOWED = f"1 to {NAME_MAX} printable ASCII characters: masters fail on anything else"


def ascii_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check a name that masters of Buildbot 0.8 read as ASCII; other dialects keep to it, too.

    One non-ASCII character in a pending request keeps every master from starting any build of its
    builder; in a change it stops the schedulers of the other masters.
    """
    if not _is_ascii_name(value):
        raise InvalidValueError(attribute.name, ASCII_ALLOWED)


def _is_ascii_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and 0 < len(value) <= NAME_MAX
        and value.isascii()
        and value.isprintable()
    )


def properties(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check properties: JSON values by ASCII names, which masters of Buildbot 0.8 can read."""
    if not isinstance(value, Mapping) or len(value) > PROPERTIES_MAX:
        allowed = f"a JSON object of at most {PROPERTIES_MAX} properties"
        raise InvalidValueError(attribute.name, allowed)
    for name, one in value.items():
        if not _is_ascii_name(name):
            raise InvalidValueError(f"the name of property {name!r:.80}", ASCII_ALLOWED)
        _property(name, one)


def _property(name: str, value: object) -> None:
    try:
        stored = stored_property(value)
    except (TypeError, ValueError, RecursionError) as e:
        allowed = "a JSON value (NaN and Infinity are none)"
        raise InvalidValueError(f"property {name}", allowed) from e
    # Lax MySQL cuts what is longer, and a cut pair blocks the builder [docs/design.md, "Acting on
    # Buildbot 0.8"].
    if len(stored) > PROPERTY_MAX:
        allowed = f"at most {PROPERTY_MAX} characters as JSON with its source, not {len(stored)}"
        raise InvalidValueError(f"property {name}", allowed)


def stored_property(value: object) -> str:
    """Encode a property as Buildbot stores it, a JSON pair of value and source, in ASCII."""
    # ASCII, so that a latin1 or utf8mb3 column holds any value [docs/api.md, "New builds"]; NaN and
    # Infinity are not JSON (RFC 8259, 6).
    return json.dumps([value, SOURCE], allow_nan=False)


def files(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check the names of the files of a change."""
    if not isinstance(value, tuple) or len(value) > FILES_MAX:
        allowed = f"a JSON list of at most {FILES_MAX} texts"
        raise InvalidValueError(attribute.name, allowed)
    for one in value:
        if not isinstance(one, str) or not 0 < len(one) <= FILE_MAX or not one.isprintable():
            allowed = f"a JSON list of texts of 1 to {FILE_MAX} printable characters"
            raise InvalidValueError(attribute.name, allowed)


def globs(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check glob patterns of builder names."""
    allowed = f"at most {GLOBS_MAX} patterns of 1 to {NAME_MAX} characters, such as *pgo*"
    if not isinstance(value, tuple) or len(value) > GLOBS_MAX:
        raise InvalidValueError(attribute.name, allowed)
    if not all(isinstance(v, str) and 0 < len(v) <= NAME_MAX for v in value):
        raise InvalidValueError(attribute.name, allowed)


def listed(value: object) -> object:
    """Convert a list to a tuple; return anything else unchanged, for the validator."""
    return tuple(value) if isinstance(value, list) else value
