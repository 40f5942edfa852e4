"""Values of options: read, or refused with what is allowed."""

from __future__ import annotations

import base64
from argparse import ArgumentTypeError
from collections.abc import Callable
from urllib.parse import urlsplit

from nagiosplugin import CheckError, Range

from buildapi.nagios.formatting import printable

SECRET_MAX = 4096


def threshold_range(text: str) -> str:
    """Read a range as the Monitoring Plugins have it."""
    try:
        Range(text)
    except ValueError:
        text = ""
    if not text.strip("@"):
        raise ArgumentTypeError(
            "a range is such as 10 (0 to 10 is well), 10: (from 10 on), ~:10 (up to 10), 10:20"
            " (between) and @10:20 (outside)"
        )
    return text


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Make a reader of whole numbers."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ArgumentTypeError(f"it is a whole number, {low} to {high}")
        if not low <= int(text) <= high:
            raise ArgumentTypeError(f"{text} is not within {low} and {high}")
        return int(text)

    return read


def service_url(text: str) -> str:
    """Read where the service is; nothing secret may stand in a command line."""
    try:
        parts = urlsplit(text)
        port_fits = parts.port != 0
    except ValueError:
        raise ArgumentTypeError("it is no address") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        raise ArgumentTypeError("it begins with http:// or https:// and the name of a host")
    if parts.username is not None or parts.password is not None:
        raise ArgumentTypeError("name and password belong into a file, see --user-file")
    if parts.query or parts.fragment or not _is_plain_ascii(text):
        raise ArgumentTypeError("it has no query, no fragment and no blanks")
    return text.rstrip("/")


def page_path(text: str) -> str:
    """Read the path of a page."""
    if not text.startswith("/") or "#" in text or not _is_plain_ascii(text):
        raise ArgumentTypeError("it begins with / and is of ASCII without blanks and #")
    return text


def token_header(path: str) -> str:
    """Make the header of the token that is in a file; :raises CheckError: there is none."""
    token = _secret(path)
    if not _is_plain_ascii(token):
        raise CheckError(f"{printable(path)} holds no token: it has blanks, or is not of ASCII")
    return f"Bearer {token}"


def user_header(path: str) -> str:
    """Make the header of the ``name:password`` in a file; :raises CheckError: there is none."""
    text = _secret(path)
    if not text.partition(":")[2] or text.startswith(":"):
        raise CheckError(f"{printable(path)} does not hold name:password")
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def _secret(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(SECRET_MAX).strip()
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) and e.strerror else "it is no text"
        raise CheckError(f"cannot read {printable(path)}: {reason}") from None
    if not text or "\n" in text:
        raise CheckError(f"{printable(path)} does not hold one line")
    return text


def _is_plain_ascii(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
