"""What the fields of job requests may hold, and why not more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
NAME_MAX = 256
"""Characters of branches, revisions and names in the scheduler database."""

PROPERTY_MAX = 1024
"""Characters of a stored property, its source included."""

FILE_MAX = 1024
PROPERTIES_MAX, FILES_MAX, GLOBS_MAX = 100, 1000, 50
SOURCE = "self-serve"
"""Where our properties come from, as masters show it."""


class InvalidValueError(ValueError):
    """Name the field of an action that cannot have the value given, and what is allowed."""

    def __init__(self, field: str, allowed: str) -> None:
        super().__init__(f"{field} must be {allowed}")
        self.field, self.allowed = field, allowed


def whole(low: int, high: int) -> Any:
    """Check a whole number."""
    allowed = f"a whole number from {low} to {high}"

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if type(value) is not int or not low <= value <= high:
            raise InvalidValueError(attribute.name, allowed)

    return check


def text(least: int, most: int) -> Any:
    """Check a text of printable characters."""
    allowed = f"a text of {least} to {most} printable characters"

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or not least <= len(value) <= most:
            raise InvalidValueError(attribute.name, allowed)
        if not value.isprintable():
            raise InvalidValueError(attribute.name, allowed)

    return check


ASCII_ALLOWED = f"1 to {NAME_MAX} printable ASCII characters: masters fail on anything else"


def ascii_name(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check what masters of Buildbot 0.8 read as ASCII.

    One other character in a pending request keeps every master from starting anything on its
    builder; in a change it stops the schedulers.
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
    """Check properties: JSON values by names that masters can read."""
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
    if len(stored) > PROPERTY_MAX:
        allowed = f"at most {PROPERTY_MAX} characters as JSON with its source, not {len(stored)}"
        raise InvalidValueError(f"property {name}", allowed)


def stored_property(value: object) -> str:
    """Encode a property as masters store it, in plain ASCII: its value and where it is from."""
    return json.dumps([value, SOURCE], allow_nan=False)


def files(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check names of files."""
    if not isinstance(value, tuple) or len(value) > FILES_MAX:
        allowed = f"a JSON list of at most {FILES_MAX} texts"
        raise InvalidValueError(attribute.name, allowed)
    for one in value:
        if not isinstance(one, str) or not 0 < len(one) <= FILE_MAX or not one.isprintable():
            allowed = f"a JSON list of texts of 1 to {FILE_MAX} printable characters"
            raise InvalidValueError(attribute.name, allowed)


def globs(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Check patterns of builder names."""
    allowed = f"at most {GLOBS_MAX} patterns of 1 to {NAME_MAX} characters, such as *pgo*"
    if not isinstance(value, tuple) or len(value) > GLOBS_MAX:
        raise InvalidValueError(attribute.name, allowed)
    if not all(isinstance(v, str) and 0 < len(v) <= NAME_MAX for v in value):
        raise InvalidValueError(attribute.name, allowed)


def listed(value: object) -> object:
    """Make a tuple of a list; leave anything else to the check."""
    return tuple(value) if isinstance(value, list) else value
