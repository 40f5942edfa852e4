"""Parse single texts, and word the errors that existing clients know."""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildapi.errors import BadRequest
from buildapi.model.actions import ID_MAX

# Up to 30 digits, since int() takes quadratic time [Python, Integer string conversion length
# limitation]; [0-9], since it accepts the digits of every script.
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,30}\s*", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,30}", re.ASCII)


def bad(name: str, value: str, allowed: str) -> BadRequest:
    """Return the error for a value that is not allowed, which names those that are."""
    return BadRequest(f"Bad {name}: {value[:60]!r}; allowed are {allowed[:1000]}")


def repeated(name: str, times: int) -> BadRequest:
    """Return the error for a parameter that may be given once."""
    return BadRequest(f"Parameter {name} is given {times} times (max 1)")


def in_both(name: str) -> BadRequest:
    """Return the error for a parameter in the query and in the body."""
    return BadRequest(f"Parameter {name} is given in the query and in the body")


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
