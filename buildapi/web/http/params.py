"""Read parameters; every error is made here, with the texts that existing clients know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from buildapi.errors import BadRequest
from buildapi.model.actions import ID_MAX
from buildapi.web.http.form import Form

# Up to 30 digits, since int() takes quadratic time [Python, Integer string conversion length
# limitation]; [0-9], since it accepts the digits of every script.
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,30}\s*", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,30}", re.ASCII)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)

Query = Mapping[str, Sequence[str]]
V = TypeVar("V")


# --- errors -------------------------------------------------------------------------------------


def bad(name: str, value: str, allowed: str) -> BadRequest:
    """Return the error for a value that is not allowed, which names those that are."""
    return BadRequest(f"Bad {name}: {value[:60]!r}; allowed are {allowed[:1000]}")


def repeated(name: str, times: int) -> BadRequest:
    """Return the error for a parameter that may be given once."""
    return BadRequest(f"Parameter {name} is given {times} times (max 1)")


def in_both(name: str) -> BadRequest:
    """Return the error for a parameter in the query and in the body."""
    return BadRequest(f"Parameter {name} is given in the query and in the body")


def _only(name: str, values: Sequence[V]) -> V | None:
    """Return the only value, None without one; :raises BadRequest: there are several."""
    if len(values) > 1:
        raise repeated(name, len(values))
    return values[0] if values else None


# --- texts --------------------------------------------------------------------------------------


def integer(text: str) -> int | None:
    """Parse an optional sign and ASCII digits with blanks around; None for anything else."""
    return int(text) if _INTEGER.fullmatch(text) else None


def id_of_path(text: str) -> int | None:
    """Parse an id of ASCII digits; None for anything else, or beyond a MySQL INT (``ID_MAX``)."""
    if not _DIGITS.fullmatch(text):
        return None
    value = int(text)
    return value if value <= ID_MAX else None


def is_digits(text: str) -> bool:
    """Return whether a text is 1 to 30 ASCII digits."""
    return bool(_DIGITS.fullmatch(text))


def one_of(name: str, text: str, allowed: Sequence[str]) -> str:
    """Return a text that is one of the allowed words; :raises BadRequest: it is another."""
    if text not in allowed:
        raise bad(name, text, ", ".join(allowed))
    return text


def whole_within(name: str, text: str, low: int, high: int | None = None) -> int:
    """Parse a number from ``low`` to ``high``; :raises BadRequest: it is anything else."""
    number = integer(text)
    if number is None or number < low or (high is not None and number > high):
        to = "" if high is None else f" to {high}"
        raise bad(name, text, f"whole numbers from {low}{to}")
    return number


# --- parameters of a body -----------------------------------------------------------------------


def form_integer(form: Form, name: str, default: int | None = None) -> int:
    """Return a whole number of a body; the default, if there is one, for missing or empty.

    :raises BadRequest: ``Bad NAME`` for anything else.
    """
    value: object = form.get(name)
    if value is None or value == "":
        if default is None:
            raise BadRequest(f"Bad {name}")
        return default
    if type(value) is int:  # not isinstance: JSON's true is an int in Python
        return value
    number = integer(value) if isinstance(value, str) else None
    if number is None:
        raise BadRequest(f"Bad {name}")
    return number


def within(name: str, value: int, low: int, high: int) -> int:
    """Return ``value``; :raises BadRequest: ``Bad NAME`` if it is out of range."""
    if not low <= value <= high:
        raise BadRequest(f"Bad {name}")
    return value


# --- parameters of the query --------------------------------------------------------------------


def single(query: Query, name: str) -> str | None:
    """Return a parameter of the query, None without it; :raises BadRequest: it is repeated."""
    values = query.get(name, ())
    return _only(name, values)


def tolerant_integer(query: Query, name: str, default: int) -> int:
    """Return a whole number of the query; the default for missing and bad values."""
    value = integer(query.get(name, ("",))[-1])
    return default if value is None else value


def bounded(query: Query, name: str, default: int, high: int) -> int:
    """Return a number from 0 to ``high``; the default for bad or negative ones, else cut."""
    value = tolerant_integer(query, name, default)
    # docs/compatibility-cases.md, Errors and odd data: negative values fall back, others are
    # capped.
    return min(default if value < 0 else value, high)


def readable(query: Query, *names: str) -> Query:
    """Return the query if all named parameters in it are whole numbers, else an empty one."""
    texts = (query[name][-1] for name in names if name in query)
    return {} if any(integer(text) is None for text in texts) else query


def day(query: Query, name: str) -> date | None:
    """Return the date of ``YYYY-MM-DD``; None if missing or empty.

    :raises BadRequest: it is anything else, or repeated.
    """
    text = single(query, name)
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


def choice(query: Query, name: str, allowed: Sequence[str]) -> str | None:
    """Return one of the allowed words; None if missing or empty.

    :raises BadRequest: it is another word, or repeated.
    """
    text = single(query, name)
    return one_of(name, text, allowed) if text else None


def whole(query: Query, name: str, default: int, low: int, high: int | None = None) -> int:
    """Return a whole number of the query; the default if missing or empty.

    :raises BadRequest: it is not a number from ``low`` to ``high``, or repeated.
    """
    text = single(query, name)
    return whole_within(name, text, low, high) if text else default


# --- parameters of a job request in its query or its body ---------------------------------------


def all_values(query: Query, form: Form, name: str) -> Sequence[object]:
    """List the values of a parameter; the items of a JSON list count as values.

    :raises BadRequest: it is both in the query and in the body.
    """
    in_body: list[object] = []
    for value in form.values.get(name, ()):
        in_body += value if isinstance(value, list) else [value]
    if in_body and name in query:
        raise in_both(name)
    return in_body or query.get(name, ())


def only_value(query: Query, form: Form, name: str) -> Any:
    """Return the value of a parameter, None without one; :raises BadRequest: it has several."""
    return _only(name, all_values(query, form, name))


def switch(query: Query, form: Form, name: str) -> bool:
    """Return an on/off parameter, False if missing; :raises BadRequest: it is anything else."""
    value = only_value(query, form, name)
    if value is None or value == "":
        return False
    word = str(value).lower() if isinstance(value, str | int) else "?"
    if word not in SWITCH:
        raise BadRequest(f"Bad {name}: allowed are 1 and 0")
    return SWITCH[word]


SWITCH = {"1": True, "true": True, "0": False, "false": False}


def duration(value: object, name: str, high: float) -> float:
    """Return a number of seconds from 0 to ``high``; 0 if missing or empty.

    :raises BadRequest: it is anything else.
    """
    if value is None or value == "":
        return 0.0
    known = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value) if known or isinstance(value, str) else ""
    if not _SECONDS.fullmatch(text) or not float(text) <= high:
        raise BadRequest(f"Bad {name}: allowed are 0 to {high:g} seconds")
    return float(text)


_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
