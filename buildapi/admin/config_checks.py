"""Check everything that a configuration names before the service is started with it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import defer

from buildapi.admin.own_tables import Place, look, places
from buildapi.assembly.brokers import amqp_address, amqp_endpoint
from buildapi.assembly.dialects import DIALECTS
from buildapi.assembly.ground import may_be_empty
from buildapi.assembly.program import Assembly
from buildapi.assembly.reporting import classification
from buildapi.buildbot.directory import Master, parse_branches, parse_builders, parse_masters
from buildapi.buildbot.document_readers import reader
from buildapi.buildbot.documents import NotADirectoryFile, Parse, ParsedDocument, parsed
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.config import Config
from buildapi.db.schema_upgrade import error_text
from buildapi.mq.topology import dead_letters, on_channel
from buildapi.mq.txamqp.client import ClientFactory, Credentials
from buildapi.mq.txamqp.errors import ChannelClosed, describe
from buildapi.web.selfserve.shadowed_branches import ShadowedBranches

DATABASE_SECONDS = 8.0
BROKER_SECONDS = 15.0
MASTERS_AT_ONCE = 20

Say = Callable[[str], None]


class TrialError(Exception):
    """A check failed; the message says why."""


def check(config: Config) -> None:
    """Check the files that the service reads at its start; :raises ConfigError: one is wrong."""
    classification(config.reports.classification)


def warnings_of_files(config: Config) -> Iterable[str]:
    """List warnings about the directory documents that are local files."""
    if config.sample.enabled:
        return
    for document in documents(config):
        if "://" not in document.location:
            yield from (f"{document.name}: {warning}" for warning in _of_file(document, config))


def _of_file(document: Document, config: Config) -> Sequence[str]:
    try:
        found = document.parsed(Path(document.location).read_bytes(), config)
    except (OSError, ValueError, RecursionError, NotADirectoryFile) as e:
        return [error_text(e)]
    return [*found.warnings, *remarks(document.name, found.value, config)]


@attrs.frozen
class Document:
    """Describe a document of the directory that a configuration names."""

    name: str
    location: str
    parse: Parse

    def parsed(self, data: bytes, config: Config) -> ParsedDocument[Any]:
        """Parse it as the service does; :raises NotADirectoryFile: the service would refuse it."""
        allowed = may_be_empty(config, self.name, self.location)
        return parsed(data, self.parse, self.name, allow_empty=allowed)


def documents(config: Config) -> Sequence[Document]:
    """List the directory documents that a configuration names."""
    where = config.directory
    named = (
        ("branches", where.branches, parse_branches),
        ("masters", where.masters, parse_masters),
        ("builders", where.builders, parse_builders),
    )
    return [Document(name, location, parse) for name, location, parse in named if location]


def remarks(name: str, value: Any, config: Config) -> Sequence[str]:
    """List what the entries of a document mean for this configuration, where it needs attention."""
    if name == "branches" and "api" in config.service.roles:
        from twisted.internet import reactor

        return ShadowedBranches(Assembly(config, reactor, time.time).routes).warnings(value)
    if name == "masters" and config.changes.master:
        return [
            f"[changes] master is {config.changes.master!r}, which is disabled: it takes no changes"
            for master in value.values()
            if not master.enabled and config.changes.master in (master.name, master.db_name)
        ]
    return ()


async def try_all(config: Config, reactor: Any, say: Say) -> bool:
    """Run all checks concurrently; print a line about each and return whether all succeeded."""
    if config.sample.enabled:
        say("ok: the sample farm needs nothing else")
        return True
    trial = Trial(config, reactor, say)
    tried = [trial.told(name, work) for name, work in trial.databases().items()]
    tried += [trial.told("broker", trial.broker), trial.directory()]
    return await _all_well(tried)


@attrs.define
class Trial:
    """Check everything once; each check has its own deadline."""

    _config: Config
    _reactor: Any
    _say: Say
    _fetcher: Fetcher = attrs.field(init=False)
    _slots: defer.DeferredSemaphore = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._fetcher = Fetcher(self._reactor)
        self._slots = defer.DeferredSemaphore(MASTERS_AT_ONCE)

    async def told(self, name: str, work: Callable[[], Awaitable[str]]) -> bool:
        """Run one check and print its result."""
        try:
            self._say(f"ok: {name}: {await work()}")
        except defer.CancelledError:
            raise
        except Exception as e:
            self._say(f"FAILED: {name}: {error_text(e) or type(e).__name__}")
            return False
        return True

    # --- databases

    def databases(self) -> Mapping[str, Callable[[], Awaitable[str]]]:
        """Return the checks of each database that the roles of the process use."""
        databases, farm = self._config.databases, DIALECTS[self._config.farm.dialect].privileges
        read: dict[str, Mapping[str, str]] = {"scheduler": farm.scheduler_read}
        if "api" in self._config.service.roles:
            read |= {"scheduler_replica": farm.scheduler_read, "status": farm.status_read}
        if databases.scheduler.url == databases.scheduler_replica.url:
            read.pop("scheduler_replica", None)
        own = {f"tables in {p.name}": partial(self._own, p) for p in places(self._config)}
        return own | {f"database {n}": partial(self._read, n, t) for n, t in read.items()}

    async def _own(self, place: Place) -> str:
        found = await look(place, self._reactor)
        if found.changes:
            raise TrialError(f"{len(found.changes)} to make or change: buildapi db upgrade")
        return f"complete ({found.server})"

    async def _read(self, name: str, tables: Mapping[str, str]) -> str:
        place = Place(name, "", getattr(self._config.databases, name), "")
        if not place.exists():
            raise TrialError(f"{place.database.url} is not there")
        db = place.open(self._reactor, DATABASE_SECONDS, read_only=True)
        try:
            for table in tables:
                await db.fetch(f"SELECT 1 FROM {table} WHERE 1 = 0", {})  # noqa: S608  # our names
        finally:
            await db.stopService()
        return f"all {len(tables)} tables can be read"

    # --- the broker

    async def broker(self) -> str:
        """Log in to the broker and look for the queues; nothing is declared."""
        if self._config.broker.scheme == "embedded":
            return "embedded"
        return await defer.ensureDeferred(self._amqp()).addTimeout(BROKER_SECONDS, self._reactor)

    async def _amqp(self) -> str:
        broker, address = self._config.broker, amqp_address(self._config)
        login = Credentials(address.username, broker.password.reveal() if broker.password else "")
        factory = ClientFactory(self._reactor, login, address.vhost, label="buildapi check-config")
        try:
            client = await amqp_endpoint(self._config, self._reactor).connect(factory)
            try:
                await client.open()
                missing = [q for q in self._queues() if not await _is_there(client, q)]
            finally:
                await client.shutdown(1)
        except Exception as e:
            raise TrialError(describe(e)) from None
        return f"logged in; will be made: {', '.join(missing)}" if missing else "logged in"

    def _queues(self) -> Sequence[str]:
        queues = (self._config.broker.agent_queue, self._config.broker.web_queue)
        return [*queues, *map(dead_letters, queues)]

    # --- the directory and its masters

    async def directory(self) -> bool:
        """Check the documents, and for an agent the masters they list."""
        found: dict[str, Any] = {}
        tried = [
            await self.told(document.name, partial(self._document, document, found))
            for document in documents(self._config)
        ]
        return await self._ask(found.get("masters", {})) and all(tried)

    async def _document(self, document: Document, found: dict[str, Any]) -> str:
        seconds = self._config.directory.timeout_seconds
        read = await reader(document.location, self._fetcher, seconds)()
        parsed = document.parsed(read, self._config)
        for warning in (*parsed.warnings, *remarks(document.name, parsed.value, self._config)):
            self._say(f"warning: {document.name}: {warning}")
        found[document.name] = parsed.value
        return f"{document.location}, {parsed.usable} of them"

    async def _ask(self, masters: Mapping[str, Master]) -> bool:
        """Send a request to each enabled master."""
        if "agent" not in self._config.service.roles:
            return True
        return await _all_well(
            self.told(f"master {m.db_name}", partial(self._master, m))
            for m in masters.values()
            if m.url and m.enabled
        )

    async def _master(self, master: Master) -> str:
        seconds = self._config.agent.poke_seconds
        async with self._slots:
            answer = await self._fetcher.request("GET", str(master.url), seconds=seconds)
        return f"{master.url} answers {answer.code}"


async def _all_well(tried: Iterable[Coroutine[Any, Any, bool]]) -> bool:
    """Run all checks concurrently; return whether all succeeded."""
    running = [defer.ensureDeferred(one) for one in tried]
    return all([await one for one in running])


async def _is_there(client: Any, queue: str) -> bool:
    try:
        await on_channel(client, lambda ch: ch.queue_declare(queue=queue, passive=True))
    except ChannelClosed:
        return False
    return True
