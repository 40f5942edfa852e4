"""Who asks: whom a token stands for, or a name set by a trusted proxy, and by nobody else."""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Sequence

import attrs

from buildapi.errors import BadRequest
from buildapi.model.ops import Token

WHO_MAX = 512
"""Characters of ``jobrequests.who``."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class By(enum.Enum):
    """What told who somebody is."""

    PROXY = "proxy"
    TOKEN = "token"  # noqa: S105  # a word, not a secret
    DEVELOPMENT = "development"


@attrs.frozen
class Identity:
    """Who asks, and what told it; ``token`` is the one that was shown."""

    who: str | None = None
    by: By | None = None
    token: Token | None = None

    @classmethod
    def of(cls, token: Token) -> Identity:
        """Give whom a token stands for."""
        return cls(token.who, By.TOKEN, token)


NOBODY = Identity()


@attrs.frozen
class Authenticator:
    """Read the user from ``header`` if the peer is trusted.

    ``development_user`` is who a loopback peer without the header is; empty for nobody.
    """

    header: str
    networks: Sequence[Network]
    unix: bool
    development_user: str = ""

    @classmethod
    def of(cls, header: str, trusted: Sequence[str], development_user: str = "") -> Authenticator:
        """Build it from configured addresses, networks and the word ``unix``."""
        networks = [ipaddress.ip_network(t, strict=False) for t in trusted if t != "unix"]
        return cls(header, networks, "unix" in trusted, development_user)

    def user(self, peer: str, values: Sequence[bytes]) -> str | None:
        """Name the user by the header's values as they came; None for nobody.

        :raises BadRequest: the header is repeated, not UTF-8, or cannot be a name.
        """
        return self.identity(peer, values).who

    def identity(self, peer: str, values: Sequence[bytes]) -> Identity:
        """Tell who the user is by the header's values as they came.

        :raises BadRequest: the header is repeated, not UTF-8, or cannot be a name.
        """
        named = self._named(values) if self.trusts(peer) else None
        if named is not None:
            return Identity(named, By.PROXY)
        if self.development_user and _loopback(peer):
            return Identity(self.development_user, By.DEVELOPMENT)
        return NOBODY

    def trusts(self, peer: str) -> bool:
        """Tell whether a peer may say who somebody is."""
        if peer == "unix":
            return self.unix
        address = address_of(peer)
        return address is not None and any(address in n for n in self.networks)

    def _named(self, values: Sequence[bytes]) -> str | None:
        if len(values) > 1:
            raise BadRequest(f"Header {self.header} is given {len(values)} times")
        if not values:
            return None
        try:
            name = values[0].decode().strip()
        except UnicodeDecodeError as e:
            raise BadRequest(f"Header {self.header} is not UTF-8") from e
        if len(name) > WHO_MAX or not name.isprintable():
            raise BadRequest(f"Header {self.header} is no name of up to {WHO_MAX} characters")
        return name or None


def address_of(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address; None where it is none."""
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _loopback(peer: str) -> bool:
    address = address_of(peer)
    return address is not None and address.is_loopback
