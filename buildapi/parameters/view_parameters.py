"""Parameters of pages with a list, which search, filter, sort and page it.

Links of old pages have them in every form: a bad value counts as missing, and the last one of
several counts (docs/api.md, "Reads").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

import attrs

from buildapi.errors import BadRequest
from buildapi.jobs.build_states import STATES
from buildapi.parameters.param import AnyParam, Param
from buildapi.parameters.types import Choice, Integer, ParamType, Schema, Switch, Text, Values

V = TypeVar("V")
WORDS_MAX = 200
"""Maximum characters of a search."""


@attrs.frozen
class Tolerant(ParamType[V], Generic[V]):
    """Another type, of which a value that is not allowed counts as missing."""

    _type: ParamType[V]

    def parse(self, name: str, values: Values) -> V | None:
        """Parse the last value."""
        try:
            return self._type.parse(name, values[-1:])
        except BadRequest:
            return None

    def schema(self) -> Schema:
        """Return the JSON schema of the values that count."""
        return self._type.schema()

    def form_schema(self) -> Schema:
        """Return the JSON schema of the values that count, in a form."""
        return self._type.form_schema()

    def words(self) -> str:
        """Return the values that count."""
        return self._type.words()


@attrs.frozen
class SearchWords(ParamType[str]):
    """Words to search for, cut after ``WORDS_MAX`` characters."""

    def parse(self, name: str, values: Values) -> str | None:
        """Return the last text without blanks around it."""
        found = Text().parse(name, values[-1:])
        return None if found is None else found.strip()[:WORDS_MAX]

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return how many characters count."""
        return f"up to {WORDS_MAX} characters"


SEARCH = Param("q", "of the page: only rows that have all of these words", SearchWords())
ROW_STATE = Param("state", "of the page: only rows in this state", Tolerant(Choice(STATES)))
PAGE = Param("page", "of the page: which part of its rows", Tolerant(Integer(1)), default=1)
ROWS = Param("rows", "of the page: 0 for counts without rows", Tolerant(Switch()), default=True)


def sort(columns: Sequence[str] = ()) -> Param[str | None]:
    """Return the parameter that names the column to sort by; any without ``columns``."""
    names = (*columns, *(f"-{name}" for name in columns))
    meaning = "of the page: sort its rows by this column, after a minus in reverse"
    return Param("sort", meaning, Tolerant(Choice(names) if names else Text()))


def of_table(columns: Sequence[str] = ()) -> Sequence[AnyParam]:
    """List the parameters of a page with a table."""
    return SEARCH, sort(columns), PAGE


def of_listing(columns: Sequence[str]) -> Sequence[AnyParam]:
    """List the parameters of a page with builds and requests."""
    return SEARCH, ROW_STATE, sort(columns), PAGE, ROWS
