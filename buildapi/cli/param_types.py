"""What values of options may be: converters that refuse, for ``click.option(type=...)``."""

from __future__ import annotations

import math
import zoneinfo
from typing import Any
from urllib.parse import urlsplit

import click

SMTP_PORT = 25
KEY_MAX = 255


class Seconds(click.FloatRange):
    """A number of seconds that there can be: FloatRange takes what is no number, too.

    ``hint`` is said of what is none.
    """

    hint = ""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Take a number within the range."""
        try:
            taken: float = float(value)
        except ValueError:
            taken = math.nan
        if not math.isfinite(taken):
            self.fail(f"{value!r} is no number of seconds{self.hint}", param, ctx)
        return super().convert(taken, param, ctx)


def time_zone(text: str) -> zoneinfo.ZoneInfo:
    """Take the IANA name of a time zone."""
    try:
        return zoneinfo.ZoneInfo(str(text))
    except (ValueError, KeyError, OSError) as e:
        raise click.BadParameter(f"{text!r} is no IANA time zone such as US/Pacific") from e


def mail_server(text: str) -> tuple[str, int]:
    """Take a mail server, with or without its port."""
    refused = click.BadParameter(f"{text!r} is no server, nor server:port")
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError as e:
        raise refused from e
    if not host or parts.netloc != text or parts.username is not None:
        raise refused
    return host, port or SMTP_PORT


def mail_address(text: str) -> str:
    """Take one mail address, without a name beside it."""
    local, at, _domain = text.rpartition("@")
    wrong = not text.isprintable() or set(text) & set(' ,;<>"') or (at and not local)
    if wrong or not text:
        raise click.BadParameter(f"{text!r} is no address such as ann@example.org")
    return text


def http_url(text: str) -> str:
    """Take the address of something on the web, without a slash at the end."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or not text.isprintable():
        raise click.BadParameter(f"{text!r} is no http or https URL")
    return text.rstrip("/")


def service_url(text: str) -> str:
    """Take the address of a service: one without user, query and fragment."""
    taken = http_url(text)
    parts = urlsplit(taken)
    try:
        _ = parts.port
    except ValueError as e:
        raise click.BadParameter(f"{text!r} has no port that there can be") from e
    if parts.username is not None:
        raise click.BadParameter("a URL holds no user or password: see --user and --password-file")
    if parts.query or parts.fragment:
        raise click.BadParameter(f"{text!r} is no address of a service: leave out ? and #")
    return taken


def idempotency_key(text: str) -> str:
    """Take an Idempotency-Key."""
    if not 0 < len(text) <= KEY_MAX or not text.isascii() or not text.isprintable():
        raise click.BadParameter(f"a key is 1 to {KEY_MAX} printable ASCII characters")
    return text


def name_and_value(text: str) -> tuple[str, str]:
    """Take NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is no NAME=VALUE")
    return name, value
