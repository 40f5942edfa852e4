"""Serve the web interface of a sample master, as far as farms use it: show and stop builds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from urllib.parse import quote

import attrs
from twisted.internet import defer
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from buildapi.db.sql import Database
from buildapi.errors import DatabaseUnavailable
from buildapi.reactor_time import ReactorTime, pause
from buildapi.sample import request_queue
from buildapi.sample.loopback_ports import Endpoint, LoopbackServer, QuietSite
from buildapi.sample.request_queue import SampleRequest, submitted_properties
from buildapi.sample.simulated_master import SimulatedMaster

TO_ROOT = "../../../../"
"""Relative path to the root from the page that stops a build."""


@attrs.frozen
class MasterResponse:
    """Describe a response; ``location`` is for redirects."""

    code: int
    body: str = ""
    type: str = "text/html; charset=utf-8"
    location: str | None = None


NOT_FOUND = MasterResponse(404, "<html><body><h1>No Such Resource</h1></body></html>")


class MasterResource(Resource):
    """Serve one master; a path segment is a complete name, with a slash as %2F."""

    isLeaf = True
    log = Logger()

    def __init__(self, clock: ReactorTime, master: SimulatedMaster, scheduler: Database) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Resource is not typed
        self._clock, self._master, self._db = clock, master, scheduler
        self.responding: set[defer.Deferred[None]] = set()

    def render(self, request: Request) -> int:
        """Respond to any method: a 0.8.2 master stops builds on GET and HEAD too."""
        responding = defer.ensureDeferred(self._respond(request))
        self.responding.add(responding)
        # It fails when the client disconnects (Twisted, Request.notifyFinish).
        request.notifyFinish().addErrback(lambda _: responding.cancel())
        responding.addBoth(lambda _: self.responding.discard(responding))
        return NOT_DONE_YET

    async def _respond(self, request: Request) -> None:
        try:
            response = await self._answer(request)
        except DatabaseUnavailable as e:
            response = MasterResponse(500, e.msg, "text/plain")
        except defer.CancelledError:
            return  # the client is gone
        except Exception:
            self.log.failure("sample master {name}: a page failed", name=self._master.name)
            response = MasterResponse(500, "an error occurred", "text/plain")
        request.setResponseCode(response.code)
        request.setHeader(b"content-type", response.type.encode())
        if response.location is not None:
            # Relative, as the masters' own redirects are.
            request.setHeader(b"location", response.location.encode())
        request.write(response.body.encode())
        request.finish()

    async def _answer(self, request: Request) -> MasterResponse:  # noqa: PLR0911  # one for each page
        try:
            # Twisted has decoded the percent signs of each segment: a slash in a builder's name is
            # inside of one.
            path = [segment.decode() for segment in request.postpath or ()]
        except UnicodeDecodeError:
            return NOT_FOUND
        match path:
            case ["builders", builder, "builds", number, "stop"]:
                return await self._stop(builder, number)
            case ["builders", builder, "builds", number]:
                return await self._build(builder, number, _html_page)
            case ["builders", builder, "builds", number, "steps", step, "logs", "stdio"]:
                return await self._build(builder, number, lambda page: page.log(step))
            case ["json", "builders", builder, "builds", number]:
                return await self._build(builder, number, lambda page: _json_page(page.as_json()))
            case ["json", *rest]:
                return await self._json(rest)
            case _:
                return self._page(path)

    async def _json(self, path: list[str]) -> MasterResponse:
        match path:
            case ["builders", builder] if builder in self._master.builders:
                return _json_page(await self._builder(builder))
            case ["slaves"]:
                return _json_page(await self._slaves())
            case ["project"]:
                return _json_page(self._project())
            case _:
                return NOT_FOUND

    def _page(self, path: list[str]) -> MasterResponse:
        match path:
            case ["builders", builder] if builder in self._master.builders:
                return _page(builder)
            case ["authfail"]:
                return _page("Authentication Failed")
            case [""] | []:
                return _page(self._master.master.name)
            case _:
                return NOT_FOUND

    async def _find(self, builder: str, number: str) -> BuildPage | None:
        # A 0.8.2 master takes -1 for the last build; here that is no build, as clients should not
        # rely on it.
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            return None
        return await find_build(self._db, self._master, builder, int(number))

    async def _stop(self, builder: str, number: str) -> MasterResponse:
        page = await self._find(builder, number)
        if page is None:
            return NOT_FOUND
        if self._master.settings.refuses_stops:  # 302 as well: only its target says so
            return _redirect("authfail")
        self._master.stop(builder, page.number)
        # 0.8.2 redirects after a second (status/web/build.py), so that the page shows the end.
        await pause(self._clock, self._master.settings.stop_answer_seconds)
        return _redirect(f"builders/{quote(builder, safe='')}")

    async def _build(
        self, builder: str, number: str, show: Callable[[BuildPage], MasterResponse]
    ) -> MasterResponse:
        page = await self._find(builder, number)
        return NOT_FOUND if page is None else show(page)

    async def _builder(self, name: str) -> dict[str, object]:
        pending = [r for r in await request_queue.PENDING.many(self._db) if r.builder == name]
        current = [number for builder, number in self._master.building if builder == name]
        return {
            "basedir": name,
            "cachedBuilds": [n for builder, n in self._master.recent if builder == name],
            "category": self._master.builders[name].category,
            "currentBuilds": current,
            "pendingBuilds": [source_stamp(r) for r in pending],
            "slaves": sorted(self._slaves_at_work()),
            "state": "building" if current else "idle",
        }

    def _slaves_at_work(self) -> set[str]:
        known = (*self._master.building.values(), *self._master.recent.values())
        return {build.slave for build in known}

    async def _slaves(self) -> dict[str, object]:
        running: dict[str, list[object]] = {name: [] for name in sorted(self._slaves_at_work())}
        for builder, number in list(self._master.building):
            page = await find_build(self._db, self._master, builder, number)
            if page is not None and page.slave in running:
                running[page.slave].append(page.as_json())
        return {
            name: {"connected": True, "name": name, "runningBuilds": builds, "version": "0.8.2"}
            for name, builds in running.items()
        }

    def _project(self) -> dict[str, object]:
        return {
            "buildbotURL": self._master.master.url() + "/",
            "projectName": self._master.master.name,
            "projectURL": "http://localhost/",
        }


def _html_page(page: BuildPage) -> MasterResponse:
    return MasterResponse(200, page.as_html())


def _json_page(value: object) -> MasterResponse:
    return MasterResponse(200, json.dumps(value), "application/json")


def _page(title: str) -> MasterResponse:
    text = title.replace("&", "&amp;").replace("<", "&lt;")
    return MasterResponse(200, f"<html><body><h1>{text}</h1></body></html>")


def _redirect(target: str) -> MasterResponse:
    location = TO_ROOT + target
    return MasterResponse(
        302, f'<html><body><a href="{location}">click here</a></body></html>', location=location
    )


# --- one build -------------------------------------------------------------------------------


@attrs.frozen
class BuildPage:
    """Render a build as a master does; ``properties`` are name, value and source."""

    request: SampleRequest
    number: int
    slave: str
    start: float
    finish: float | None
    results: int | None
    reason: str
    properties: Sequence[tuple[str, object, str]]

    def as_json(self) -> dict[str, object]:
        """Return the content of ``/json/builders/B/builds/N``."""
        step = self._step()
        return {
            "blame": [],
            "builderName": self.request.builder,
            "currentStep": step if self.finish is None else None,
            "eta": None,
            "number": self.number,
            "properties": [list(p) for p in self.properties],
            "reason": self.reason,
            # Null while the build runs, as on a 0.8.2 master.
            "results": self.results if self.finish is not None else None,
            # What agents read before they call a clobberer (docs/compatibility.md, "Operators").
            "slave": self.slave,
            "sourceStamp": source_stamp(self.request),
            "steps": [step],
            "text": [] if self.finish is None else ["build", "ended"],
            "times": [self.start, self.finish],
        }

    def _step(self) -> dict[str, object]:
        return {
            "eta": None,
            "expectations": [],
            "isFinished": self.finish is not None,
            "isStarted": True,
            "name": "sample",
            "results": [None if self.finish is None else self.results, []],
            "statistics": {},
            "step_number": 0,
            "text": ["sample", "step"],
            "times": [self.start, self.finish],
            "urls": {},
        }

    def log(self, step: str) -> MasterResponse:
        """Return the log of a step."""
        text = f"{self.request.builder}, build {self.number}: {step} on {self.slave}\n"
        return MasterResponse(200, text, "text/plain")

    def as_html(self) -> str:
        """Return the HTML page of the build."""
        r = self.request
        state = "Build In Progress:" if self.finish is None else "Results:"
        return _PAGE.format(
            builder=escape(r.builder),
            number=self.number,
            state=state,
            branch=escape(r.branch or ""),
            revision=escape(r.revision or ""),
            slave=escape(self.slave),
            reason=escape(self.reason),
        )


_PAGE = """<!DOCTYPE html>
<html><head><title>Buildbot: {builder} Build #{number}</title></head>
<body>
<h1>Builder {builder} Build #{number}</h1>
<h2>{state}</h2>
<h2>SourceStamp:</h2>
<table>
  <tr><td class="left">Branch</td><td>{branch}</td></tr>
  <tr><td class="left">Revision</td><td>{revision}</td></tr>
