"""Show and judge the parts of the /status document.

Whatever is added there is a pair of functions here, and an entry in the list of parts in
buildapi/assembly/process_status.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from buildapi.jobs.farm_summary import FarmSummary
from buildapi.model.messages import BrokerStatus, QueueDepth, SettledAs, SettledLetter
from buildapi.model.ops import DocumentState, DumpState, Heartbeat, PoolState
from buildapi.model.records import Backlog, JobRecord
from buildapi.model.status import (
    BacklogDocument,
    BrokerDocument,
    BrokerPart,
    DatabaseDocument,
    DatabasesPart,
    DeadLettersDocument,
    DeadLettersPart,
    DirectoryDocument,
    DirectoryPart,
    DumpAge,
    DumpsPart,
    FarmDocument,
    FarmPart,
    HTTPPart,
    JobsPart,
    LastDeadLetter,
    MastersDocument,
    MastersPart,
    NoPart,
    OldestJob,
    OldestRequest,
    OneProcess,
    ProcessPart,
    QueueDocument,
    ReadinessPart,
    ReloadDocument,
    ReloadPart,
    ReplicaPart,
    SettlementsDocument,
    ThisProcess,
)
from buildapi.ops.dead_letter_tally import RECENT_SECONDS as LETTERS_RECENT
from buildapi.ops.dead_letter_tally import SettledDeadLetters, Settlements
from buildapi.ops.job_id_guard import JobIdReset
from buildapi.ops.reload import Reload
from buildapi.ops.status_document import (
    StatusMoment,
    UnreadValue,
    Verdict,
)

BEATS_MISSED = 3
"""Heartbeats a process may miss before it counts as gone."""

RECENT_SECONDS = 60
"""Seconds for which the last error of a part makes it unhealthy."""

JOBS_SHOWN = 20

WARNINGS_TOLD, WARNINGS_LISTED = 3, 100
"""Warnings of a document: in the details of its part, and in its list."""

UNREAD, UNREAD_QUEUE = 1, 2
"""Order of the verdicts on what could not be read."""


def judge_read(name: str) -> Callable[[object, StatusMoment], Sequence[Verdict]]:
    """Return a judge of a part that is well whatever is read, if it can be read."""

    def judge(value: object, _moment: StatusMoment) -> Sequence[Verdict]:
        if not isinstance(value, UnreadValue):
            return ()
        return [Verdict(name, False, value.error, order=UNREAD)]

    return judge


# --- this process


def show_readiness(value: Sequence[str] | UnreadValue, _moment: StatusMoment) -> ReadinessPart:
    """Return whether the process is ready, and why not; if nobody can tell, it is not."""
    reasons = [value.error] if isinstance(value, UnreadValue) else list(value)
    return {"ready": not reasons, "reasons": reasons}


def show_process(value: Mapping[str, str], moment: StatusMoment) -> ProcessPart:
    """Return the time, this process, and the versions of the program and its libraries."""
    me = moment.me
    process: ThisProcess = {
        "instance": me.instance,
        "name": me.name,
        "pid": me.pid,
        "roles": list(me.roles),
        "state": me.state.value,
        "started_at": me.started_at,
        "uptime": max(0, moment.now - me.started_at),
    }
    return {"now": moment.now, "process": process, "versions": dict(value)}


def show_http(value: tuple[int, int, Mapping[str, int]], _moment: StatusMoment) -> HTTPPart:
    """Return the numbers of requests and connections, and of what each limit has refused."""
    requests, connections, refused = value
    return {"http": {"requests": requests, "connections": connections, "limited": dict(refused)}}


def show_reload(value: Reload | None, _moment: StatusMoment) -> ReloadPart:
    """Return how the last reload of the configuration ended; None if there was none."""
    if value is None:
        return {"reload": None}
    last: ReloadDocument = {
        "at": int(value.at),
        "ok": value.ok,
        "errors": list(value.errors),
        "needs_restart": list(value.needs_restart),
    }
    return {"reload": last}


# --- broker


@attrs.frozen
class QueueRole:
    """Describe a queue by its name and role: ``requests`` or ``finished``."""

    name: str
    role: str
    depth: QueueDepth | UnreadValue


@attrs.frozen
class BrokerState:
    """Hold the connection to the broker, and its queues."""

    kind: str
    status: BrokerStatus
    queues: Sequence[QueueRole]


def show_broker(value: BrokerState, moment: StatusMoment) -> BrokerPart:
    """Return the connection and the queues."""
    in_hand = sum(a["in_hand"] for a in _agents(moment) if a["live"])
    queues = [_queue(q, in_hand if q.role == "requests" else None) for q in value.queues]
    status = value.status
    told: BrokerDocument = {
        "kind": value.kind,
        "connected": status.connected,
        "blocked": status.blocked,
        "last_error": status.last_error,
        "last_error_at": status.last_error_at,
        "queues": queues,
    }
    return {"broker": told}


def judge_broker(value: BrokerState, _moment: StatusMoment) -> Sequence[Verdict]:
    """Require a connection that takes messages, and queues that can be read."""
    status = value.status
    ok = status.connected and not status.blocked
    detail = "connected" if ok else status.blocked or status.last_error or "no connection yet"
    unread = [
        Verdict(f"queue {q.name}", False, q.depth.error, order=UNREAD_QUEUE)
        for q in value.queues
        if isinstance(q.depth, UnreadValue)
    ]
    return [Verdict("broker", ok, detail, status.last_error, status.last_error_at), *unread]


def _queue(queue: QueueRole, in_hand: int | None) -> QueueDocument:
    """Return a queue as JSON; agents count unacknowledged messages if the broker does not."""
    depth = queue.depth
    if isinstance(depth, UnreadValue):
        return {
            "name": queue.name,
            "role": queue.role,
            "ready": None,
            "unacked": None,
            "consumers": None,
            "dead": None,
            "error": depth.error,
        }
    return {
        "name": queue.name,
        "role": queue.role,
        "ready": depth.ready,
        # AMQP does not tell it: queue.declare-ok counts ready messages only [AMQP 0-9-1, queue].
        "unacked": in_hand if depth.unacked is None else depth.unacked,
        "consumers": depth.consumers,
        "dead": depth.dead,
        "error": None,
    }


_SETTLED = {
    SettledAs.RETURNED: "requeued",
    SettledAs.FAILED: "failed with the job",
    SettledAs.DROPPED: "dropped because the job had ended",
}


def show_dead_letters(value: SettledDeadLetters | None, _moment: StatusMoment) -> DeadLettersPart:
    """Return the settled dead letters; None if this process does not review them."""
    if value is None:
        return {"dead_letters": None}
    last, ends = value.last, value.ends
    told: DeadLettersDocument = {
        "recent_seconds": LETTERS_RECENT,
        "returned": _settlements(ends[SettledAs.RETURNED]),
        "failed": _settlements(ends[SettledAs.FAILED]),
        "dropped": _settlements(ends[SettledAs.DROPPED]),
        "last": None if last is None else _dead_letter(last),
    }
    return {"dead_letters": told}


def _settlements(of: Settlements) -> SettlementsDocument:
    return {"count": of.count, "recent": of.recent, "last_at": of.last_at}


def _dead_letter(letter: SettledLetter) -> LastDeadLetter:
    return {
        "queue": letter.queue,
        "end": letter.end.value,
        "job_id": letter.job_id,
        "reason": letter.reason,
        "at": letter.at,
    }


def judge_dead_letters(
    value: SettledDeadLetters | None, _moment: StatusMoment
) -> Sequence[Verdict]:
    """Warn of dead letters; a job that recently failed because of one is an error."""
    if value is None:
        return ()
    told = [
        f"{ends.count} {_SETTLED[end]} ({ends.recent} in the last hour)"
        for end in SettledAs
        if (ends := value.ends[end]).count
    ]
    detail = ", ".join(told) or "none settled since this process started"
    ok, last = not value.ends[SettledAs.FAILED].recent, value.last
    if last is None:
        return [Verdict("dead letters", ok, detail)]
    why = f"{last.queue}: dead letter of job {last.job_id} ({last.reason}), {_SETTLED[last.end]}"
    return [Verdict("dead letters", ok, detail, why, last.at)]


# --- databases


def show_databases(value: Sequence[PoolState], _moment: StatusMoment) -> DatabasesPart:
    """Return the connection pools."""
    return {"databases": [_database(pool) for pool in value]}


def _database(pool: PoolState) -> DatabaseDocument:
    return {
        "ok": pool.error is None,
        "name": pool.name,
        "kind": pool.kind,
        "in_flight": pool.in_flight,
        "waiting": pool.waiting,
        "last_error": pool.last_error,
        "last_error_at": pool.last_error_at,
        "connect_seconds": pool.connect_seconds,
        "error": pool.error,
    }


def judge_databases(value: Sequence[PoolState], moment: StatusMoment) -> Sequence[Verdict]:
    """Require a connection, and no recent error."""
    return [_judge_pool(pool, moment.now) for pool in value]


def _judge_pool(pool: PoolState, now: int) -> Verdict:
    recent = pool.last_error_at is not None and now - pool.last_error_at <= RECENT_SECONDS
    ok = pool.error is None and not recent
    seconds = pool.connect_seconds
    took = "" if seconds is None else f", connection time: {seconds:.3f} s"
    detail = f"queries in flight: {pool.in_flight}{took}" if ok else pool.error or pool.last_error
    return Verdict(f"database {pool.name}", ok, detail or "", pool.last_error, pool.last_error_at)


@attrs.frozen
class ReplicationLag:
    """Hold the replication lag in seconds; None if it is not known yet."""

    seconds: int | None


def show_replica(value: ReplicationLag | UnreadValue | None, _moment: StatusMoment) -> ReplicaPart:
    """Return the replication lag; None if the replica is the primary or is not used."""
    seconds = value.seconds if isinstance(value, ReplicationLag) else None
    apart = value is not None
    return {"replica": {"apart": apart, "lag_seconds": seconds, "error": _error(value)}}


judge_replica = judge_read("replica lag")


# --- the directory, processes and masters


def show_directory(value: Sequence[DocumentState], _moment: StatusMoment) -> DirectoryPart:
    """Return the documents with their first warnings."""
    return {"directory": [_directory(state) for state in value]}


def _directory(state: DocumentState) -> DirectoryDocument:
    return {
        "name": state.name,
        "age": state.age,
        "last_error": state.last_error,
        "last_error_at": state.last_error_at,
        "warnings": list(state.warnings[:WARNINGS_LISTED]),
    }


def judge_directory(value: Sequence[DocumentState], _moment: StatusMoment) -> Sequence[Verdict]:
    """Require documents that were read, the last time as well."""
    return [_judge_document(state) for state in value]


def _judge_document(state: DocumentState) -> Verdict:
    ok = state.age is not None and state.last_error is None
    read = "never read" if state.age is None else f"read {int(state.age)} s ago"
    read = "; ".join([read, *state.warnings[:WARNINGS_TOLD]])
    more = len(state.warnings) - WARNINGS_TOLD
    read += f"; and {more} more" if more > 0 else ""
    return Verdict(f"directory {state.name}", ok, read, state.last_error, state.last_error_at)


@attrs.frozen
class KnownMasters:
    """Hold the number of masters in the masters file, and the names of those it disables."""

    number: int
    disabled: Sequence[str]


def show_masters(value: KnownMasters, moment: StatusMoment) -> MastersPart:
    """Return masters, agents and all processes."""
    agents = _agents(moment)
    return {
        "masters": _masters(value, agents),
        "agents": agents,
        "processes": _processes(moment),
        "agents_error": _error(moment.processes),
    }


def judge_masters(value: KnownMasters, moment: StatusMoment) -> Sequence[Verdict]:
    """Require a live agent, and masters that all live agents reach."""
    if isinstance(moment.processes, UnreadValue):
        why = moment.processes.error
        return [
            Verdict("agents", False, why),
            Verdict("masters", False, f"unknown: {why}"),
        ]
    agents = _agents(moment)
    return [_judge_agents(agents), _judge_masters(_masters(value, agents))]


def _judge_agents(agents: Sequence[OneProcess]) -> Verdict:
    alive = [a["name"] for a in agents if a["live"]]
    gone = [a["name"] for a in agents if not a["live"]]
    detail = f"{len(alive)} live" + (f": {', '.join(alive)}" if alive else "")
    detail += f"; no heartbeat: {', '.join(gone)}" if gone else ""
    return Verdict("agents", bool(alive), detail)


def _judge_masters(masters: MastersDocument) -> Verdict:
    silent = masters["unreachable"]
    detail = f"{masters['known']} known, {masters['asked']} probed"
    detail += f", {len(masters['disabled'])} disabled" if masters["disabled"] else ""
    detail += f", unreachable: {', '.join(silent)}" if silent else ""
    return Verdict("masters", bool(masters["known"]) and not silent, detail)


def live(beat: Heartbeat, now: int, beat_seconds: float) -> bool:
    """Return whether a process sent a heartbeat recently."""
    # One more second, because both times are whole seconds.
    return now - beat.beat_at <= BEATS_MISSED * beat_seconds + 1


def _agents(moment: StatusMoment) -> list[OneProcess]:
    return [process for process in _processes(moment) if "agent" in process["roles"]]


def _processes(moment: StatusMoment) -> list[OneProcess]:
    if isinstance(moment.processes, UnreadValue):
        return []
    return [_process(beat, moment) for beat in moment.processes]


def _process(beat: Heartbeat, moment: StatusMoment) -> OneProcess:
    return {
        "instance": beat.instance,
        "name": beat.name,
        "pid": beat.pid,
        "version": beat.version,
        "started_at": beat.started_at,
        "beat_at": beat.beat_at,
        "in_hand": beat.in_hand,
        "masters": beat.masters,
        "roles": list(beat.roles),
        "state": beat.state.value,
        "age": max(0, moment.now - beat.beat_at),
        "live": live(beat, moment.now, moment.beat_seconds),
        "jobs": list(beat.jobs)[:JOBS_SHOWN],
        "unreachable": None if beat.unreachable is None else list(beat.unreachable),
    }


def _masters(known: KnownMasters, agents: Sequence[OneProcess]) -> MastersDocument:
    """Combine the reports of live agents: a master that one of them cannot reach is unreachable.

    Except a disabled master: an agent may have asked it before the masters file disabled it.
    """
    disabled = sorted(known.disabled)
    asking = [a for a in agents if a["live"] and a["masters"] is not None]
    asked = max((a["masters"] or 0 for a in asking), default=0)
    silent = sorted({n for a in asking for n in a["unreachable"] or ()} - {*disabled})
    share = round(1 - min(len(silent), asked) / asked, 4) if asked else None
    return {
        "known": known.number,
        "asked": asked,
        "unreachable": silent,
        "share": share,
        "disabled": disabled,
    }


def _error(value: object) -> str | None:
    return value.error if isinstance(value, UnreadValue) else None


# --- jobs and the farm


def show_jobs(value: Backlog | UnreadValue, moment: StatusMoment) -> JobsPart:
    """Return the numbers of unfinished and failed job requests, and the oldest unfinished one."""
    if isinstance(value, UnreadValue):
        return {"jobs": {"open": None, "oldest_open": None, "failed": None, "error": value.error}}
    oldest = None if value.oldest is None else _job(value.oldest, moment.now)
    told: BacklogDocument = {
        "open": value.open,
        "oldest_open": oldest,
        "failed": value.failed,
        "error": None,
    }
    return {"jobs": told}


def _job(job: JobRecord, now: int) -> OldestJob:
    age = max(0, now - job.when)
    return {"id": job.id, "when": job.when, "age": age, "state": job.state.value}


judge_jobs = judge_read("job requests")


def show_job_ids(_value: JobIdReset | None, _moment: StatusMoment) -> NoPart:
    """Return no keys: only a verdict tells of them."""
    return {}


def judge_job_ids(value: JobIdReset | None, _moment: StatusMoment) -> Sequence[Verdict]:
    """Warn that job ids started over; this is fine once the next ids are beyond."""
    if value is None:
        return ()
    why = (
        f"the highest job request is {value.highest_job}, but there is a marker of job"
        f" {value.highest_marker}: was the jobs database restored or lost?"
    )
    then = (
        f"new ids continue after {value.highest_marker}"
        if value.moved
        else "the next id could not be raised"
    )
    return [Verdict("job numbers", value.moved, f"warning: {then}", why, value.at)]


def show_farm(value: FarmSummary | UnreadValue | None, moment: StatusMoment) -> FarmPart:
    """Return what is pending and running, also by pool; None if this process does not read it."""
    if value is None or isinstance(value, UnreadValue):
        nothing: FarmDocument = {
            "pending": None,
            "running": None,
            "oldest_pending": None,
            "pools": [],
            "known_pools": None,
            "error": _error(value),
        }
        return {"farm": nothing}
    farm: FarmDocument = {
        "pending": value.pending,
        "running": value.running,
        "oldest_pending": _oldest(value, moment.now),
        "pools": [
            {
                "name": load.name,
                "pending": load.pending,
                "running": load.running,
                "oldest_age": None if load.oldest is None else max(0, moment.now - load.oldest),
            }
            for load in value.pools
        ],
        "known_pools": None if value.known_pools is None else list(value.known_pools),
        "error": None,
    }
    return {"farm": farm}


def _oldest(farm: FarmSummary, now: int) -> OldestRequest | None:
    oldest = farm.oldest
    if oldest is None:
        return None
    age = max(0, now - oldest.submitted_at)
    return {"buildername": oldest.buildername, "submitted_at": oldest.submitted_at, "age": age}


judge_farm = judge_read("farm")


def show_dumps(value: Sequence[DumpState] | None, _moment: StatusMoment) -> DumpsPart:
    """Return the dumps and their ages; None if this process writes none."""
    if value is None:
        return {"dumps": None}
    troubles = [f"{d.name}: {d.last_error}" for d in value if d.last_error is not None]
    files: list[DumpAge] = [{"name": d.name, "age": d.age} for d in value]
    return {"dumps": {"files": files, "error": "; ".join(troubles) or None}}


def judge_dumps(value: Sequence[DumpState] | None, _moment: StatusMoment) -> Sequence[Verdict]:
    """Require dumps that were written, the last time as well."""
    return [_judge_dump(dump) for dump in value or ()]


def _judge_dump(dump: DumpState) -> Verdict:
    written = "never written" if dump.age is None else f"written {int(dump.age)} s ago"
    ok = dump.age is not None and dump.last_error is None
    return Verdict(f"dump {dump.name}", ok, written, dump.last_error, dump.last_error_at)
