"""Reading a JSON document that may hold anything, saying where it is not as it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nagiosplugin import CheckError

from buildapi.nagios.words import listed, printable

NUMBER_MAX = 10**15
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}


@dataclass(frozen=True)
class Node:
    """A value in a document, and where it is; all that reads it raises CheckError."""

    value: Any
    path: str

    def __getitem__(self, key: str) -> Node:
        """Give a member of an object, which has to be there."""
        if not isinstance(self.value, dict):
            raise self._odd("an object")
        if key not in self.value:
            raise CheckError(f"{self.path} lacks {key!r}")
        return Node(self.value[key], f"{self.path}.{key}")

    def optional(self, key: str) -> Node:
        """Give a member that services of older versions lack: one that is not there is null."""
        lacks = isinstance(self.value, dict) and key not in self.value
        return Node(None, f"{self.path}.{key}") if lacks else self[key]

    @property
    def missing(self) -> bool:
        """Tell whether it is null."""
        return self.value is None

    def each(self) -> Sequence[Node]:
        """Give what is in a list."""
        if not isinstance(self.value, list):
            raise self._odd("a list")
        return [Node(value, f"{self.path}[{n}]") for n, value in enumerate(self.value)]

    def number(self) -> float:
        """Give a number; one below zero, as clocks that differ make it, is zero."""
        value = self.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._odd("a number")
        if not -NUMBER_MAX <= value <= NUMBER_MAX:  # nor is what is not a number
            raise CheckError(f"{self.path} is out of bounds")
        return max(value, 0)

    def count(self) -> int:
        """Give a whole number from zero on."""
        number = self.number()
        if not isinstance(number, int):
            raise self._odd("a whole number")
        return number

    def text(self) -> str:
        """Give a text, fit to be shown."""
        if not isinstance(self.value, str):
            raise self._odd("a text")
        return printable(self.value)

    def texts(self) -> Sequence[str]:
        """Give a list of texts."""
        return [node.text() for node in self.each()]

    def flag(self) -> bool:
        """Give true or false."""
        if not isinstance(self.value, bool):
            raise self._odd("true or false")
        return self.value

    def number_or_none(self) -> float | None:
        """Give a number, or None where it is null."""
        return None if self.missing else self.number()

    def count_or_none(self) -> int | None:
        """Give a whole number, or None where it is null."""
        return None if self.missing else self.count()

    def text_or_none(self) -> str | None:
        """Give a text, or None where it is null; an empty one says that there is something."""
        return None if self.missing else self.text() or "no reason given"

    def _odd(self, wanted: str) -> CheckError:
        value = self.value
        found = "null" if value is None else KINDS.get(type(value), "a number")
        if isinstance(value, float) and wanted == "a whole number":
            found = "a number with a fraction"
        return CheckError(f"{self.path} is {found}, not {wanted}")


def no_error(part: Node, what: str) -> None:
    """Raise CheckError where a part of the status says in ``error`` that it could not be read."""
    error = part["error"].text_or_none()
    if error is not None:
        raise CheckError(f"the service cannot tell {what}: {error}")


def named(nodes: Sequence[Node], key: str = "name") -> str:
    """List the names of nodes."""
    return listed([node[key].text() for node in nodes])
