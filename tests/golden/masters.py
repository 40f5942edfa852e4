"""Fake masters of the recorded farm: what they answer, what they do when a build is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tests.golden.cases import DATA, epoch
from tests.golden.databases import opened
from tests.golden.scheduler import PB_PORT
from tests.services.mariadb import free_port

FAILURE = 2
SLAVE = "bld-linux64-ec2-001"

FIND = """SELECT b.id, b.number, b.brid, b.start_time, b.finish_time,
 r.buildername, r.buildsetid, r.results, s.branch, s.revision,
 EXISTS (SELECT 1 FROM sourcestamp_changes c WHERE c.sourcestampid = s.id) AS has_changes
 FROM builds b JOIN buildrequests r ON r.id = b.brid
 JOIN buildsets t ON t.id = r.buildsetid JOIN sourcestamps s ON s.id = t.sourcestampid
 WHERE r.buildername = ? AND b.number = ? AND r.claimed_by_name IN (%s) ORDER BY b.id DESC"""

END = (
    "UPDATE builds SET finish_time = :now WHERE id = :id",
    """UPDATE buildrequests SET complete = 1, results = :results, complete_at = :now
 WHERE id = :brid""",
    """UPDATE buildsets SET complete = 1, results = :results, complete_at = :now
 WHERE id = :buildsetid AND NOT EXISTS
 (SELECT 1 FROM buildrequests WHERE buildsetid = :buildsetid AND complete = 0)""",
)


def _missing(request: Any) -> bytes:
    request.setResponseCode(404)
    return b"No Such Resource"


def _broken(request: Any) -> bytes:
    request.setResponseCode(500)
    return b"exceptions.AttributeError"


def _silent(_request: Any) -> int:
    return NOT_DONE_YET


def _redirect(request: Any) -> bytes:
    request.setResponseCode(302)
    name = quote(request.postpath[1], safe="")
    request.setHeader("location", f"../../../../builders/{name}")
    return b"<html>stopping</html>"


def _page(_request: Any) -> bytes:
    return b"<html>stopped</html>"


@attrs.frozen
class Mode:
    """How the masters behind a port behave; ``every`` is the answer to whatever is asked.

    ``slave`` is what they say a build ran on; None where they do not.
    """

    stop: Callable[[Any], Any] = _redirect
    slave: str | None = SLAVE
    every: Callable[[Any], Any] | None = None


MODES = {
    15101: Mode(),
    15102: Mode(stop=_page),
    15103: Mode(every=_silent),
    15104: Mode(every=_broken),
    15105: Mode(every=_missing),
    15106: Mode(slave=None),
    15110: Mode(every=_missing),
}
"""By recorded port; nobody listens on any other."""


@attrs.frozen
class Asked:
    """A request that reached a master; ``port`` is the recorded one."""

    port: int
    method: str
    path: str
    body: str


@attrs.define
class Masters:
    """All masters of one farm.

    ``scheduler`` is the farm's database; what they change there is done to ``before`` as well,
    which is what the effect of a job is told by.
    """

    scheduler: Path
    before: Path
    asked: list[Asked] = attrs.field(factory=list)
    _ports: dict[int, Any] = attrs.field(factory=dict)
    _names: dict[int, list[str]] = attrs.field(factory=dict)

    def start(self) -> None:
        """Listen on free ports."""
        from twisted.internet import reactor

        listening: Any = reactor
        for port, mode in MODES.items():
            site = Site(_Master(self, port, mode), timeout=None)
            self._ports[port] = listening.listenTCP(0, site, interface="127.0.0.1")

    async def stop(self) -> None:
        """Listen no more."""
        for port in self._ports.values():
            await port.stopListening()

    def write_directory(self, path: Path, pb_port: int) -> None:
        """Write the masters file, with the ports they really listen on.

        ``pb_port`` is that of the scheduler; no other master takes changes.
        """
        masters = json.loads((DATA / "directory/production-masters.json").read_text())
        for master in masters:
            recorded = master["http_port"]
            self._names.setdefault(recorded, []).append(master["db_name"])
            listening = self._ports.get(recorded)
            master["http_port"] = listening.getHost().port if listening else free_port()
            master["pb_port"] = pb_port if master["pb_port"] == PB_PORT else free_port()
        path.write_text(json.dumps(masters))

    def find(self, port: int, builder: str, number: int) -> Sequence[dict[str, Any]]:
        """Find the rows of a build that runs, or ran, behind a port; the newest first."""
        names = self._names.get(port, [])
        query = FIND % ", ".join("?" for _ in names)
        with opened(self.scheduler) as db:
            return [dict(row) for row in db.execute(query, (builder, number, *names))]

    def end(self, rows: Sequence[dict[str, Any]]) -> None:
        """Write what a master writes when a build was stopped."""
        now = epoch()
        for path in (self.scheduler, self.before):
            with opened(path) as db:
                for row in rows:
                    for statement in END:
                        db.execute(statement, row | {"now": now, "results": FAILURE})


class _Master(Resource):
    """The web interface behind one port, as far as it is needed."""

    isLeaf = True

    def __init__(self, farm: Masters, port: int, mode: Mode) -> None:
        Resource.__init__(self)
        self.farm, self.port, self.mode = farm, port, mode

    def render(self, request: Any) -> Any:
        method, path = request.method.decode(), request.path.decode()
        self.farm.asked.append(Asked(self.port, method, path, request.content.read().decode()))
        if self.mode.every is not None:
            return self.mode.every(request)
        parts = [part.decode() for part in request.postpath]
        match parts:
            case ["json", "builders", builder, "builds", number]:
                rows = self.farm.find(self.port, builder, int(number))
                if not rows:
                    return _missing(request)
                return json.dumps(_build(rows) | self._slave()).encode()
            case ["builders", builder, "builds", number, "stop"]:
                rows = self.farm.find(self.port, builder, int(number))
                self.farm.end([row for row in rows if row["finish_time"] is None])
                return self.mode.stop(request) if rows else _missing(request)
        return _missing(request)

    def _slave(self) -> dict[str, Any]:
        return {} if self.mode.slave is None else {"slave": self.mode.slave}


def _build(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Describe a build as ``/json/builders/B/builds/N`` does.

    Requests for changes are coalesced though their revisions differ: the build has the changes
    of all of them, and the revision of the last change.
    """
    row = rows[0]
    revisions = [r["revision"] for r in reversed(rows)] if row["has_changes"] else []
    return {
        "builderName": row["buildername"],
        "number": row["number"],
        "results": row["results"] if row["finish_time"] is not None else None,
        "sourceStamp": {
            "branch": row["branch"],
            "changes": [{"branch": row["branch"], "revision": r} for r in revisions],
            "revision": row["revision"],
        },
        "times": [row["start_time"] + 0.25, row["finish_time"]],
    }
