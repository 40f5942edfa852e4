"""Columns and rows of tables: pure functions of JSON documents of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from buildapi.cli.service_client import JSON, Document
from buildapi.cli.terminal import format_duration
from buildapi.jobs.build_states import OPEN
from buildapi.jobs.last_failures import last_failures
from buildapi.model.durations import elapsed
from buildapi.model.results import result_word
from buildapi.model.revisions import short_revision

Row = Sequence[object]
Time = Callable[[object], str]

BRANCHES = ("branch", "kind", "repository")
ITEMS = ("what", "id", "builder", "revision", "author", "state", "since", "took", "priority")
JOBS = ("job", "state", "action", "who", "when", "finished", "what")
FARM = ("branch", "revision", "author", "id", "builder", "since", "waits")
RECENT = ("worker", "builder", "number", "master", "result", "since", "took")
JOB_ITEMS = ("state", "what", "id", "detail")
TRAIL_EVENTS = ("after", "host", "part", "event", "detail")


def branches(document: Document) -> Sequence[Row]:
    """List the branches."""
    return [(name, b.get("repo_type"), b.get("repo")) for name, b in sorted(document.items())]


def items(document: Sequence[Document], time: Time) -> Sequence[Row]:
    """List builds and pending requests in the order of the document."""
    return [_build(i, time) if "build_id" in i else _request(i, time) for i in document]


def _build(item: Document, time: Time) -> Row:
    revision = short_revision(item["revision"] or "")
    name = item["buildername"]
    return (
        "build",
        item["build_id"],
        name,
        revision,
        item.get("author"),  # services before pushes do not send it
        state(item),
        time(item["starttime"]),
        _took(item),
        None,
    )


def _took(item: Document) -> str | None:
    if item["endtime"] is None:
        return None
    seconds = elapsed(item["starttime"], item["endtime"])
    return "unknown" if seconds is None else format_duration(seconds)


def _request(item: Document, time: Time) -> Row:
    revision, since = short_revision(item["revision"] or ""), time(item["submittime"])
    name, rank = item["buildername"], item["priority"]
    author = item.get("author")
    return "request", item["request_id"], name, revision, author, state(item), since, None, rank


def state(item: Document) -> str:
    """Return the state of a build or a pending request in one word."""
    if "build_id" not in item:
        # Clients tell pending items by their missing build_id (docs/api.md, "Reads").
        waits = "claimed" if item.get("claimed_at") else "pending"
        return "complete" if item.get("complete") else waits
    if item["endtime"] is None:
        return "abandoned" if item.get("abandoned") else "running"
    return result_word(item["status"], none="ended")


def last_failed(document: Sequence[Document]) -> Sequence[tuple[int, str]]:
    """Return id and builder of the builds that "rebuild all failed" is about."""
    names = {i["build_id"]: i["buildername"] for i in document if "build_id" in i}
    jobs = [(i["buildername"], state(i), i.get("build_id")) for i in document]
    return [(int(id_), str(names[id_])) for id_ in last_failures(jobs)]


def ended(document: Sequence[Document]) -> int:
    """Count the builds and requests of a revision that are finished."""
    return sum(state(item) not in OPEN for item in document)


def recent(document: Sequence[Document], time: Time) -> Sequence[Row]:
    """List builds of workers."""
    return [
        (
            build["slavename"],
            build["buildername"],
            build["buildnumber"],
            build["master"],
            "running" if build["endtime"] is None else result_word(build["result"], none="ended"),
            time(build["starttime"]),
            _took(build),
        )
        for build in document
    ]


def jobs(document: Sequence[Document], time: Time) -> Sequence[Row]:
    """List job requests."""
    return [
        (
            job["id"],
            job["state"],
            job["action"],
            job["who"],
            time(job["when"]),
            time(job["completed_at"]),
            what(job["what"]),
        )
        for job in document
    ]


def what(asked: JSON) -> str:
    """Format the parameters of a job request in one line."""
    if not isinstance(asked, Mapping):
        return str(asked)
    return " ".join(f"{k}={v}" for k, v in asked.items() if v not in (None, "", [], {}))


def job_header(job: Document, time: Time) -> Sequence[str]:
    """Return lines about the action, user and time of a job request."""
    lines = [f"job {job['id']}: {job['action']} {what(job['what'])}".rstrip()]
    return [*lines, f"submitted by {job['who']} at {time(job['when'])}"]


def trail_events(document: Document) -> Sequence[Sequence[object]]:
    """List the events of a job request in order, with the time since the first."""
    found = sorted(document["events"], key=lambda event: float(event["at"]))
    if not found:
        return [(None, None, None, None, "no events: the job is too old, or was not logged")]
    first = float(found[0]["at"])
    return [
        (f"+{float(e['at']) - first:.3f} s", e["host"], e["part"], e["event"], e["detail"])
        for e in found
    ]


def job_items(job: Document) -> Sequence[Row]:
    """List the actions that a job took."""
    return [(i.get("state"), *_thing(i), i.get("detail")) for i in job["items"] or ()]


def did_nothing(job: Document) -> bool:
    """Return whether a job is done without having changed anything."""
    items = job["items"] or ()
    return (
        job["state"] == "done" and all(i.get("state") == "nothing" for i in items) and bool(items)
    )


def _thing(item: Document) -> tuple[str, object]:
    for name in ("build_id", "request_id", "master", "buildset_id"):
        if item.get(name) is not None:
            return name.removesuffix("_id"), item[name]
    return "", None


def outcome(job: Document) -> str:
    """Format the result of a job in one line."""
    body = (job["complete_data"] or {}).get("body") or {}
    msg = body.get("msg") if isinstance(body, Mapping) else None
    return f"job {job['id']} is {job['state']}" + (f": {msg}" if msg else "")


def warnings(document: Document) -> Sequence[str]:
    """List the warnings of a response, a plan or a job; older services send none."""
    return [str(words) for words in document.get("warnings", ())]


def plan(document: Document) -> Sequence[Row]:
    """List the steps of a plan: writes to the database, then requests to masters."""
    wanted = document["plan"]
    writes = [("write", w["type"], what(_without_type(w))) for w in wanted["writes"]]
    return [*writes, *(("poke", p["type"], what(_without_type(p))) for p in wanted["pokes"])]


def _without_type(step: Document) -> Document:
    return {k: v for k, v in step.items() if k not in ("type", "properties", "build")}


def dropped_and_stopped(document: Document) -> tuple[int, int]:
    """Count the requests that a plan cancels and the builds that it stops."""
    wanted = document["plan"]
    # Sets: a request that several steps name is one request.
    dropped = {b for w in wanted["writes"] for b in w.get("brids", ())}
    stopped = {p["build_id"] for p in wanted["pokes"] if p["type"] == "StopBuild"}
    return len(dropped), len(stopped)


LISTED = 10


def to_cancel(document: Document) -> Sequence[str]:
    """List the requests that a plan cancels and the builds it stops, the first ten of each."""
    wanted = document["plan"]
    requests = [f"request {b}" for w in wanted["writes"] for b in w.get("brids", ())]
    builds = [
        f"build {p['build_id']} of {p['buildername']}"
        for p in wanted["pokes"]
        if p["type"] == "StopBuild"
    ]
    return [*first_of(requests, "requests"), *first_of(builds, "builds")]


def first_of(lines: Sequence[str], kind: str) -> Sequence[str]:
    """Return the first ten lines, and how many more there are."""
    left = len(lines) - LISTED
    return [*lines[:LISTED], *([f"and {left} more {kind}"] if left > 0 else [])]


def farm(document: Document, name: str, time: Time, now: float) -> Sequence[Row]:
    """List the ``pending`` requests or ``running`` builds of a farm-wide document, newest first."""
    began = {"pending": "submitted_at", "running": "start_time"}[name]
    leaves = _leaves(document[name])
    found = sorted(leaves, key=lambda leaf: leaf[2][began] or 0, reverse=True)
    return [
        (
            branch,
            short_revision(revision),
            thing.get("author"),
            thing["id"],
            thing["buildername"],
            time(thing[began]),
            thing[began] and format_duration(now - thing[began]) + _starting(name, thing),
        )
        for branch, revision, thing in found
    ]


def _starting(name: str, thing: Document) -> str:
    """Return a text about the master that claimed a pending request."""
    master = thing.get("claimed_by_name") if name == "pending" else None
    return f", claimed by {master}, starting" if master else ""


def _leaves(tree: Document) -> Iterator[tuple[str, str, Document]]:
    for branch, revisions in tree.items():
        for revision, things in revisions.items():
            yield from ((branch, revision, thing) for thing in things)


def waittimes(document: Document) -> tuple[Sequence[str], Sequence[Row]]:
    """Return columns and rows of a wait-time report, a row per platform."""
    # Keys of JSON are texts, of which "105" sorts before "15".
    blocks = sorted(document["wt"], key=int)
    head = ("platform", "total", *(f"{b} min" for b in blocks), "median", "90 %")
    platforms = sorted(document["platforms"].items())
    return head, [_waits(n, p, blocks) for n, p in [*platforms, ("all", document)]]


def _waits(name: str, part: Document, blocks: Sequence[str]) -> Row:
    counts = [part["wt"].get(block, {}).get("total", 0) for block in blocks]
    percent = part.get("percentiles") or {}
    return name, part["total"], *counts, percent.get("50"), percent.get("90")
