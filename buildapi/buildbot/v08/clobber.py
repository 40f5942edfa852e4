"""Request clobbers of the slaves of cancelled builds from the farm's clobberer service."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs

from buildapi.buildbot.http_fetch import Fetcher, FetchError
from buildapi.buildbot.v08.build_identity import build_path
from buildapi.buildbot.v08.master_client import MasterClient, MasterError
from buildapi.model.outcome import Item
from buildapi.model.steps import Clobber, StopBuild


@attrs.frozen
class Clobberer:
    """Send requests to the clobberer, each within ``seconds``.

    ``where`` returns its URL and the bearer token it needs, None for no token.
    """

    _fetcher: Fetcher
    _masters: MasterClient
    _where: Callable[[], tuple[str, str | None]]
    _seconds: float

    async def clobber(self, step: Clobber) -> Item:
        """Request that a slave removes the builder's folder before its next build."""
        build = step.build
        try:
            slave = await self._slave(build)
        except MasterError as e:
            return _item(build, "failed", f"not clobbered: {e}")
        if slave is None:
            return _item(build, "nothing", "not clobbered: the master names no slave")
        try:
            await self._post(slave, build.buildername)
        except FetchError as e:
            return _item(build, "failed", f"{slave} not clobbered: {e}")
        return _item(build, "done", f"{slave} clobbered for {build.buildername}")

    async def _slave(self, build: StopBuild) -> str | None:
        # No table of the scheduler database names the slave of a build: only its master knows it.
        answer = await self._masters.ask(build.master, "GET", f"json/{build_path(build)}")
        if answer.code != 200:
            raise MasterError(f"the master answered {answer.code} to the request for the slave")
        return slave_of(answer.body)

    async def _post(self, slave: str, buildername: str) -> None:
        url, token = self._where()
        answer = await self._fetcher.request(
            "POST",
            url,
            seconds=self._seconds,
            # A list of one: the clobberer accepts lists [docs/configuration.md, "[clobber]"].
            document=[{"slave": slave, "buildername": buildername}],
            token=token,
        )
        if not 200 <= answer.code < 300:
            raise FetchError(f"the clobberer answered {answer.code}")


def slave_of(answer: bytes) -> str | None:
    """Return the slave in a master's ``/json/builders/B/builds/N``, or None."""
    try:
        build: Any = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    # JSON: the HTML page of a build is 500 if a property has a value that is not ASCII (0.8.2).
    slave = build.get("slave") if isinstance(build, dict) else None
    return slave if isinstance(slave, str) and slave else None


def _item(build: StopBuild, state: str, detail: str) -> Item:
    return Item(state, detail, request_id=build.brid, build_id=build.build_id, master=build.master)
