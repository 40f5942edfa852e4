"""Serve the user's identity and their bearer tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from buildapi.errors import AccessDenied, BadRequest, NotFound
from buildapi.interfaces import AuditLog, TokenStore
from buildapi.model.audit import CREATE_TOKEN, REVOKE_TOKEN
from buildapi.model.ops import Token
from buildapi.parameters.param import Param, Place
from buildapi.parameters.texts import id_of_path
from buildapi.parameters.types import TerseInteger, Text
from buildapi.web.http.audit_records import token_record
from buildapi.web.http.call import Call, by_token
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.token_auth import TokenAuthenticator, digest_of, new_token
from buildapi.web.selfserve.pages import SelfServePages

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
    the epoch, ``working`` bounds the time of a write.
    """

    _store: TokenStore
    _bearers: TokenAuthenticator | None
    _pages: SelfServePages
    _now: Callable[[], float]
    _days_max: int
    _working: Deadline
    _audit: AuditLog
    # Counting and adding are two statements: concurrent requests would exceed the maximum.
    _making: DeferredLock = attrs.field(factory=DeferredLock, init=False)

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        one = f"{PATH}/{{token_id}}"
        return (
            Route("GET", "/self-serve/whoami", whoami, WHOAMI, (FORMAT,)),
            Route("GET", PATH, self.tokens, LIST, (FORMAT,)),
            # Sites of [web] allowed_origins may submit jobs, but not create tokens, which outlive
            # the visit (docs/tokens.md, "Rules").
            Route(
                "POST",
                PATH,
                self.make,
                MAKE,
                (LABEL, self._days_param),
                change=True,
                own_pages=True,
                action=CREATE_TOKEN,
            ),
            Route("DELETE", one, self.revoke, REVOKE, change=True, action=REVOKE_TOKEN),
        )

    @property
    def _days(self) -> int:
        return min(DAYS, self._days_max)

    @property
    def _days_param(self) -> Param[int]:
        allowed = TerseInteger(1, self._days_max, tells_range=True)
        return Param("days", "days until it expires", allowed, Place.BODY, default=self._days)

    async def tokens(self, call: Call) -> Reply:
        """List the user's tokens, newest first."""
        who = self._owner(call)
        found = await self._store.of_user(who)
        return self._shown(found, [token_json(token) for token in found])

    async def make(self, call: Call) -> Reply:
        """Create a token; only this answer has its text."""
        who = self._owner(call)
        # A stolen token could otherwise prolong itself for ever.
        if by_token(call):
            raise AccessDenied("A token cannot create tokens: log in to create one")
        label, days = LABEL.of(call), self._days_param.of(call)
        text = new_token()
        token = await self._working.bound(self._making.run(self._add, who, label, text, days))
        log.info(
            "token {id} ({label}) of {who} created, expires after {days} days",
            id=token.id,
            label=label,
            who=who,
            days=days,
        )
        detail = f"expires after {days} days"
        self._audit.record(token_record(CREATE_TOKEN, call, token.id, label, detail))
        told = {"status": "OK", "id": token.id, "token": text, "label": label}
        told |= {"expires_at": token.expires_at, "msg": MADE.format(id=token.id)}
        return attrs.evolve(self._shown([token], told, text), status=201)

    async def _add(self, who: str, label: str, text: str, days: int) -> Token:
        """Store a token, after the count of the user's tokens; the caller serializes the calls."""
        now = int(self._now())
        await self._store.forget(now - KEPT_DAYS * DAY_SECONDS)
        found = await self._store.of_user(who)
        if sum(token.expires_at > now for token in found) >= TOKENS_MAX:
            raise BadRequest(f"You have the maximum of {TOKENS_MAX} tokens: revoke one first")
        # Only the digest: a copy of the database logs nobody in (docs/security.md, "A user").
        return await self._store.add(who, label, digest_of(text), now, now + days * DAY_SECONDS)

    async def revoke(self, call: Call) -> Reply:
        """Revoke a token of the user."""
        who, text = self._owner(call), call.path["token_id"]
        token_id = id_of_path(text)
        if token_id is None or not await self._working.bound(self._store.revoke(token_id, who)):
            raise NotFound(f"Token {text} not found")
        if self._bearers is not None:
            # This process refuses it at once; others cache it for five seconds (docs/tokens.md,
            # "List and revoke tokens").
            self._bearers.forget(token_id)
        log.info("token {id} of {who} revoked", id=token_id, who=who)
        self._audit.record(token_record(REVOKE_TOKEN, call, token_id, "", ""))
        told = {"status": "OK", "id": token_id, "msg": f"Token {token_id} revoked"}
        return attrs.evolve(Reply.data("Revoked", JSONBody.of(told)), location=PATH, fresh=True)

    def _owner(self, call: Call) -> str:
        """Return the owner; :raises AccessDenied: there is no user, or tokens are switched off."""
        who = call.user
        if self._bearers is None:
            raise AccessDenied("Tokens are switched off ([web] tokens)")
        return who

    def _shown(self, found: Sequence[Token], told: object, text: str = "") -> Reply:
        context = self._pages.common() | {
            "tokens": found,
            "made": text,
            "days": self._days,
            "days_max": self._days_max,
            "label_max": LABEL_MAX,
        }
        return Reply(JSONBody.of(told), Page("tokens.html", "Tokens", context), fresh=True)


async def whoami(call: Call) -> Reply:
    """Return the user, how they were authenticated, and their CSRF token."""
    who, by, token = call.identity.who, call.identity.by, call.identity.token
    shown = None
    if token is not None:
        shown = {"id": token.id, "label": token.label, "expires_at": token.expires_at}
    told = {"who": who, "by": by.value if by else None, "token": shown}
    told["csrf_token"] = call.new_token() or None
    return attrs.evolve(Reply.data("Current user", JSONBody.of(told)), fresh=True)


def token_json(token: Token) -> dict[str, object]:
    """Return a token as JSON for its owner, without its text."""
    names = ("id", "label", "created_at", "expires_at", "used_at")
    return {name: getattr(token, name) for name in names}


LABEL = Param("label", "its label", Text(1, LABEL_MAX), Place.BODY, needed=True)
MADE = "Token {id} created: copy its text now, it is not shown again"
WHOAMI = "The user you are authenticated as, and how: proxy, token or development."
LIST = "Your tokens, newest first, without their texts."
MAKE = "Create a token for a program; only this answer has its text."
REVOKE = "Revoke one of your tokens; it is refused from then on."
