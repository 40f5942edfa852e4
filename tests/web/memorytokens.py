"""The roles TokenStore and GroupStore in memory, and a clock that tests turn."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.errors import BadRequest
from buildapi.model.ops import ADDRESS_MAX, ADDRESSES_KEPT, USED_SECONDS, Token
from buildapi.model.token_scope import NO_LIMITS, TokenScope
from tests.web.farm import Failing


@attrs.define
class Time:
    """Seconds since the epoch, as a test likes."""

    now: float

    def __call__(self) -> float:
        return self.now


@attrs.define
class MemoryTokens:
    """The role TokenStore."""

    tokens: dict[str, Token] = attrs.field(factory=dict)
    last: int = 0
    addresses: dict[int, list[str]] = attrs.field(factory=dict)
    adding: Failing = attrs.field(factory=Failing)
    finding: Failing = attrs.field(factory=Failing)
    using: Failing = attrs.field(factory=Failing)
    listing: Failing = attrs.field(factory=Failing)
    revoking: Failing = attrs.field(factory=Failing)

    async def add(
        self,
        who: str,
        label: str,
        digest: str,
        now: int,
        expires_at: int,
        *,
        scope: TokenScope = NO_LIMITS,
    ) -> Token:
        await self.adding.happen(who, label)
        try:
            (who + label).encode()
        except UnicodeEncodeError as e:
            raise BadRequest("The user's name or the label cannot be stored") from e
        self.last += 1
        self.tokens[digest] = Token(self.last, who, label, now, expires_at, scope=scope)
        return self.tokens[digest]

    async def find(self, digest: str) -> Token | None:
        await self.finding.happen(digest)
        return self.tokens.get(digest)

    async def of_user(self, who: str) -> Sequence[Token]:
        await self.listing.happen(who)
        return [t for t in reversed(self.tokens.values()) if t.who == who]

    async def used(self, token_id: int, now: int, address: str) -> bool:
        await self.using.happen(token_id, now, address)
        address = address[:ADDRESS_MAX]
        for digest, token in self.tokens.items():
            if token.id != token_id:
                continue
            known = self.addresses.setdefault(token_id, [])
            is_new = address not in known
            recent = token.used_at is not None and now - token.used_at < USED_SECONDS
            if is_new or not recent:
                self.addresses[token_id] = [address, *(a for a in known if a != address)]
                del self.addresses[token_id][ADDRESSES_KEPT:]
                used_at = token.used_at if recent else now
                self.tokens[digest] = attrs.evolve(token, used_at=used_at, used_from=address)
            return is_new
        return False

    async def revoke(self, token_id: int, who: str) -> bool:
        await self.revoking.happen(token_id, who)
        found = [d for d, t in self.tokens.items() if (t.id, t.who) == (token_id, who)]
        for digest in found:
            del self.tokens[digest]
        return bool(found)

    async def revoke_all(self, who: str) -> Sequence[int]:
        await self.revoking.happen(who)
        found = {d: t.id for d, t in self.tokens.items() if t.who == who}
        for digest in found:
            del self.tokens[digest]
        return list(found.values())

    async def forget(self, before: int) -> None:
        kept = {d: t for d, t in self.tokens.items() if t.expires_at >= before}
        self.tokens.clear()
        self.tokens.update(kept)


@attrs.define
class MemoryGroups:
    """The role GroupStore."""

    groups: dict[str, tuple[frozenset[str], int]] = attrs.field(factory=dict)
    remembering: Failing = attrs.field(factory=Failing)
    reading: Failing = attrs.field(factory=Failing)
    forgetting: Failing = attrs.field(factory=Failing)

    async def remember(self, who: str, groups: frozenset[str], now: int) -> None:
        await self.remembering.happen(who, groups, now)
        try:
            who.encode()
        except UnicodeEncodeError:
            return
        if who not in self.groups or self.groups[who][1] <= now:
            self.groups[who] = (groups, now)

    async def of_user(self, who: str, since: int) -> frozenset[str]:
        await self.reading.happen(who, since)
        groups, at = self.groups.get(who, (frozenset[str](), 0))
        return groups if at >= since else frozenset()

    async def forget(self, before: int) -> None:
        await self.forgetting.happen(before)
        for who in [who for who, (_, at) in self.groups.items() if at < before]:
            del self.groups[who]
