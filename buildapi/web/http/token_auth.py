"""Authenticate bearer tokens, with a cache of a few seconds.

A bearer token is a secret in ``Authorization: Bearer TOKEN`` that stands for its user [RFC 6750
2.1]. The database has digests only: who reads it cannot act as anybody.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence

import attrs
from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import BadToken, TooManyRequests, Unavailable
from buildapi.interfaces import TokenStore
from buildapi.model.ops import USED_SECONDS, Token
from buildapi.model.token_scope import NO_LIMITS, TokenScope
from buildapi.web.http.cache import RecentValues, SingleFlight
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.rate_limits import TokenBuckets, subnet_of
from buildapi.web.http.remembered_groups import RememberedGroups

FRESH_SECONDS = 5.0
"""How long a lookup is cached: a revoked token is refused everywhere after that."""

KNOWN_MAX = STRANGERS_MAX = 1000
"""Cached valid tokens, and unknown ones apart: a flood of unknown ones evicts no valid one."""

LOOKUPS_MAX = 16
"""Concurrent lookups beyond which tokens that are not cached as valid are refused."""

GUESSES_PER_MINUTE = 20
"""Unknown tokens of an address in a minute, beyond which those that are not cached are refused.

A program whose one token was revoked stays below: it is looked up every ``FRESH_SECONDS``.
"""

NOTES_MAX = 4
"""Concurrent records of uses."""

USES_MAX = 1000
"""Uses, by token and address, of which it is kept that they were recorded in the last minute."""

# Also after a comma: a proxy may take it for a token, and ask no password (docs/tokens.md, Behind a
# proxy).
_SCHEME = re.compile(rb"(?:^|[\s,])bearer", re.IGNORECASE)
# The scheme in any case [RFC 9110 11.1]; 43 and 44 characters are 32 and 33 bytes in
# base64url [RFC 4648 5].
_BEARER = re.compile(rb"[ \t]*(?i:bearer) +(bapi_[A-Za-z0-9_-]{43,44})[ \t]*")
_OURS = b"bapi_"
_FORM = "bapi_ and 43 or 44 letters, digits, - and _"

UNKNOWN = "The token is unknown or revoked"
EXPIRED = "The token has expired"
BUSY = "Too many requests with unknown tokens"
GUESSING = "Too many unknown tokens from {address}: tokens are looked up again in {seconds} s"

log = Logger()


def new_token(scope: TokenScope = NO_LIMITS) -> str:
    """Return a new random token; its prefix tells what it is wherever it turns up."""
    # One with limits is a character longer. Processes of the version before scopes, which would
    # take it for one without, refuse any other length than 43 characters.
    return f"bapi_{secrets.token_urlsafe(33 if scope.is_limited else 32)}"


def digest_of(token: str) -> str:
    """Return the stored digest of a token; 256 random bits cannot be guessed and need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(values: Sequence[bytes], *, foreign_passes: bool = False) -> str | None:
    """Return the bearer token in the values of ``Authorization``; None if there is none.

    Anything that a proxy might let through as a token counts as one.  Other schemes are the
    proxy's business; with ``foreign_passes``, so are bearer tokens without our prefix.

    :raises BadToken: the token is malformed, or ``Authorization`` is repeated.
    """
    if not any(map(_SCHEME.search, values)):
        return None
    if foreign_passes and not any(_OURS in value for value in values):
        return None
    if len(values) > 1:
        raise BadToken(f"Authorization is given {len(values)} times (max 1)")
    match = _BEARER.fullmatch(values[0])
    if match is None:
        raise BadToken(f"Authorization must be Bearer and a token: {_FORM}")
    return match[1].decode("ascii")


