"""Types of parameters: each parses values as existing clients send them, and has a JSON schema.

Values are those of a query or a form, which are texts, or of a JSON body.  An empty text counts as
missing.  Every error is made here or in ``texts``.
"""

from __future__ import annotations

import abc
import json
import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import attrs

from buildapi.errors import BadRequest
from buildapi.model.actions import ID_MAX
from buildapi.model.json_types import JSONObject as JSONMapping
from buildapi.model.json_types import JSONValue
from buildapi.parameters.texts import bad, id_of_path, integer, one_of, repeated

V = TypeVar("V")
Schema = dict[str, Any]
"""A JSON schema [JSON Schema 2020-12], as OpenAPI 3.1 has them."""

Values = Sequence[object]
Bound = int | Callable[[], int] | None
"""A bound; a function for one that a reload of the configuration may change; None for none."""

Words = Sequence[str] | Callable[[], Sequence[str]]
"""The allowed words; a function for those that change while the process runs."""

JSON_TYPE = "application/json"


class ParamType(abc.ABC, Generic[V]):
    """The type of a parameter's value; ``repeats`` is whether there may be several values."""

    repeats: ClassVar[bool] = False

    @abc.abstractmethod
    def parse(self, name: str, values: Values) -> V | None:
        """Parse the values of a parameter; None if it is missing.

        :raises BadRequest: the values are not allowed.
        """

    @abc.abstractmethod
    def schema(self) -> Schema:
        """Return the JSON schema of the value."""

    def form_schema(self) -> Schema:
        """Return the JSON schema of the value in a form."""
        return self.schema()

    @abc.abstractmethod
    def words(self) -> str:
        """Return what is allowed, in words for people; empty if anything is."""

    def missing(self, name: str) -> BadRequest:
        """Return the error for a needed parameter that is missing."""
        return BadRequest(f"Bad {name}")


# Any: types of all values stand in one list.
AnyType: TypeAlias = ParamType[Any]


def only(name: str, values: Values) -> JSONValue:
    """Return the only value, None without one; :raises BadRequest: there are several."""
    if len(values) > 1:
        raise repeated(name, len(values))
    return values[0] if values else None


def only_text(name: str, values: Values) -> str:
    """Return the only value as a text, empty without one; :raises BadRequest: it is repeated."""
    value = only(name, values)
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def bound_of(bound: Bound) -> int | None:
    """Return a bound as it is now."""
    return bound() if callable(bound) else bound


# --- numbers ------------------------------------------------------------------------------------


@attrs.frozen
class Integer(ParamType[int]):
    """A whole number within bounds; one above ``cut`` is taken for that."""

    low: Bound = None
    high: Bound = None
    cut: int | None = None

    def parse(self, name: str, values: Values) -> int | None:
        """Parse a number."""
        text = only_text(name, values)
        if not text:
            return None
        number, low, high = integer(text), bound_of(self.low), bound_of(self.high)
        if number is None or not _within(number, low, high):
            raise bad(name, text, f"whole numbers{_range(low, high)}")
        return number if self.cut is None else min(number, self.cut)

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return integer_schema(self.low, self.cut if self.high is None else self.high)

    def words(self) -> str:
        """Return the bounds."""
        return integer_words(self.low, self.cut if self.high is None else self.high)


def _within(number: int, low: int | None, high: int | None) -> bool:
    return (low is None or number >= low) and (high is None or number <= high)


def _range(low: int | None, high: int | None) -> str:
    return ("" if low is None else f" from {low}") + ("" if high is None else f" to {high}")


def integer_schema(low: Bound, high: Bound) -> Schema:
    """Return the JSON schema of a whole number within bounds."""
    bounds = {"minimum": bound_of(low), "maximum": bound_of(high)}
    return {"type": "integer"} | {k: v for k, v in bounds.items() if v is not None}


