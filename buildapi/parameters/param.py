"""Declared parameters: where each is sent, what it means, its type and its default."""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypeVar, cast, overload

import attrs

from buildapi.model.json_types import JSONValue
from buildapi.parameters.texts import in_both
from buildapi.parameters.types import AnyType, ParamType, Schema, only

V = TypeVar("V")
Query = Mapping[str, Sequence[str]]


class Place(enum.Enum):
    """Where a parameter is sent; ``EITHER`` is the query or the body, and not both."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    EITHER = "query or body"


class BodyValues(Protocol):
    """The parameters of a body."""

    @property
    def values(self) -> Mapping[str, Sequence[object]]:
        """Return the values by name."""


class Source(Protocol):
    """What parameters are read from, such as a call of the API.

    ``form`` raises BadRequest for a body that cannot be read.
    """

    @property
    def path(self) -> Mapping[str, str]:
        """Return the values of the path."""

    @property
    def query(self) -> Query:
        """Return the values of the query."""

    @property
    def form(self) -> BodyValues:
        """Return the values of the body."""


@attrs.frozen(init=False)
class Param(Generic[V]):
    """A parameter of a request.

    ``meaning`` is a phrase for the documentation, without type, bounds and default.  The
    ``default`` may be a function, for one that a reload may change; it is None for a parameter
    that may be missing, and a ``needed`` one has none.  A ``deprecated`` one is accepted still.
    """

    name: str
    meaning: str
    type: AnyType
    place: Place = Place.QUERY
    default: Any = None
    needed: bool = False
    deprecated: bool = False

    @overload
    def __init__(
        self: Param[V],
        name: str,
        meaning: str,
        type: ParamType[V],
        place: Place = ...,
        *,
        needed: Literal[True],
        deprecated: bool = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: Param[V],
        name: str,
        meaning: str,
        type: ParamType[V],
        place: Place = ...,
        *,
        default: V | Callable[[], V],
        deprecated: bool = ...,
    ) -> None: ...

    @overload
    def __init__(
        self: Param[V | None],
        name: str,
        meaning: str,
        type: ParamType[V],
        place: Place = ...,
        *,
        deprecated: bool = ...,
    ) -> None: ...

    def __init__(
        self,
        name: str,
        meaning: str,
        type: AnyType,
        place: Place = Place.QUERY,
        *,
        default: JSONValue = None,
        needed: bool = False,
        deprecated: bool = False,
    ) -> None:
        self.__attrs_init__(name, meaning, type, place, default, needed, deprecated)

    def changed(
        self, *, name: str | None = None, meaning: str | None = None, place: Place | None = None
    ) -> Param[V]:
        """Return the same parameter with another name, meaning or place."""
        given = {"name": name, "meaning": meaning, "place": place}
        found: Param[V] = attrs.evolve(  # type: ignore[misc]  # mypy wants the __init__ of attrs
            self, **{key: value for key, value in given.items() if value is not None}
        )
        return found

    @property
    def repeats(self) -> bool:
        """Return whether it may have several values."""
        return self.type.repeats

    @property
    def in_query(self) -> bool:
        """Return whether it may be in the query."""
        return self.place in (Place.QUERY, Place.EITHER)

    def of(self, source: Source) -> V:
        """Read the parameter; :raises BadRequest: its value is not allowed."""
        return self.parse(self.sent(source))

    def asked(self, query: Query) -> V:
        """Read the parameter of a query; :raises BadRequest: its value is not allowed."""
        return self.parse(query.get(self.name, ()))

    def parse(self, values: Sequence[object]) -> V:
        """Parse the values of the parameter; :raises BadRequest: they are not allowed."""
        value = self.type.parse(self.name, values)
        if value is None and self.needed:
            raise self.type.missing(self.name)
        return cast("V", self._default() if value is None else value)

    def _default(self) -> JSONValue:
        return self.default() if callable(self.default) else self.default

    def sent(self, source: Source) -> Sequence[object]:
        """Return the values that were sent.

        The items of a JSON list count as values if it repeats, or may be in the query.

        :raises BadRequest: it is in the query and in the body, or the body cannot be read.
        """
        match self.place:
            case Place.PATH:
                return [source.path[self.name]] if self.name in source.path else []
            case Place.QUERY:
                return source.query.get(self.name, ())
            case Place.BODY:
                in_body = source.form.values.get(self.name, ())
                return _items(in_body) if self.repeats else in_body
            case Place.EITHER:
                in_body = _items(source.form.values.get(self.name, ()))
                if in_body and self.name in source.query:
                    raise in_both(self.name)
                return in_body or source.query.get(self.name, ())

    def raw(self, source: Source) -> JSONValue:
        """Return the only value as it was sent, for another that parses it; None without one.

        :raises BadRequest: it is repeated.
        """
        return only(self.name, self.sent(source))

    def text(self) -> str:
        """Return what it means, what is allowed and its default, for people."""
        default = self._default()
        told = "" if default in (None, "", (), {}) else f"default {_word(default)}"
        return "; ".join(filter(None, (self.meaning, self.type.words(), told)))

    def schema(self) -> Schema:
        """Return the JSON schema of its value."""
        return self._described(self.type.schema(), _plain)

    def form_schema(self) -> Schema:
        """Return the JSON schema of its value in a form."""
        schema = self.type.form_schema()
        return self._described(schema, _written if schema.get("type") == "string" else _plain)

    def _described(self, schema: Schema, spell: Callable[[object], object]) -> Schema:
        default = self._default()
        more: Schema = {} if default is None else {"default": spell(default)}
        return {**schema, **more, **({"deprecated": True} if self.deprecated else {})}


def _items(values: Sequence[object]) -> Sequence[object]:
    """Return the values, and the items of those that are lists."""
    found: list[object] = []
    for value in values:
        found += value if isinstance(value, list) else [value]
    return found


def _word(default: object) -> str:
    """Return a default in words."""
    match default:
        case bool():
            return str(int(default))
        case float():
            return f"{default:g}"
        case _:
            return str(default)


# Any: parameters of all types stand in one list.
AnyParam: TypeAlias = Param[Any]


def _plain(default: object) -> object:
    """Return a default as JSON."""
    match default:
        case tuple():
            return list(default)
        case float() if default.is_integer():
            return int(default)
        case _:
            return default


def _written(default: object) -> str:
    """Return a default as a text."""
    match default:
        case str():
            return default
        case bool():
            return str(int(default))
        case _:
            return json.dumps(_plain(default))
