"""Settings of the client, from options, environment and client file: URL and credentials."""

from __future__ import annotations

import ipaddress
import os
import stat
import sys
import tomllib
from collections.abc import Mapping
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import click

from buildapi.cli import param_types
from buildapi.cli.command_error import CommandError
from buildapi.exit_codes import WRONG

DEFAULT_URL = "http://localhost:8010"
TIMEOUT = 30.0
SECRET_MAX = 64 * 1024
ETC = Path("/etc/buildapi/client.toml")
KEYS: Mapping[str, type | tuple[type, ...]] = {
    "url": str,
    "token": str,
    "token_file": str,
    "user": str,
    "password_file": str,
    "cookie": str,
    "cookie_file": str,
    "ca": str,
    "timeout": (int, float),
}
# Any: options and keys of the client file, which click and _check have converted and checked.
Given = Mapping[str, Any]
"""Settings by their names."""

FILES = ("token_file", "password_file", "cookie_file", "ca")


@attrs.frozen
class ClientSettings:
    """How to reach the service; ``repr`` omits secrets."""

    url: str
    timeout: float = TIMEOUT
    ca: str | None = None
    token: str | None = attrs.field(default=None, repr=False)
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    cookie: str | None = attrs.field(default=None, repr=False)
    token_file: Path = attrs.field(factory=lambda: config_folder() / "token")

    @property
    def has_secret(self) -> bool:
        """Return whether requests carry a secret."""
        return any((self.token, self.password, self.cookie))


def config_folder() -> Path:
    """Return the folder of the user's settings (XDG base directory specification)."""
    base = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "buildapi"


def read_settings(given: Given) -> ClientSettings:
    """Return the settings of options, environment and client file.

    :raises CommandError: one of them is wrong, or a secret would be sent unencrypted.
    """
    chosen, file = locate_service(given)
    own = file
    if "url" in file and origin(chosen) != origin(file["url"]):
        # Secrets of the client file are for the host of its url alone (docs/commands.md,
        # "Connection and login").
        own = {key: file[key] for key in ("timeout",) if key in file}
    settings = _resolve(chosen, given, own)
    if settings.has_secret and not given.get("insecure_http") and not is_private(chosen):
        raise CommandError(
            f"{chosen} is not encrypted: sending a token, password or cookie there needs"
            " --insecure-http",
            WRONG,
        )
    return settings


def locate_service(given: Given) -> tuple[str, Given]:
    """Return the URL of the service and the content of the client file; read no secret file."""
    path = _client_file(given.get("client_config"))
    file = {} if path is None else _read(path)
    # Options before environment before file, as docs/commands.md, "Connection and login", promises.
    url = given.get("url") or _url(os.environ.get("BUILDAPI_URL"), "BUILDAPI_URL")
    return url or _url(file.get("url"), f"{path}: url") or DEFAULT_URL, file


def _resolve(url: str, given: Given, file: Given) -> ClientSettings:
    user = given.get("user") or file.get("user")
    password_file = given.get("password_file") or file.get("password_file")
    token_file = given.get("token_file") or file.get("token_file") or str(config_folder() / "token")
    cookie_file = given.get("cookie_file") or file.get("cookie_file")
    return ClientSettings(
        url=url,
        timeout=float(given.get("timeout") or file.get("timeout") or TIMEOUT),
        ca=given.get("ca") or file.get("ca"),
        token=_token(url, given, file, token_file),
        user=user,
        password=_password(user, password_file),
        cookie=cookie_file and _cookie(cookie_file, given.get("cookie") or file.get("cookie"), url),
        token_file=Path(token_file),
    )


# --- the client's file


def _client_file(given: str | None) -> Path | None:
    named = given or os.environ.get("BUILDAPI_CLIENT_CONFIG")
    if named:
        return Path(named)
    return next((p for p in (config_folder() / "client.toml", ETC) if p.is_file()), None)


def _read(path: Path) -> Given:
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as e:
        reason = e.strerror if isinstance(e, OSError) else "not valid TOML"
        raise CommandError(f"{path}: {reason}", WRONG) from None  # TOML errors may quote a secret
    for key, value in found.items():
        _check(path, key, value)
    if "token" in found:
        _warn_if_open(path)
    # Relative to the file, not to the current folder; an absolute path stays as it is.
    beside = {
        key: str(path.parent / Path(found[key]).expanduser()) for key in FILES if key in found
    }
    return {**found, **beside}