@attrs.define(eq=False)
class TokenAuthenticator:
    """Look up tokens; ``looking`` bounds the time of one lookup.

    ``clock`` returns seconds of a monotonic clock, ``now`` seconds since the epoch.  ``groups``
    remembers those of the owners, ``first_use`` is called with a token and a new address of it.
    """

    _store: TokenStore
    _clock: Callable[[], float]
    _now: Callable[[], float]
    _looking: Deadline
    groups: RememberedGroups
    _first_use: Callable[[Token, str], None] = lambda *_: None
    _known: RecentValues[Token] = attrs.field(init=False)
    _strangers: RecentValues[bool] = attrs.field(init=False)
    _lookups: SingleFlight[Token | None] = attrs.field(factory=SingleFlight, init=False)
    _guesses: TokenBuckets = attrs.field(
        factory=lambda: TokenBuckets(GUESSES_PER_MINUTE), init=False
    )
    _notes: int = attrs.field(default=0, init=False)
    _noted: RecentValues[bool] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._noted = RecentValues(self._clock, USES_MAX)
        self._known = RecentValues(self._clock, KNOWN_MAX)
        self._strangers = RecentValues(self._clock, STRANGERS_MAX)

    async def token(self, text: str, address: str) -> Token:
        """Return a token by its text, and record its use from the address of its client.

        :raises BadToken: it is unknown, revoked or expired.
        :raises TooManyRequests: it is not cached, and its address has sent too many unknown ones.
        :raises Unavailable: the database does not respond, or too many unknown tokens arrive.
        """
        digest = digest_of(text)
        token = await self._find(digest, address)
        if token is None:
            raise BadToken(UNKNOWN)
        # Here, since a cached token expires as well.
        if token.expires_at <= self._now():
            raise BadToken(EXPIRED)
        self._note(token, address)
        return token

    def forget(self, matches: Callable[[Token], bool]) -> None:
        """Drop revoked tokens from the cache."""
        self._lookups.renew()  # a running one may have read the row before
        self._known.drop(matches)

    # --- looking up

    async def _find(self, digest: str, address: str) -> Token | None:
        """Return a token from the cache, or look it up once for all callers; None if unknown."""
        token = self._known.fresh(digest)
        if token is not None:
            return token
        # One that was valid a while ago is looked up in any case: neither guesses nor floods of
        # others behind the same proxy lock it out (docs/tokens.md, "What programs should expect").
        if self._known.latest(digest) is None:
            self._require_few_guesses(address)
            if self._strangers.fresh(digest):
                return None
            if digest not in self._lookups and len(self._lookups) >= LOOKUPS_MAX:
                raise Unavailable(BUSY)
        is_first = digest not in self._lookups
        found = await self._lookups.get(
            digest,
            lambda: self._looking.bound(self._store.find(digest)),
            lambda found: self._keep(digest, found),
        )
        if found is None and is_first:  # the same token at the same time is one guess
            self._guesses.take(subnet_of(address), self._clock())
        return found

    def _require_few_guesses(self, address: str) -> None:
        left = self._guesses.left(subnet_of(address), self._clock())
        if not left.granted:
            seconds = left.retry_after
            raise TooManyRequests(GUESSING.format(address=address, seconds=seconds), seconds)

    def _keep(self, digest: str, token: Token | None) -> None:
        """Cache the result of a lookup."""
        if token is None:
            self._known.remove(digest)
            self._strangers.put(digest, value=True, seconds=FRESH_SECONDS)
            return
        self._strangers.remove(digest)
        self._known.put(digest, token, FRESH_SECONDS)

    # --- recording uses

    def _note(self, token: Token, address: str) -> None:
        """Record a use unless the last one is recent; the request does not wait for the write."""
        use = (token.id, address)
        if self._notes >= NOTES_MAX or self._noted.fresh(use):
            return
        now = int(self._now())
        # At once, so that requests meanwhile do not write the same.
        self._noted.put(use, value=True, seconds=USED_SECONDS)
        recent = token.used_at is not None and now - token.used_at < USED_SECONDS
        if not (recent and token.used_from == address):  # else another process has recorded it
            defer.ensureDeferred(self._used(token, now, address))

    async def _used(self, token: Token, now: int, address: str) -> None:
        self._notes += 1
        try:
            is_new = await self._store.used(token.id, now, address)
        except Unavailable as e:
            log.warn("token {id}: last use not recorded: {msg}", id=token.id, msg=e.msg)
        except Exception:
            log.failure("token {id}: last use not recorded", id=token.id)
        else:
            if is_new:
                self._first_use(token, address)
                log.info(
                    "token {id} ({label}) of {who} used first from {address}",
                    id=token.id,
                    label=token.label,
                    who=token.who,
                    address=address,
                )
        finally:
            self._notes -= 1
