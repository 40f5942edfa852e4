"""A site of nothing but the pages about the whole farm, on a loopback port."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from buildapi.interfaces import Directory, FarmReads, RecentBuilds
from buildapi.web.farm.views import FarmViews
from buildapi.web.http.app import Policy, WebApp, site
from buildapi.web.http.auth import Authenticator
from buildapi.web.http.connection import Traffic
from buildapi.web.http.csrf import CSRFTokens
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import json_cache
from buildapi.web.http.listener import Listener
from buildapi.web.http.page_text import KeptPages
from buildapi.web.http.request import RequestLimits
from buildapi.web.http.routes import Route
from buildapi.web.http.send_budget import SendBudget
from buildapi.web.selfserve.pages import SelfServePages
from tests.golden.client import Answer, ask

JSON = {"Accept": "application/json"}


@contextlib.asynccontextmanager
async def serving(
    directory: Directory, reads: FarmReads, recent: RecentBuilds, *, now: float, zone: str
) -> AsyncIterator[int]:
    """Serve until the block ends; give the port."""
    from twisted.internet import reactor as module

    reactor: Any = module
    answers = json_cache(reactor.seconds, 2)
    shown = SelfServePages(ZoneInfo(zone), lambda: now, directory.master_urls)
    pages = FarmViews(directory, reads, recent, answers, shown)
    async with on_port(pages.routes()) as port:
        yield port


@contextlib.asynccontextmanager
async def on_port(routes: Sequence[Route]) -> AsyncIterator[int]:
    """Serve routes until the block ends; give the port."""
    from twisted.internet import reactor as module

    reactor: Any = module
    auth = Authenticator.of("X-Remote-User", (), "")
    policy = Policy(auth, (), CSRFTokens(b"of the tests"), Deadline(reactor, 5))
    traffic = Traffic()
    http = site(
        WebApp(routes, policy, KeptPages(reactor.seconds, 2)),
        reactor=reactor,
        limits=RequestLimits(4096, 4),
        prefix="",
        idle_seconds=5,
        answered=lambda _: None,
        traffic=traffic,
        budget=SendBudget(2**20, 2**22),
    )
    listener = Listener(reactor, http, ["tcp:0:interface=127.0.0.1"], traffic, 1, lambda: None)
    listener.startService()
    try:
        yield listener.ports[0].getHost().port
    finally:
        await listener.stopService()


async def get(port: int, path: str, headers: Mapping[str, str] = JSON) -> Answer:
    """Ask for a page."""
    request = {"method": "GET", "path": path, "headers": dict(headers), "body": None}
    return await ask(port, request)
