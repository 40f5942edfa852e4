"""What a value of the configuration may be: small converters that check and refuse."""

from __future__ import annotations

import grp
import ipaddress
import os
import platform
import re
import ssl
import zoneinfo
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from buildapi.config.secret import printable

TEXT_LENGTH = 1000
"""Characters of the longest text, name or URL taken."""

_WHOLE: Any = object()


class BadValueError(ValueError):
    """Say what is allowed; ``value`` is the wrong part of a value that is a list or a table."""

    def __init__(self, allowed: str, value: object = _WHOLE) -> None:
        super().__init__(allowed)
        self.allowed, self._value = allowed, value

    def wrong(self, whole: object) -> object:
        """Give the part that is wrong, which may be the whole."""
        return whole if self._value is _WHOLE else self._value


@attrs.frozen
class Place:
    """Where the configuration is read: ``folder`` is what relative paths are relative to."""

    folder: Path
    environ: Mapping[str, str] = attrs.field(repr=False)


Convert = Callable[[object, Place], Any]


def text(value: object, _: Place) -> str:
    """Take text, also the empty one."""
    if not isinstance(value, str):
        raise BadValueError("text in quotes")
    if not value.isprintable() or len(value) > TEXT_LENGTH:
        raise BadValueError(f"at most {TEXT_LENGTH} printable characters")
    return value


def matching(pattern: str, allowed: str) -> Convert:
    """Take text that a regular expression matches as a whole."""
    compiled = re.compile(pattern)

    def convert(value: object, _: Place) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise BadValueError(allowed)
        return value

    return convert


def expression(value: object, place: Place) -> re.Pattern[str]:
    """Take a regular expression."""
    name = text(value, place)
    try:
        return re.compile(name)
    except (re.error, RecursionError, OverflowError) as e:
        raise BadValueError(f"a regular expression ({e})") from e


def choice(*words: str) -> Convert:
    """Take one of a few words."""
    listed = " or ".join(f'"{word}"' for word in words)
    return matching("|".join(map(re.escape, words)), listed)


def whole(low: int, high: int) -> Convert:
    """Take a whole number within bounds."""

    def convert(value: object, _: Place) -> int:
        if type(value) is not int or not low <= value <= high:
            raise BadValueError(f"a whole number from {low} to {high}")
        return value

    return convert


def seconds(low: float, high: float) -> Convert:
    """Take a duration in seconds within bounds."""

    def convert(value: object, _: Place) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and low <= value <= high):  # type: ignore[operator]  # a number
            raise BadValueError(f"a number of seconds from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]  # a number

    return convert


def flag(value: object, _: Place) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise BadValueError("true or false")
    return value


def many(convert: Convert, *, least: int = 0) -> Convert:
    """Take a list of at least so many different values."""

    def convert_all(value: object, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise BadValueError("a list in square brackets")
        if len(value) < least:
            raise BadValueError(f"a list of at least {least}")
        done: list[Any] = []
        for item in value:
            done.append(_part(convert, item, place))
            if done[-1] in done[:-1]:
                raise BadValueError("listed only once", item)
        return tuple(done)

    return convert_all


def table_of(convert: Convert) -> Convert:
    """Take a table with any keys."""

    def convert_all(value: object, place: Place) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise BadValueError("a table")
        return {name: _named_part(convert, name, value[name], place) for name in value}

    return convert_all


def _part(convert: Convert, item: object, place: Place) -> Any:
    try:
        return convert(item, place)
    except BadValueError as e:
        raise BadValueError(e.allowed, e.wrong(item)) from e


def _named_part(convert: Convert, name: str, item: object, place: Place) -> Any:
    try:
        return convert(item, place)
    except BadValueError as e:
        raise BadValueError(f"{e.allowed}, for {printable(name)}", e.wrong(item)) from e


# --- files ----------------------------------------------------------------------------------


def path(value: object, place: Place) -> Path:
    """Take a path, relative to the configuration file's folder."""
    if not (name := text(value, place)):
        raise BadValueError("a path")
    return Path(os.path.abspath(place.folder / name))


def folder(value: object, place: Place) -> Path:
    """Take the path of a folder that is there or can be made."""
    found = path(value, place)
    if os.path.exists(found) and not os.path.isdir(found):
        raise BadValueError("a folder; a file of that name is there")
    return found


def file(value: object, place: Place) -> Path:
    """Take the path of a regular file that can be read."""
    found = path(value, place)
    if not (os.path.isfile(found) and os.access(found, os.R_OK)):
        raise BadValueError("a file that is there and can be read")
    return found


def certificates(value: object, place: Place) -> Path:
    """Take the path of a file with certificates in PEM form."""
    found = file(value, place)
    try:
        ssl.create_default_context(cafile=found)
    except OSError as e:  # ssl.SSLError is one
        raise BadValueError("a file of certificates in PEM form") from e
    return found


def log_file(value: object, place: Place) -> Path:
    """Take the path of a file that can be made in a folder that is there."""
    found = path(value, place)
    if os.path.isdir(found) or not os.path.isdir(found.parent):
        raise BadValueError("a file in a folder that is there")
    return found


def optional(convert: Convert) -> Convert:
    """Let the empty text mean that there is none."""
    return lambda value, place: None if value == "" else convert(value, place)


# --- names ----------------------------------------------------------------------------------


def host_name(value: object, place: Place) -> str:
    """Take a name of this host; empty means the one the system gives."""
    return text(value, place) or platform.node() or "localhost"


def group(value: object, place: Place) -> str:
    """Take the name of a group of this system."""
    name = text(value, place)
    try:
        grp.getgrnam(name)
    except KeyError as e:
        raise BadValueError("a group of this system") from e
    return name


_HOST = matching(
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]",
    'a name or an address as in URLs, without a port, such as "localhost" or "[::1]"',
)


def host(value: object, place: Place) -> str:
    """Take the name or the address of a host, as URLs have it."""
    found: str = _HOST(value, place)
    return found.lower()


def zone(value: object, place: Place) -> zoneinfo.ZoneInfo:
    """Take the IANA name of a time zone."""
    name = text(value, place)
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, KeyError, OSError) as e:
        raise BadValueError('an IANA time zone such as "America/Los_Angeles"') from e


def proxy(value: object, place: Place) -> str:
    """Take an IP address, a network, or "unix" for UNIX sockets."""
    name = text(value, place)
    if name == "unix":
        return name
    try:
        network = ipaddress.ip_network(name)
    except ValueError as e:
        allowed = 'an IP address, a network such as "10.1.0.0/16", or "unix"'
        raise BadValueError(allowed) from e
    return str(network.network_address if network.num_addresses == 1 else network)


_ORIGIN = matching(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?",
    'an origin such as "https://ci.example.org" or "http://localhost:8080", never "*"',
)


def origin(value: object, place: Place) -> str:
    """Take the origin of a web page, as browsers spell it."""
    found: str = _ORIGIN(value, place)
    return found.lower()
