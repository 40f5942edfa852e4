"""The role TokenStore in memory, and a clock that tests turn."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.errors import BadRequest
from buildapi.model.ops import USED_SECONDS, Token
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
    adding: Failing = attrs.field(factory=Failing)
    finding: Failing = attrs.field(factory=Failing)
    using: Failing = attrs.field(factory=Failing)
    listing: Failing = attrs.field(factory=Failing)
    revoking: Failing = attrs.field(factory=Failing)

    async def add(self, who: str, label: str, digest: str, now: int, expires_at: int) -> Token:
        await self.adding.happen(who, label)
        try:
            (who + label).encode()
        except UnicodeEncodeError as e:
            raise BadRequest("The user's name or the label cannot be stored") from e
        self.last += 1
        self.tokens[digest] = Token(self.last, who, label, now, expires_at)
        return self.tokens[digest]

    async def find(self, digest: str) -> Token | None:
        await self.finding.happen(digest)
        return self.tokens.get(digest)

    async def of_user(self, who: str) -> Sequence[Token]:
        await self.listing.happen(who)
        return [t for t in reversed(self.tokens.values()) if t.who == who]

    async def used(self, token_id: int, now: int) -> None:
        await self.using.happen(token_id, now)
        for digest, token in self.tokens.items():
            recent = token.used_at is not None and now - token.used_at < USED_SECONDS
            if token.id == token_id and not recent:
                self.tokens[digest] = attrs.evolve(token, used_at=now)

    async def revoke(self, token_id: int, who: str) -> bool:
        await self.revoking.happen(token_id, who)
        found = [d for d, t in self.tokens.items() if (t.id, t.who) == (token_id, who)]
        for digest in found:
            del self.tokens[digest]
        return bool(found)

    async def forget(self, before: int) -> None:
        kept = {d: t for d, t in self.tokens.items() if t.expires_at >= before}
        self.tokens.clear()
        self.tokens.update(kept)
