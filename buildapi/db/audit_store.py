"""Store the audit log in SQL: rows are added, searched, and deleted when they are too old."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import attrs

from buildapi.db.schema import JobsDatabase
from buildapi.db.sql import (
    Column,
    Database,
    DuplicateError,
    Query,
    Statement,
    ValueRefusedError,
    any_of,
    delete_selected,
    storable,
)
from buildapi.model.audit import (
    AuditActor,
    AuditFilter,
    AuditOutcome,
    AuditRecord,
    AuditSubject,
    Client,
)
from buildapi.model.revisions import RevisionMatch, short_revision

TABLE = "buildapi_audit"

AT_ONCE = 50
"""Maximum number of records in one statement and one result: no pool allows fewer than 100 rows."""

FORGET = 5000
"""Maximum number of records deleted in one call."""

DETAIL_MAX = 2000
LIST_MAX = 20_000
"""Characters of a list of groups or builders as JSON; of a longer one the end is left out."""

WIDTHS = {
    "host": 1000,
    "who": 512,
    "known_by": 20,
    "token_label": 200,
    "address": 100,
    "peer": 100,
    "forwarded": 500,
    "user_agent": 200,
    "action": 200,
    "branch": 255,
    "revision": 255,
    "outcome": 20,
    "code": 40,
    "detail": DETAIL_MAX,
    "trace": 64,
}
"""Maximum length of each text in characters; longer texts are cut."""

INTEGERS = {"token_id": 2**31, "job_id": 2**31, "build_id": 2**63, "request_id": 2**63}
"""One more than the largest number of each column: larger ones are left out."""

COLUMNS = (
    *("identity", "at", "host", "who", "known_by", "user_groups", "token_id", "token_label"),
    *("address", "peer", "forwarded", "user_agent", "action", "branch", "build_id", "request_id"),
    *("revision", "builders", "outcome", "status", "code", "job_id", "detail", "trace", "counted"),
)
OUTCOMES = {outcome.value for outcome in AuditOutcome}


def _record(*columns: Column) -> AuditRecord:
    row = dict(zip(("id", *COLUMNS), columns, strict=True))
    groups, outcome = _listed(row["user_groups"]), row["outcome"]
    actor = AuditActor(row["who"], row["known_by"], groups, row["token_id"], row["token_label"])
    client = Client(row["address"], row["peer"], row["forwarded"], row["user_agent"])
    subject = AuditSubject(
        row["branch"],
        row["build_id"],
        row["request_id"],
        row["revision"],
        _listed(row["builders"]),
    )
    return AuditRecord(
        action=row["action"],
        outcome=AuditOutcome(outcome) if outcome in OUTCOMES else AuditOutcome.OTHER,
        actor=actor,
        client=client,
        subject=subject,
        status=row["status"],
        code=row["code"],
        job_id=row["job_id"],
        detail=row["detail"],
        trace=row["trace"],
        count=row["counted"],
        at=row["at"] / 1000,
        host=row["host"],
        identity=row["identity"],
        id=row["id"],
    )


# By the index on at, and few at a time: a DELETE by time would scan and lock the whole table.
OLD = Query(f"SELECT id FROM {TABLE} WHERE at < :before ORDER BY at LIMIT {AT_ONCE}", int)  # noqa: S608  # constants


@attrs.frozen
class SQLAuditStore:
    """Implement ``AuditStore`` on a jobs database."""

    _db: Database = attrs.field(converter=JobsDatabase)

    async def add(self, entries: Sequence[AuditRecord]) -> None:
        """Store records, all or none, each once; texts that are too long are cut."""
        try:
            await self._insert(entries)
        except DuplicateError:
            # An earlier attempt was committed although its answer was lost; more may have come to
            # the batch since.
            stored = await self._stored([entry.identity for entry in entries])
            await self._insert([entry for entry in entries if entry.identity not in stored])

    async def _insert(self, entries: Sequence[AuditRecord]) -> None:
        parts = (entries[start : start + AT_ONCE] for start in range(0, len(entries), AT_ONCE))
        await self._db.transact([_insertion(part) for part in parts])

    async def _stored(self, identities: Sequence[str]) -> set[str]:
        found: set[str] = set()
        for start in range(0, len(identities), AT_ONCE):
            names, params = any_of("identity", identities[start : start + AT_ONCE])
            text = f"SELECT identity FROM {TABLE} WHERE identity IN ({names})"  # noqa: S608  # names of parameters
            found |= set(await Query(text, str).many(self._db, **params))
        return found

    async def search(self, sought: AuditFilter, limit: int) -> Sequence[AuditRecord]:
        """List the records that match, the newest first."""
        found: list[AuditRecord] = []
        while len(found) < limit:
            few = min(AT_ONCE, limit - len(found))
            query, params = searching(sought, few)
            try:
                rows = await query.many(self._db, **params)
            except ValueRefusedError:  # nothing in the database can be equal to that
                return []
            found += rows
            if len(rows) < few:
                break
            sought = attrs.evolve(sought, before=rows[-1].id)
        return found

    async def forget(self, before: float) -> None:
        """Delete records older than a time, at most some thousand in one call."""
        at = int(before * 1000)
        await delete_selected(self._db, TABLE, lambda: OLD.many(self._db, before=at), FORGET)


def searching(sought: AuditFilter, limit: int) -> tuple[Query[AuditRecord], dict[str, object]]:
    """Return the query of the newest records that match, and its parameters."""
    conditions, params = ["1 = 1"], dict[str, object]()

    def add(condition: str, **values: object) -> None:
        conditions.append(condition)
        params.update(values)

    for name in EQUAL:
        value = getattr(sought, name)
        if value is not None:
            add(f"{name} = :{name}", **{name: value})
    if sought.outcome is not None:
        add("outcome = :outcome", outcome=sought.outcome.value)
    if sought.revision is not None:
        if RevisionMatch(sought.revision).prefix is None:
            add("revision = :revision", revision=sought.revision)
        else:  # 12 digits of a hash or more name one revision
            first = short_revision(sought.revision)
            add("revision >= :first AND revision < :last", first=first, last=f"{first}\U0010ffff")
    if sought.since is not None:
        add("at >= :since", since=int(sought.since * 1000))
    if sought.until is not None:
        add("at < :until", until=int(sought.until * 1000))
    if sought.before is not None:
        add("id < :before", before=sought.before)
    text = f"""SELECT id, {", ".join(COLUMNS)} FROM {TABLE}
 WHERE {" AND ".join(conditions)} ORDER BY id DESC LIMIT :limit"""  # noqa: S608  # names of columns and parameters
    return Query(text, _record), params | {"limit": limit}


EQUAL = ("who", "action", "branch", "build_id", "request_id", "job_id", "token_id", "address")
"""Columns that are compared with the field of the same name."""


def _insertion(entries: Sequence[AuditRecord]) -> Statement:
    params: dict[str, object] = {}
    rows = []
    for number, entry in enumerate(entries):
        values = _values(entry)
        params |= {f"{name}{number}": value for name, value in values.items()}
        rows.append(f"({', '.join(f':{name}{number}' for name in COLUMNS)})")
    text = f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES {', '.join(rows)}"  # noqa: S608  # names of columns and parameters
    return Statement(text, params, len(entries))


def _values(entry: AuditRecord) -> Mapping[str, object]:
    actor, client, subject = entry.actor, entry.client, entry.subject
    values: dict[str, object] = {
        "identity": entry.identity,
        "at": int(entry.at * 1000),
        "host": entry.host,
        "who": actor.who,
        "known_by": actor.by,
        "user_groups": _list_text(actor.groups),
        "token_id": actor.token_id,
        "token_label": actor.token_label,
        "address": client.address,
        "peer": client.peer,
        "forwarded": client.forwarded,
        "user_agent": client.user_agent,
        "action": entry.action,
        "branch": subject.branch,
        "build_id": subject.build_id,
        "request_id": subject.request_id,
        "revision": subject.revision,
        "builders": _list_text(subject.builders),
        "outcome": entry.outcome.value,
        "status": entry.status,
        "code": entry.code,
        "job_id": entry.job_id,
        "detail": entry.detail,
        "trace": entry.trace,
        "counted": entry.count,
    }
    for name, width in WIDTHS.items():
        if isinstance(text := values[name], str):
            values[name] = storable(text, width)
    for name, end in INTEGERS.items():
        if isinstance(number := values[name], int) and not 0 <= number < end:
            values[name] = None
    return values


def _list_text(names: Sequence[str]) -> str:
    """Return as many names as fit as a JSON list in ASCII, which every database accepts."""
    kept: list[str] = []
    room = LIST_MAX
    for name in names:
        room -= len(json.dumps(name)) + 2
        if room < 0:
            break
        kept.append(name)
    return json.dumps(kept)


def _listed(text: str) -> tuple[str, ...]:
    """Decode a list of names; empty if somebody else has written something else there."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(str(name) for name in found) if isinstance(found, list) else ()
