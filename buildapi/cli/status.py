"""``buildapi status``: the health of the service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from buildapi.cli.command_help import command
from buildapi.cli.connection_options import with_client
from buildapi.cli.output import Output, output_options, unpack
from buildapi.cli.service_client import Document, ServiceClient
from buildapi.cli.terminal import format_duration
from buildapi.exit_codes import FAILED

HEAD = ("part", "state", "detail")
AGENTS = ("agent", "state", "heartbeat", "in hand", "jobs")


@command(example="buildapi status")
@with_client
@output_options
def status(*, client: ServiceClient, out: Output) -> None:
    """Show service health (exit 1 unless the state is OK)."""
    document = client.get("status", format="json")
    state = unpack(lambda: str(document["status"]))
    if out.as_json:
        out.json(document)
    else:
        _tell(document, state, out)
    if state != "OK":
        raise SystemExit(FAILED)


def _tell(document: Document, state: str, out: Output) -> None:
    process = unpack(lambda: document["process"])
    reasons = ", ".join(unpack(lambda: list(map(str, document["reasons"]))))
    out.line(f"{state}{f': {reasons}' if reasons else ''}")
    out.line(
        unpack(
            lambda: (
                f"{process['name']} ({', '.join(process['roles'])}) is {process['state']}, version"
                f" {document['versions']['buildapi']}, up {format_duration(process['uptime'])}"
            )
        )
    )
    out.rows(HEAD, unpack(parts, document))
    agents = unpack(agent_rows, document)
    if agents:
        out.rows(AGENTS, agents)


def parts(document: Document) -> Sequence[Sequence[object]]:
    """List the parts, then databases, queues, masters, jobs and farm unless they repeat a part."""
    own = list(_parts(document))
    more = (*_databases(document), *_queues(document), *_others(document))
    # By name and state: a row that contradicts the part of its name is shown as well.
    known = {(name, state) for name, state, _ in own}
    return [*own, *(row for row in more if tuple(row[:2]) not in known)]


def _parts(document: Document) -> Iterator[Sequence[object]]:
    for part in document["parts"]:
        error = part["last_error"]
        detail = "; ".join(filter(None, (part["detail"], error and f"last error: {error}")))
        yield part["name"], _word(part["ok"]), detail


def _databases(document: Document) -> Iterator[Sequence[object]]:
    for base in document["databases"]:
        # Null with a database that answers: all its connections are busy (docs/api.md, "Service
        # health").
        took = base["connect_seconds"]
        time = "all connections busy" if took is None else f"connects in {took * 1000:.0f} ms"
        said = base["error"] or time
        yield f"database {base['name']}", _word(base["ok"]), said


def _queues(document: Document) -> Iterator[Sequence[object]]:
    for queue in document["broker"]["queues"]:
        counts = ("ready", "unacked", "consumers", "dead")
        said = queue["error"] or ", ".join(
            f"{queue[c]} {c}" for c in counts if queue[c] is not None
        )
        yield f"queue {queue['name']}", _word(not queue["error"]), said


def _others(document: Document) -> Iterator[Sequence[object]]:
    masters, jobs, farm = document["masters"], document["jobs"], document["farm"]
    gone = masters["unreachable"]
    yield (
        "masters",
        "not reachable" if gone else "OK",
        ", ".join(gone) or (f"{masters['asked']} of {masters['known']} probed"),
    )
    oldest = jobs["oldest_open"]
    age = f", oldest for {format_duration(oldest['age'])}" if oldest else ""
    said = jobs["error"] or f"{jobs['open']} open{age}, {jobs['failed']} failed in the last hour"
    yield "jobs", _word(not jobs["error"]), said
    if farm["error"] or farm["pending"] is not None:  # else this process does not read the farm
        said = farm["error"] or f"{farm['pending']} pending, {farm['running']} running"
        yield "farm", _word(not farm["error"]), said


def _word(ok: object) -> str:
    return "OK" if ok else "failed"


def agent_rows(document: Document) -> Sequence[Sequence[object]]:
    """List all agents, also silent ones."""
    return [
        (
            agent["name"],
            agent["state"] if agent["live"] else "silent",
            f"{format_duration(agent['age'])} ago",
            agent["in_hand"],
            " ".join(map(str, agent["jobs"])),
        )
        for agent in document["agents"]
    ]