</table>
<h2>BuildSlave:</h2>
  <a href="../../../buildslaves/{slave}">{slave}</a>
<h2>Reason:</h2>
<p>{reason}</p>
<form method="post" action="{number}/stop">
  <input type="text" name="comments"/> <input type="submit" value="Stop This Build"/>
</form>
</body></html>
"""


def source_stamp(request: SampleRequest) -> dict[str, object]:
    """Return a source stamp as a master shows it."""
    return {
        "branch": request.branch,
        "changes": [],
        "hasPatch": False,
        "project": request.project,
        "repository": request.repository,
        "revision": request.revision,
    }


async def find_build(
    db: Database, master: SimulatedMaster, builder: str, number: int
) -> BuildPage | None:
    """Return a running or finished build of a master; None if it never had such a build."""
    build = master.building.get((builder, number))
    if build is not None:
        properties = await _properties(db, build.requests, number, build.slave)
        return BuildPage(
            build.requests[0],
            number,
            build.slave,
            build.start,
            None,
            None,
            build.reason,
            properties,
        )
    name = master.master.db_name
    stored = await request_queue.STORED_BUILD.maybe(db, number=number, builder=builder, master=name)
    if stored is None:
        return None
    ended = master.recent.get((builder, number))
    # The scheduler database does not store slaves; for an older build any name will do.
    slave = ended.slave if ended is not None else f"slave-{number % 100:03d}"
    properties = await _properties(db, [stored.request], number, slave)
    return BuildPage(
        stored.request,
        number,
        slave,
        stored.start_time,
        stored.finish_time,
        stored.results,
        stored.request.reason,
        properties,
    )


async def _properties(
    db: Database, requests: Sequence[SampleRequest], number: int, slave: str
) -> list[tuple[str, object, str]]:
    found = await submitted_properties(db, requests)
    found["buildername"] = (requests[0].builder, "Builder")
    found["buildnumber"] = (number, "Build")
    found["slavename"] = (slave, "BuildSlave")
    return [(name, *pair) for name, pair in sorted(found.items())]


# --- the server ------------------------------------------------------------------------------


class MasterWebServer(LoopbackServer):
    """Serve the web interface of one master."""

    def __init__(
        self,
        clock: ReactorTime,
        endpoint: Endpoint,
        master: SimulatedMaster,
        scheduler: Database,
    ) -> None:
        self._resource = MasterResource(clock, master, scheduler)
        site = QuietSite(self._resource)  # type: ignore[no-untyped-call]  # Site is not typed
        super().__init__(f"{master.name} web", endpoint, site)

    async def _settle(self) -> None:
        for responding in list(self._resource.responding):
            responding.cancel()
