"""HTML of the farm-wide pages, made of the documents that JSON clients get."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from buildapi.jobs.farm_views import UNKNOWN, branch_namer
from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.jobs.recorded_builds import failure_rate
from buildapi.model.branches import Branches
from buildapi.model.durations import elapsed
from buildapi.model.farm_rows import PendingEntry, RecentBuild, RunningBuild
from buildapi.model.json_types import JSONObject
from buildapi.model.pushes import short_author
from buildapi.model.records import Build
from buildapi.model.results import result_word
from buildapi.model.revisions import short_revision
from buildapi.web.farm.documents import RecentDocument
from buildapi.web.farm.farm_serializers import NO_WORKERS, TOTAL
from buildapi.web.farm.master_links import MasterLinks
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.path_converter import segment
from buildapi.web.http.rendering import Page
from buildapi.web.http.tables import Cell, Line, TableColumn, asked_of, table
from buildapi.web.http.template_filters import lasting
from buildapi.web.selfserve.listing import ListRow, ListRows
from buildapi.web.selfserve.pages import Listing, SelfServePages, link_of

WAITING = ("branch", "builder", "revision", "push", "submitted", "took")
WORKING = (
    *("branch", "builder", "revision", "push", "submitted", "started", "took", "worker"),
    "master",
)

WAITING_STATES = ("pending", "claimed")

RECENT_COLUMNS = (
    TableColumn("slave", "Worker"),
    TableColumn("builder", "Builder"),
    TableColumn("push", "Push"),
    TableColumn("number", "Number", "number"),
    TableColumn("master", "Master"),
    TableColumn("result", "Result", "state"),
    TableColumn("start", "Started", "time"),
    TableColumn("end", "Ended", "time"),
    TableColumn("took", "Duration", "seconds"),
)
OF_REVISION = (
    TableColumn("builder", "Builder"),
    TableColumn("result", "Result", "state"),
    TableColumn("submitted", "Submitted", "time"),
    TableColumn("start", "Started", "time"),
    TableColumn("end", "Ended", "time"),
    TableColumn("took", "Duration", "seconds"),
    TableColumn("branch", "Branch"),
    TableColumn("revision", "Revision"),
    TableColumn("master", "Master"),
)
# On the page of a worker, whose name is in its heading.
OF_WORKER = RECENT_COLUMNS[1:]
PUSHES_COLUMNS = (TableColumn("author", "Author"), TableColumn("pushes", "Pushes", "number"))


@attrs.frozen
class Worker:
    """A worker: its latest ended builds, newest first, and what it ``runs``, one build at most.

    ``runs`` is None if that is not known.
    """

    name: str
    ended: Sequence[RecentBuild]
    runs: Sequence[RecentDocument] | None


@attrs.frozen
class FarmPages:
    """Build the farm-wide pages."""

    _pages: SelfServePages

    def pending(self, document: JSONBody, call: Call) -> Page:
        """Return the page of pending requests."""
        how = Listing(
            WAITING,
            _events(call),
            WAITING_STATES,
            grows=_everything(call),
            what="pending requests",
        )
        return self._pages.listing("Pending requests", lambda: document.value, how, call)

    def running(self, document: JSONBody, call: Call) -> Page:
        """Return the page of running builds."""
        how = Listing(
            WORKING,
            _events(call),
            ("running",),
            grows=_everything(call),
            what="running builds",
        )
        return self._pages.listing("Running builds", lambda: document.value, how, call)

    def recent(self, document: JSONBody, call: Call, slaves: Sequence[str]) -> Page:
        """Return the page of recent builds."""
        of = f" on {', '.join(slaves)}" if slaves else ""
        worker: Worker | None = document.once("worker", lambda: None)
        builds: Mapping[int, Build] = document.once("builds", dict)
        masters = self._pages.masters()

        def lines() -> Sequence[Line]:
            return [_recent(b, _on_master(builds.get(b["id"]), masters)) for b in document.value]

        if worker is None:
            return self._table(f"Recent builds{of}", RECENT_COLUMNS, lines, call)

        def about() -> JSONObject:
            rate = failure_rate(worker.ended)
            runs = [
                {"builder": _builder(b), "path": _path(b), "started": b["starttime"]}
                for b in worker.runs or ()
            ]
            return {
                "runs": runs,
                "knows": worker.runs is not None,
                "strip": strip(document.value),
                "rate": rate,
            }

        return self._table(
            f"Worker {worker.name}",
            OF_WORKER,
            lambda: [line[1:] for line in lines()],
            call,
            template="worker.html",
            more=about,
        )

    def revision(self, document: JSONBody, call: Call, notice: str) -> Page:
        """Return the page of the requests and builds of a revision."""
        asked = document.value
        title = f"Revision {asked['revision'][:40]} on {asked['branch']}"
        now = int(self._pages.now())

        entries = list(_entries(asked["all"]))
        # Branches and revisions that all rows share are said once, above them.
        shared = {
            name
            for name, values in (
                ("branch", {branch for branch, _, _ in entries}),
                ("revision", {revision for _, revision, _ in entries}),
            )
            if len(values) == 1
        }
        shown = [i for i, column in enumerate(OF_REVISION) if column.name not in shared]

        def lines() -> Sequence[Line]:
            known = self._pages.masters()
            found = [_of_revision(*one, known, now) for one in entries]
            return [tuple(line[i] for i in shown) for line in found]

        def about() -> JSONObject:
            of = [(b, r, e.get("author"), e.get("comments")) for b, r, e in entries if r]
            return {"pushes": list(dict.fromkeys(of)), "unknown": UNKNOWN}

        return self._table(
            title,
            [OF_REVISION[i] for i in shown],
            lines,
            call,
            sort="builder",
            note=notice,
            what="builds or requests",
            template="farm_revision.html",
            more=about,
        )

    def pushes(self, document: JSONBody, call: Call, branch: str | None) -> Page:
        """Return the page of pushes by author."""
        counts = dict(document.value)
        total = counts.pop(TOTAL)
        of = f" on branches like {branch}" if branch else ""
        lines = [(Cell(who), Cell(count)) for who, count in counts.items()]
        return self._table(
            f"Pushes by author{of}",
            PUSHES_COLUMNS,
            lambda: lines,
            call,
            sort="-pushes",
            note=f"Total: {total}",
            what="pushes",
        )

    def _table(
        self,
        title: str,
        columns: Sequence[TableColumn],
        lines: Callable[[], Sequence[Line]],
        call: Call,
        *,
        sort: str = "",
        note: str = "",
        what: str = "builds",
        template: str = "table.html",
        more: Callable[[], JSONObject] = dict,
    ) -> Page:
        def context() -> JSONObject:
            asked = asked_of(call.query, columns, sort)
            keep = [(n, v) for n, vs in call.query.items() if n not in ASKED for v in vs]
            shown = table(columns, lines(), asked)
            return self._pages.common() | {
                "table": shown,
                "keep": keep,
                "note": note,
                "what": what,
                "link_of": link_of,
                **more(),
            }

        return Page(template, title, context)


ASKED = ("q", "sort", "page", "format")


def _everything(call: Call) -> bool:
    """Return whether the list shows the whole farm, from its first row."""
    # Scripts cannot tell whether a new row belongs to a part of a branch name, or to a portion of
    # the list.
    return not call.path.get("branch") and not call.query.keys() & {"branch", "limit", "offset"}


def _events(call: Call) -> str:
    # With "job" alone the stream has no builds and requests (docs/api.md, "Events").
    return "job=mine" if call.who and not _everything(call) else ""


def _entries(nested: JSONObject) -> Iterator[tuple[str, str, JSONObject]]:
    for branch, revisions in nested.items():
        for revision, entries in revisions.items():
            for entry in entries:
                yield branch, "" if revision == UNKNOWN else revision, entry


def waiting_rows(
    branches: Branches, found: Sequence[PendingEntry], pushes: PushIndex = NO_PUSHES
) -> ListRows:
    """Return rows of pending requests; ``place`` is the branch whose pages have them."""
    name, states = branch_namer(branches.by_name), [_waiting_state(entry) for entry in found]

    def build(index: int) -> ListRow:
        entry = found[index]
        place = branches.owner(entry.branch)
        row = _waiting(entry, states[index], name(entry.branch), place)
        return _of_push(row, entry, pushes)

    return ListRows(states, build)


def _of_push(row: ListRow, found: PendingEntry | RunningBuild, pushes: PushIndex) -> ListRow:
    author, subject = pushes.words(found.branch, found.revision) or ("", "")
    return attrs.evolve(row, author=author, subject=subject)


def working_rows(
    branches: Branches,
    found: Sequence[RunningBuild],
    pushes: PushIndex = NO_PUSHES,
    workers: Mapping[int, str] = NO_WORKERS,
) -> ListRows:
    """Return rows of running builds; ``workers`` are theirs, by id, as far as they are known."""
    name = branch_namer(branches.by_name)

    def build(index: int) -> ListRow:
        one = found[index]
        place = branches.owner(one.branch)
        row = _working(one, name(one.branch), place, workers.get(one.id, ""))
        return _of_push(row, one, pushes)

    return ListRows(["running"] * len(found), build)


def _waiting_state(entry: PendingEntry) -> str:
    # /pending lists requests that a master has claimed and not started yet (docs/compatibility.md,
    # "The pages of the whole farm").
    return "pending" if entry.claimed_by_name is None else "claimed"


def _waiting(entry: PendingEntry, state: str, branch: str, place: str | None) -> ListRow:
    return ListRow(
        kind="request",
        id=entry.id,
        state=state,
        builder=entry.buildername,
        branch=branch,
        revision=entry.revision or "",
        submitted=entry.submitted_at,
        started=None,
        ended=None,
        priority=entry.priority or 0,
        reason="",
        master=entry.claimed_by_name or "",
        number=None,
        requests=[entry.id],
        place=place or "",
    )


def _working(build: RunningBuild, branch: str, place: str | None, worker: str) -> ListRow:
    return ListRow(
        kind="build",
        id=build.id,
        state="running",
        builder=build.buildername,
        branch=branch,
        revision=build.revision or "",
        submitted=build.submitted_at,
        started=build.start_time,
        ended=None,
        priority=0,
        reason="",
        master=build.claimed_by_name or "",
        number=build.number,
        requests=list(build.request_ids),
        place=place or "",
        worker=worker,
    )


def _on_master(build: Build | None, masters: Mapping[str, MasterLinks]) -> str:
    """Return the URL of a build on its master; empty if it or its pages are not known."""
    request = None if build is None else build.requests[0]
    master = None if request is None else masters.get(request.claimed_by_name or "")
    if build is None or request is None or master is None:
        return ""
    return master.build(request.buildername, build.number)


def strip(builds: Sequence[JSONObject]) -> Sequence[StripEntry]:
    """Return the results of builds, newest first, as entries of a strip."""
    return [
        StripEntry(
            state := result_word(one["result"], none="none"),
            _path(one),
            f"{_builder(one)}: {state}, {lasting(elapsed(one['starttime'], one['endtime']))}",
        )
        for one in builds
    ]


@attrs.frozen
class StripEntry:
    """A result in a strip: its word, the path of its page below the mount prefix, and its label.

    The path is empty without a page.
    """

    state: str
    path: str
    label: str


def _path(build: JSONObject | RecentDocument) -> str:
    if "build_id" not in build:
        return ""
    return f"/self-serve/{segment(build['branch'])}/build/{build['build_id']}"


def _builder(build: JSONObject | RecentDocument) -> str:
    # buildername is a property, which builds of some builders lack; buildname is the builder's row.
    return str(build["buildername"] or build["buildname"])


def _recent(build: JSONObject, on_master: str) -> Line:
    start, end, result = build["starttime"], build["endtime"], build["result"]
    lasted = elapsed(start, end)
    slave, path = build["slavename"] or "", _path(build)
    return (
        Cell(slave, f"/recent/{segment(slave)}?greedy=false" if slave else ""),
        Cell(_builder(build), path, "" if path else on_master),
        _push(build),
        Cell(build["buildnumber"]),
        Cell(build["master"]),
        Cell(result_word(result, none="running")),
        Cell(start),
        Cell(end),
        Cell(lasted),
    )


def _push(item: JSONObject) -> Cell:
    """Return the author and the first line of the push of a build; empty if it is not known."""
    if "author" not in item:
        return Cell(None)
    author, words = item["author"], f"{short_author(item['author'])} {item['comments']}"
    return Cell(words.strip(), f"/self-serve/user/{segment(author)}" if author else "")


def _state(entry: JSONObject) -> str:
    """Return the word for the state of a request, as seen by one of its builds.

    A build of Buildbot 0.8 has no result of its own: one that has ended while its request has none
    is being retried.  A master that was killed leaves its builds without an end for ever.
    """
    if entry["start_time"] is not None and entry["finish_time"] is None:
        # A released request has claimed_at 0 again: another build of it will run, not this one.
        open_ = entry["claimed_at"] and entry["results"] is None
        return "running" if open_ else "abandoned"
    if entry["results"] is not None:
        return result_word(entry["results"])
    if entry["start_time"] is None:
        return "claimed" if entry["claimed_at"] else "pending"
    return "retry"


def _of_revision(
    branch: str,
    revision: str,
    entry: JSONObject,
    known: Mapping[str, MasterLinks],
    now: int,
) -> Line:
    submitted, start, end = entry["submitted_at"], entry["start_time"], entry["finish_time"]
    builder, number, claimed_by = entry["buildername"], entry["number"], entry["claimed_by_name"]
    # A number is unique only per master and builder, so there is no link without the claiming
    # master.
    master = known.get(claimed_by or "") if number is not None else None
    return (
        Cell(builder, url=master.build(builder, number) if master else ""),
        Cell(_state(entry)),
        Cell(submitted),
        Cell(start),
        Cell(end),
        Cell(elapsed(start or submitted, end or now)),
        Cell(branch),
        Cell(
            short_revision(revision),
            f"/self-serve/{segment(branch)}/rev/{segment(revision)}"
            if branch != UNKNOWN and revision
            else "",
        ),
        Cell(master.label if master else claimed_by),
    )
