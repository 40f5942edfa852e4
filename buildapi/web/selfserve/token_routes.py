"""Serve the user's identity and their bearer tokens."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from urllib.parse import urlencode

import attrs
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from buildapi.errors import AccessDenied, BadRequest, NotFound, NotPermitted, Unavailable
from buildapi.interfaces import AuditLog, TokenStore
from buildapi.model.access import Administration, Decision, Question
from buildapi.model.actions import ACTIONS
from buildapi.model.audit import CREATE_TOKEN, REVOKE_TOKEN
from buildapi.model.ops import Token
from buildapi.model.token_scope import TokenScope, scope_json
from buildapi.parameters.param import Param, Place
from buildapi.parameters.texts import id_of_path
from buildapi.parameters.types import TerseInteger, Text
from buildapi.web.http.audit_records import token_record
from buildapi.web.http.auth import WHO_MAX, Identity
from buildapi.web.http.call import Call, by_token
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.page_permissions import reason
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.token_auth import TokenAuthenticator, digest_of, new_token
from buildapi.web.selfserve.documents import (
    AllRevokedDocument,
    NewTokenDocument,
    OwnTokenDocument,
    RevokedDocument,
    TokenDocument,
    WhoDocument,
)
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.token_scopes import SCOPE, scope_of, unmatched, words_of

TOKENS_MAX = 50
"""Maximum unexpired tokens of one user."""

LABEL_MAX = 100
DAYS = 30
DAY_SECONDS = 86_400
KEPT_DAYS = 30
"""Days that an expired token stays listed, so that its owner sees why a program is refused."""

PATH = "/self-serve/tokens"

log = Logger()


@attrs.frozen
class TokenRoutes:
    """Create, list and revoke tokens; ``days_max`` is the maximum lifetime.

    ``bearers`` authenticates them, None if tokens are switched off.  ``now`` returns seconds since
    the epoch, ``working`` bounds the time of a write.  ``decide`` tells who may manage the tokens
    of others; ``branches`` lists the names of the branches, or raises Unavailable.
    """

    _store: TokenStore
    _bearers: TokenAuthenticator | None
    _pages: SelfServePages
    _now: Callable[[], float]
    _days_max: int
    _working: Deadline
    _audit: AuditLog
    _decide: Callable[[Identity, Question], Decision]
    _branches: Callable[[], Collection[str]]
    # Counting and adding are two statements: concurrent requests would exceed the maximum.
    _making: DeferredLock = attrs.field(factory=DeferredLock, init=False)

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        one = f"{PATH}/{{token_id}}"
        return (
            Route("GET", "/self-serve/whoami", whoami, WHOAMI, (FORMAT,)),
            Route("GET", PATH, self.tokens, LIST, (USER.changed(place=Place.QUERY), FORMAT)),
            # Sites of [web] allowed_origins may submit jobs, but not create tokens, which outlive
            # the visit (docs/tokens.md, "Rules").
            Route(
                "POST",
                PATH,
                self.make,
                MAKE,
                (LABEL, self._days_param, *SCOPE),
                change=True,
                own_pages=True,
                action=CREATE_TOKEN,
            ),
            Route(
                "DELETE",
                PATH,
                self.revoke_all,
                REVOKE_ALL,
                (ALL_OF,),
                change=True,
                action=REVOKE_TOKEN,
            ),
            Route("DELETE", one, self.revoke, REVOKE, (USER,), change=True, action=REVOKE_TOKEN),
        )

    @property
    def _days(self) -> int:
        return min(DAYS, self._days_max)

    @property
    def _days_param(self) -> Param[int]:
        allowed = TerseInteger(1, self._days_max, tells_range=True)
        return Param("days", "days until it expires", allowed, Place.BODY, default=self._days)

    async def tokens(self, call: Call) -> Reply:
        """List the tokens of the caller, or of another user, newest first."""
        who = self._owner(call, USER.of(call))
        found = await self._store.of_user(who)
        return self._shown(call, who, found, [token_json(token) for token in found])

    async def make(self, call: Call) -> Reply:
        """Create a token; only this answer has its text."""
        who = self._owner(call)
        # A stolen token could otherwise prolong itself for ever.
        if by_token(call):
            raise AccessDenied("A token cannot create tokens: log in to create one")
        label, days, scope = LABEL.of(call), self._days_param.of(call), scope_of(call)
        warnings = self._warnings(scope)
        text = new_token(scope)
        token = await self._working.bound(
            self._making.run(self._add, who, label, text, days, scope)
        )
        log.info(
            "token {id} ({label}) of {who} created, {scope}, expires after {days} days",
            id=token.id,
            label=label,
            who=who,
            scope=words_of(scope) or "without limits",
            days=days,
        )
        detail = f"{words_of(scope) or 'without limits'}, expires after {days} days"
        self._audit.record(token_record(CREATE_TOKEN, call, token.id, label, detail))
        told: NewTokenDocument = {
            "status": "OK",
            "id": token.id,
            "token": text,
            "label": label,
            "expires_at": token.expires_at,
            "scope": scope_json(scope),
            "msg": MADE.format(id=token.id),
        }
        if warnings:
            told["warnings"] = warnings
        return attrs.evolve(self._shown(call, who, [token], told, text, warnings), status=201)

    def _warnings(self, scope: TokenScope) -> Sequence[str]:
        try:
            return unmatched(scope, self._branches())
        except Unavailable:  # nobody can tell now
            return ()

    async def _add(self, who: str, label: str, text: str, days: int, scope: TokenScope) -> Token:
        """Store a token, after the count of the user's tokens; the caller serializes the calls."""
        now = int(self._now())
        await self._store.forget(now - KEPT_DAYS * DAY_SECONDS)
        found = await self._store.of_user(who)
        if sum(token.expires_at > now for token in found) >= TOKENS_MAX:
            raise BadRequest(f"You have the maximum of {TOKENS_MAX} tokens: revoke one first")
        # Only the digest: a copy of the database logs nobody in (docs/security.md, "A token").
        return await self._store.add(
            who, label, digest_of(text), now, now + days * DAY_SECONDS, scope=scope
        )

    async def revoke(self, call: Call) -> Reply:
        """Revoke a token of the caller, or of another user."""
        text, user = call.path["token_id"], USER.of(call)
        who, token_id = self._owner(call, user), id_of_path(text)
        _require_own_or_unlimited(call.identity.token, token_id)
        if token_id is None or not await self._working.bound(self._store.revoke(token_id, who)):
            raise NotFound(f"Token {text} not found")
        # This process refuses it at once; others cache it for five seconds (docs/tokens.md,
        # "List and revoke tokens").
        self._forget(lambda token: token.id == token_id)
        log.info("token {id} of {who} revoked by {by}", id=token_id, who=who, by=call.user)
        self._record_revocation(call, token_id, who)
        msg = f"Token {token_id} revoked"
        told: RevokedDocument = {"status": "OK", "id": token_id, "msg": msg}
        return _done("Revoked", told, user)

    async def revoke_all(self, call: Call) -> Reply:
        """Revoke all tokens of a user."""
        user = ALL_OF.of(call)
        who = self._owner(call, user)
        _require_own_or_unlimited(call.identity.token)
        gone = sorted(await self._working.bound(self._store.revoke_all(who)))
        self._forget(lambda token: token.who == who)
        log.info("tokens {ids} of {who} revoked by {by}", ids=gone, who=who, by=call.user)
        for token_id in gone:
            self._record_revocation(call, token_id, who)
        msg = f"{len(gone)} tokens of {who} revoked"
        told: AllRevokedDocument = {"status": "OK", "user": who, "ids": gone, "msg": msg}
        return _done("Revoked", told, user)

    def _record_revocation(self, call: Call, token_id: int, who: str) -> None:
        detail = "" if who == call.user else f"of {who}"
        self._audit.record(token_record(REVOKE_TOKEN, call, token_id, "", detail))

    def _forget(self, matches: Callable[[Token], bool]) -> None:
        if self._bearers is not None:
            self._bearers.forget(matches)

    def _owner(self, call: Call, user: str | None = None) -> str:
        """Return whose tokens are meant: those of ``user``, or else of the caller.

        :raises AccessDenied: nobody calls, the caller may not manage those of others, or tokens are
            switched off.
        """
        who = call.user
        if self._bearers is None:
            raise AccessDenied("Tokens are switched off ([web] tokens)")
        if user is None or user == who:
            return who
        decision = self._decide(call.identity, MANAGE)
        if not decision.allowed:
            why = reason(decision.rule, decision.needed)
            raise NotPermitted(
                f"{who} may not manage the tokens of others ({MANAGE.action}): {why}",
                decision.rule,
                decision.needed,
            )
        return user

    def _shown(  # noqa: PLR0917  # what a page shows
        self,
        call: Call,
        who: str,
        found: Sequence[Token],
        told: object,
        text: str = "",
        warnings: Sequence[str] = (),
    ) -> Reply:
        context = self._pages.common() | {
            "tokens": [(token, words_of(token.scope)) for token in found],
            "owner": who,
            "is_own": who == call.who,
            "manages": self._decide(call.identity, MANAGE).allowed,
            "made": text,
            "warnings": warnings,
            "days": self._days,
            "days_max": self._days_max,
            "label_max": LABEL_MAX,
            "actions": tuple(ACTIONS),
        }
        return Reply(JSONBody.of(told), Page("tokens.html", "Tokens", context), fresh=True)


