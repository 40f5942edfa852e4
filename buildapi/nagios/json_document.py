"""Reading a JSON document that may hold anything, saying where it is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nagiosplugin import CheckError

from buildapi.nagios.formatting import join_names, printable

NUMBER_MAX = 10**15
TYPE_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


@dataclass(frozen=True)
class JSONValue:
    """A value in a document, and where it is; all that reads it raises CheckError."""

    value: Any
    path: str

    def __getitem__(self, key: str) -> JSONValue:
        """Give a member of an object, which has to be there."""
        if not isinstance(self.value, dict):
            raise self._type_error("an object")
        if key not in self.value:
            raise CheckError(f"{self.path} lacks {key!r}")
        return JSONValue(self.value[key], f"{self.path}.{key}")

    def optional(self, key: str) -> JSONValue:
        """Give a member that services of older versions lack: one that is not there is null."""
        lacks = isinstance(self.value, dict) and key not in self.value
        return JSONValue(None, f"{self.path}.{key}") if lacks else self[key]

    @property
    def is_null(self) -> bool:
        """Tell whether it is null."""
        return self.value is None

    def items(self) -> Sequence[JSONValue]:
        """Give what is in a list."""
        if not isinstance(self.value, list):
            raise self._type_error("a list")
        return [JSONValue(value, f"{self.path}[{n}]") for n, value in enumerate(self.value)]

    def number(self) -> float:
        """Give a number; one below zero, as clocks that differ make it, is zero."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._type_error("a number")
        if not -NUMBER_MAX <= value <= NUMBER_MAX:  # nor is what is not a number
            raise CheckError(f"{self.path} is out of bounds")
        return max(value, 0)

    def count(self) -> int:
        """Give a whole number from zero on."""
        number = self.number()
        if not isinstance(number, int):
            raise self._type_error("a whole number")
        return number

    def text(self) -> str:
        """Give a text, fit to be shown."""
        if not isinstance(self.value, str):
            raise self._type_error("a text")
        return printable(self.value)

    def texts(self) -> Sequence[str]:
        """Give a list of texts."""
        return [node.text() for node in self.items()]

    def boolean(self) -> bool:
        """Give true or false."""
        if not isinstance(self.value, bool):
            raise self._type_error("true or false")
        return self.value

    def number_or_none(self) -> float | None:
        """Give a number, or None where it is null."""
        return None if self.is_null else self.number()

    def count_or_none(self) -> int | None:
        """Give a whole number, or None where it is null."""
        return None if self.is_null else self.count()

    def text_or_none(self) -> str | None:
        """Give a text, or None where it is null; an empty one says that there is something."""
        return None if self.is_null else self.text() or "no reason given"

    def _type_error(self, wanted: str) -> CheckError:
        value = self.value
        found = "null" if value is None else TYPE_NAMES.get(type(value), "a number")
        if isinstance(value, float) and wanted == "a whole number":
            found = "a number with a fraction"
        return CheckError(f"{self.path} is {found}, not {wanted}")


def require_no_error(part: JSONValue, what: str) -> None:
    """Raise CheckError where a part of the status says in ``error`` that it could not be read."""
    error = part["error"].text_or_none()
    if error is not None:
        raise CheckError(f"the service cannot tell {what}: {error}")


def names_of(nodes: Sequence[JSONValue], key: str = "name") -> str:
    """List the names of nodes."""
    return join_names([node[key].text() for node in nodes])
