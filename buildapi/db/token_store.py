"""Store tokens in SQL by their digests, with their users, scopes, expiry times and last uses."""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs

from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import (
    CHUNK,
    Column,
    Database,
    DuplicateError,
    GuardFailedError,
    Query,
    Read,
    Ref,
    Statement,
    ValueRefusedError,
    Write,
    any_of,
)
from buildapi.errors import BadRequest
from buildapi.model.ops import ADDRESS_MAX, ADDRESSES_KEPT, USED_SECONDS, Token
from buildapi.model.token_scope import (
    NO_LIMITS,
    NOT_UNDERSTOOD,
    TokenScope,
    scope_from,
    scope_json,
)

# The address of the last use by a subquery: a token has at most ADDRESSES_KEPT rows there.
_LAST_FROM = """(SELECT u.address FROM buildapi_token_uses u WHERE u.token_id = t.id
 ORDER BY u.used_at DESC, u.address LIMIT 1)"""
_TOKENS = f"""SELECT t.id, t.who, t.label, t.created_at, t.expires_at, t.used_at, s.scope,
 {_LAST_FROM} FROM buildapi_tokens t
 LEFT JOIN buildapi_token_scopes s ON s.token_id = t.id"""  # noqa: S608  # a constant
# MySQL ignores trailing blanks when it compares texts. Compare the bytes in hexadecimal as well;
# the plain comparison beside it uses the index.
_WHOSE = "who = :who AND HEX(who) = :code"


def _token(*columns: Column) -> Token:
    *own, scope, address = columns
    return attrs.evolve(Token(*own), scope=_scope(scope), used_from=address)


def _scope(text: str | None) -> TokenScope:
    if text is None:
        return NO_LIMITS
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return NOT_UNDERSTOOD
    # No version stores a null: a token without limits has no row in the table of scopes.
    return NOT_UNDERSTOOD if found is None else scope_from(found)


FIND = Query(f"{_TOKENS} WHERE t.digest = :digest", _token)
OF_USER = Query(f"{_TOKENS} WHERE {_WHOSE} ORDER BY t.id DESC", _token)
IDS = Query(f"SELECT id FROM buildapi_tokens WHERE {_WHOSE} ORDER BY id LIMIT {CHUNK}", int)  # noqa: S608  # a constant
ENDED = Query("SELECT id FROM buildapi_tokens WHERE expires_at < :before LIMIT :limit", int)
INSERT = """INSERT INTO buildapi_tokens (digest, who, label, created_at, expires_at)
 VALUES (:digest, :who, :label, :now, :expires_at)"""
LIMIT = "INSERT INTO buildapi_token_scopes (token_id, scope) VALUES (:id, :scope)"
USED = """UPDATE buildapi_tokens SET used_at = :now
 WHERE id = :id AND (used_at IS NULL OR used_at <= :before)"""
USES = Query(
    "SELECT address, used_at FROM buildapi_token_uses WHERE token_id = :id ORDER BY used_at DESC",
    lambda address, used_at: (str(address), int(used_at)),
)
KNOWN = "SELECT 1 FROM buildapi_tokens WHERE id = :id"
USED_FROM = """INSERT INTO buildapi_token_uses (token_id, address, used_at)
 VALUES (:id, :address, :now)"""
USED_AGAIN = """UPDATE buildapi_token_uses SET used_at = :now
 WHERE token_id = :id AND address = :address AND used_at <= :before"""
UNUSED = "DELETE FROM buildapi_token_uses WHERE token_id = :id AND address = :address"
REVOKE = f"DELETE FROM buildapi_tokens WHERE id = :id AND {_WHOSE}"  # noqa: S608  # a constant
DETAILS = ("buildapi_token_scopes", "buildapi_token_uses")
"""Tables with rows of tokens, by their ``token_id``."""


