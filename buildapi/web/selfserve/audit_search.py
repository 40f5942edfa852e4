"""Search the audit log, for users who are permitted to read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import attrs

from buildapi.errors import AccessDenied, NotPermitted
from buildapi.interfaces import AuditStore
from buildapi.model.access import Administration, Question
from buildapi.model.audit import ACTION_NAMES, AuditFilter, AuditOutcome, AuditRecord
from buildapi.model.permissions import Permissions
from buildapi.parameters.param import AnyParam, Param
from buildapi.parameters.read_parameters import since, until
from buildapi.parameters.types import Choice, Integer, Text
from buildapi.web.http.auth import Identity
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.page_permissions import WORDS, reason
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.selfserve.documents import AuditDocument, AuditPage, AuditToken
from buildapi.web.selfserve.pages import SelfServePages

PATH = "/self-serve/audit"
NUM = 100
NUM_MAX = 1000
INT64_MAX = 2**63 - 1
INT32_MAX = 2**31 - 1
TEXT_MAX = 512


@attrs.frozen
class AuditSearch:
    """Serve searches; ``permissions`` returns those in force for a user, ``zone`` is the farm's."""

    _store: AuditStore
    _permissions: Callable[[Identity], Permissions]
    _pages: SelfServePages
    _zone: ZoneInfo

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        params = (*FIELDS.values(), self._since, self._until, BEFORE, COUNT, FORMAT)
        return (Route("GET", PATH, self.search, SEARCH, params, action="read_audit"),)

    @property
    def _since(self) -> Param[int | None]:
        return since(self._zone)

    @property
    def _until(self) -> Param[int | None]:
        return until(self._zone)

    async def search(self, call: Call) -> Reply:
        """Return the records that match, newest first, and the path of the next ones."""
        self._require(call.identity)
        sought, num = self._sought(call), COUNT.of(call)
        found = await self._store.search(sought, num + 1)
        shown = found[:num]
        following = self._next(call, shown[-1]) if len(found) > num else None
        told: AuditPage = {"records": list(map(record_json, shown)), "next": following}
        document = JSONBody.of(told)

        def context() -> Mapping[str, object]:
            names = (*FIELDS, "since", "until")
            return self._pages.common() | {
                "records": document.value["records"],
                "following": following,
                "sought": {name: call.query.get(name, ("",))[-1] for name in names},
                "actions": ACTION_NAMES,
                "outcomes": OUTCOMES,
            }

        # Fresh: what only some may read is kept nowhere.
        return Reply(document, Page("audit.html", "Audit log", context), fresh=True)

    def _require(self, identity: Identity) -> None:
        """Refuse users who may not read the audit log; no default permits it."""
        if identity.who is None:
            raise AccessDenied
        name = Administration.READ_AUDIT.value
        decision = self._permissions(identity).decide(Question(name))
        if not decision.allowed:
            why = reason(decision.rule, decision.needed)
            msg = f"{identity.who} may not {WORDS[name]} ({name}): {why}"
            raise NotPermitted(msg, decision.rule, decision.needed)

    def _sought(self, call: Call) -> AuditFilter:
        """Return the filter of a call; :raises BadRequest: a parameter is invalid."""
        values: dict[str, Any] = {name: param.of(call) for name, param in FIELDS.items()}
        outcome = values.pop("outcome")
        return AuditFilter(
            **values,
            outcome=None if outcome is None else AuditOutcome(outcome),
            since=self._since.of(call),
            until=self._until.of(call),
            before=BEFORE.of(call),
        )

    def _next(self, call: Call, last: AuditRecord) -> str:
        kept = [(n, v) for n, values in call.query.items() for v in values if n != BEFORE.name]
        return f"{call.mount}{PATH}?{urlencode([*kept, (BEFORE.name, last.id)])}"


def record_json(record: AuditRecord) -> AuditDocument:
    """Return a record as JSON."""
    actor, client, subject = record.actor, record.client, record.subject
    token: AuditToken | None = None
    if actor.token_id is not None:
        token = {"id": actor.token_id, "label": actor.token_label}
    return {
        "id": record.id,
        "at": record.at,
        "host": record.host,
        "who": actor.who,
        "by": actor.by,
        "groups": list(actor.groups),
        "token": token,
        "address": client.address,
        "peer": client.peer,
        "forwarded": client.forwarded,
        "user_agent": client.user_agent,
        "action": record.action,
        "branch": subject.branch,
        "build_id": subject.build_id,
        "request_id": subject.request_id,
        "revision": subject.revision,
        "builders": list(subject.builders),
        "outcome": record.outcome.value,
        "status": record.status,
        "code": record.code,
        "job_id": record.job_id,
        "detail": record.detail,
        "trace": record.trace,
        "count": record.count,
    }


OUTCOMES = tuple(one.value for one in AuditOutcome if one is not AuditOutcome.OTHER)
_LONG_ID, _ID = Integer(0, INT64_MAX), Integer(0, INT32_MAX)
FIELDS: Mapping[str, AnyParam] = {
    param.name: param
    for param in (
        Param("who", "only what this user did, or was refused", Text(1, TEXT_MAX)),
        Param("action", "only this action", Text(1, TEXT_MAX)),
        Param("outcome", "only what ended so", Choice(OUTCOMES)),
        Param("branch", "only what was about this branch", Text(1, TEXT_MAX)),
        Param("build_id", "only what was about this build", _LONG_ID),
        Param("request_id", "only what was about this build request", _LONG_ID),
        Param("revision", "only what was about this revision", Text(1, TEXT_MAX)),
        Param("job_id", "only the records of this job request", _ID),
        Param("token_id", "only what was done with, or to, this token", _ID),
        Param("address", "only requests from this address", Text(1, TEXT_MAX)),
    )
}
"""The parameters of a search, by their names, which are those of the fields of the filter."""

BEFORE = Param("before", "only records before the one with this id", _LONG_ID)
COUNT = Param("num", "maximum number of records", Integer(1, NUM_MAX), default=NUM)
SEARCH = "The audit log, newest first, for users whom a rule permits read_audit."
