"""Build the /status document: the known state of the program, with a verdict on each part.

Its format is described in docs/api.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.messages import BrokerStatus, QueueDepth, SettledAs
from buildapi.model.ops import DocumentState, DumpState, Heartbeat, PoolState, ProcessState
from buildapi.model.records import Backlog, JobRecord
from buildapi.ops.dead_letter_tally import RECENT_SECONDS as LETTERS_RECENT
from buildapi.ops.dead_letter_tally import SettledDeadLetters
from buildapi.ops.job_id_guard import JobIdReset
from buildapi.ops.reload import Reload

BEATS_MISSED = 3
"""Heartbeats a process may miss before it counts as gone."""

RECENT_SECONDS = 60
"""Seconds for which the last error of a part makes it unhealthy."""

JOBS_SHOWN = 20

WARNINGS_TOLD, WARNINGS_LISTED = 3, 100
"""Warnings of a document: in the details of its part, and in its list."""


@attrs.frozen
class UnreadValue:
    """Stand for a value that could not be read, and the reason."""

    error: str


@attrs.frozen
class QueueRole:
    """Describe a queue by its name and role: ``requests`` or ``finished``."""

    name: str
    role: str
    depth: QueueDepth | UnreadValue


@attrs.frozen
class ReplicationLag:
    """Hold the replication lag in seconds; None if it is not known yet."""

    seconds: int | None


@attrs.frozen
class StatusSnapshot:
    """Hold a snapshot of the program's state; None stands for what the process does not have."""

    now: int
    me: Heartbeat
    versions: Mapping[str, str]
    reasons: Sequence[str]
    broker_kind: str
    broker: BrokerStatus
    queues: Sequence[QueueRole]
    pools: Sequence[PoolState]
    lag: ReplicationLag | UnreadValue | None
    documents: Sequence[DocumentState]
    masters_known: int
    processes: Sequence[Heartbeat] | UnreadValue
    beat_seconds: float
    jobs: Backlog | UnreadValue
    farm: FarmSummary | UnreadValue | None
    dumps: Sequence[DumpState] | None
    requests: int
    connections: int
    reload: Reload | None = None
    renumbered: JobIdReset | None = None
    masters_disabled: Sequence[str] = ()
    letters: SettledDeadLetters | None = None


def document(seen: StatusSnapshot) -> dict[str, Any]:
    """Return the whole document."""
    processes = _processes(seen)
    agents = [p for p in processes if "agent" in p["roles"]]
    masters = _masters(seen, agents)
    found: dict[str, Any] = {
        "ready": not seen.reasons,
        "reasons": list(seen.reasons),
        "now": seen.now,
        "process": _me(seen),
        "versions": dict(seen.versions),
        "broker": _broker(seen, agents),
        "dead_letters": _letters(seen.letters),
        "databases": [_database(pool) for pool in seen.pools],
        "replica": _replica(seen.lag),
        "directory": [_document(d) for d in seen.documents],
        "masters": masters,
        "agents": agents,
        "processes": processes,
        "agents_error": _error(seen.processes),
        "jobs": _jobs(seen),
        "farm": _farm(seen),
        "dumps": _dumps(seen.dumps),
        "http": {"requests": seen.requests, "connections": seen.connections},
        "reload": _reload(seen.reload),
    }
    found["parts"] = parts(seen, found)
    return {"status": _word(seen, found), **found}


def _word(seen: StatusSnapshot, found: Mapping[str, Any]) -> str:
    if seen.me.state is not ProcessState.RUNNING:
        return str(seen.me.state.value).upper()
    whole = found["ready"] and all(part["ok"] for part in found["parts"])
    return "OK" if whole else "DEGRADED"


def _reload(last: Reload | None) -> dict[str, Any] | None:
    if last is None:
        return None
    return {
        "at": int(last.at),
        "ok": last.ok,
        "errors": list(last.errors),
        "needs_restart": list(last.needs_restart),
    }


def _error(value: object) -> str | None:
    return value.error if isinstance(value, UnreadValue) else None


def _me(seen: StatusSnapshot) -> dict[str, Any]:
    me = seen.me
    return {
        "instance": me.instance,
        "name": me.name,
        "pid": me.pid,
        "roles": list(me.roles),
        "state": me.state.value,
        "started_at": me.started_at,
        "uptime": max(0, seen.now - me.started_at),
    }


# --- processes and masters


def live(beat: Heartbeat, now: int, beat_seconds: float) -> bool:
    """Return whether a process sent a heartbeat recently."""
    return now - beat.beat_at <= BEATS_MISSED * beat_seconds + 1


def _processes(seen: StatusSnapshot) -> list[dict[str, Any]]:
    if isinstance(seen.processes, UnreadValue):
        return []
    return [_process(beat, seen) for beat in seen.processes]


