"""List and revoke the tokens of a user in the jobs database, for operators."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import attrs

from buildapi.admin.operator_records import add_records, by_operator
from buildapi.admin.own_tables import LOOK_SECONDS, Place, Say, each
from buildapi.db.sql import Database
from buildapi.db.token_store import SQLTokenStore
from buildapi.errors import ConfigError
from buildapi.exit_codes import DONE, MISSING
from buildapi.interfaces import TokenStore
from buildapi.model.audit import REVOKE_TOKEN, AuditOutcome, AuditRecord
from buildapi.model.ops import Token
from buildapi.model.token_scope import scope_json
from buildapi.reactor_time import Reactor


async def list_tokens(place: Place, reactor: Reactor, who: str, say: Say, *, as_json: bool) -> int:
    """Print the tokens of a user, newest first, without their texts; return the exit code."""

    async def work(_: Database, store: TokenStore) -> int:
        found = await store.of_user(who)
        if as_json:
            say(json.dumps([_shown(token) for token in found]))
        else:
            for token in found:
                say(_line(token))
            if not found:
                say(f"{who} has no tokens")
        return DONE

    return await _with_tokens(place, reactor, work, read_only=True)


async def revoke_tokens(
    place: Place, reactor: Reactor, who: str, ids: Sequence[int] | None, say: Say
) -> int:
    """Revoke tokens of a user, all without ``ids``; return the exit code, 5 if one is missing."""

    async def work(db: Database, store: TokenStore) -> int:
        if ids is None:
            gone = sorted(await store.revoke_all(who))
            await add_records(db, [revocation_record(who, token_id) for token_id in gone])
            for token_id in gone:
                say(f"token {token_id} of {who} is revoked")
            if not gone:
                say(f"{who} has no tokens")
            return DONE
        missing = 0
        for token_id in ids:
            done = await store.revoke(token_id, who)
            missing += not done
            await add_records(db, [revocation_record(who, token_id)] if done else [])
            say(
                f"token {token_id} of {who} is revoked"
                if done
                else f"{who} has no token {token_id}"
            )
        return MISSING if missing else DONE

    return await _with_tokens(place, reactor, work, read_only=False)


async def _with_tokens(
    place: Place,
    reactor: Reactor,
    work: Callable[[Database, TokenStore], Awaitable[int]],
    *,
    read_only: bool,
) -> int:
    """Call a function with the store of a jobs database, and close it; return the exit code."""
    codes = [DONE]

    async def one(place: Place) -> None:
        if not place.exists():
            raise ConfigError(f"{place.database.url} does not exist")
        db = place.open(reactor, LOOK_SECONDS, read_only=read_only)
        try:
            codes.append(await work(db, SQLTokenStore(db)))
        finally:
            await db.stopService()

    failed = await each([place], one)
    return failed or max(codes)


def revocation_record(who: str, token_id: int) -> AuditRecord:
    """Return the record of the revocation of a user's token by an operator."""
    actor = attrs.evolve(by_operator(), token_id=token_id)
    return AuditRecord(REVOKE_TOKEN, AuditOutcome.DONE, actor, detail=f"of {who}")


def _shown(token: Token) -> dict[str, object]:
    names = ("id", "label", "created_at", "expires_at", "used_at", "used_from")
    return {name: getattr(token, name) for name in names} | {"scope": scope_json(token.scope)}


def _line(token: Token) -> str:
    scope = scope_json(token.scope)
    used = "never used"
    if token.used_at is not None:
        used = f"used {_time(token.used_at)} from {token.used_from or 'an unknown address'}"
    limits = "without limits" if scope is None else json.dumps(scope)
    return (
        f"{token.id}  {token.label}  {limits}  created {_time(token.created_at)}"
        f"  expires {_time(token.expires_at)}  {used}"
    )


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
