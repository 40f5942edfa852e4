"""Check everything that a configuration names before the service is started with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import defer

from buildapi.admin.own_tables import Place, look
from buildapi.buildbot.directory import Master, parse_branches, parse_builders, parse_masters
from buildapi.buildbot.directory_document import NotADirectoryFile, Parse, ParsedDocument, parsed
from buildapi.buildbot.document_readers import reader
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.config import DatabaseSection, DirectorySection
from buildapi.config.secret import shown
from buildapi.db.schema_upgrade import error_text
from buildapi.mq.topology import dead_letters, on_channel
from buildapi.mq.txamqp.client import Client, ClientFactory, Credentials
from buildapi.mq.txamqp.errors import ChannelClosed, describe
from buildapi.reactor_time import AsyncCall, Reactor, ThreadedReactor, timeout

DATABASE_SECONDS = 8.0
BROKER_SECONDS = 15.0
MASTERS_AT_ONCE = 20

Say = Callable[[str], None]
Check = Callable[[], Awaitable[str]]
"""A check: returns what is well, or raises an error that says what is not."""


class TrialError(Exception):
    """A check failed; the message says why."""


async def told_check(name: str, check: Check, say: Say) -> bool:
    """Run one check and print its result; return whether it succeeded."""
    try:
        say(f"ok: {name}: {await check()}")
    except defer.CancelledError:
        raise
    except Exception as e:
        say(f"FAILED: {name}: {error_text(e) or type(e).__name__}")
        return False
    return True


async def all_well(checks: Iterable[AsyncCall[bool]]) -> bool:
    """Run all checks concurrently; return whether all succeeded."""
    running = [defer.ensureDeferred(one) for one in checks]
    # A list, not a generator, at whose first failure all() would stop: the other checks still run.
    return all([await one for one in running])


# --- databases


def checks_of_tables(places: Sequence[Place], reactor: Reactor) -> Mapping[str, Check]:
    """Return the checks of our own tables."""

    async def complete(place: Place) -> str:
        found = await look(place, reactor)
        if found.changes:
            raise TrialError(f"{len(found.changes)} to create or change: run buildapi db upgrade")
        return f"complete ({found.server})"

    return {f"tables in {place.name}": partial(complete, place) for place in places}


async def check_reads(
    name: str, database: DatabaseSection, tables: Iterable[str], reactor: Reactor
) -> str:
    """Read from each table of a database that Buildbot writes."""
    place, listed = Place(name, "", database, ""), list(tables)
    if not place.exists():
        raise TrialError(f"{database.url} does not exist")
    db = place.open(reactor, DATABASE_SECONDS, read_only=True)
    try:
        for table in listed:
            # Needs the privilege to read, and reads nothing: some of these tables are long.
            await db.fetch(f"SELECT 1 FROM {table} WHERE 1 = 0", {})  # noqa: S608  # our names
    finally:
        await db.stopService()
    return f"all {len(listed)} tables are readable"


# --- the broker


async def check_amqp(
    endpoint: Any,  # IStreamClientEndpoint, whose methods type checkers cannot call
    login: Credentials,
    vhost: str,
    queues: Sequence[str],
    reactor: Reactor,
) -> str:
    """Log in to an AMQP broker and look for the queues; nothing is declared."""

    async def log_in() -> str:
        factory = ClientFactory(reactor, login, vhost, label="buildapi check-config")
        needed = [*queues, *map(dead_letters, queues)]
        try:
            client = await endpoint.connect(factory)
            try:
                await client.open()
                missing = [queue for queue in needed if not await _is_there(client, queue)]
            finally:
                await client.shutdown(1)
        except Exception as e:
            raise TrialError(describe(e)) from None
        return f"logged in; created at start: {', '.join(missing)}" if missing else "logged in"

    return await timeout(defer.ensureDeferred(log_in()), BROKER_SECONDS, reactor)


async def _is_there(client: Client, queue: str) -> bool:
    try:
        # A passive declare of a missing queue closes its channel [AMQP 0-9-1, queue.declare], so
        # that each has one of its own.
        await on_channel(client, lambda ch: ch.queue_declare(queue=queue, passive=True))
    except ChannelClosed:
        return False
    return True


# --- the directory and its masters

# Any: the values of the three documents, each of a type of its own, as its parser returns it.
Remarks = Callable[[Any], Sequence[str]]
"""Lists what the entries of a document mean for the configuration, where it needs attention."""


@attrs.frozen
class Document:
    """Describe a document of the directory that a configuration names."""

    name: str
    location: str
    parse: Parse
    may_be_empty: bool
    remarks: Remarks

    def parsed(self, data: bytes) -> ParsedDocument[Any]:  # as above
        """Parse it as the service does; :raises NotADirectoryFile: the service would refuse it."""
        return parsed(data, self.parse, self.name, allow_empty=self.may_be_empty)

    def warnings(self, found: ParsedDocument[Any]) -> Sequence[str]:  # as above
        """List what needs attention, without being an error."""
        return [*found.warnings, *self.remarks(found.value)]


def documents(
    where: DirectorySection, hidden: Callable[[Iterable[str]], Sequence[str]], change_master: str
) -> Sequence[Document]:
    """List the directory documents that a configuration names.

    ``hidden`` returns warnings about branch names; ``change_master`` is the master for changes.
    """

    def disabled(masters: Mapping[str, Master]) -> Sequence[str]:
        return [
            f"[changes] master = {shown(change_master)}: disabled in the masters file, so it"
            " accepts no changes"
            for master in masters.values()
            if not master.enabled and change_master in (master.name, master.db_name)
        ]

    named: Sequence[tuple[str, str | None, Parse, Remarks]] = (
        ("branches", where.branches, parse_branches, hidden),
        ("masters", where.masters, parse_masters, disabled if change_master else lambda _: ()),
        ("builders", where.builders, parse_builders, lambda _: ()),
    )
    return [
        Document(name, location, parse, where.may_be_empty(name), remarks)
        for name, location, parse, remarks in named
        if location
    ]


def warnings_of_files(listed: Iterable[Document]) -> Iterable[str]:
    """List warnings about the documents that are local files."""
    for document in listed:
        if "://" not in document.location:
            yield from (f"{document.name}: {warning}" for warning in _of_file(document))


def _of_file(document: Document) -> Sequence[str]:
    try:
        return document.warnings(document.parsed(Path(document.location).read_bytes()))
    except (OSError, ValueError, RecursionError, NotADirectoryFile) as e:
        return [error_text(e)]


@attrs.define
class DirectoryCheck:
    """Check the documents, and the masters they list; each read and request has a deadline.

    ``poke_seconds`` bounds a request to a master; None asks no masters.
    """

    _documents: Sequence[Document]
    _fetcher: Fetcher
    _reactor: ThreadedReactor
    _say: Say
    _timeout_seconds: float
    _poke_seconds: float | None

    async def run(self) -> bool:
        """Print a line for each document and master; return whether all are well."""
        found: dict[str, Any] = {}  # as in Remarks
        read = [
            await told_check(document.name, partial(self._document, document, found), self._say)
            for document in self._documents
        ]
        return await self._ask(found.get("masters", {})) and all(read)

    async def _document(self, document: Document, found: dict[str, Any]) -> str:
        read = await reader(
            document.location, self._fetcher, self._timeout_seconds, self._reactor
        )()
        parsed = document.parsed(read)
        for warning in document.warnings(parsed):
            self._say(f"warning: {document.name}: {warning}")
        found[document.name] = parsed.value
        return f"{document.location}: {parsed.usable} usable"

    async def _ask(self, masters: Mapping[str, Master]) -> bool:
        """Send a request to each enabled master."""
        seconds = self._poke_seconds
        if seconds is None:
            return True
        slots = defer.DeferredSemaphore(MASTERS_AT_ONCE)

        async def answers(url: str) -> str:
            async with slots:
                answer = await self._fetcher.request("GET", url, seconds=seconds)
            return f"{url} answers {answer.code}"

        return await all_well(
            told_check(f"master {m.db_name}", partial(answers, str(m.url)), self._say)
            for m in masters.values()
            if m.url and m.enabled
        )