def integer_words(low: Bound, high: Bound) -> str:
    """Return the bounds of a whole number in words."""
    return f"a whole number{_range(bound_of(low), bound_of(high))}"


@attrs.frozen
class TerseInteger(ParamType[int]):
    """A whole number of a job request, with the short errors that its clients know.

    A number out of range is told the range if the type ``tells_range``.
    """

    low: Bound = None
    high: Bound = None
    tells_range: bool = False

    def parse(self, name: str, values: Values) -> int | None:
        """Parse a number."""
        value = only(name, values)
        if value is None or value == "":
            return None
        # Not isinstance: JSON's true is an int in Python.
        number = integer(value) if isinstance(value, str) else value if type(value) is int else None
        low, high = bound_of(self.low), bound_of(self.high)
        if number is not None and _within(number, low, high):
            return number
        tells = self.tells_range and number is not None
        raise BadRequest(f"Bad {name}: allowed are {low} to {high}" if tells else f"Bad {name}")

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return integer_schema(self.low, self.high)

    def words(self) -> str:
        """Return the bounds."""
        return integer_words(self.low, self.high)


@attrs.frozen
class TolerantInteger(ParamType[int]):
    """A whole number for which nothing is an error, as in the Pylons program.

    What is not a number, or too low, counts as missing, and a number too high as the highest.
    """

    low: Bound = None
    high: Bound = None

    def parse(self, name: str, values: Values) -> int | None:  # noqa: ARG002  # names no error
        """Parse the last number."""
        last = values[-1] if values else None
        number = integer(last) if isinstance(last, str) else None
        low, high = bound_of(self.low), bound_of(self.high)
        if number is None or (low is not None and number < low):
            return None
        return number if high is None else min(number, high)

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return integer_schema(self.low, self.high)

    def words(self) -> str:
        """Return the bounds."""
        return integer_words(self.low, self.high)


@attrs.frozen
class Id(TerseInteger):
    """The id of a build, a build request or a job in a body; an id beyond them is not found."""

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return integer_schema(0, ID_MAX)

    def words(self) -> str:
        """Return what it is."""
        return "an id"


@attrs.frozen
class PathId(ParamType[int]):
    """An id in a path; anything else counts as missing, and is not found."""

    def parse(self, name: str, values: Values) -> int | None:
        """Parse an id."""
        return id_of_path(only_text(name, values))

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return integer_schema(0, ID_MAX)

    def words(self) -> str:
        """Return what it is."""
        return "an id"


@attrs.frozen
class Seconds(ParamType[float]):
    """A number of seconds from 0 to ``high``."""

    high: float

    def parse(self, name: str, values: Values) -> float | None:
        """Parse a number of seconds."""
        value = only(name, values)
        if value is None or value == "":
            return None
        known = isinstance(value, int | float) and not isinstance(value, bool)
        text = str(value) if known or isinstance(value, str) else ""
        if not _SECONDS.fullmatch(text) or not float(text) <= self.high:
            raise BadRequest(f"Bad {name}: allowed are 0 to {self.high:g} seconds")
        return float(text)

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "number", "minimum": 0, "maximum": self.high}

    def words(self) -> str:
        """Return the bounds."""
        return f"0 to {self.high:g} seconds"


_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)


# --- words and texts ----------------------------------------------------------------------------


@attrs.frozen
class Choice(ParamType[str]):
    """One of some words."""

    allowed: Words

    def parse(self, name: str, values: Values) -> str | None:
        """Return an allowed word."""
        text = only_text(name, values)
        return one_of(name, text, self._allowed) if text else None

    @property
    def _allowed(self) -> Sequence[str]:
        return self.allowed() if callable(self.allowed) else self.allowed

    def missing(self, name: str) -> BadRequest:
        """Return the error for a missing word."""
        return bad(name, "", ", ".join(self._allowed))

    def schema(self) -> Schema:
        """Return the JSON schema; it names no words that change while the process runs."""
        text: Schema = {"type": "string"}
        return text if callable(self.allowed) else text | {"enum": list(self.allowed)}

    def words(self) -> str:
        """Return the allowed words."""
        if callable(self.allowed):
            return ""
        *most, last = self.allowed
        return f"{', '.join(most)} or {last}" if most else last