def _process(beat: Heartbeat, seen: StatusSnapshot) -> dict[str, Any]:
    shaped = attrs.asdict(beat, filter=lambda a, _: a.name not in ("roles", "state"))
    return shaped | {
        "roles": list(beat.roles),
        "state": beat.state.value,
        "age": max(0, seen.now - beat.beat_at),
        "live": live(beat, seen.now, seen.beat_seconds),
        "jobs": list(beat.jobs)[:JOBS_SHOWN],
        "unreachable": None if beat.unreachable is None else list(beat.unreachable),
    }


def _masters(seen: StatusSnapshot, agents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Combine the reports of live agents: a master that one of them cannot reach is unreachable.

    Except a disabled master: an agent may have asked it before the masters file disabled it.
    """
    known, disabled = seen.masters_known, sorted(seen.masters_disabled)
    asking = [a for a in agents if a["live"] and a["masters"] is not None]
    asked = max((a["masters"] for a in asking), default=0)
    silent = sorted({n for a in asking for n in a["unreachable"] or ()} - {*disabled})
    share = round(1 - min(len(silent), asked) / asked, 4) if asked else None
    numbers = {"known": known, "asked": asked, "unreachable": silent, "share": share}
    return numbers | {"disabled": disabled}


# --- broker and databases


def _broker(seen: StatusSnapshot, agents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    status = seen.broker
    in_hand = sum(a["in_hand"] for a in agents if a["live"])
    return {
        "kind": seen.broker_kind,
        **attrs.asdict(status),
        "queues": [_queue(q, in_hand if q.role == "requests" else None) for q in seen.queues],
    }


def _queue(queue: QueueRole, in_hand: int | None) -> dict[str, Any]:
    """Return a queue as JSON; agents count unacknowledged messages if the broker does not."""
    head = {"name": queue.name, "role": queue.role}
    if isinstance(queue.depth, UnreadValue):
        numbers = dict.fromkeys(("ready", "unacked", "consumers", "dead"))
        return {**head, **numbers, "error": queue.depth.error}
    depth = attrs.asdict(queue.depth)
    if depth["unacked"] is None:
        depth["unacked"] = in_hand
    return {**head, **depth, "error": None}


def _letters(settled: SettledDeadLetters | None) -> dict[str, Any] | None:
    """Return the settled dead letters as JSON; None if this process does not review them."""
    if settled is None:
        return None
    ends = {end.value: attrs.asdict(settled.ends[end]) for end in SettledAs}
    last = settled.last
    shaped = None if last is None else attrs.asdict(last) | {"end": last.end.value}
    return {"recent_seconds": LETTERS_RECENT, **ends, "last": shaped}


def _database(pool: PoolState) -> dict[str, Any]:
    return {"ok": pool.error is None, **attrs.asdict(pool)}


def _replica(lag: ReplicationLag | UnreadValue | None) -> dict[str, Any]:
    seconds = lag.seconds if isinstance(lag, ReplicationLag) else None
    return {"apart": lag is not None, "lag_seconds": seconds, "error": _error(lag)}


def _document(state: DocumentState) -> dict[str, Any]:
    return attrs.asdict(state) | {"warnings": list(state.warnings[:WARNINGS_LISTED])}


# --- jobs and the farm


def _jobs(seen: StatusSnapshot) -> dict[str, Any]:
    jobs = seen.jobs
    if isinstance(jobs, UnreadValue):
        return {"open": None, "oldest_open": None, "failed": None, "error": jobs.error}
    shaped = None if jobs.oldest is None else _job(jobs.oldest, seen.now)
    return {"open": jobs.open, "oldest_open": shaped, "failed": jobs.failed, "error": None}


def _job(job: JobRecord, now: int) -> dict[str, Any]:
    age = max(0, now - job.when)
    return {"id": job.id, "when": job.when, "age": age, "state": job.state.value}


def _farm(seen: StatusSnapshot) -> dict[str, Any]:
    farm = seen.farm
    if farm is None or isinstance(farm, UnreadValue):
        nothing = dict.fromkeys(("pending", "running", "oldest_pending"))
        return {**nothing, "pools": [], "known_pools": None, "error": _error(farm)}
    oldest = farm.oldest
    return {
        "pending": farm.pending,
        "running": farm.running,
        "oldest_pending": None
        if oldest is None
        else {
            "buildername": oldest.buildername,
            "submitted_at": oldest.submitted_at,
            "age": max(0, seen.now - oldest.submitted_at),
        },
        "pools": [
            {
                "name": load.name,
                "pending": load.pending,
                "running": load.running,
                "oldest_age": None if load.oldest is None else max(0, seen.now - load.oldest),
            }
            for load in farm.pools
        ],
        "known_pools": None if farm.known_pools is None else list(farm.known_pools),
        "error": None,
    }


def _dumps(dumps: Sequence[DumpState] | None) -> dict[str, Any] | None:
    if dumps is None:
        return None
    troubles = [f"{d.name}: {d.last_error}" for d in dumps if d.last_error is not None]
    files = [{"name": d.name, "age": d.age} for d in dumps]
    return {"files": files, "error": "; ".join(troubles) or None}


# --- judgement


def parts(seen: StatusSnapshot, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a verdict on each part: whether it works as far as is known, and its last error."""
    return [
        _broker_part(seen.broker),
        *([] if seen.letters is None else [_letters_part(seen.letters)]),
        *(_database_part(pool, seen.now) for pool in seen.pools),
        *(_document_part(d) for d in seen.documents),
        _agents_part(seen, found["agents"]),
        _masters_part(seen, found["masters"]),
        *(_dump_part(d) for d in seen.dumps or ()),
        *([] if seen.renumbered is None else [_numbers_part(seen.renumbered)]),
        *_unread_parts(seen),
    ]


def _part(
    name: str, ok: bool, detail: str, error: str | None = None, at: float | None = None
) -> dict[str, Any]:
    return {"name": name, "ok": ok, "detail": detail, "last_error": error, "last_error_at": at}


def _numbers_part(found: JobIdReset) -> dict[str, Any]:
    """Warn that job ids started over; this is fine once the next ids are beyond."""
    why = (
        f"ids of job requests began again after {found.highest_job}, and a marker is of"
        f" {found.highest_marker}: was the jobs database restored, or lost?"
    )
    then = (
        f"ids go on after {found.highest_marker}" if found.moved else "they could not be moved on"
    )
    return _part("job numbers", found.moved, f"warning: {then}", why, found.at)


def _broker_part(status: BrokerStatus) -> dict[str, Any]:
    ok = status.connected and not status.blocked
    detail = "connected" if ok else status.blocked or status.last_error or "no connection yet"
    return _part("broker", ok, detail, status.last_error, status.last_error_at)


_SETTLED = {
    SettledAs.RETURNED: "taken up again",
    SettledAs.FAILED: "ended with the job as failed",
    SettledAs.DROPPED: "dropped after the end of the job",
}


def _letters_part(settled: SettledDeadLetters) -> dict[str, Any]:
    """Warn of dead letters; a job that recently failed because of one is an error."""
    told = [
        f"{ends.count} {_SETTLED[end]} ({ends.recent} in the last hour)"
        for end in SettledAs
        if (ends := settled.ends[end]).count
    ]
    detail = ", ".join(told) or "none settled since this process began"
    ok, last = not settled.ends[SettledAs.FAILED].recent, settled.last
    if last is None:
        return _part("dead letters", ok, detail)
    why = f"{last.queue}: the letter of job {last.job_id} ({last.reason}), {_SETTLED[last.end]}"
    return _part("dead letters", ok, detail, why, last.at)


def _database_part(pool: PoolState, now: int) -> dict[str, Any]:
    recent = pool.last_error_at is not None and now - pool.last_error_at <= RECENT_SECONDS
    ok = pool.error is None and not recent
    took = (
        "" if pool.connect_seconds is None else f", a connection takes {pool.connect_seconds:.3f} s"
    )
    detail = f"{pool.in_flight} queries in flight{took}" if ok else pool.error or pool.last_error
    return _part(f"database {pool.name}", ok, detail or "", pool.last_error, pool.last_error_at)


def _document_part(state: DocumentState) -> dict[str, Any]:
    ok = state.age is not None and state.last_error is None
    read = "never read" if state.age is None else f"read {int(state.age)} s ago"
    read = "; ".join([read, *state.warnings[:WARNINGS_TOLD]])
    more = len(state.warnings) - WARNINGS_TOLD
    read += f"; and {more} more" if more > 0 else ""
    return _part(f"directory {state.name}", ok, read, state.last_error, state.last_error_at)


def _agents_part(seen: StatusSnapshot, agents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if isinstance(seen.processes, UnreadValue):
        return _part("agents", False, seen.processes.error)
    alive = [a["name"] for a in agents if a["live"]]
    gone = [a["name"] for a in agents if not a["live"]]
    detail = f"{len(alive)} live" + (f": {', '.join(alive)}" if alive else "")
    return _part("agents", bool(alive), detail + (f"; silent: {', '.join(gone)}" if gone else ""))


def _masters_part(seen: StatusSnapshot, masters: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(seen.processes, UnreadValue):
        return _part("masters", False, f"what agents reach is not known: {seen.processes.error}")
    silent = masters["unreachable"]
    detail = f"{masters['known']} known, {masters['asked']} asked"
    detail += f", {len(masters['disabled'])} disabled" if masters["disabled"] else ""
    detail += f", no answer from {', '.join(silent)}" if silent else ""
    return _part("masters", bool(masters["known"]) and not silent, detail)


def _dump_part(dump: DumpState) -> dict[str, Any]:
    written = "never written" if dump.age is None else f"written {int(dump.age)} s ago"
    ok = dump.age is not None and dump.last_error is None
    return _part(f"dump {dump.name}", ok, written, dump.last_error, dump.last_error_at)


def _unread_parts(seen: StatusSnapshot) -> list[dict[str, Any]]:
    could = {"replica lag": seen.lag, "job requests": seen.jobs, "farm": seen.farm}
    unread = {f"queue {q.name}": q.depth for q in seen.queues}
    return [
        _part(n, False, v.error) for n, v in (could | unread).items() if isinstance(v, UnreadValue)
    ]
