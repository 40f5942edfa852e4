"""Passwords, and texts for people that show none."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from urllib.parse import unquote

SHOWN_LENGTH = 80
"""Characters of a wrong value that an error shows."""

_PASSWORD_IN_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^:/@?#]*):(.*)@([^@]*)")
_USER_ONLY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?[^:/@?#]*")
_QUERY = re.compile(r"([?#]).*", re.DOTALL)
_NO_PORT = re.compile(r"((?:://|@)[^/:\[]*):(?!\d+(?:[/?#]|$))[^/?#]*")


class Secret:
    """Hold a password; only ``reveal`` gives it away."""

    # No attrs class: attrs.asdict() of a configuration would open one.
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the password itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


def split_password(url: str) -> tuple[str, str]:
    """Take the password out of a URL; it is empty where there is none.

    Everything from the first colon after the user name to the last ``@`` is the password, so that
    one which should have been percent-encoded does not end up in a host or database name.
    """
    match = _PASSWORD_IN_URL.fullmatch(url)
    if match is None:
        return url, ""
    start, password, rest = match.groups()
    return f"{start}@{rest}", unquote(password)


def shown(value: object) -> str:
    """Spell a wrong value for an error: one short line, without what may be a password."""
    match value:
        case bool():
            spelt = str(value).lower()
        case str():
            spelt = f'"{printable(_redacted(value))}"'
        case int() if value.bit_length() > 64:
            spelt = "a huge number"
        case int() | float() | datetime.date() | datetime.time():
            spelt = str(value)
        case Mapping():
            spelt = "a table"
        case _:
            spelt = f"a {type(value).__name__}"
    return spelt


def printable(text: str) -> str:
    """Spell a text on one line, and cut it."""
    return one_line(text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "...")


def one_line(text: str) -> str:
    """Spell a text on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _redacted(text: str) -> str:
    """Hide whatever in a URL, also a broken one, may be a password."""
    if "@" in text:
        user, _, rest = text.rpartition("@")
        scheme = user[: user.find("://") + 3] if "://" in user else ""
        text = (user if _USER_ONLY.fullmatch(user) else scheme + "***") + "@" + rest
    if "://" in text:
        text = _NO_PORT.sub(r"\1:***", _QUERY.sub(r"\1***", text))
    return text