@attrs.frozen
class Switch(ParamType[bool]):
    """On or off."""

    def parse(self, name: str, values: Values) -> bool | None:
        """Return whether it is on."""
        value = only(name, values)
        if value is None or value == "":
            return None
        word = str(value).lower() if isinstance(value, str | int) else "?"
        if word not in SWITCH:
            raise BadRequest(f"Bad {name}: allowed are 1 and 0")
        return SWITCH[word]

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"enum": [1, 0, True, False, *SWITCH]}

    def form_schema(self) -> Schema:
        """Return the JSON schema of the value in a form."""
        return {"type": "string", "enum": [*SWITCH]}

    def words(self) -> str:
        """Return the allowed values."""
        return "1 or 0"


SWITCH = {"1": True, "true": True, "0": False, "false": False}


@attrs.frozen
class Text(ParamType[str]):
    """A text; one with ``most`` characters at most is printable, and its ends are stripped."""

    least: int = 0
    most: int | None = None

    def parse(self, name: str, values: Values) -> str | None:
        """Return a text."""
        value = only(name, values)
        if self.most is None:
            return value if isinstance(value, str) and value else None
        text = value.strip() if isinstance(value, str) else ""
        if not text and value in (None, ""):
            return None
        if not self.least <= len(text) <= self.most or not text.isprintable():
            raise self.missing(name)
        return text

    def missing(self, name: str) -> BadRequest:
        """Return the error for a text that is missing, too long or not printable."""
        return BadRequest(f"Bad {name}: allowed are {self._bounds} printable characters")

    @property
    def _bounds(self) -> str:
        return f"{self.least} to {self.most}"

    def schema(self) -> Schema:
        """Return the JSON schema."""
        bounds = {"minLength": self.least or None, "maxLength": self.most}
        return {"type": "string"} | {k: v for k, v in bounds.items() if v is not None}

    def words(self) -> str:
        """Return the bounds."""
        return "" if self.most is None else f"{self._bounds} characters"


@attrs.frozen
class Texts(ParamType[tuple[str, ...]]):
    """Different texts, ``most`` at most; empty ones are left out unless ``keeps_empty``."""

    most: int
    keeps_empty: bool = False
    repeats: ClassVar[bool] = True

    def parse(self, name: str, values: Values) -> tuple[str, ...] | None:
        """Return the texts, each once."""
        if len(values) > self.most:
            raise self.too_many(name, len(values))
        texts = dict.fromkeys(v for v in values if isinstance(v, str) and (v or self.keeps_empty))
        return tuple(texts) or None

    def too_many(self, name: str, times: int) -> BadRequest:
        """Return the error for too many values."""
        return BadRequest(f"Parameter {name} is given {times} times (max {self.most})")

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "array", "items": {"type": "string"}, "maxItems": self.most}

    def words(self) -> str:
        """Return how many there may be."""
        return f"may be repeated (max {self.most})"


