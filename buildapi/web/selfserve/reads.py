"""Serve the self-serve reads: branches, days, revisions, builders and users."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from operator import itemgetter
from zoneinfo import ZoneInfo

import attrs

from buildapi.errors import BadRequest, NotFound, Unavailable
from buildapi.interfaces import Builds, Directory
from buildapi.jobs.completeness import is_done
from buildapi.jobs.local_days import day_of, day_window
from buildapi.model.branches import Branch
from buildapi.model.json_types import JSONObject
from buildapi.model.records import BranchDay
from buildapi.model.revisions import RevisionMatch, ambiguity, distinct
from buildapi.parameters.job_parameters import WAIT
from buildapi.parameters.param import Param, Place
from buildapi.parameters.read_parameters import LOOKUP_KINDS, STABLE, STABLE_DELAY
from buildapi.parameters.types import Day, Text
from buildapi.web.http.assets import File, files, modules, modules_version
from buildapi.web.http.cache import Kept, SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import branch_topic, revision_topic, revisions_topic
from buildapi.web.selfserve.documents import CompletionDocument, SelfServeDocument
from buildapi.web.selfserve.listing import VIEW
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.push_details import PushDetailReader, PushDetails
from buildapi.web.selfserve.revision_waiter import RevisionWaiter
from buildapi.web.selfserve.row_pushes import RowPushes, revisions_of_user
from buildapi.web.selfserve.serializers import (
    build_details_json,
    list_json,
    request_details_json,
    user_json,
)

BUILDERS_DAYS = 60


@attrs.define
class SelfServeReads:
    """Serve self-serve reads; ``now`` returns seconds since the epoch."""

    _directory: Directory
    _builds: Builds
    _answers: SingleFlightCache[JSONBody]
    _pages: SelfServePages
    _zone: ZoneInfo
    _now: Callable[[], float]
    _waiter: RevisionWaiter[BranchDay]
    _row_pushes: RowPushes
    _push_details: PushDetailReader

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        b = "/self-serve/{branch}"
        return (
            Route("GET", "/self-serve/branches", self.branches, BRANCHES, (FORMAT,)),
            Route("GET", b, self.day, DAY, (DATE, *VIEW, FORMAT)),
            Route("GET", f"{b}/rev/{{revision}}", self.revision, REVISION, (*VIEW, FORMAT)),
            Route(
                "GET",
                f"{b}/rev/{{revision}}/is_done",
                self.is_done,
                DONE,
                (STABLE, DONE_WAIT, FORMAT),
                patience=DONE_WAIT.of,
            ),
            Route("GET", f"{b}/builders", self.builders, BUILDERS, (FORMAT,)),
            Route("GET", f"{b}/user/{{user}}", self.user, USER, (*VIEW, FORMAT)),
        )

    def branch(self, name: str) -> Branch:
        """Return a branch; :raises NotFound: it is not in the branches file."""
        branch = self._directory.branches().get(name)
        if branch is None:
            raise NotFound(f"Branch {name} not found")
        return branch

    async def branches(self, _call: Call) -> Reply:
        """Return the branches file as it is."""

        async def compute() -> JSONBody:
            return JSONBody.of(self._directory.branches().definitions())

        kept = await self._answers.kept(("branches",), compute)
        return attrs.evolve(Reply.data("Branches", kept.value), freshness=kept.freshness)

    async def day(self, call: Call) -> Reply:
        """List the builds started and the pending requests submitted on one day of a branch."""
        branch = self.branch(call.path["branch"])
        today = day_of(self._now(), self._zone)
        chosen = DATE.of(call) or today
        try:
            start, end = day_window(chosen, self._zone)
            day_window(chosen - timedelta(days=1), self._zone)  # the page links to the day before
        except (OverflowError, ValueError) as e:
            raise BadRequest(f"Bad date: {chosen} is out of range") from e

        async def read() -> object:
            found = await self._builds.day(branch, start, end)
            return list_json(found, await self._row_pushes.of(found.revisions))

        kept = await self._hot(branch, ("day", start), read)
        page = self._pages.day(branch.name, chosen, today, kept.value, call)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def revision(self, call: Call) -> Reply:
        """List the builds and pending requests of a revision; the page also shows ``is_done``."""
        branch, revision = self._revision(call)
        wanted = RevisionMatch(revision)

        async def read() -> object:
            found = await self._of_revision(branch, wanted)
            items = list_json(found, await self._row_pushes.of(found.revisions))
            # An empty list stays a document without content, which is not cached
            # (docs/compatibility.md, "Bots and scripts"), and is answered 404 below.
            if not items or not call.html:
                return items
            done = self._done(found, wanted, STABLE_DELAY)
            return JSONBody.of_page({"items": items, "done": done}, len(items))

        # The page carries is_done as well, so the two formats are two documents.
        key = ("rev", wanted, call.html)
        kept = await self._hot(branch, key, read, revision)
        document = kept.value
        details = await self._details(branch, revision, document) if call.html else None
        if not document.value:
            # A push is known before anything of it is built; programs wait for the builds.
            if details is None:
                raise _no_revision(branch, revision)
            nothing = {"items": [], "done": self._done(BranchDay((), ()), wanted, STABLE_DELAY)}
            document = JSONBody.of_page(nothing, 1)

        def several() -> Sequence[str]:
            items = document.value["items"] if call.html else document.value
            return wanted.choose(items, itemgetter("revision"))[1]

        between = document.once("between", several)
        page = self._pages.revision(branch.name, revision, document, details, call)
        return Reply(document, page, notice=ambiguity(revision, between), freshness=kept.freshness)

    async def _details(
        self, branch: Branch, revision: str, document: JSONBody
    ) -> PushDetails | None:
        """Return the details of the push of a list; None if it has several, or none is known."""
        items = document.value["items"] if document.value else [{"revision": revision}]
        stored = distinct(item["revision"] for item in items)
        return await self._push_details.of(branch, stored[0]) if len(stored) == 1 else None

    async def _of_revision(self, branch: Branch, wanted: RevisionMatch) -> BranchDay:
        found = await self._builds.revision(branch, wanted)
        # SQL compared 12 digits; more digits decide between revisions that agree in these.
        meant, _ = wanted.choose(found.revisions, lambda stored: stored)
        return found.only(meant.__contains__)

    async def is_done(self, call: Call) -> Reply:
        """Return whether a revision is complete, and whether it passed; at once or after a wait."""
        branch, revision = self._revision(call)
        delay, seconds = STABLE.of(call), DONE_WAIT.of(call)
        wanted = RevisionMatch(revision)

        def shape(found: BranchDay) -> CompletionDocument | None:
            return self._done(found, wanted, delay) if found.builds or found.pending else None

        async def read() -> object:
            return shape(await self._of_revision(branch, wanted))

        key = ("is_done", wanted, delay)
        kept = await self._hot(branch, key, read, revision)
        document = kept.value
        if seconds and document.value is not None and not document.value["job_complete"]:
            call.begin_wait()
            found = await self._waiter.wait(
                (branch.name, wanted),
                partial(self._of_revision, branch, wanted),
                lambda found: is_done(found, delay, int(self._now()))[0],
                seconds,
            )
            if found is None:
                document = (await self._hot(branch, key, read, revision)).value
            else:
                # Or the next read of this client might be older than this one.
                self._answers.forget_topic(revision_topic(branch.name, revision))
                document = JSONBody.of(shape(found))
        if document.value is None:
            raise _no_revision(branch, revision)
        reply = Reply.data(f"Completion of {revision} on {branch.name}", document)
        notice = ambiguity(revision, document.value.get("revisions", ()))
        freshness = None if seconds else kept.freshness
        return attrs.evolve(reply, notice=notice, freshness=freshness)

    def _done(self, found: BranchDay, wanted: RevisionMatch, delay: int) -> CompletionDocument:
        """Return the ``is_done`` document; with ``revisions`` if the hash fits several of them."""
        complete, passed = is_done(found, delay, int(self._now()))
        _, between = wanted.choose(found.revisions, lambda stored: stored)
        done: CompletionDocument = {
            "stableDelay": delay,
            "job_complete": complete,
            "job_passed": passed,
        }
        if between:
            done["revisions"] = list(between)
        return done

    def _revision(self, call: Call) -> tuple[Branch, str]:
        return self.branch(call.path["branch"]), call.path["revision"]

    async def about(self, branch_name: str, kind: str, id_: int) -> str:
        """Return builder and revision of a build or build request as text; empty without one.

        :raises BuildAPIError: the branch is unknown, or the database does not respond.
        """
        branch = self.branch(branch_name)
        shape: JSONObject | None = None
        if kind == "build" and (build := await self._builds.build(branch, id_)) is not None:
            shape = build_details_json(build)
        if kind == "request" and (request := await self._builds.request(branch, id_)) is not None:
            shape = request_details_json(request)
        if not shape:
            return ""
        revision = f" at {shape['revision'][:12]}" if shape["revision"] else ""
        return f"{shape['buildername']}{revision}"

    async def builders(self, call: Call) -> Reply:
        """List the builders of a branch."""
        branch = self.branch(call.path["branch"])
        kept = await self._builders_of(branch)
        page = self._pages.builders(branch.name, kept.value, call)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def builders_of(self, branch: Branch) -> JSONBody:
        """Return the builders with requests on a branch in the last ``BUILDERS_DAYS`` days."""
        return (await self._builders_of(branch)).value

    async def _builders_of(self, branch: Branch) -> Kept[JSONBody]:
        since = int(self._now()) - BUILDERS_DAYS * 86400

        async def read() -> object:
            return list(await self._builds.builders(branch, since))

        return await self._hot(branch, ("builders",), read)

    async def user(self, call: Call) -> Reply:
        """List the builds and pending requests with changes of an author."""
        branch, user = self.branch(call.path["branch"]), call.path["user"]

        async def read() -> object:
            found = await self._builds.user(branch, user)
            return user_json(found, await self._row_pushes.of(revisions_of_user(found)))

        kept = await self._hot(branch, ("user", user), read)
        page = self._pages.user(branch.name, user, kept.value, call)
        return Reply(kept.value, page, freshness=kept.freshness)

    async def _hot(
        self,
        branch: Branch,
        key: tuple[Hashable, ...],
        read: Callable[[], Awaitable[object]],
        revision: str | None = None,
    ) -> Kept[JSONBody]:
        """Return what is cached of a branch; its key begins with a word for what that is.

        With a ``revision`` it tells about nothing else.  ``read`` returns a document, or its value.
        """

        async def compute() -> JSONBody:
            shaped = await read()
            return shaped if isinstance(shaped, JSONBody) else JSONBody.of(shaped)

        name = branch.name
        topics = [branch_topic(name)]
        if revision is not None:
            topics = [revisions_topic(name), revision_topic(name, revision)]
        return await self._answers.kept((*key, name), compute, topics=topics)


def documentation(
    routes: Sequence[Route], directory: Directory, answers: SingleFlightCache[JSONBody]
) -> Sequence[Route]:
    """Return the routes of the API documentation, which is generated from ``routes``."""

    async def compute() -> JSONBody:
        try:
            names, reason = sorted(directory.branches().by_name), ""
        except Unavailable as e:  # the documentation itself can be shown without it
            names, reason = [], e.msg
        ages = {name: _whole(age) for name, age in directory.ages().items()}
        told: SelfServeDocument = {
            "routes": [route.described() for route in routes],
            "branches": names,
            "directory_age_seconds": ages,
        }
        document = JSONBody.of(told)
        document.once("reason", lambda: reason)
        return document

    async def show(_call: Call) -> Reply:
        kept = await answers.kept(("self-serve",), compute)
        document = kept.value
        shown = {
            "routes": document.value["routes"],
            "branches": document.value["branches"],
            "reason": document.once("reason", str),
            "ages": document.value["directory_age_seconds"],
            "kinds": LOOKUP_KINDS,
        }
        page = Page("selfserve.html", "Self-serve", shown)
        return Reply(document, page, freshness=kept.freshness)

    page = Route("GET", "/self-serve", show, SELF_SERVE, (FORMAT,))
    return [page, *files_routes()]


# Open even if reads need a user (docs/security.md, "Nobody"): the page that refuses
# somebody has a style sheet too.
def files_routes() -> Sequence[Route]:
    """List the routes of the style sheet and scripts."""
    return [
        Route("GET", "/static/{name}", _file, FILES, (VERSION,), open=True),
        Route("GET", "/static/scripts/{version}/{name}", _module, MODULES, open=True),
    ]


async def _file(call: Call) -> Reply:
    file = _named(files(), call)
    return _sent(file, VERSION.of(call) == file.version)


async def _module(call: Call) -> Reply:
    return _sent(_named(modules(), call), call.path["version"] == modules_version())


def _named(found: Mapping[str, File], call: Call) -> File:
    file = found.get(call.path["name"])
    if file is None:
        raise NotFound(f"File {call.path['name']} not found")
    return file


def _sent(file: File, versioned: bool) -> Reply:
    reply = Reply.data(file.name, JSONBody.of(file.name))
    return attrs.evolve(reply, file=file, versioned=versioned)


def _whole(age: float | None) -> int | None:
    return None if age is None else int(age)


def _no_revision(branch: Branch, revision: str) -> NotFound:
    return NotFound(f"Revision {revision} not found on branch {branch.name}")


DATE = Param("date", "the day, in the farm's time zone; default today", Day())
DONE_WAIT = WAIT.changed(meaning="seconds to wait until it is complete", place=Place.QUERY)
VERSION = Param("v", "the version of the file, for caches", Text())
FILES = "Style sheet and scripts of the pages."
MODULES = "Modules of the pages' scripts, all of one version."
SELF_SERVE = "Branches, a search, and this documentation of the API."
BRANCHES = "The branches file of the farm."
DAY = "Builds started on a day and pending requests submitted on it, newest first."
REVISION = "Builds and pending requests of a revision; 12 digits of a hash suffice."
DONE = "Whether all builds of a revision have ended, and whether all passed."
BUILDERS = "Names of builders with requests on the branch in the last 60 days."
USER = "Ended builds, running builds and pending requests with changes of an author."
