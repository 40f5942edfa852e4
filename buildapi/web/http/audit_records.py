"""Make records of the audit log from HTTP requests: who asked, from where, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from buildapi.errors import BuildAPIError
from buildapi.model.audit import (
    FORWARDED_MAX,
    USE_TOKEN,
    USER_AGENT_MAX,
    AuditActor,
    AuditOutcome,
    AuditRecord,
    AuditSubject,
    Client,
)
from buildapi.model.ops import Token
from buildapi.web.http.auth import AuthMethod, Identity

if TYPE_CHECKING:
    from buildapi.web.http.call import Call
    from buildapi.web.http.request import BuildAPIRequest

RECORDED = frozenset({401, 403, 429})
"""Statuses of refusals that are recorded: not known, not permitted, too much."""


def client_from(request: BuildAPIRequest) -> Client:
    """Return where a request came from; what its client chose is cut."""
    return Client(
        request.client_address,
        request.peer,
        request.text_header("x-forwarded-for")[:FORWARDED_MAX],
        request.text_header("user-agent")[:USER_AGENT_MAX],
    )


def actor_from(identity: Identity) -> AuditActor:
    """Return who acts, as the audit log says it."""
    by = "" if identity.by is None else identity.by.value
    actor = AuditActor(identity.who, by, tuple(sorted(identity.groups)))
    return actor if identity.token is None else with_token(actor, identity.token)


def with_token(actor: AuditActor, token: Token) -> AuditActor:
    """Return an actor with the token that is used, or that the action is about."""
    return AuditActor(actor.who, actor.by, actor.groups, token.id, token.label)


def use_record(token: Token, address: str) -> AuditRecord:
    """Return the record of the first use of a token from an address."""
    actor = with_token(AuditActor(token.who, AuthMethod.TOKEN.value), token)
    return AuditRecord(USE_TOKEN, AuditOutcome.DONE, actor, Client(address))


def token_record(action: str, call: Call, token_id: int, label: str, detail: str) -> AuditRecord:
    """Return the record of what a user did to a token, by the id and label of that."""
    actor = attrs.evolve(actor_from(call.identity), token_id=token_id, token_label=label)
    return AuditRecord(action, AuditOutcome.DONE, actor, call.client(), detail=detail)


def refusal(
    error: BuildAPIError,
    action: str,
    actor: AuditActor,
    client: Client,
    subject: AuditSubject,
) -> AuditRecord:
    """Return the record of a refusal.

    What the error knows of what was asked for (``subject``) is more than the path says.
    """
    return AuditRecord(
        action,
        AuditOutcome.REFUSED,
        actor,
        client,
        subject if error.subject is None else error.subject,
        error.status,
        error.code,
        error.job_id,
        error.msg,
    )
