"""Converters that check values of the configuration."""

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
"""Maximum characters of a text, name or URL."""

_WHOLE = object()


class BadValueError(ValueError):
    """Report which values are allowed; ``value`` is the wrong part of a list or table."""

    def __init__(self, allowed: str, value: object = _WHOLE) -> None:
        super().__init__(allowed)
        self.allowed, self._value = allowed, value

    def wrong(self, whole: object) -> object:
        """Return the wrong part of a value, which may be the whole."""
        return whole if self._value is _WHOLE else self._value


@attrs.frozen
class KeyPlace:
    """The context of a configuration file: relative paths are relative to ``folder``."""

    folder: Path
    environ: Mapping[str, str] = attrs.field(repr=False)


# Any: each converter has a type of its own, that of the attribute with its key.
Convert = Callable[[object, KeyPlace], Any]


def text(value: object, _: KeyPlace) -> str:
    """Accept printable text, also empty."""
    if not isinstance(value, str):
        raise BadValueError("a string in quotes")
    if not value.isprintable() or len(value) > TEXT_LENGTH:
        raise BadValueError(f"at most {TEXT_LENGTH} printable characters")
    return value


def matching(pattern: str, allowed: str) -> Convert:
    """Return a converter of texts that a regular expression matches as a whole."""
    compiled = re.compile(pattern)

    def convert(value: object, _: KeyPlace) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise BadValueError(allowed)
        return value

    return convert


def expression(value: object, place: KeyPlace) -> re.Pattern[str]:
    """Accept a regular expression."""
    name = text(value, place)
    try:
        return re.compile(name)
    # re also fails with these two: too many parentheses, too large a number of repetitions.
    except (re.error, RecursionError, OverflowError) as e:
        raise BadValueError(f"a regular expression ({e})") from e


def choice(*words: str) -> Convert:
    """Return a converter that accepts one of these words."""
    listed = " or ".join(f'"{word}"' for word in words)
    return matching("|".join(map(re.escape, words)), listed)


def whole(low: int, high: int) -> Convert:
    """Return a converter of integers within bounds, both included."""

    def convert(value: object, _: KeyPlace) -> int:
        # Not isinstance: a TOML boolean is a bool of Python, which is an int.
        if type(value) is not int or not low <= value <= high:
            raise BadValueError(f"a whole number from {low} to {high}")
        return value

    return convert


def seconds(low: float, high: float) -> Convert:
    """Return a converter of durations in seconds within bounds, both included."""

    def convert(value: object, _: KeyPlace) -> float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and low <= value <= high):  # type: ignore[operator]  # a number
            raise BadValueError(f"a number of seconds from {low:g} to {high:g}")
        return float(value)  # type: ignore[arg-type]  # a number

    return convert


def flag(value: object, _: KeyPlace) -> bool:
    """Accept a boolean."""
    if not isinstance(value, bool):
        raise BadValueError("true or false")
    return value


def many(convert: Convert, *, least: int = 0) -> Convert:
    """Return a converter of lists of different values, ``least`` of them or more."""

    def convert_all(value: object, place: KeyPlace) -> tuple[object, ...]:
        if not isinstance(value, list | tuple):
            raise BadValueError("a list in square brackets")
        if len(value) < least:
            raise BadValueError(f"a list with at least {least} item{'' if least == 1 else 's'}")
        done: list[object] = []
        for item in value:
            done.append(_part(convert, item, place))
            if done[-1] in done[:-1]:
                raise BadValueError("listed only once", item)
        return tuple(done)

    return convert_all


def table_of(convert: Convert) -> Convert:
    """Return a converter of tables with any keys."""

    def convert_all(value: object, place: KeyPlace) -> Mapping[str, object]:
        if not isinstance(value, Mapping):
            raise BadValueError("a table")
        return {name: _named_part(convert, name, value[name], place) for name in value}

    return convert_all


def _part(convert: Convert, item: object, place: KeyPlace) -> Any:
    try:
        return convert(item, place)
    except BadValueError as e:
        raise BadValueError(e.allowed, e.wrong(item)) from e


