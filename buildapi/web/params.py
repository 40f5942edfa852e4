"""Read parameters; what cannot be read is said in the words clients know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from buildapi.errors import BadRequest
from buildapi.model.actions import ID_MAX
from buildapi.web.form import Form

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,30}\s*", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,30}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

Query = Mapping[str, Sequence[str]]


def integer(text: str) -> int | None:
    """Read an optional sign and ASCII digits with blanks around; None for anything else."""
    return int(text) if _INTEGER.fullmatch(text) else None


def id_of_path(text: str) -> int | None:
    """Read an id of ASCII digits; None where it cannot be one that exists."""
    if not _DIGITS.fullmatch(text):
        return None
    value = int(text)
    return value if value <= ID_MAX else None


def is_digits(text: str) -> bool:
    """Tell whether a text is ASCII digits alone."""
    return bool(_DIGITS.fullmatch(text))


def form_integer(form: Form, name: str, default: int | None = None) -> int:
    """Read a whole number of a body; missing or empty means the default, where there is one.

    :raises BadRequest: ``Bad NAME``.
    """
    value: Any = form.get(name)
    if value is None or value == "":
        if default is None:
            raise BadRequest(f"Bad {name}")
        return default
    if type(value) is int:
        return value
    number = integer(value) if isinstance(value, str) else None
    if number is None:
        raise BadRequest(f"Bad {name}")
    return number


def within(name: str, value: int, low: int, high: int) -> int:
    """Give a number back that is in range; :raises BadRequest: ``Bad NAME`` else."""
    if not low <= value <= high:
        raise BadRequest(f"Bad {name}")
    return value


def single(query: Query, name: str) -> str | None:
    """Give a parameter of the query that may be there once; :raises BadRequest: it is repeated."""
    values = query.get(name, ())
    if len(values) > 1:
        raise BadRequest(f"Parameter {name} is given {len(values)} times, once is allowed")
    return values[0] if values else None


def tolerant_integer(query: Query, name: str, default: int) -> int:
    """Read a whole number of the query, or fall back, as some reads always did."""
    value = integer(query.get(name, ("",))[-1])
    return default if value is None else value


def bounded(query: Query, name: str, default: int, high: int) -> int:
    """Read a number from 0 to ``high``; negatives and bad values fall back, larger ones are cut."""
    value = tolerant_integer(query, name, default)
    return min(default if value < 0 else value, high)


def readable(query: Query, *names: str) -> Query:
    """Give a query back where all these are whole numbers or missing, and an empty one else."""
    texts = (query[name][-1] for name in names if name in query)
    return {} if any(integer(text) is None for text in texts) else query


def day(query: Query, name: str) -> date | None:
    """Read ``YYYY-MM-DD``; None where it is missing or empty.

    :raises BadRequest: it is neither.
    """
    text = single(query, name)
    if not text:
        return None
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise BadRequest(f"Bad {name}: {text[:40]!r} is no date, YYYY-MM-DD is needed")


# --- parameters that may stand in the query or in the body of a job request -------------------


def given(query: Query, form: Form, name: str) -> Sequence[Any]:
    """List the values of a parameter; a JSON list counts as its values.

    :raises BadRequest: query and body both have it.
    """
    in_body: list[Any] = []
    for value in form.values.get(name, ()):
        in_body += value if isinstance(value, list) else [value]
    if in_body and name in query:
        raise BadRequest(f"Parameter {name} is given in the query and in the body")
    return in_body or query.get(name, ())


def given_once(query: Query, form: Form, name: str) -> Any:
    """Give the value of a parameter, None without one; :raises BadRequest: it has several."""
    values = given(query, form, name)
    if len(values) > 1:
        raise BadRequest(f"Parameter {name} is given {len(values)} times, once is allowed")
    return values[0] if values else None


def switch(query: Query, form: Form, name: str) -> bool:
    """Read a parameter that is on or off; :raises BadRequest: it is something else."""
    value = given_once(query, form, name)
    if value is None or value == "":
        return False
    word = str(value).lower() if isinstance(value, str | int) else "?"
    if word not in SWITCH:
        raise BadRequest(f"Bad {name}: allowed are 1 and 0")
    return SWITCH[word]


SWITCH = {"1": True, "true": True, "0": False, "false": False}


def duration(value: Any, name: str, high: float) -> float:
    """Read a number of seconds from 0 to ``high``; nothing means 0.

    :raises BadRequest: it is something else.
    """
    if value is None or value == "":
        return 0.0
    known = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value) if known or isinstance(value, str) else ""
    if not _SECONDS.fullmatch(text) or not float(text) <= high:
        raise BadRequest(f"Bad {name}: allowed are 0 to {high:g} seconds")
    return float(text)


_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
