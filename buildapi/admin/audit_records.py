"""Print records of the audit log from the jobs database, for operators."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from buildapi.admin.own_tables import LOOK_SECONDS, Place, Say, each
from buildapi.admin.printed_rows import print_rows
from buildapi.db.audit_store import SQLAuditStore
from buildapi.model.audit import AuditFilter, AuditRecord
from buildapi.reactor_time import Reactor
from buildapi.web.selfserve.audit_search import record_json


async def print_records(
    place: Place, reactor: Reactor, sought: AuditFilter, limit: int, say: Say, *, as_json: bool
) -> int:
    """Print the records that match, newest first, as a table or JSON; return the exit code."""

    async def work(one: Place) -> None:
        db = one.open(reactor, LOOK_SECONDS, read_only=True)
        try:
            found = await SQLAuditStore(db).search(sought, limit)
        finally:
            await db.stopService()
        rows = [record_json(record) if as_json else _cells(record) for record in found]
        print_rows(rows, say, as_json=as_json, nothing="no records")

    return await each([place], work)


def _cells(record: AuditRecord) -> Mapping[str, object]:
    actor, client, subject = record.actor, record.client, record.subject
    at = datetime.fromtimestamp(record.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
    token = "" if actor.token_id is None else f", token {actor.token_id} ({actor.token_label})"
    named = (
        ("", subject.branch),
        ("build ", subject.build_id),
        ("request ", subject.request_id),
        ("revision ", subject.revision),
        ("", ", ".join(subject.builders) or None),
    )
    answer = "" if record.status is None else f" {record.status} {record.code}"
    job = "" if record.job_id is None else f" job {record.job_id}"
    times = "" if record.count == 1 else f" {record.count} times"
    return {
        "time (UTC)": at,
        "user": f"{actor.who or 'nobody'}{f' by {actor.by}' if actor.by else ''}{token}",
        "action": record.action,
        "object": " ".join(f"{word}{value}" for word, value in named if value is not None),
        "outcome": f"{record.outcome.value}{answer}{job}{times}",
        "from": client.address or record.host,
        "details": record.detail,
    }