def _require_own_or_unlimited(token: Token | None, token_id: int | None = None) -> None:
    """Raise AccessDenied for a limited token that would revoke another than itself."""
    if token is not None and token.scope.is_limited and token.id != token_id:
        raise AccessDenied("This token is limited: it can revoke itself alone")


def _done(title: str, told: RevokedDocument | AllRevokedDocument, user: str | None) -> Reply:
    location = PATH if user is None else f"{PATH}?{urlencode({'user': user})}"
    return attrs.evolve(Reply.data(title, JSONBody.of(told)), location=location, fresh=True)


async def whoami(call: Call) -> Reply:
    """Return the user, how they were authenticated, and their CSRF token."""
    who, by, token = call.identity.who, call.identity.by, call.identity.token
    shown: OwnTokenDocument | None = None
    if token is not None:
        shown = {
            "id": token.id,
            "label": token.label,
            "expires_at": token.expires_at,
            "scope": scope_json(token.scope),
        }
    told: WhoDocument = {
        "who": who,
        "by": by.value if by else None,
        "token": shown,
        "csrf_token": call.new_token() or None,
    }
    return attrs.evolve(Reply.data("Current user", JSONBody.of(told)), fresh=True)


def token_json(token: Token) -> TokenDocument:
    """Return a token as JSON for its owner, without its text."""
    return {
        "id": token.id,
        "label": token.label,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
        "used_from": token.used_from,
        "scope": scope_json(token.scope),
    }


LABEL = Param("label", "its label", Text(1, LABEL_MAX), Place.BODY, needed=True)
MANAGE = Question(Administration.MANAGE_TOKENS.value)
USER = Param(
    "user",
    "another user, for those who may manage the tokens of others",
    Text(1, WHO_MAX),
    Place.EITHER,
)
ALL_OF = Param(
    "user",
    "the user; for another than yourself you need manage_tokens",
    Text(1, WHO_MAX),
    Place.EITHER,
    needed=True,
)
MADE = "Token {id} created: copy its text now, it is not shown again"
WHOAMI = "The user you are authenticated as, and how: proxy, token or development."
LIST = "Your tokens, newest first, without their texts."
MAKE = "Create a token for a program; only this answer has its text."
REVOKE = "Revoke one of your tokens; it is refused from then on."
REVOKE_ALL = "Revoke all tokens of a user."
