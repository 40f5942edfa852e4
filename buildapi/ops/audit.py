"""Record who did what: a line of the log at once, and a row of the audit log soon after."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

import attrs
from twisted.logger import Logger

from buildapi import tracing
from buildapi.errors import Unavailable
from buildapi.model.audit import AuditOutcome, AuditRecord, Client
from buildapi.ops.buffered_writer import BufferedWriter
from buildapi.ops.refusal_tally import RefusalTally
from buildapi.redaction import hidden

DETAIL_MAX = 1000

# Its namespace is what others select the lines by [docs/audit.md, In the log].
lines = Logger(namespace="audit")

Counted = Callable[[str], None]


@attrs.define(slots=False, eq=False)
class BufferedAudit(BufferedWriter[AuditRecord]):
    """Implement ``AuditLog`` on an ``AuditStore``.

    ``counted`` is called with the outcome of each record, ``lost`` for each that is dropped.
    """

    what = "audit log"
    trouble = "audit log: cannot write records"

    _counted: Counted = lambda _: None
    _lost: Callable[[], None] = lambda: None
    _refusals: RefusalTally = attrs.field(factory=RefusalTally, init=False)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.name = "audit"

    def record(self, done: AuditRecord) -> None:
        """Record what was done or refused, now; equal refusals are counted together."""
        made = without_secrets(attrs.evolve(done, trace=done.trace or tracing.trace()))
        is_refusal = made.outcome is AuditOutcome.REFUSED
        if not is_refusal or self._refusals.is_first(made, self._reactor.seconds()):
            self._write(made)

    def _write(self, made: AuditRecord) -> None:
        record = attrs.evolve(
            made, at=self._now(), host=self._host, identity=uuid.uuid4().hex, id=None
        )
        self._counted(record.outcome.value)
        with tracing.about(record.trace):
            lines.info(LINE, **line_fields(record))
        self.put(record)

    def put(self, entry: AuditRecord) -> None:
        """Write a record soon; drop and count it if too many wait."""
        before = self.dropped
        super().put(entry)
        if self.dropped > before:
            self._lost()

    async def run_once(self) -> None:
        """Write waiting records and those of the last minute's refusals; delete expired ones."""
        for record in self._refusals.due(self._reactor.seconds()):
            self._write(record)
        await super().run_once()

    async def after_last_run(self) -> None:
        """Write what waits and what was counted, within a few seconds."""
        for record in self._refusals.rest():
            self._write(record)
        await super().after_last_run()

    def unavailable(self, error: Unavailable, pause: float) -> None:
        """Log once for each outage that records wait: a missing table is no outage of others."""
        if self._failed_runs > 1:
            super().unavailable(error, pause)
            return
        self._log.warn(
            "audit log: {count} records wait for the database: {msg}",
            count=len(self._waiting),
            msg=error.msg,
        )


LINE = "{outcome}: {action} by {user} from {origin}{about}"


def line_fields(record: AuditRecord) -> Mapping[str, object]:
    """Return the fields of a line of the log; what is not known is left out.

    No field is called by the word token, of which formatters leave out the values.
    """
    actor, client, subject = record.actor, record.client, record.subject
    credential = "" if actor.token_id is None else f"{actor.token_id} ({actor.token_label})"
    fields: dict[str, object] = {
        "who": actor.who,
        "by": actor.by,
        "groups": ", ".join(actor.groups),
        "credential": credential,
        "address": client.address,
        "peer": client.peer,
        "forwarded": client.forwarded,
        "user_agent": client.user_agent,
        "branch": subject.branch,
        "build_id": subject.build_id,
        "request_id": subject.request_id,
        "revision": subject.revision,
        "builders": ", ".join(subject.builders),
        "status": record.status,
        "code": record.code,
        "job_id": record.job_id,
        "detail": record.detail,
        "count": record.count if record.count > 1 else None,
        "record": record.identity,
    }
    known = {name: value for name, value in fields.items() if value not in (None, "")}
    return known | {
        "action": record.action,
        "outcome": record.outcome.value,
        "user": actor.who or "nobody",
        "origin": client.address or "this host",
        "about": _about(record),
    }


def _about(record: AuditRecord) -> str:
    """Return what a record is about, for a log that is read as text; empty if it names nothing."""
    subject = record.subject
    parts = (
        ("branch", subject.branch),
        ("build", subject.build_id),
        ("request", subject.request_id),
        ("revision", subject.revision),
        ("job", record.job_id),
        ("status", record.status),
    )
    named = [f"{name} {value}" for name, value in parts if value is not None]
    return f" ({', '.join([*named, *filter(None, [record.code])])})" if named else ""


def without_secrets(record: AuditRecord) -> AuditRecord:
    """Mask what looks like a password or a token, wherever somebody has put it."""
    actor, client, subject = record.actor, record.client, record.subject
    return attrs.evolve(
        record,
        action=hidden(record.action),
        actor=attrs.evolve(actor, who=_hidden(actor.who), token_label=hidden(actor.token_label)),
        client=Client(
            client.address, client.peer, hidden(client.forwarded), hidden(client.user_agent)
        ),
        subject=attrs.evolve(
            subject,
            branch=_hidden(subject.branch),
            revision=_hidden(subject.revision),
            builders=tuple(map(hidden, subject.builders)),
        ),
        detail=hidden(" ".join(record.detail.split()))[:DETAIL_MAX],
    )


def _hidden(text: str | None) -> str | None:
    return None if text is None else hidden(text)
