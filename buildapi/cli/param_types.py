"""Types of option values: converters for ``click.option(type=...)``."""

from __future__ import annotations

import math
import zoneinfo
from typing import Any
from urllib.parse import urlsplit

import click

SMTP_PORT = 25
KEY_MAX = 255


class Seconds(click.FloatRange):
    """A finite number of seconds: click's FloatRange accepts NaN and infinity.

    ``hint`` is added to the error message.
    """

    hint = ""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # Any: click's signature
        """Accept a number within the range."""
        try:
            taken: float = float(value)
        except ValueError:
            taken = math.nan
        if not math.isfinite(taken):
            self.fail(f"{value!r} is not a number of seconds{self.hint}", param, ctx)
        return super().convert(taken, param, ctx)


def time_zone(text: str) -> zoneinfo.ZoneInfo:
    """Accept the IANA name of a time zone."""
    try:
        return zoneinfo.ZoneInfo(str(text))
    # ZoneInfo raises ValueError for paths, KeyError for unknown names, OSError for folders such as
    # "US".
    except (ValueError, KeyError, OSError) as e:
        raise click.BadParameter(
            f"{text!r} is not a time zone (expected an IANA name such as US/Pacific)"
        ) from e


def mail_server(text: str) -> tuple[str, int]:
    """Accept a mail server, with or without a port."""
    refused = click.BadParameter(f"{text!r} is not a server (expected HOST or HOST:PORT)")
    try:
        # Without // urlsplit takes HOST:PORT for a scheme and a path.
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as e:
        raise refused from e
    if not host or parts.netloc != text or parts.username is not None:
        raise refused
    return host, port or SMTP_PORT


def mail_address(text: str) -> str:
    """Accept a mail address without a display name."""
    local, at, _domain = text.rpartition("@")
    wrong = not text.isprintable() or set(text) & set(' ,;<>"') or (at and not local)
    if wrong or not text:
        raise click.BadParameter(
            f"{text!r} is not a mail address (expected one such as ann@example.org)"
        )
    return text


def http_url(text: str) -> str:
    """Accept an http or https URL; return it without a trailing slash."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or not text.isprintable():
        raise click.BadParameter(f"{text!r} is not an http or https URL")
    return text.rstrip("/")


def service_url(text: str) -> str:
    """Accept the URL of a service, without user, query and fragment."""
    taken = http_url(text)
    parts = urlsplit(taken)
    try:
        # Parsed only when it is read.
        _ = parts.port
    except ValueError as e:
        raise click.BadParameter(f"{text!r} has an invalid port") from e
    if parts.username is not None:
        raise click.BadParameter(
            "a user or password in the URL is not allowed: use --user and --password-file"
        )
    if parts.query or parts.fragment:
        raise click.BadParameter(f"{text!r} is not the URL of a service (? and # are not allowed)")
    return taken


def idempotency_key(text: str) -> str:
    """Accept an Idempotency-Key."""
    if not 0 < len(text) <= KEY_MAX or not text.isascii() or not text.isprintable():
        raise click.BadParameter(f"a key is 1 to {KEY_MAX} printable ASCII characters")
    return text


def name(text: str) -> str:
    """Accept a name that can be a segment of a URL's path."""
    # Clients remove dots from a path, and a segment that is empty is another route (RFC 3986,
    # section 5.2.4).
    if text in ("", ".", ".."):
        what = f"{text!r} is only dots" if text else "it is empty"
        raise click.BadParameter(f"{what} (expected a name)")
    return text


def name_and_value(text: str) -> tuple[str, str]:
    """Accept NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value