@attrs.frozen
class SQLTokenStore:
    """Implement ``TokenStore`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)

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
        """Store a new token; :raises BadRequest: the name or label cannot be stored."""
        row = {"digest": digest, "who": who, "label": label, "now": now, "expires_at": expires_at}
        # In one transaction: a token whose scope is not stored would be one without limits.
        statements = [Statement(INSERT, row, 1, binds="token")]
        if (document := scope_json(scope)) is not None:
            limit = {"id": Ref("token"), "scope": json.dumps(document)}
            statements.append(Statement(LIMIT, limit, 1))
        try:
            id_, *_ = await self._db.transact(statements)
        except ValueRefusedError as e:
            raise BadRequest("The user's name or the label cannot be stored") from e
        except DuplicateError:
            earlier = await self.find(digest)
            if earlier is None:
                raise
            return earlier  # the commit whose answer was lost had been one
        return Token(id_, who, label, now, expires_at, scope=scope)

    async def find(self, digest: str) -> Token | None:
        """Find a token by its digest, expired or not."""
        return await FIND.maybe(self._db, digest=digest)

    async def of_user(self, who: str) -> Sequence[Token]:
        """List the tokens of a user, newest first."""
        try:
            return await OF_USER.many(self._db, **_whose(who))
        except ValueRefusedError:  # nothing in the database can be equal to that
            return []

    async def used(self, token_id: int, now: int, address: str) -> bool:
        """Record a use; return whether none of the last ones was from this address."""
        use = {"id": token_id, "now": now, "before": now - USED_SECONDS}
        use_from = {**use, "address": address[:ADDRESS_MAX]}

        def deciding(read: Read, write: Write) -> bool:
            known = USES.all_of(read, id=token_id)
            is_new = all(one != use_from["address"] for one, _ in known)
            # A token that was revoked meanwhile leaves no rows.
            if is_new and not read(KNOWN, {"id": token_id}):
                return False
            statements = [Statement(USED, use)]
            if is_new:
                statements.append(Statement(USED_FROM, use_from, 1))
            else:
                statements.append(Statement(USED_AGAIN, use_from))
            for gone, _ in known[ADDRESSES_KEPT - is_new :]:
                statements.append(Statement(UNUSED, {"id": token_id, "address": gone}))
            write(statements)
            return is_new

        try:
            return await self._db.decide(deciding)
        except (DuplicateError, ValueRefusedError):  # another process has just recorded it
            return False

    async def revoke(self, token_id: int, who: str) -> bool:
        """Delete a token of a user; return False if the user has no such token."""
        try:
            await self._db.transact(_revocation([token_id], who))
        except (GuardFailedError, ValueRefusedError):
            return False
        return True

    async def revoke_all(self, who: str) -> Sequence[int]:
        """Delete all tokens of a user; return their ids."""
        gone: list[int] = []
        try:
            while ids := await IDS.many(self._db, **_whose(who)):
                # Not guarded by the number of rows: another process may revoke some at once.
                await self._db.transact(_revocation(ids, who, rows=None))
                gone += ids
        except ValueRefusedError:
            return []
        return gone

    async def forget(self, before: int) -> None:
        """Delete the tokens that expired before a time, some hundreds at a time."""
        while ids := await ENDED.many(self._db, before=before, limit=CHUNK):
            marks, params = any_of("id", ids)
            text = f"DELETE FROM buildapi_tokens WHERE id IN ({marks})"  # noqa: S608  # names of parameters
            await self._db.transact([Statement(text, params), *_without_details(ids)])


def _revocation(ids: Sequence[int], who: str, rows: int | None = 1) -> list[Statement]:
    """Return the statements that delete tokens of a user; ``rows`` of each must be there."""
    deleting = [Statement(REVOKE, {"id": one, **_whose(who)}, rows) for one in ids]
    return [*deleting, *_without_details(ids)]


def _without_details(ids: Sequence[int]) -> list[Statement]:
    marks, params = any_of("id", ids)
    return [
        Statement(f"DELETE FROM {table} WHERE token_id IN ({marks})", params)  # noqa: S608  # constants and names of parameters
        for table in DETAILS
    ]


def _whose(who: str) -> dict[str, str]:
    return {"who": who, "code": who.encode(errors="surrogatepass").hex().upper()}
