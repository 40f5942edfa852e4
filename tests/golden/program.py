"""The whole program on the recorded farm, at the recorded time."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from buildapi.assembly import Daemon, assemble
from buildapi.assembly.adapters import Adapters
from buildapi.config import from_mapping
from buildapi.db.jobstore import SQLJobStore
from tests.golden.cases import DATA, epoch
from tests.golden.clobberer import TOKEN
from tests.reactor import until


def now() -> float:
    """Return the time, which stands still."""
    return epoch() + 0.25


@attrs.define(eq=False)
class WatchedStore(SQLJobStore):
    """Note the times of ``sweeps`` of the outbox: forgetting keys is the last it does."""

    sweeps: list[int] = attrs.field(factory=list)

    async def forget_keys(self, before: int) -> None:
        await super().forget_keys(before)
        self.sweeps.append(before)


def _watched(adapters: Adapters) -> Adapters:
    return attrs.evolve(adapters, store=WatchedStore(adapters.databases.jobs))


@attrs.define
class Running:
    """A program that is ready, and the port it serves."""

    daemon: Daemon

    @property
    def port(self) -> int:
        """Return where it listens."""
        listener: Any = self.daemon.program.getServiceNamed("http")
        return int(listener.ports[0].getHost().port)

    @property
    def sweeps(self) -> list[int]:
        """Return the times of the outbox's sweeps."""
        store: Any = self.daemon.services.adapters.store
        return store.sweeps


@contextlib.asynccontextmanager
async def program(
    folder: Path,
    *,
    databases: Mapping[str, str],
    masters: Path | None = None,
    clobber_url: str = "",
) -> AsyncIterator[Running]:
    """Run the program until the block ends; ``masters`` is a masters file."""
    from twisted.internet import reactor

    document = {
        "service": {"data": str(folder)},
        "web": {
            "listen": ["tcp:0:interface=127.0.0.1"],
            "trusted_proxies": ["127.0.0.1"],
            "allowed_origins": ["http://example.org"],
            "timezone": "US/Pacific",
        },
        "databases": {name: {"url": url} for name, url in databases.items()},
        "directory": {
            "branches": str(DATA / "directory/production-branches.json"),
            "masters": str(masters or DATA / "directory/production-masters.json"),
            "builders": str(DATA / "directory/allthethings.json"),
        },
        "clobber": {"url": clobber_url, "token": TOKEN if clobber_url else ""},
        "agent": {"poke_seconds": 1, "verify_seconds": 0, "recheck_seconds": 0},
    }
    config = from_mapping(document, file=folder / "buildapi.toml", environ={})
    running = Running(assemble(config, reactor, now, replace=_watched))
    service = running.daemon.program
    service.startService()
    try:
        # A job that comes during the first sweep may be sent twice, for it comes in the same
        # second: that does no harm, but is not what was recorded.
        await until(lambda: bool(running.sweeps), 20)
        yield running
    finally:
        await service.stopService()


@implementer(IHostnameResolver)
class NoNames:
    """Know addresses only: a name of the recorded farm must not be looked up in the real world."""

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Resolve an IPv4 address to itself, anything else to nothing."""
        resolutionReceiver.resolutionBegan(None)
        if hostName.replace(".", "").isdigit():
            resolutionReceiver.addressResolved(IPv4Address("TCP", hostName, portNumber))
        resolutionReceiver.resolutionComplete()
        return None
