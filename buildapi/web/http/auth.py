"""Identify the user of a request: the owner of a token, or the name set by a trusted proxy.

We check no passwords: a proxy in front authenticates people, and names them and their groups in
headers. Anybody can send these, so they count only from peers that the configuration trusts.
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

GROUPS_MAX = 500
"""Groups of one user that a header may name."""

GROUP_MAX = 512
"""Characters of the name of a group: that of an LDAP directory is a whole path."""

LISTS_KEPT = 200
"""Values of the groups header that are kept in parsed form; each has at most 16 KiB."""

NO_GROUPS: frozenset[str] = frozenset()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AuthMethod(enum.Enum):
    """How a user was authenticated."""

    PROXY = "proxy"
    TOKEN = "token"  # noqa: S105  # a word, not a secret
    DEVELOPMENT = "development"


@attrs.frozen
class Identity:
    """A user (None for nobody), how they were authenticated, their token, and their groups."""

    who: str | None = None
    by: AuthMethod | None = None
    token: Token | None = None
    groups: frozenset[str] = NO_GROUPS


NOBODY = Identity()

MembershipOf = Callable[[str], frozenset[str]]
"""The groups of a user by the groups file."""


@attrs.frozen
class GroupsHeader:
    """The header in which trusted proxies list the user's groups, and what separates these."""

    name: str
    separator: str = ","
    _parsed: Callable[[bytes], frozenset[str]] = attrs.field(
        # A browser sends the same list with each of its requests.
        default=attrs.Factory(lambda self: lru_cache(LISTS_KEPT)(self._parse), takes_self=True),
        init=False,
        eq=False,
        repr=False,
    )

    def groups(self, values: Sequence[bytes]) -> frozenset[str]:
        """Return the groups that the header's raw values list.

        :raises BadRequest: the header is repeated, not UTF-8, or cannot be a list of names.
        """
        return self._parsed(_only_value(self.name, values)) if values else NO_GROUPS

    def _parse(self, value: bytes) -> frozenset[str]:
        items = (item.strip() for item in _text_of(self.name, value).split(self.separator))
        groups = frozenset(item for item in items if item)
        # Not the first so many: a rule that denies could be about one of the others.
        if len(groups) > GROUPS_MAX or not all(map(is_group_name, groups)):
            raise BadRequest(
                f"Header {self.name} is not a list of up to {GROUPS_MAX} groups of up to"
                f" {GROUP_MAX} printable characters"
            )
        return groups


def is_group_name(name: str) -> bool:
    """Return whether a text can be the name of a group."""
    return 1 <= len(name) <= GROUP_MAX and name.isprintable() and name == name.strip()


@attrs.frozen
class Authenticator:
    """Read the user from ``header``, and their groups from another, if the peer is trusted.

    ``development_user`` is the user of loopback peers without the header; empty for nobody.
    ``members`` returns the groups that a user has besides.
    """

    header: str
    networks: Sequence[Network]
    unix: bool
    development_user: str = ""
    groups_header: GroupsHeader | None = None
    members: MembershipOf = lambda _: NO_GROUPS
    _trusted: Callable[[str], bool] = attrs.field(
        # A peer is looked at with each of its requests, and parsing it takes longer than the rest.
        default=attrs.Factory(lambda self: lru_cache(PEERS_KEPT)(self._looked_up), takes_self=True),
        init=False,
        eq=False,
        repr=False,
    )

    @classmethod
    def of(
        cls,
        header: str,
        trusted: Sequence[str],
        development_user: str = "",
        groups_header: GroupsHeader | None = None,
        members: MembershipOf = lambda _: NO_GROUPS,
    ) -> Authenticator:
        """Build an authenticator from configured addresses, networks and the word ``unix``."""
        networks = [ipaddress.ip_network(t, strict=False) for t in trusted if t != "unix"]
        return cls(header, networks, "unix" in trusted, development_user, groups_header, members)

    def user(self, peer: str, values: Sequence[bytes]) -> str | None:
        """Return the user named by the header's raw values; None for nobody.

        :raises BadRequest: the header is repeated, not UTF-8, or cannot be a name.
        """
        return self.identity(peer, values).who

    def identity(
        self, peer: str, values: Sequence[bytes], groups: Sequence[bytes] = ()
    ) -> Identity:
        """Return the identity given by the raw values of the two headers, or ``NOBODY``.

        :raises BadRequest: a header is repeated, not UTF-8, or not a name, or a list of groups.
        """
        named = self._named(values) if self.trusts(peer) else None
        if named is not None:
            listed = self.groups_header.groups(groups) if self.groups_header else NO_GROUPS
            return Identity(named, AuthMethod.PROXY, groups=listed | self.members(named))
        if self.development_user and _loopback(peer):
            user = self.development_user
            return Identity(user, AuthMethod.DEVELOPMENT, groups=self.members(user))
        return NOBODY

    def owner(self, token: Token, groups: frozenset[str] = NO_GROUPS) -> Identity:
        """Return the identity of a token's owner; ``groups`` are those remembered of a header."""
        listed = groups if self.groups_header else NO_GROUPS
        return Identity(token.who, AuthMethod.TOKEN, token, listed | self.members(token.who))

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
        if not values:
            return None
        name = _text_of(self.header, _only_value(self.header, values)).strip()
        # The name is logged, and stored with jobs and builds (docs/security.md, A user).
        if len(name) > WHO_MAX or not name.isprintable():
            raise BadRequest(
                f"Header {self.header} is not a name of up to {WHO_MAX} printable characters"
            )
        return name or None


def _only_value(header: str, values: Sequence[bytes]) -> bytes:
    """Return the value of a header; :raises BadRequest: it is given more than once."""
    # A proxy that adds its header, and leaves that of the client, sends two; which is its own
    # cannot be known (docs/security.md, A trusted proxy).
    if len(values) > 1:
        raise BadRequest(f"Header {header} is given {len(values)} times")
    return values[0]


def _text_of(header: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as e:
        raise BadRequest(f"Header {header} is not UTF-8") from e


@lru_cache(PEERS_KEPT)
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
