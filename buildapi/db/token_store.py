"""Store tokens in SQL by their digests, with their users and expiry times."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import (
    CHUNK,
    Database,
    DuplicateError,
    GuardFailedError,
    Query,
    Statement,
    ValueRefusedError,
    delete_selected,
)
from buildapi.errors import BadRequest
from buildapi.model.ops import USED_SECONDS, Token

_TOKENS = "SELECT id, who, label, created_at, expires_at, used_at FROM buildapi_tokens"
# MySQL ignores trailing blanks when it compares texts. Compare the bytes in hexadecimal as well;
# the plain comparison beside it uses the index.
_WHOSE = "who = :who AND HEX(who) = :code"

FIND = Query(f"{_TOKENS} WHERE digest = :digest", Token)
OF_USER = Query(f"{_TOKENS} WHERE {_WHOSE} ORDER BY id DESC", Token)
ENDED = Query("SELECT id FROM buildapi_tokens WHERE expires_at < :before LIMIT :limit", int)
INSERT = """INSERT INTO buildapi_tokens (digest, who, label, created_at, expires_at)
 VALUES (:digest, :who, :label, :now, :expires_at)"""
USED = """UPDATE buildapi_tokens SET used_at = :now
 WHERE id = :id AND (used_at IS NULL OR used_at <= :before)"""
REVOKE = f"DELETE FROM buildapi_tokens WHERE id = :id AND {_WHOSE}"  # noqa: S608  # a constant


@attrs.frozen
class SQLTokenStore:
    """Implement ``TokenStore`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)

    async def add(self, who: str, label: str, digest: str, now: int, expires_at: int) -> Token:
        """Store a new token; :raises BadRequest: the name or label cannot be stored."""
        row = {"digest": digest, "who": who, "label": label, "now": now, "expires_at": expires_at}
        try:
            (id_,) = await self._db.transact([Statement(INSERT, row, 1)])
        except ValueRefusedError as e:
            raise BadRequest("The user's name or the label cannot be stored") from e
        except DuplicateError:
            earlier = await self.find(digest)
            if earlier is None:
                raise
            return earlier  # the commit whose answer was lost had been one
        return Token(id_, who, label, now, expires_at)

    async def find(self, digest: str) -> Token | None:
        """Find a token by its digest, expired or not."""
        return await FIND.maybe(self._db, digest=digest)

    async def of_user(self, who: str) -> Sequence[Token]:
        """List the tokens of a user, newest first."""
        try:
            return await OF_USER.many(self._db, **_whose(who))
        except ValueRefusedError:  # nothing in the database can be equal to that
            return []

    async def used(self, token_id: int, now: int) -> None:
        """Record the use of a token, unless it was used in the minute before."""
        use = {"id": token_id, "now": now, "before": now - USED_SECONDS}
        await self._db.transact([Statement(USED, use)])

    async def revoke(self, token_id: int, who: str) -> bool:
        """Delete a token of a user; return False if the user has no such token."""
        try:
            await self._db.transact([Statement(REVOKE, {"id": token_id, **_whose(who)}, 1)])
        except (GuardFailedError, ValueRefusedError):
            return False
        return True

    async def forget(self, before: int) -> None:
        """Delete the tokens that expired before a time, some hundreds at a time."""
        await delete_selected(
            self._db,
            "buildapi_tokens",
            lambda: ENDED.many(self._db, before=before, limit=CHUNK),
        )


def _whose(who: str) -> dict[str, str]:
    return {"who": who, "code": who.encode(errors="surrogatepass").hex().upper()}