@attrs.frozen
class Listed(ParamType[tuple[str, ...]]):
    """Some of the allowed words, separated by commas."""

    allowed: Words

    def parse(self, name: str, values: Values) -> tuple[str, ...] | None:
        """Return the words, each once."""
        allowed = self.allowed() if callable(self.allowed) else self.allowed
        words = filter(None, (word.strip() for word in only_text(name, values).split(",")))
        return tuple(dict.fromkeys(one_of(name, word, allowed) for word in words)) or None

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return how they are written."""
        return "comma-separated"


# --- days ---------------------------------------------------------------------------------------


@attrs.frozen
class Day(ParamType[date]):
    """A day, ``YYYY-MM-DD``."""

    def parse(self, name: str, values: Values) -> date | None:
        """Parse a day."""
        text = only_text(name, values)
        if not text:
            return None
        try:
            # fromisoformat alone would accept 20261123 and 2026-W48-1, too [Python,
            # date.fromisoformat].
            if _DATE.fullmatch(text):
                return date.fromisoformat(text)
        except ValueError:
            pass
        raise BadRequest(f"Bad {name}: {text[:40]!r} is not a date (expected YYYY-MM-DD)")

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string", "format": "date"}

    def words(self) -> str:
        """Return how it is written."""
        return "YYYY-MM-DD"


_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


# --- JSON ---------------------------------------------------------------------------------------


@attrs.frozen
class JSONObject(ParamType[JSONMapping]):
    """A JSON object: as JSON text in a form, itself in a JSON body."""

    def parse(self, name: str, values: Values) -> JSONMapping | None:
        """Parse an object."""
        found: JSONMapping | None = _json(name, values, dict, "object")
        return found

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "object"}

    def form_schema(self) -> Schema:
        """Return the JSON schema of the text in a form."""
        return _as_text(self.schema())

    def words(self) -> str:
        """Return what it is."""
        return "a JSON object"


@attrs.frozen
class JSONTexts(ParamType[Sequence[Any]]):
    """A JSON list of texts: as JSON text in a form, itself in a JSON body.

    The action that it becomes part of checks its items.
    """

    def parse(self, name: str, values: Values) -> Sequence[Any] | None:
        """Parse a list."""
        found: Sequence[Any] | None = _json(name, values, list, "list")
        return found

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "array", "items": {"type": "string"}}

    def form_schema(self) -> Schema:
        """Return the JSON schema of the text in a form."""
        return _as_text(self.schema())

    def words(self) -> str:
        """Return what it is."""
        return "a JSON list of strings"


def _as_text(schema: Schema) -> Schema:
    """Return the schema of a text that holds JSON [JSON Schema Validation 2020-12, 8.5]."""
    return {"type": "string", "contentMediaType": JSON_TYPE, "contentSchema": schema}


def _json(name: str, values: Values, kind: type, word: str) -> JSONValue:
    value = values[-1] if values else None
    if value is None or value == "":
        return None
    try:
        found = json.loads(value, object_pairs_hook=once) if isinstance(value, str) else value
    except (ValueError, RecursionError) as e:
        raise BadRequest(f"Bad {name}: it is not JSON") from e
    if not isinstance(found, kind):
        raise BadRequest(f"Bad {name}: it is not a JSON {word}")
    return found


def once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """Return pairs of a JSON object as a dict; :raises BadRequest: a name is there twice."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise BadRequest(f"{name[:60]!r} is given more than once in a JSON object (max 1)")
        found[name] = value
    return found


# --- what the action checks ---------------------------------------------------------------------


@attrs.frozen
class AsSent(AnyType):
    """A value as it was sent, documented as another type.

    The action that it becomes part of checks it, and its error is the one that clients know.
    """

    documented: AnyType

    def parse(self, name: str, values: Values) -> JSONValue:
        """Return the only value."""
        value = only(name, values)
        return None if value == "" else value

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return self.documented.schema()

    def words(self) -> str:
        """Return what is allowed."""
        return self.documented.words()


@attrs.frozen
class Patterns(ParamType[tuple[Any, ...]]):
    """Patterns of names as they were sent; the action that they become part of checks them."""

    most: int
    length: int
    repeats: ClassVar[bool] = True

    def parse(self, name: str, values: Values) -> tuple[Any, ...]:  # noqa: ARG002  # no error here
        """Return all values."""
        return tuple(values)

    def schema(self) -> Schema:
        """Return the JSON schema."""
        item = {"type": "string", "minLength": 1, "maxLength": self.length}
        return {"type": "array", "items": item, "maxItems": self.most}

    def words(self) -> str:
        """Return how many there may be."""
        return f"may be repeated (max {self.most})"
