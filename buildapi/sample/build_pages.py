"""Render the builds of a sample master, as JSON and as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import attrs

from buildapi.db.sql import Database
from buildapi.sample import request_queue
from buildapi.sample.build_properties import submitted_properties
from buildapi.sample.request_queue import SampleRequest
from buildapi.sample.simulated_master import SimulatedMaster


@attrs.frozen
class BuildPage:
    """Show a build as a master does; ``properties`` are name, value and source."""

    request: SampleRequest
    number: int
    slave: str
    start: float
    finish: float | None
    results: int | None
    reason: str
    properties: Sequence[tuple[str, Any, str]]

    def as_json(self) -> dict[str, Any]:
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
            "results": self.results if self.finish is not None else None,
            "slave": self.slave,
            "sourceStamp": source_stamp(self.request),
            "steps": [step],
            "text": [] if self.finish is None else ["build", "ended"],
            "times": [self.start, self.finish],
        }

    def _step(self) -> dict[str, Any]:
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


def source_stamp(request: SampleRequest) -> dict[str, Any]:
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
) -> list[tuple[str, Any, str]]:
    found = await submitted_properties(db, requests)
    found["buildername"] = (requests[0].builder, "Builder")
    found["buildnumber"] = (number, "Build")
    found["slavename"] = (slave, "BuildSlave")
    return [(name, *pair) for name, pair in sorted(found.items())]
