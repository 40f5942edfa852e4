"""What values of options may be: converters that refuse, for ``click.option(type=...)``."""

from __future__ import annotations

import zoneinfo
from urllib.parse import urlsplit

import click

SMTP_PORT = 25


def zone(text: str) -> zoneinfo.ZoneInfo:
    """Take the IANA name of a time zone."""
    try:
        return zoneinfo.ZoneInfo(str(text))
    except (ValueError, KeyError, OSError) as e:
        raise click.BadParameter(f"{text!r} is no IANA time zone such as US/Pacific") from e


def server(text: str) -> tuple[str, int]:
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


def address(text: str) -> str:
    """Take one mail address, without a name beside it."""
    local, at, _domain = text.rpartition("@")
    wrong = not text.isprintable() or set(text) & set(' ,;<>"') or (at and not local)
    if wrong or not text:
        raise click.BadParameter(f"{text!r} is no address such as ann@example.org")
    return text


def url(text: str) -> str:
    """Take the address of something on the web, without a slash at the end."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or not text.isprintable():
        raise click.BadParameter(f"{text!r} is no http or https URL")
    return text.rstrip("/")
