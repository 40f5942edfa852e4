"""Check the addresses in the configuration: endpoints, databases, the broker, documents."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import attrs
from twisted.internet.endpoints import serverFromString

from buildapi.config.converters import BadValueError, KeyPlace, file, path, text
from buildapi.config.secret import printable, split_password

# --- endpoints ------------------------------------------------------------------------------

_PORT_TYPES = {"tcp", "tcp6", "ssl"}
_REFUSED_TYPES = {"stdio"}


def endpoint(value: object, place: KeyPlace) -> str:
    """Accept the description of a Twisted server endpoint, without opening it.

    A UNIX socket without a mode gets 660: the default of Twisted is 666, open to everybody.
    """
    description = text(value, place)
    try:
        _check_endpoint(description)
    except Exception as e:  # any plugin may parse this text, and fail as it likes
        reason = printable(" ".join(str(e).split())) or type(e).__name__
        allowed = 'a Twisted server endpoint such as "tcp:8010:interface=127.0.0.1"'
        raise BadValueError(f"{allowed} ({reason})") from e
    if _socket_mode(description) == "":
        return f"{description}:mode={SOCKET_MODE}"
    return description


SOCKET_MODE = "660"


def _socket_mode(description: str) -> str | None:
    """Return the mode of a UNIX socket as written, empty if missing; None for other endpoints."""
    kind, words, named = _endpoint_words(description)
    if kind != "unix":
        return None
    return named.get("mode", words[1] if len(words) > 1 and "address" not in named else "")


def wide_open(description: str) -> str | None:
    """Return why every user of this host may connect to a UNIX socket; None if they may not."""
    mode = _socket_mode(description)
    if mode and int(mode, 8) & 0o002:
        return f"mode {mode} lets every user of this host connect"
    kind, _, named = _endpoint_words(description)
    if kind == "systemd" and named.get("domain") == "UNIX":
        return (
            "systemd sets its mode (SocketMode in the unit; by default every user of this host may"
            " connect)"
        )
    return None


def _check_endpoint(description: str) -> None:
    kind, words, named = _endpoint_words(description)
    if kind in _REFUSED_TYPES:
        raise ValueError("standard input cannot serve HTTP")
    if kind == "systemd":
        # Its file descriptors exist only in the process that systemd starts.
        if "domain" not in named or ("name" in named) == ("index" in named):
            raise ValueError("systemd needs a domain, and either a name or an index")
        return
    serverFromString(None, description)  # needs a reactor only in listen(), never called here
    if kind in _PORT_TYPES and not 0 <= int(named.get("port", [*words, "0"][0])) < 65536:
        raise ValueError("the port must be at most 65535")


def _endpoint_words(description: str) -> tuple[str, list[str], dict[str, str]]:
    # A backslash escapes what follows, such as a colon in a path [Twisted, quoteStringArgument].
    parts = re.findall(r"(?:\\.|[^\\:])+", description)
    pairs = [re.fullmatch(r"((?:\\.|[^\\=])*)=(.*)", part) for part in parts]
    words = [_unescaped(p) for p, pair in zip(parts, pairs, strict=True) if pair is None]
    named = {_unescaped(pair[1]): _unescaped(pair[2]) for pair in pairs if pair is not None}
    return (words[0] if words else "").lower(), words[1:], named


def _unescaped(part: str) -> str:
    return re.sub(r"\\(.)", r"\1", part)


def is_shareable(description: str) -> bool:
    """Return whether several processes of this host can listen on an endpoint: TCP, or systemd."""
    return _endpoint_words(description)[0] in ("tcp", "tcp6", "systemd")


def is_own_tcp(description: str) -> bool:
    """Return whether an endpoint is a TCP port that we open ourselves."""
    return _endpoint_words(description)[0] in ("tcp", "tcp6")


def with_later_port(description: str, by: int) -> str:
    """Return a TCP endpoint whose port is higher by a number; 0, which is any port, stays."""
    found = re.search(r"(?<=:port=)\d+", description) or re.search(r"(?<=:)\d+", description)
    if found is None or int(found[0]) == 0:
        return description
    return f"{description[: found.start()]}{int(found[0]) + by}{description[found.end() :]}"


def is_local(description: str) -> bool:
    """Return whether only clients on this host can connect to an endpoint."""
    kind, words, named = _endpoint_words(description)
    if kind == "unix":
        return True
    by_position = words[1] if kind == "tcp" and len(words) > 1 else ""
    interface = named.get("interface", by_position) if kind in _PORT_TYPES else ""
    try:
        return interface == "localhost" or ipaddress.ip_address(interface).is_loopback
    except ValueError:
        return False


# --- databases ------------------------------------------------------------------------------

_DATABASE = 'a database such as "sqlite:FILE" or "mysql://USER@HOST:PORT/NAME"'


def database_url(value: object, place: KeyPlace) -> str:
    """Accept the URL of a database; return it without its password, an SQLite path absolute."""
    url, _ = split_password(text(value, place))
    scheme, _, rest = url.partition(":")
    kind = DATABASE_KINDS.get(scheme.lower())
    if kind is None:
        raise BadValueError(_DATABASE)
    return kind.check(rest, place)


def _sqlite(rest: str, place: KeyPlace) -> str:
    name = rest.removeprefix("///")  # so that four slashes begin an absolute path, as in Buildbot
    if not name or name.startswith((":", "//")):
        raise BadValueError('a file such as "sqlite:data/jobs.sqlite"')
    found = path(name, place)
    if os.path.isdir(found):
        raise BadValueError("a file, not an existing folder")
    return f"sqlite:{found}"


def _mysql(rest: str, _: KeyPlace) -> str:
    allowed = '"mysql://USER@HOST:PORT/NAME", optionally with "?unix_socket=PATH"'
    parts = _split("mysql:" + rest, allowed)
    if not parts.username or not unquote(parts.path[1:]) or "/" in parts.path[1:]:
        raise BadValueError(allowed)
    options = [name for name, _ in parse_qsl(parts.query)]
    # parse_qsl leaves out options without a value: then the query alone shows that there was one.
    if options not in ([], ["unix_socket"]) or (not options and parts.query):
        raise BadValueError(allowed)
    if not parts.hostname and not options:
        raise BadValueError(allowed)
    return parts.geturl()


@attrs.frozen
class DatabaseKind:
    """Describe the URLs of one scheme: how one is checked, and whether it names a file.

    A database in a file has no server: no password, no certificate, no accounts.
    """

    check: Callable[[str, KeyPlace], str]
    is_file: bool = False


DATABASE_KINDS: Mapping[str, DatabaseKind] = {
    "sqlite": DatabaseKind(_sqlite, is_file=True),
    "mysql": DatabaseKind(_mysql),
    "mysql+pymysql": DatabaseKind(_mysql),
}
"""Kind of database for each URL scheme; ``buildapi.db.pool.DRIVERS`` has their drivers."""


def database_file(url: str) -> str | None:
    """Return the file of a database that is one; None for a database on a server."""
    scheme, _, name = url.partition(":")
    return name if DATABASE_KINDS[scheme].is_file else None


# --- broker ---------------------------------------------------------------------------------

_BROKER = '"embedded:" or "amqp://USER@HOST:PORT/VHOST" (or amqps)'
# [RabbitMQ, AMQP URI Specification]
_AMQP_PORTS = {"amqp": 5672, "amqps": 5671}


@attrs.frozen
class BrokerKind:
    """Describe the brokers of one URL scheme.

    Where ``is_shared``, other processes reach the queues: at an address, with a password.
    """

    is_shared: bool
    has_tls: bool


BROKER_KINDS: Mapping[str, BrokerKind] = {
    "embedded": BrokerKind(is_shared=False, has_tls=False),
    "amqp": BrokerKind(is_shared=True, has_tls=False),
    "amqps": BrokerKind(is_shared=True, has_tls=True),
}
"""Kind of broker for each URL scheme; ``buildapi.assembly.brokers.BROKERS`` opens them."""


@attrs.frozen
class AMQPAddress:
    """The address of an AMQP broker, and the user and virtual host to open."""

    host: str
    port: int
    vhost: str
    username: str
    tls: bool


def broker_url(value: object, place: KeyPlace) -> str:
    """Accept the URL of a broker; return it without its password."""
    url, _ = split_password(text(value, place))
    if url != "embedded:":
        amqp_address(url)
    return url


def amqp_address(url: str) -> AMQPAddress:
    """Parse a broker URL; the virtual host is ``/`` if the URL names none."""
    parts = _split(url, _BROKER)
    if parts.scheme not in _AMQP_PORTS or not parts.hostname or not parts.username:
        raise BadValueError(_BROKER)
    if "/" in parts.path[1:] or parts.query:
        raise BadValueError(f'{_BROKER}, with "/" in the virtual host written as "%2F"')
    return AMQPAddress(
        parts.hostname,
        parts.port or _AMQP_PORTS[parts.scheme],
        # By RabbitMQ's URI specification a lone slash means a virtual host with an empty name; here
        # it means "/".
        unquote(parts.path[1:]) or "/",
        unquote(parts.username),
        parts.scheme == "amqps",
    )


# --- documents ------------------------------------------------------------------------------


def document(value: object, place: KeyPlace) -> str:
    """Accept an http(s) URL, or the path of a readable file; return a path absolute."""
    location = text(value, place)
    if "://" not in location:
        return str(file(location, place))
    return _http(location, "a file or an http(s) URL without user name and password")


def http_url(value: object, place: KeyPlace) -> str:
    """Accept an http(s) URL."""
    return _http(text(value, place), "an http(s) URL without user name and password")


def _http(location: str, allowed: str) -> str:
    parts = _split(location, allowed)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise BadValueError(allowed)
    return parts.geturl()


def _split(url: str, allowed: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        bad = parts.port == 0 or parts.fragment
    except ValueError as e:
        raise BadValueError(allowed) from e
    if bad:
        raise BadValueError(allowed)
    return parts
