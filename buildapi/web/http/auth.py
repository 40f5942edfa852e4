"""Identify the user of a request: the owner of a token, or the name set by a trusted proxy.

We check no passwords: a proxy in front authenticates people and names them in a header. Anybody
can send that header, so it counts only from peers that the configuration trusts.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Callable, Sequence
from functools import lru_cache

import attrs

from buildapi.errors import BadRequest
from buildapi.model.ops import Token

WHO_MAX = 512
"""Length of the column ``jobrequests.who``, in characters."""

PEERS_KEPT = 1000
"""Peers of which it is kept whether they are trusted."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AuthMethod(enum.Enum):
    """How a user was authenticated."""

    PROXY = "proxy"
    TOKEN = "token"  # noqa: S105  # a word, not a secret
    DEVELOPMENT = "development"


@attrs.frozen
class Identity:
    """A user (None for nobody), how they were authenticated, and the token of the request."""

    who: str | None = None
    by: AuthMethod | None = None
    token: Token | None = None

    @classmethod
    def of(cls, token: Token) -> Identity:
        """Return the identity of a token's owner."""
        return cls(token.who, AuthMethod.TOKEN, token)


NOBODY = Identity()


@attrs.frozen
class Authenticator:
    """Read the user from ``header`` if the peer is trusted.

    ``development_user`` is the user of loopback peers without the header; empty for nobody.
    """

    header: str
    networks: Sequence[Network]
    unix: bool
    development_user: str = ""
    _trusted: Callable[[str], bool] = attrs.field(
        # A peer is looked at with each of its requests, and parsing it takes longer than the rest.
        default=attrs.Factory(lambda self: lru_cache(PEERS_KEPT)(self._looked_up), takes_self=True),
        init=False,
        eq=False,
        repr=False,
    )

    @classmethod
    def of(cls, header: str, trusted: Sequence[str], development_user: str = "") -> Authenticator:
        """Build an authenticator from configured addresses, networks and the word ``unix``."""
        networks = [ipaddress.ip_network(t, strict=False) for t in trusted if t != "unix"]
        return cls(header, networks, "unix" in trusted, development_user)

    def user(self, peer: str, values: Sequence[bytes]) -> str | None:
        """Return the user named by the header's raw values; None for nobody.

        :raises BadRequest: the header is repeated, not UTF-8, or cannot be a name.
        """
        return self.identity(peer, values).who

    def identity(self, peer: str, values: Sequence[bytes]) -> Identity:
        """Return the identity given by the header's raw values, or ``NOBODY``.

        :raises BadRequest: the header is repeated, not UTF-8, or cannot be a name.
        """
        named = self._named(values) if self.trusts(peer) else None
        if named is not None:
            return Identity(named, AuthMethod.PROXY)
        if self.development_user and _loopback(peer):
            return Identity(self.development_user, AuthMethod.DEVELOPMENT)
        return NOBODY

    def trusts(self, peer: str) -> bool:
        """Return whether a peer is a trusted proxy."""
        return self._trusted(peer)

    def _looked_up(self, peer: str) -> bool:
        # A UNIX socket has no addresses; its mode and group say who may connect (docs/security.md,
        # What is trusted).
        if peer == "unix":
            return self.unix
        address = address_of(peer)
        return address is not None and any(address in n for n in self.networks)

    def _named(self, values: Sequence[bytes]) -> str | None:
        # A proxy that adds its header, and leaves that of the client, sends two; which is its own
        # cannot be known (docs/security.md, A trusted peer).
        if len(values) > 1:
            raise BadRequest(f"Header {self.header} is given {len(values)} times")
        if not values:
            return None
        try:
            name = values[0].decode().strip()
        except UnicodeDecodeError as e:
            raise BadRequest(f"Header {self.header} is not UTF-8") from e
        # The name is logged, and stored with jobs and builds (docs/security.md, A user).
        if len(name) > WHO_MAX or not name.isprintable():
            raise BadRequest(
                f"Header {self.header} is not a name of up to {WHO_MAX} printable characters"
            )
        return name or None


def address_of(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an IP address; None if it is not one.  IPv4 mapped into IPv6 becomes IPv4."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return None
    # An IPv6 socket that accepts IPv4 as well shows its peers as ::ffff:192.0.2.1 [ipv6(7)].
    return getattr(address, "ipv4_mapped", None) or address


def _loopback(peer: str) -> bool:
    address = address_of(peer)
    return address is not None and address.is_loopback
