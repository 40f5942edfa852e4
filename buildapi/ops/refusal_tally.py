"""Count equal refusals within a minute, so that a flood of them is a few records.

The first of a kind is recorded at once; those that follow within a minute are counted, and make up
one record at its end.  Refusals of strangers are of one kind if they have the same address and
code; those of known users only if they are about the same action on the same objects, since an
auditor asks which.  There is a bound on the kinds of a minute, apart for strangers and for users,
so that a flood from many addresses hides no refusal of a user; what is beyond it is counted
together.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.model.audit import VARIOUS, AuditActor, AuditRecord, AuditSubject, Client

WINDOW = 60.0
"""Seconds for which equal refusals are counted together."""

KINDS_MOST = 200
"""Kinds of refusals of strangers within a minute, and as many of users; others are one kind."""

Kind = tuple[object, ...]


@attrs.define
class _Counted:
    """Refusals of one kind that are not recorded yet; ``what`` is what all of them share."""

    until: float
    count: int = 0
    what: AuditRecord | None = None


@attrs.define
class RefusalTally:
    """Count refusals; times are seconds of a monotonic clock."""

    _strangers: dict[Kind, _Counted] = attrs.field(factory=dict)
    _users: dict[Kind, _Counted] = attrs.field(factory=dict)

    def is_first(self, refusal: AuditRecord, now: float) -> bool:
        """Return whether a refusal is to be recorded at once; count it if not."""
        who, kind = refusal.actor.who, _kind(refusal)
        counted = self._strangers if who is None else self._users
        if kind not in counted and len(counted) < KINDS_MOST:
            counted[kind] = _Counted(now + WINDOW)
            return True
        held = counted.get(kind) or counted.setdefault(OTHERS, _Counted(now + WINDOW))
        held.count += refusal.count
        held.what = refusal if held.what is None else _shared(held.what, refusal)
        return False

    def due(self, now: float) -> Sequence[AuditRecord]:
        """Return the records of what was counted and whose minute is over."""
        return [*_due(self._strangers, now), *_due(self._users, now)]

    def rest(self) -> Sequence[AuditRecord]:
        """Return the records of all that was counted, at a stop."""
        return self.due(float("inf"))


OTHERS: Kind = ("others",)


def _due(counted: dict[Kind, _Counted], now: float) -> Sequence[AuditRecord]:
    over = [kind for kind, held in counted.items() if held.until <= now]
    gone = [counted.pop(kind) for kind in over]
    return [attrs.evolve(held.what, count=held.count) for held in gone if held.what is not None]


def _kind(refusal: AuditRecord) -> Kind:
    who = refusal.actor.who
    same: Kind = (refusal.client.address, refusal.status, refusal.code)
    if who is None:
        return same
    return (*same, who, refusal.actor.token_id, refusal.action, refusal.subject)


def _shared(one: AuditRecord, other: AuditRecord) -> AuditRecord:
    """Return the later of two records without what differs; the trace is that of the later."""
    return attrs.evolve(
        other,
        action=other.action if one.action == other.action else VARIOUS,
        actor=other.actor if one.actor == other.actor else AuditActor(by=_same(one, other)),
        client=_shared_client(one.client, other.client),
        subject=other.subject if one.subject == other.subject else AuditSubject(),
        status=other.status if one.status == other.status else None,
        code=other.code if one.code == other.code else "",
        detail=other.detail if one.detail == other.detail else "",
    )


def _same(one: AuditRecord, other: AuditRecord) -> str:
    return other.actor.by if one.actor.by == other.actor.by else ""


def _shared_client(one: Client, other: Client) -> Client:
    names = [field.name for field in attrs.fields(Client)]
    return Client(
        **{n: getattr(other, n) if getattr(one, n) == getattr(other, n) else "" for n in names}
    )
