"""Farm-wide pages: pending, running and recent builds, a revision, and pushes by author."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from operator import attrgetter

import attrs

from buildapi.interfaces import Directory, FarmReads, RecentBuilds
from buildapi.jobs.local_days import day_of, day_window
from buildapi.jobs.push_index import NO_PUSHES, PushIndex
from buildapi.model.farm_rows import (
    BranchFilter,
    Portion,
    RevisionEntry,
)
from buildapi.model.revisions import RevisionMatch, ambiguity
from buildapi.parameters.param import AnyParam, Param
from buildapi.parameters.read_parameters import FARM_OFFSET, LIMIT, NUMBUILDS
from buildapi.parameters.texts import bad, integer
from buildapi.parameters.types import ParamType, Schema, Texts, Values, only_text
from buildapi.web.farm.documents import PendingDocument, RevisionDocument, RunningDocument
from buildapi.web.farm.farm_pages import (
    OF_REVISION,
    PUSHES_COLUMNS,
    RECENT_COLUMNS,
    FarmPages,
    Worker,
    waiting_rows,
    working_rows,
)
from buildapi.web.farm.farm_serializers import (
    pending_json,
    pushes_json,
    recent_json,
    revision_json,
    running_json,
)
from buildapi.web.farm.recorded_builds import RecordedBuilds
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.paging import ListPart, part_in
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Handler, Route
from buildapi.web.http.tables import view_of
from buildapi.web.http.topics import FARM
from buildapi.web.selfserve.listing import VIEW
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.row_pushes import RowPushes

VALUES_MAX = 20
"""Maximum values of a repeated parameter."""

# sqlite3 refuses integers of more than 64 bits with an OverflowError.
TIME_MAX = 2**53

# Floors of the Pylons program: totals without a start count from them.
HISTORY_START = {"": 1_274_972_998, "mobile": 1_277_417_599}
"""First second that pushes are counted from, by the beginning of the branch asked for."""


@attrs.define
class FarmViews:
    """Serve the farm-wide reads."""

    _directory: Directory
    _reads: FarmReads
    _recent: RecentBuilds
    _answers: SingleFlightCache[JSONBody]
    _pages: SelfServePages
    _row_pushes: RowPushes
    _recorded: RecordedBuilds
    _shown: FarmPages = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._shown = FarmPages(self._pages)

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        platform = "/{branch}/{platform}"
        listing: Sequence[AnyParam] = (BRANCHES, LIMIT, FARM_OFFSET, *VIEW, FORMAT)
        slaves: Sequence[AnyParam] = (SLAVES, GREEDY, NUMBUILDS, *view_of(RECENT_COLUMNS), FORMAT)
        revision = (*view_of(OF_REVISION), FORMAT)
        pushes: Sequence[AnyParam] = (*self._times, *view_of(PUSHES_COLUMNS), FORMAT)
        times = ("", "/{branch}", "/{branch}/{fromtime}", "/{branch}/{fromtime}/{totime}")
        return (
            *_same("/pending", ("", "/{branch}", platform), self.pending, PENDING, listing),
            *_same("/running", ("", "/{branch}", platform), self.running, RUNNING, listing),
            *_same("/revision", ("/{branch}/{revision}",), self.revision, REVISION, revision),
            *_same("/recent", ("", "/{slave}"), self.recent, RECENT, slaves),
            *_same("/pushes", times, self.pushes, PUSHES, pushes),
        )

    async def pending(self, call: Call) -> Reply:
        """List pending requests of all branches, or of some."""
        asked, portion = _branches(call), _portion(call)

        async def compute() -> JSONBody:
            found = await self._reads.pending(self._filter(asked), portion)
            pushes = await self._row_pushes.of(one.revision for one in found)
            if call.html:
                rows = waiting_rows(self._directory.branches(), found, pushes)
                return JSONBody.of_page(rows, len(rows))
            told: PendingDocument = {"pending": pending_json(self._names(), found, pushes)}
            document = JSONBody.of(told)
            document.once("part", lambda: ListPart(portion.limit, portion.offset, len(found)))
            return document

        # The page has rows of its own: it names the branch that a row's links lead to.
        key = ("pending", asked, portion, call.html)
        kept = await self._answers.kept(key, compute, topics=[FARM])
        page = self._shown.pending(kept.value, call)
        headers = {} if call.html else part_in(kept.value).headers(call)
        return Reply(kept.value, page, headers=headers, freshness=kept.freshness)

    async def running(self, call: Call) -> Reply:
        """List running builds of all branches, or of some."""
        asked, portion = _branches(call), _portion(call)

        async def compute() -> JSONBody:
            found = await self._reads.running(self._filter(asked), portion)
            pushes = await self._row_pushes.of(one.revision for one in found)
            # The scheduler database does not store workers.
            workers = await self._recorded.workers(found)
            if call.html:
                rows = working_rows(self._directory.branches(), found, pushes, workers)
                return JSONBody.of_page(rows, len(rows))
            told: RunningDocument = {
                "running": running_json(self._names(), found, pushes, workers),
            }
            document = JSONBody.of(told)
            document.once("part", lambda: ListPart(portion.limit, portion.offset, len(found)))
            return document

        key = ("running", asked, portion, call.html)
        kept = await self._answers.kept(key, compute, topics=[FARM])
        page = self._shown.running(kept.value, call)
        headers = {} if call.html else part_in(kept.value).headers(call)
        return Reply(kept.value, page, headers=headers, freshness=kept.freshness)

    async def revision(self, call: Call) -> Reply:
        """List the requests and builds of a revision."""
        branch, revision = call.path["branch"], call.path["revision"]
        wanted = RevisionMatch(revision)

        async def compute() -> JSONBody:
            found = await self._reads.revision(self._filter((branch,)), wanted)
            meant, between = wanted.choose(found, attrgetter("revision"))
            if not meant:
                return JSONBody.of(None)  # which is not cached
            pushes = await self._row_pushes.of(one.revision for one in meant)
            told = _revision(branch, revision, self._names(), meant, between, pushes=pushes)
            return JSONBody.of(told)

        kept = await self._answers.kept(("revision", branch, revision), compute, topics=[FARM])
        document = kept.value
        if document.value is None:
            # Nothing found is 200 with empty objects, as in the Pylons program, and not 404.
            document = JSONBody.of(_revision(branch, revision, (), (), ()))
        notice = ambiguity(revision, document.value.get("revisions", ()))
        page = self._shown.revision(document, call, notice)
        return Reply(document, page, notice=notice, freshness=kept.freshness)

    async def recent(self, call: Call) -> Reply:
        """List recent builds, newest first, of all slaves or of some."""
        path = call.path.get("slave")
        slaves = SLAVES.of(call) or ((path,) if path else ())
        greedy = GREEDY.of(call)
        limit = NUMBUILDS.of(call)

        async def compute() -> JSONBody:
            # From the status database: the scheduler database does not store workers.
            found = await self._recent.recent(slaves, greedy=greedy, limit=limit)
            # The beginning of a name may be that of several workers.
            is_one = len(slaves) == 1 and {one.slavename for one in found} <= {slaves[0]}
            current = await self._recorded.current(slaves[0]) if call.html and is_one else None
            builds = await self._recorded.builds([*found, *(current or ())])
            owner = self._directory.branches().owner
            pushes = await self._row_pushes.of(b.requests[0].revision for b in builds.values())
            document = JSONBody.of(recent_json(found, builds, owner, pushes))
            document.once("builds", lambda: builds)
            if call.html and is_one:
                runs = None if current is None else recent_json(current, builds, owner, pushes)
                document.once("worker", lambda: Worker(slaves[0], found, runs))
            return document

        key = ("recent", slaves, greedy, limit, call.html)
        kept = await self._answers.kept(key, compute, topics=[FARM])
        page = self._shown.recent(kept.value, call, slaves)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def pushes(self, call: Call) -> Reply:
        """Count the pushes by author."""
        branch = call.path.get("branch")
        start, end = (_in_path_or_query(call, param) for param in self._times)
        # An earlier start is raised to the floor rather than refused.
        start = max(_history_start(branch), start or 0)

        async def compute() -> JSONBody:
            asked = self._filter(() if branch is None else (branch,))
            return JSONBody.of(pushes_json(await self._reads.pushes(asked, start, end)))

        key = ("pushes", branch, start, end)
        kept = await self._answers.kept(key, compute, topics=[FARM])
        page = self._shown.pushes(kept.value, call, branch)
        return Reply(kept.value, page, freshness=kept.freshness)

    def _names(self) -> Sequence[str]:
        return list(self._directory.branches().by_name)

    def _filter(self, asked: Sequence[str]) -> BranchFilter:
        """Build a filter: known names select their branch, other texts parts of stored names."""
        known = self._directory.branches()
        branches = {text: known.get(text) for text in asked}
        return BranchFilter(
            tuple(branch for branch in branches.values() if branch is not None),
            tuple(text for text, branch in branches.items() if branch is None),
        )

    @property
    def _times(self) -> tuple[Param[int | None], Param[int | None]]:
        start = Param(
            "fromtime",
            "start, or today for the last midnight in the farm's time zone",
            EpochSeconds(self._midnight),
        )
        return start, Param("totime", "end (inclusive)", EpochSeconds())

    def _midnight(self) -> int:
        zone = self._pages.zone
        return day_window(day_of(self._pages.now(), zone), zone)[0]


def _revision(
    branch: str,
    revision: str,
    names: Sequence[str],
    found: Sequence[RevisionEntry],
    between: Collection[str],
    *,
    pushes: PushIndex = NO_PUSHES,
) -> RevisionDocument:
    """Return what was found of a revision, and between which the text does not decide."""
    lists = revision_json(names, found, pushes)
    told: RevisionDocument = {
        "all": lists["all"],
        "pending": lists["pending"],
        "branch": branch,
        "revision": revision,
    }
    if between:
        told["revisions"] = list(between)
    return told


def _same(
    path: str, rests: Sequence[str], handler: Handler, summary: str, params: Sequence[AnyParam]
) -> Sequence[Route]:
    """Return the routes of one page: the path followed by each of ``rests``."""
    return [Route("GET", path + rest, handler, summary, params) for rest in rests]


def _branches(call: Call) -> tuple[str, ...]:
    """Return the branches asked for: that of the path, else those of the query."""
    path = call.path.get("branch")
    # An empty text is kept: it matches every stored branch but NULL.
    return BRANCHES.of(call) if path is None else (path,)


def _portion(call: Call) -> Portion:
    return Portion(LIMIT.of(call), FARM_OFFSET.of(call))


def _in_path_or_query(call: Call, param: Param[int | None]) -> int | None:
    in_path = call.path.get(param.name)
    return param.parse([in_path] if in_path else param.sent(call))


def _history_start(branch: str | None) -> int:
    return max(t for start, t in HISTORY_START.items() if (branch or "").startswith(start))


TODAY = "today"
# Also without a value, as programs of the Pylons program send it.
NOT_GREEDY = ("false", "False", "")


@attrs.frozen
class Greedy(ParamType[bool]):
    """Whether a text may be the beginning of a name: anything but some words, and by default."""

    def parse(self, name: str, values: Values) -> bool | None:
        """Return whether it may be."""
        return only_text(name, values) not in NOT_GREEDY if values else None

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string"}

    def words(self) -> str:
        """Return the words that switch it off."""
        return "false, or anything else"


@attrs.frozen
class EpochSeconds(ParamType[int]):
    """Seconds since the epoch; ``today`` returns those that the word stands for, if it may be."""

    _today: Callable[[], int] | None = None

    def parse(self, name: str, values: Values) -> int | None:
        """Parse a time."""
        text = only_text(name, values)
        if not text:
            return None
        if self._today and text == TODAY:
            return self._today()
        number = integer(text)
        if number is None:
            raise bad(name, text, f"{SECONDS} and {TODAY}" if self._today else SECONDS)
        return max(-TIME_MAX, min(number, TIME_MAX))

    def schema(self) -> Schema:
        """Return the JSON schema."""
        number = {"type": "integer"}
        return {"oneOf": [number, {"const": TODAY}]} if self._today else number

    def words(self) -> str:
        """Return the unit."""
        return SECONDS


SECONDS = "seconds since the epoch"
BRANCHES = Param(
    "branch",
    "a branch, else a part of a stored branch name: any of them",
    Texts(VALUES_MAX, keeps_empty=True),
    default=(),
)
SLAVES = Param(
    "slave",
    "a slave, or the beginning of its name, instead of that of the path",
    Texts(VALUES_MAX),
    default=(),
)
GREEDY = Param("greedy", "whether the beginning of a slave's name suffices", Greedy(), default=True)
PENDING = "Pending requests by branch and revision, newest first; platform is ignored."
RUNNING = "Running builds by branch and revision, newest first; platform is ignored."
REVISION = "Requests and builds of a revision on a branch; 12 digits of a hash suffice."
RECENT = "Recent builds, newest first; for a slave, its ended builds."
PUSHES = "Number of pushes by author, and the total."