def _named_part(convert: Convert, name: str, item: object, place: KeyPlace) -> Any:
    try:
        return convert(item, place)
    except BadValueError as e:
        raise BadValueError(f"{e.allowed} ({printable(name)})", e.wrong(item)) from e


# --- files ----------------------------------------------------------------------------------


def path(value: object, place: KeyPlace) -> Path:
    """Accept a path, relative to the folder of the configuration file."""
    if not (name := text(value, place)):
        raise BadValueError("a path")
    return Path(os.path.abspath(place.folder / name))


def folder(value: object, place: KeyPlace) -> Path:
    """Accept the path of a folder that exists or can be created."""
    found = path(value, place)
    if os.path.exists(found) and not os.path.isdir(found):
        raise BadValueError("a folder, not an existing file")
    return found


def file(value: object, place: KeyPlace) -> Path:
    """Accept the path of a readable regular file."""
    found = path(value, place)
    if not (os.path.isfile(found) and os.access(found, os.R_OK)):
        raise BadValueError("an existing, readable file")
    return found


def certificates(value: object, place: KeyPlace) -> Path:
    """Accept the path of a file of CA certificates in PEM format."""
    found = file(value, place)
    try:
        ssl.create_default_context(cafile=found)
    except OSError as e:  # ssl.SSLError is one
        raise BadValueError("a file of certificates in PEM format") from e
    return found


def log_file(value: object, place: KeyPlace) -> Path:
    """Accept the path of a file in an existing folder."""
    found = path(value, place)
    if os.path.isdir(found) or not os.path.isdir(found.parent):
        raise BadValueError("a file in an existing folder")
    return found


def optional(convert: Convert) -> Convert:
    """Return a converter that reads an empty text as None."""
    return lambda value, place: None if value == "" else convert(value, place)


# --- names ----------------------------------------------------------------------------------


def host_name(value: object, place: KeyPlace) -> str:
    """Accept a name for this host; empty means the host name of the system."""
    return text(value, place) or platform.node() or "localhost"


def group(value: object, place: KeyPlace) -> str:
    """Accept the name of an existing group of this host."""
    name = text(value, place)
    try:
        grp.getgrnam(name)
    except KeyError as e:
        raise BadValueError("an existing group of this host") from e
    return name


# 253 characters are the 255 octets of a name [RFC 1035, 2.3.4] as text.
_HOST = matching(
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\]",
    'a name or an address as in URLs, without a port, such as "localhost" or "[::1]"',
)


def host(value: object, place: KeyPlace) -> str:
    """Accept a host name or address as written in URLs; return it in lower case."""
    found: str = _HOST(value, place)
    return found.lower()


def zone(value: object, place: KeyPlace) -> zoneinfo.ZoneInfo:
    """Accept the IANA name of a time zone."""
    name = text(value, place)
    try:
        return zoneinfo.ZoneInfo(name)
    # An OSError: a name such as "America" is a folder of the time zone database.
    except (ValueError, KeyError, OSError) as e:
        raise BadValueError('an IANA time zone such as "America/Los_Angeles"') from e


def proxy(value: object, place: KeyPlace) -> str:
    """Accept an IP address, a network, or "unix" for UNIX sockets."""
    name = text(value, place)
    if name == "unix":
        return name
    try:
        network = ipaddress.ip_network(name)
    except ValueError as e:
        allowed = 'an IP address, a network such as "10.1.0.0/16", or "unix"'
        raise BadValueError(allowed) from e
    return str(network.network_address if network.num_addresses == 1 else network)


# Scheme, host and port, as browsers send them [RFC 6454, 6.2].
_ORIGIN = matching(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?",
    'an origin such as "https://ci.example.org" or "http://localhost:8080", never "*"',
)


def origin(value: object, place: KeyPlace) -> str:
    """Accept the origin of a web page; return it in lower case, as browsers send it."""
    found: str = _ORIGIN(value, place)
    return found.lower()
