"""The roles AuditStore and AuditLog in memory, for tests of those that record what is done."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import attrs

from buildapi import tracing
from buildapi.db.audit_store import DETAIL_MAX, EQUAL, INTEGERS, WIDTHS
from buildapi.model.audit import AuditFilter, AuditRecord
from buildapi.model.revisions import RevisionMatch
from buildapi.ops.audit import without_secrets

AT = 1_795_819_765.046


@attrs.define
class MemoryAuditStore:
    """The role AuditStore; ``stored`` is all there is, the oldest first."""

    stored: list[AuditRecord] = attrs.field(factory=list)
    _ids: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1))

    async def add(self, entries: Sequence[AuditRecord]) -> None:
        known = {entry.identity for entry in self.stored}
        for entry in entries:
            if entry.identity not in known:
                self.stored.append(attrs.evolve(_storable(entry), id=next(self._ids)))

    async def search(self, sought: AuditFilter, limit: int) -> Sequence[AuditRecord]:
        found = [record for record in reversed(self.stored) if _matches(sought, record)]
        return found[:limit]

    async def forget(self, before: float) -> None:
        self.stored[:] = [record for record in self.stored if record.at >= before]


def _flat(record: AuditRecord) -> dict[str, object]:
    parts = (record.actor, record.client, record.subject)
    found = {name: value for part in parts for name, value in attrs.asdict(part).items()}
    return found | {"action": record.action, "job_id": record.job_id}


def _matches(sought: AuditFilter, record: AuditRecord) -> bool:
    flat = _flat(record)
    equal = all(getattr(sought, n) in (None, flat[n]) for n in EQUAL)
    revision = sought.revision is None or RevisionMatch(sought.revision).fits(
        record.subject.revision
    )
    return (
        equal
        and revision
        and (sought.outcome in (None, record.outcome))
        and (sought.since is None or record.at >= sought.since)
        and (sought.until is None or record.at < sought.until)
        and (sought.before is None or (record.id or 0) < sought.before)
    )


def _text(text: str | None, width: int) -> str | None:
    if text is None:
        return None
    return text[:width].encode(errors="replace").decode().replace("\0", "?")


def _storable(record: AuditRecord) -> AuditRecord:
    def cut(part: object, **columns: str) -> dict[str, object]:
        found: dict[str, object] = {}
        for field in attrs.fields(type(part)):
            name = columns.get(field.name, field.name)
            value = getattr(part, field.name)
            if name in WIDTHS and (value is None or isinstance(value, str)):
                found[field.name] = _text(value, WIDTHS[name])
            elif name in INTEGERS and isinstance(value, int) and not 0 <= value < INTEGERS[name]:
                found[field.name] = None
        return found

    assert WIDTHS["detail"] == DETAIL_MAX
    return attrs.evolve(
        record,
        at=int(record.at * 1000) / 1000,
        actor=attrs.evolve(record.actor, **cut(record.actor, by="known_by")),
        client=attrs.evolve(record.client, **cut(record.client)),
        subject=attrs.evolve(record.subject, **cut(record.subject)),
        **{n: v for n, v in cut(record).items() if n in ("action", "code", "detail", "trace")},
    )


@attrs.define
class MemoryAudit(MemoryAuditStore):
    """The role AuditLog, too: what is recorded is there at once."""

    def record(self, done: AuditRecord) -> None:
        number = len(self.stored)
        self.stored.append(
            attrs.evolve(
                without_secrets(done),
                at=AT + number / 8,
                host="host",
                identity=f"{number:032x}",
                trace=done.trace or tracing.trace(),
                id=number + 1,
            )
        )

    def actions(self) -> list[str]:
        """List what was recorded, each with its outcome."""
        return [f"{record.action} {record.outcome.value}" for record in self.stored]
