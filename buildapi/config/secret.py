"""Passwords, and texts for errors and logs that show none."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from urllib.parse import unquote

SHOWN_LENGTH = 80
"""Maximum characters of a wrong value that an error shows."""

_PASSWORD_IN_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^:/@?#]*):(.*)@([^@]*)")
_USER_ONLY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?[^:/@?#]*")
_QUERY = re.compile(r"([?#]).*", re.DOTALL)
_NO_PORT = re.compile(r"((?:://|@)[^/:\[]*):(?!\d+(?:[/?#]|$))[^/?#]*")


class Secret:
    """A password; only ``reveal`` returns its text."""

    # Not an attrs class: attrs.asdict() of a configuration would reveal it.
    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the password."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    # A reload compares settings, to find those that changed.
    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


def split_password(url: str) -> tuple[str, str]:
    """Split a URL into itself without a password, and the password, empty if it has none.

    The password reaches from the first colon after the user name to the last ``@``, so that one
    that should have been percent-encoded does not end up in a host or database name.
    """
    match = _PASSWORD_IN_URL.fullmatch(url)
    if match is None:
        return url, ""
    start, password, rest = match.groups()
    return f"{start}@{rest}", unquote(password)


def shown(value: object) -> str:
    """Format a wrong value for an error: one short line, with possible passwords hidden."""
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
    """Format a text on one line, cut to :data:`SHOWN_LENGTH` characters."""
    return one_line(text if len(text) <= SHOWN_LENGTH else text[:SHOWN_LENGTH] + "...")


def one_line(text: str) -> str:
    """Escape control characters and line breaks of a text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _redacted(text: str) -> str:
    """Hide every part of a URL, also of a malformed one, that may be a password."""
    if "@" in text:
        user, _, rest = text.rpartition("@")
        scheme = user[: user.find("://") + 3] if "://" in user else ""
        text = (user if _USER_ONLY.fullmatch(user) else scheme + "***") + "@" + rest
    if "://" in text:
        text = _NO_PORT.sub(r"\1:***", _QUERY.sub(r"\1***", text))
    return text
