"""Know the farm's masters and branches: fetched regularly, last good kept, age known."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import defer, task
from twisted.logger import Logger

from buildapi.errors import Unavailable
from buildapi.model.branches import Branches
from buildapi.model.builders import Builder, Builders
from buildapi.model.ops import DocumentState

FIRST_RETRY = 5.0
"""Seconds after which a failed refresh is tried again, doubling up to the refresh interval."""

log = Logger()


@attrs.frozen
class Master:
    """An entry of the masters file; a port is None where nothing listens.

    ``pb_port`` is where it takes changes and slaves.
    """

    db_name: str
    hostname: str
    http_port: int | None
    pb_port: int | None
    role: str | None
    name: str | None = None

    @property
    def url(self) -> str | None:
        """Give the root of its web interface, with a slash at the end."""
        return f"http://{self.hostname}:{self.http_port}/" if self.http_port else None


class NotADirectoryFile(Exception):
    """Say why a document is not a branches or masters file."""


def parse_branches(document: Any) -> Mapping[str, Mapping[str, Any]]:
    """Check the branches file: an object of objects with sensible repositories.

    A list of objects that name themselves is taken as well.

    :raises NotADirectoryFile: it is something else.
    """
    if isinstance(document, list):
        document = _by_name(document)
    if not isinstance(document, dict) or not document:
        raise NotADirectoryFile("a non-empty JSON object of branches is needed")
    wrong = [name for name, value in document.items() if not isinstance(value, dict)]
    if wrong:
        raise NotADirectoryFile(f"branch {wrong[0]!r} is not an object")
    try:
        Branches.from_definitions(document)
    except ValueError as e:
        raise NotADirectoryFile(f"a repo is no URL: {e}") from e
    return document


def _by_name(entries: Sequence[Any]) -> Mapping[str, Any]:
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise NotADirectoryFile("each entry of a list of branches must have a name")
    return {entry["name"]: entry for entry in entries}


def parse_builders(document: Any) -> Builders:
    """Check the builders file: an object whose ``builders`` is an object of objects.

    :raises NotADirectoryFile: it is something else.
    """
    entries = document.get("builders") if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        raise NotADirectoryFile('a JSON object with an object "builders" is needed')
    return Builders({name: _builder(name, entry) for name, entry in entries.items()})


def _builder(name: str, entry: Any) -> Builder:
    fields = entry if isinstance(entry, dict) else {}
    said = fields.get("properties")
    properties = said if isinstance(said, dict) else {}
    texts = (
        properties.get("branch"),
        properties.get("repo_path"),
        fields.get("slavepool"),
    )
    return Builder(name, *(text if isinstance(text, str) else None for text in texts))


def parse_masters(document: Any) -> Mapping[str, Master]:
    """Check the masters file and key it by ``db_name``; :raises NotADirectoryFile: else.

    Entries without ``db_name`` or ``hostname`` are passed over: nothing can be asked of them.
    """
    if not isinstance(document, list):
        raise NotADirectoryFile("a JSON list of masters is needed")
    masters = [_master(entry) for entry in document if isinstance(entry, dict)]
    return {m.db_name: m for m in masters if m is not None}


def _master(entry: Mapping[str, Any]) -> Master | None:
    db_name, hostname = entry.get("db_name"), entry.get("hostname")
    if not isinstance(db_name, str) or not isinstance(hostname, str):
        return None
    return Master(
        db_name=db_name,
        hostname=hostname,
        http_port=_port(entry, "http_port"),
        pb_port=_port(entry, "pb_port"),
        role=entry.get("role"),
        name=entry.get("name"),
    )


def _port(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    return value if type(value) is int and 0 < value < 65536 else None


Parse = Callable[[Any], Any]
Read = Callable[[], Awaitable[bytes]]


@attrs.define
class Source:
    """One document: where it comes from, what it was when last good, and when that was."""

    name: str
    read: Read
    parse: Parse
    kept: Path
    good: Any = None
    good_at: float | None = None
    last_error: str | None = None
    last_error_at: float | None = None

    async def refresh(self, now: float) -> bool:
        """Read it anew; on failure keep what is there, log why and return False."""
        try:
            data = await self.read()
            self.good = self.parse(json.loads(data))
        except defer.CancelledError:
            raise
        except Exception as e:
            self.last_error, self.last_error_at = f"{type(e).__name__}: {e}", now
            log.warn(
                "directory: {name} not refreshed, the last good one stays: {error}",
                name=self.name,
                error=self.last_error,
            )
            return False
        self.good_at, self.last_error, self.last_error_at = now, None, None
        self._keep(data)
        return True

    def state(self, now: float) -> DocumentState:
        """Tell how it is."""
        age = None if self.good_at is None else max(0.0, now - self.good_at)
        return DocumentState(self.name, age, self.last_error, self.last_error_at)

    def recall(self) -> None:
        """Start with what an earlier process kept, if anything."""
        try:
            stored = self.kept.stat()
            self.good = self.parse(json.loads(self.kept.read_bytes()))
        except FileNotFoundError:
            return
        except Exception as e:
            log.warn("directory: {path} is of no use: {error}", path=str(self.kept), error=str(e))
            return
        self.good_at = stored.st_mtime

    def _keep(self, data: bytes) -> None:
        new = self.kept.with_name(self.kept.name + ".new")
        try:
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            os.replace(new, self.kept)
        except OSError as e:
            log.warn("directory: cannot keep {path}: {error}", path=str(self.kept), error=str(e))


class DirectoryService(Service):
    """Refresh branches, masters and builders, ``refresh_seconds`` apart, sooner after a failure.

    ``reactor`` provides IReactorTime, ``now`` seconds since the epoch; ``builders`` is None where
    the farm lists none.
    """

    def __init__(
        self,
        reactor: Any,
        branches: Source,
        masters: Source,
        builders: Source | None = None,
        *,
        refresh_seconds: float,
        stored_names: Mapping[str, Sequence[str]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.name = "directory"
        self._reactor, self._now = reactor, now
        self._branches, self._masters, self._builders = branches, masters, builders
        self._interval, self._stored = refresh_seconds, stored_names
        self._loop: defer.Deferred[None] | None = None
        self._table: tuple[object, Branches] | None = None

    @property
    def sources(self) -> Sequence[Source]:
        """List the documents, for status pages."""
        all_of_them = (self._branches, self._masters, self._builders)
        return tuple(source for source in all_of_them if source is not None)

    def ages(self) -> Mapping[str, float | None]:
        """Tell by name of each document how many seconds ago it was good; None: never."""
        return {document.name: document.age for document in self.documents()}

    def documents(self) -> Sequence[DocumentState]:
        """Tell how each document is."""
        now = self._now()
        return [source.state(now) for source in self.sources]

    def startService(self) -> None:
        """Recall what was kept, then refresh for as long as the service runs."""
        Service.startService(self)
        for source in self.sources:
            source.recall()
        self._loop = defer.ensureDeferred(self._run())
        self._loop.addErrback(lambda f: None if f.check(defer.CancelledError) else f)

    def stopService(self) -> defer.Deferred[None]:
        """Stop refreshing."""
        stopping = Service.stopService(self)
        if self._loop is not None:
            self._loop.cancel()
        return defer.maybeDeferred(lambda: stopping)

    async def refresh(self) -> bool:
        """Read all documents now; tell whether all of them are good."""
        now = self._now()
        return all([await source.refresh(now) for source in self.sources])

    async def _run(self) -> None:
        delay = FIRST_RETRY
        while self.running:
            if await self.refresh():
                delay, wait = FIRST_RETRY, self._interval
            else:
                delay, wait = min(2 * delay, self._interval), min(delay, self._interval)
            await task.deferLater(self._reactor, wait)

    def branches(self) -> Branches:
        """Give the last good branches.

        :raises Unavailable: none were ever read.
        """
        good = self._branches.good
        if good is None:
            raise Unavailable("The branches are not known yet")
        if self._table is None or self._table[0] is not good:
            self._table = (good, Branches.from_definitions(good, self._stored))
        return self._table[1]

    def masters(self) -> Mapping[str, Master]:
        """Give the last good masters by ``db_name``; none where none were ever read."""
        return self._masters.good or {}

    def master_urls(self) -> Mapping[str, str | None]:
        """Give the root of the web interface of each master, by the name that claims carry."""
        return {name: master.url for name, master in self.masters().items()}

    def master_roles(self) -> Mapping[str, str | None]:
        """Give the role of each master, by the name that claims carry; nothing if none is known."""
        return {name: master.role for name, master in self.masters().items()}

    def builders(self) -> Builders | None:
        """Give the last good builders; None where the farm lists none.

        :raises Unavailable: none were ever read.
        """
        if self._builders is None:
            return None
        if self._builders.good is None:
            raise Unavailable("The builders are not known yet")
        good: Builders = self._builders.good
        return good
