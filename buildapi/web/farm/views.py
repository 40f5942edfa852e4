"""Farm-wide pages: pending, running and recent builds, a revision, and pushes by author."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import attrs

from buildapi.errors import BadRequest
from buildapi.interfaces import Directory, FarmReads, RecentBuilds
from buildapi.jobs.local_days import day_of, day_window
from buildapi.model.farm_rows import (
    BranchFilter,
    Portion,
)
from buildapi.model.revisions import RevisionMatch, ambiguity
from buildapi.web.farm.farm_pages import FarmPages, waiting_rows, working_rows
from buildapi.web.farm.farm_serializers import (
    pending_json,
    pushes_json,
    recent_json,
    revision_json,
    running_json,
)
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.params import bad, integer, single, whole
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Handler, Param, Route
from buildapi.web.http.topics import FARM
from buildapi.web.selfserve.pages import SelfServePages

VALUES_MAX = 20
"""Maximum values of a repeated parameter."""

LIMIT_MAX, OFFSET_MAX = 50_000, 10_000_000
NUMBUILDS, NUMBUILDS_MAX = 25, 1000
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
    _shown: FarmPages = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._shown = FarmPages(self._pages)

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        listing, platform = (BRANCH, *PORTION, FORMAT), "/{branch}/{platform}"
        times = ("", "/{branch}", "/{branch}/{fromtime}", "/{branch}/{fromtime}/{totime}")
        return (
            *_same("/pending", ("", "/{branch}", platform), self.pending, PENDING, listing),
            *_same("/running", ("", "/{branch}", platform), self.running, RUNNING, listing),
            *_same("/revision", ("/{branch}/{revision}",), self.revision, REVISION, (FORMAT,)),
            *_same("/recent", ("", "/{slave}"), self.recent, RECENT, (*RECENT_PARAMS, FORMAT)),
            *_same("/pushes", times, self.pushes, PUSHES, (*TIMES, FORMAT)),
        )

    async def pending(self, call: Call) -> Reply:
        """List pending requests of all branches, or of some."""
        asked, portion = _branches(call), _portion(call)

        async def compute() -> JSONBody:
            found = await self._reads.pending(self._filter(asked), portion)
            if call.html:
                rows = waiting_rows(self._directory.branches(), found)
                return JSONBody.of_page(rows, len(rows))
            return JSONBody.of({"pending": pending_json(self._names(), found)})

        # The page has rows of its own: it names the branch that a row's links lead to.
        key = ("pending", asked, portion, call.html)
        kept = await self._answers.kept(key, compute, topics=[FARM])
        page = self._shown.pending(kept.value, call)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def running(self, call: Call) -> Reply:
        """List running builds of all branches, or of some."""
        asked, portion = _branches(call), _portion(call)

        async def compute() -> JSONBody:
            found = await self._reads.running(self._filter(asked), portion)
            if call.html:
                rows = working_rows(self._directory.branches(), found)
                return JSONBody.of_page(rows, len(rows))
            return JSONBody.of({"running": running_json(self._names(), found)})

        key = ("running", asked, portion, call.html)
        kept = await self._answers.kept(key, compute, topics=[FARM])
        page = self._shown.running(kept.value, call)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def revision(self, call: Call) -> Reply:
        """List the requests and builds of a revision."""
        branch, revision = call.path["branch"], call.path["revision"]
        asked, wanted = {"branch": branch, "revision": revision}, RevisionMatch(revision)

        async def compute() -> JSONBody:
            found = await self._reads.revision(self._filter((branch,)), wanted)
            meant, between = wanted.choose(found, attrgetter("revision"))
            more = {"revisions": list(between)} if between else {}
            if not meant:
                return JSONBody.of(None)  # which is not cached
            return JSONBody.of({**revision_json(self._names(), meant), **asked, **more})

        kept = await self._answers.kept(("revision", branch, revision), compute, topics=[FARM])
        document = kept.value
        if document.value is None:
            # Nothing found is 200 with empty objects, as in the Pylons program, and not 404.
            document = JSONBody.of({**revision_json((), ()), **asked})
        notice = ambiguity(revision, document.value.get("revisions", ()))
        page = self._shown.revision(document, call, notice)
        return Reply(document, page, notice=notice, freshness=kept.freshness)

    async def recent(self, call: Call) -> Reply:
        """List recent builds, newest first, of all slaves or of some."""
        path = call.path.get("slave")
        slaves = _texts(call, "slave") or ((path,) if path else ())
        greedy = single(call.query, "greedy") not in NOT_GREEDY
        limit = min(whole(call.query, "numbuilds", NUMBUILDS, 0), NUMBUILDS_MAX)

        async def compute() -> JSONBody:
            # From the status database: the scheduler database does not store slaves.
            found = await self._recent.recent(slaves, greedy=greedy, limit=limit)
            return JSONBody.of(recent_json(found))

        key = ("recent", slaves, greedy, limit)
        kept = await self._answers.kept(key, compute, topics=[FARM])
        page = self._shown.recent(kept.value, call, slaves)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def pushes(self, call: Call) -> Reply:
        """Count the pushes by author."""
        branch = call.path.get("branch")
        # An earlier start is raised to the floor rather than refused.
        start = max(_history_start(branch), self._time(call, "fromtime", today=True) or 0)
        end = self._time(call, "totime")

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

    def _time(self, call: Call, name: str, *, today: bool = False) -> int | None:
        text = call.path.get(name) or single(call.query, name)
        if not text:
            return None
        if today and text == TODAY:
            zone = self._pages.zone
            return day_window(day_of(self._pages.now(), zone), zone)[0]
        number = integer(text)
        if number is None:
            allowed = "seconds since the epoch" + (f" and {TODAY}" if today else "")
            raise bad(name, text, allowed)
        return max(-TIME_MAX, min(number, TIME_MAX))


def _same(
    path: str, rests: Sequence[str], handler: Handler, summary: str, params: Sequence[Param]
) -> Sequence[Route]:
    """Return the routes of one page: the path followed by each of ``rests``."""
    return [Route("GET", path + rest, handler, summary, params) for rest in rests]


def _branches(call: Call) -> tuple[str, ...]:
    """Return the branches asked for: that of the path, else those of the query."""
    path = call.path.get("branch")
    # An empty text is kept: it matches every stored branch but NULL.
    return _texts(call, "branch", keep_empty=True) if path is None else (path,)


def _texts(call: Call, name: str, *, keep_empty: bool = False) -> tuple[str, ...]:
    values = call.query.get(name, ())
    if len(values) > VALUES_MAX:
        raise BadRequest(f"Parameter {name} is given {len(values)} times (max {VALUES_MAX})")
    return tuple(dict.fromkeys(v for v in values if v or keep_empty))


def _portion(call: Call) -> Portion:
    limit = whole(call.query, "limit", 0, 1, LIMIT_MAX)
    return Portion(limit or None, whole(call.query, "offset", 0, 0, OFFSET_MAX))


def _history_start(branch: str | None) -> int:
    return max(t for start, t in HISTORY_START.items() if (branch or "").startswith(start))


TODAY = "today"
# Also without a value, as programs of the Pylons program send it.
NOT_GREEDY = ("false", "False", "")

BRANCH = Param(
    "branch",
    "a branch, else a part of a stored branch name; may be repeated: any of them",
)
PORTION = (
    Param("limit", f"maximum number of items, 1 to {LIMIT_MAX}; default all"),
    Param("offset", "number of newest items to skip; default 0"),
)
RECENT_PARAMS = (
    Param(
        "slave",
        "a slave, or the beginning of its name, instead of that of the path; may be repeated",
    ),
    Param("greedy", "false: match the whole name of the slave"),
    Param("numbuilds", f"maximum number of builds; default {NUMBUILDS}, up to {NUMBUILDS_MAX}"),
)
TIMES = (
    Param(
        "fromtime",
        "start, in seconds since the epoch, or today for the last midnight in the farm's time zone",
    ),
    Param("totime", "end, in seconds since the epoch (inclusive)"),
)
PENDING = "Pending requests by branch and revision, newest first; platform is ignored."
RUNNING = "Running builds by branch and revision, newest first; platform is ignored."
REVISION = "Requests and builds of a revision on a branch; 12 digits of a hash suffice."
RECENT = "Recent builds, newest first; for a slave, its ended builds."
PUSHES = "Number of pushes by author, and the total."
