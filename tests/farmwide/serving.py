"""A site of some routes, wired as the program wires its site, on a loopback port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import attrs

from buildapi.assembly.adapters import Clock
from buildapi.assembly.http_listeners import http_listeners
from buildapi.assembly.web_site import page_renderer
from buildapi.config import Config, Secret, sample_config
from buildapi.interfaces import Builds, Directory, FarmReads, RecentBuilds
from buildapi.ops.metrics import Metrics
from buildapi.web.farm.recorded_builds import RecordedBuilds
from buildapi.web.farm.views import FarmViews
from buildapi.web.http.connection import Traffic
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import json_cache
from buildapi.web.http.routes import Route
from buildapi.web.selfserve.row_pushes import RowPushes
from tests.golden.client import Answer, ask
from tests.web.farm import MemoryBuilds, MemoryPushes

JSON = {"Accept": "application/json"}


def site_config(zone: str) -> Config:
    """Return the configuration of a site that knows nobody."""
    base = sample_config(Path("data"), "tcp:0:interface=127.0.0.1")
    web = attrs.evolve(
        base.web,
        development_user="",
        form_secret=Secret("of the tests"),
        timezone=ZoneInfo(zone),
    )
    return attrs.evolve(base, web=web)


def clock(now: Callable[[], float]) -> Clock:
    """Return the reactor's time with this time of day."""
    from twisted.internet import reactor

    return Clock(reactor, now)  # type: ignore[arg-type]  # the module


@contextlib.asynccontextmanager
async def serving(
    directory: Directory,
    reads: FarmReads,
    recent: RecentBuilds,
    *,
    now: float,
    zone: str,
    builds: Builds | None = None,
) -> AsyncIterator[int]:
    """Serve the pages about the whole farm until the block ends; give the port."""
    config, times = site_config(zone), clock(lambda: now)
    answers = json_cache(times.reactor.seconds, config.web.cache_seconds)
    shown = page_renderer(config, times, directory)
    nothing = MemoryBuilds({}, {})
    limit = Deadline(times.reactor, 10)
    pushes = RowPushes(MemoryPushes(nothing), nothing, directory, limit)
    recorded = RecordedBuilds(recent, builds or nothing, answers, limit, times.now)
    pages = FarmViews(directory, reads, recent, answers, shown, pushes, recorded)
    async with on_port(pages.routes(), config, times) as port:
        yield port


@contextlib.asynccontextmanager
async def on_port(routes: Sequence[Route], config: Config, times: Clock) -> AsyncIterator[int]:
    """Serve routes until the block ends; give the port."""
    listeners = http_listeners(config, times, Metrics(), None, away=lambda: (), ending=lambda: None)
    listener = listeners.public(routes, Traffic(), held=False)
    listener.startService()
    try:
        yield listener.ports[0].getHost().port
    finally:
        await listener.stopService()


async def get(port: int, path: str, headers: Mapping[str, str] = JSON) -> Answer:
    """Ask for a page."""
    request = {"method": "GET", "path": path, "headers": dict(headers), "body": None}
    return await ask(port, request)