def _check(path: Path, key: str, value: object) -> None:
    if key not in KEYS:
        raise CommandError(f"{path}: unknown key {key} (allowed: {', '.join(KEYS)})", WRONG)
    # TOML's true is an int in Python.
    if not isinstance(value, KEYS[key]) or isinstance(value, bool):
        kind = "a number" if key == "timeout" else "a text"
        raise CommandError(f"{path}: {key} must be {kind}", WRONG)
    number: Any = value  # isinstance with the types of KEYS does not narrow it
    if key == "timeout" and not 0 < number <= 3600:
        raise CommandError(f"{path}: timeout must be above 0 and at most 3600 seconds", WRONG)


def _url(text: str | None, where: str) -> str | None:
    if not text:
        return None
    try:
        return param_types.service_url(text)
    except click.BadParameter as e:
        raise CommandError(f"{where}: {e.message}", WRONG) from e


# --- secrets


def _token(url: str, given: Given, file: Given, token_file: str) -> str | None:
    if not given.get("token_file"):
        if os.environ.get("BUILDAPI_TOKEN"):
            return _check_token(os.environ["BUILDAPI_TOKEN"].strip(), "BUILDAPI_TOKEN")
        if file.get("token"):
            return _check_token(file["token"], "token of the client file")
        if not Path(token_file).is_file() and not file.get("token_file"):
            return None
        if not Path(token_file).exists():  # "token create --save" is about to write it
            return None
    words = read_secret(token_file).split()
    # A saved token is for the service that made it, which "token create --save" noted beside it.
    if len(words) > 1 and origin(words[1]) != origin(url):
        return None
    return _check_token(words[0], token_file) if words else None


def _password(user: str | None, path: str | None) -> str | None:
    if user is None:
        return None
    if path:
        # Only the line feed that editors add: a password may end with a blank.
        return read_secret(path).rstrip("\r\n")
    # Never prompt a script: it would wait for ever.
    if sys.stdin.isatty():
        asked: str = click.prompt(f"Password of {user}", hide_input=True, err=True)
        return asked
    raise CommandError(f"a password for {user} is required: use --password-file", WRONG)


def read_secret(path: str) -> str:
    """Read a secret from a file, or from standard input for ``-``."""
    try:
        if path == "-":
            return sys.stdin.read(SECRET_MAX)
        _warn_if_open(Path(path))
        with Path(path).open(encoding="utf-8") as file:
            return file.read(SECRET_MAX)
    except (OSError, ValueError) as e:
        reason = e.strerror if isinstance(e, OSError) else "not UTF-8"
        raise CommandError(f"{path}: {reason}", WRONG) from None


def _warn_if_open(path: Path) -> None:
    if path.exists() and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        click.echo(f"buildapi: {path} holds a secret and is readable by other users", err=True)


def _check_token(text: str, where: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise CommandError(f"{where}: not a token (expected ASCII without spaces)", WRONG)
    return text


def _cookie(path: str, name: str | None, url: str) -> str:
    """Read the cookie of a proxy as ``name=value``."""
    text = read_secret(path).strip()
    # MozillaCookieJar reads files only, and its lines have tabs.
    if path != "-" and ("\t" in text or text.startswith("#")):
        text = _read_cookie_jar(path, name, url)
    found, equals, value = text.partition("=")
    if not equals or not value or "\n" in text or not text.isascii() or not text.isprintable():
        raise CommandError(f"{path}: neither name=value nor a cookie jar", WRONG)
    if name is not None and found != name:
        raise CommandError(f"{path}: no cookie {name}", WRONG)
    return text


def _read_cookie_jar(path: str, name: str | None, url: str) -> str:
    jar = MozillaCookieJar()
    try:
        # Session cookies, as a proxy's login sets them, are marked to be discarded; without this
        # they are skipped.
        jar.load(path, ignore_discard=True)
    except (LoadError, OSError):
        raise CommandError(f"{path}: not a Netscape cookie jar", WRONG) from None
    parts = urlsplit(url)
    host = parts.hostname or ""
    fitting = [
        f"{c.name}={c.value}"
        for c in jar
        # RFC 6265, section 5.1.3: a suffix matches at a dot only, or evilexample.org would get the
        # cookie of example.org.
        if (host == c.domain.lstrip(".") or (c.domain[:1] == "." and host.endswith(c.domain)))
        and (name is None or c.name == name)
        # RFC 6265, section 5.4: a secure cookie is sent over https only.
        and (not c.secure or parts.scheme == "https")
    ]
    if len(fitting) != 1:
        raise CommandError(
            f"{path}: {len(fitting)} cookies for {host} (expected one; choose it by --cookie)",
            WRONG,
        )
    return fitting[0]


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port of a URL; :raises CommandError: it is invalid."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError as e:
        raise CommandError("invalid URL", WRONG) from e
    return parts.scheme, parts.hostname, port


def is_private(url: str) -> bool:
    """Return whether requests to a URL are encrypted, or stay on this machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        # Names other than localhost are not resolved: DNS could answer anything.
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
