"""Fetch the farm's masters, branches and builders regularly, and keep the last good ones."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
from twisted.internet import defer

from buildapi.buildbot.directory_document import (
    DocumentSource,
    NotADirectoryFile,
    ParsedDocument,
    listed_twice,
    quoted,
)
from buildapi.errors import Unavailable
from buildapi.model.branches import Branches, repository_path
from buildapi.model.builders import Builder, Builders
from buildapi.model.json_types import JSONObject
from buildapi.model.ops import DocumentState
from buildapi.periodic import Backoff, PeriodicService
from buildapi.reactor_time import ReactorTime

FIRST_RETRY = 5.0
"""Seconds before the first retry of a failed refresh, doubling up to the refresh interval."""


@attrs.frozen
class Master:
    """Describe an entry of the masters file; a port is None if nothing listens.

    ``pb_port`` accepts changes and slaves. A master that is not ``enabled`` gets nothing new and is
    not expected to respond; a build that it has claimed is still stopped there.
    """

    # claimed_by_name of what it claims: "uname -n", a colon and its folder (Buildbot 0.8.2).
    db_name: str
    hostname: str
    http_port: int | None
    pb_port: int | None
    role: str | None
    name: str | None = None
    enabled: bool = True

    @property
    def url(self) -> str | None:
        """Return the root of its web interface, with a trailing slash."""
        return f"http://{self.hostname}:{self.http_port}/" if self.http_port else None


def parse_branches(document: object) -> ParsedDocument[Mapping[str, Mapping[str, object]]]:
    """Validate the branches file: an object of objects with usable repositories.

    A list of objects with names is accepted as well. An invalid entry is skipped with a warning
    that names it.

    :raises NotADirectoryFile: it is something else.
    """
    warnings: list[str] = []
    if isinstance(document, list):
        document = _by_name(document, warnings)
    if not isinstance(document, dict):
        raise NotADirectoryFile("expected a JSON object of branches")
    branches = {}
    for name, definition in document.items():
        if (why := _no_name(name) or _no_branch(definition)) is not None:
            warnings.append(f"branch {quoted(name)} is skipped: {why}")
        else:
            branches[name] = definition
    return ParsedDocument(branches, len(branches), warnings)


def _by_name(entries: Sequence[object], warnings: list[str]) -> Mapping[str, object]:
    found: dict[str, object] = {}
    for number, entry in enumerate(entries, 1):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            warnings.append(f"entry {number} is skipped: it has no name")
            continue
        if name in found:
            warnings.append(listed_twice(f"branch {quoted(name)}"))
        found[name] = entry
    return found


def _no_branch(definition: object) -> str | None:
    """Return why a branch definition is invalid, or None."""
    if not isinstance(definition, dict):
        return "expected a JSON object"
    for key in ("repo", "repo_path"):
        if not isinstance(definition.get(key), str | None):
            return f"{key} is not a string"
    try:
        repository_path(definition)
    except ValueError as e:
        return f"its repo is not a URL: {e}"
    return None


def _no_name(name: str) -> str | None:
    """Return why a text is not a name, or None: a name is one path segment in UTF-8."""
    # Clients remove dot segments from a path before they send it (RFC 3986, 5.2.4), so no page of
    # such a name could be requested.
    if not name.strip() or name in (".", ".."):
        return "its name cannot be a path segment (blank, or dots only)"
    try:
        # JSON may escape a lone surrogate (RFC 8259, 8.2), which no URL and no database can hold.
        name.encode()
    except UnicodeEncodeError:
        return "its name cannot be encoded as UTF-8"
    return None


def parse_builders(document: object) -> ParsedDocument[Builders]:
    """Validate the builders file: an object whose ``builders`` is an object of objects.

    An empty entry is known by its name alone, and does not count as usable.

    :raises NotADirectoryFile: it is something else.
    """
    entries = document.get("builders") if isinstance(document, dict) else None
    if not isinstance(entries, dict):
        raise NotADirectoryFile('expected a JSON object with an object "builders"')
    builders: dict[str, Builder] = {}
    warnings, usable = list[str](), 0
    for name, entry in entries.items():
        if (why := _no_name(name)) is not None:
            warnings.append(f"builder {quoted(name)} is skipped: {why}")
            continue
        if isinstance(entry, dict):
            usable += 1
        else:
            warnings.append(f"builder {quoted(name)} is not a JSON object: only its name is used")
        builders[name] = _builder(name, entry)
    return ParsedDocument(Builders(builders), usable, warnings)


def _builder(name: str, entry: object) -> Builder:
    fields = entry if isinstance(entry, dict) else {}
    said = fields.get("properties")
    properties = said if isinstance(said, dict) else {}
    texts = (
        properties.get("branch"),
        properties.get("repo_path"),
        fields.get("slavepool"),
    )
    return Builder(name, *(text if isinstance(text, str) else None for text in texts))


def parse_masters(document: object) -> ParsedDocument[Mapping[str, Master]]:
    """Validate the masters file, and key it by ``db_name``.

    Entries without ``db_name`` or ``hostname`` are skipped: no request can reach them. An entry is
    usable if it has a port as well.

    :raises NotADirectoryFile: it is something else.
    """
    if not isinstance(document, list):
        raise NotADirectoryFile("expected a JSON list of masters")
    masters: dict[str, Master] = {}
    warnings: list[str] = []
    for number, entry in enumerate(document, 1):
        if (why := _no_master(entry)) is not None:
            warnings.append(f"master {_which(number, entry)} is skipped: {why}")
            continue
        if (name := entry["db_name"]) in masters:
            warnings.append(listed_twice(f"master {quoted(name)}"))
        masters[name] = _master(entry, warnings)
    return ParsedDocument(
        masters, sum(1 for m in masters.values() if m.http_port or m.pb_port), warnings
    )


def _which(number: int, entry: object) -> str:
    """Return the best available name of a master."""
    names = [entry.get(key) for key in ("db_name", "name")] if isinstance(entry, dict) else []
    return next((quoted(name) for name in names if name and isinstance(name, str)), f"{number}")


def _no_master(entry: object) -> str | None:
    """Return why an entry is not a master, or None."""
    if not isinstance(entry, dict):
        return "expected a JSON object"
    for key in ("db_name", "hostname"):
        if not isinstance(entry.get(key), str) or not entry[key]:
            return f"it has no {key}"
    # It becomes part of URLs: with "@" or "/" in it, requests and the login of the masters would go
    # to another host.
    if not _HOST.fullmatch(entry["hostname"]):
        return f"invalid hostname {quoted(entry['hostname'])}"
    return _no_name(entry["db_name"])


_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+")
"""Names and addresses of hosts, without anything else that a URL may contain."""


def _master(entry: JSONObject, warnings: list[str]) -> Master:
    name = quoted(entry["db_name"])
    for key, value in (
        ("http_port", _port(entry, "http_port")),
        ("pb_port", _port(entry, "pb_port")),
    ):
        if value is None and entry.get(key) not in (None, 0):  # 0 is how files say "none"
            said = quoted(entry[key])
            warnings.append(f"master {name}: {key} is {said} (expected 1 to 65535): ignored")
    enabled = entry.get("enabled", True)
    if not isinstance(enabled, bool):
        warnings.append(
            f"master {name}: enabled is {quoted(enabled)} (expected true or false): treated as true"
        )
    return Master(
        db_name=entry["db_name"],
        hostname=entry["hostname"],
        http_port=_port(entry, "http_port"),
        pb_port=_port(entry, "pb_port"),
        role=_text(entry, "role"),
        name=_text(entry, "name"),
        enabled=enabled is not False,
    )


def _text(entry: Mapping[str, object], key: str) -> str | None:
    value = entry.get(key)
    return value if isinstance(value, str) else None


def _port(entry: Mapping[str, object], key: str) -> int | None:
    value = entry.get(key)
    # Not isinstance: JSON true would be port 1.
    return value if type(value) is int and 0 < value < 65536 else None


class DirectoryService(PeriodicService):
    """Refresh branches, masters and builders every ``refresh_seconds``, sooner after a failure.

    ``now`` returns epoch seconds; ``builders`` is None if the farm lists none.
    """

    trouble = "cannot refresh the directory"

    def __init__(
        self,
        reactor: ReactorTime,
        branches: DocumentSource,
        masters: DocumentSource,
        builders: DocumentSource | None = None,
        *,
        refresh_seconds: float,
        stored_names: Mapping[str, Sequence[str]],
        now: Callable[[], float] = time.time,
    ) -> None:
        PeriodicService.__init__(self, reactor)
        self.name = "directory"
        self.interval, self.backoff = refresh_seconds, Backoff(FIRST_RETRY, refresh_seconds)
        self._now = now
        self._branches, self._masters, self._builders = branches, masters, builders
        self._stored = stored_names
        self._table: tuple[object, Branches] | None = None
        self._refreshing = defer.DeferredLock()
        self._is_recalled = False

    @property
    def sources(self) -> Sequence[DocumentSource]:
        """List the documents, for status pages."""
        all_of_them = (self._branches, self._masters, self._builders)
        return tuple(source for source in all_of_them if source is not None)

    def remark_on_branches(self, remarks: Callable[[Iterable[str]], Sequence[str]]) -> None:
        """Add warnings about the names of branches to those of their document."""
        self._branches.remarks = remarks

    def ages(self) -> Mapping[str, float | None]:
        """Return for each document the seconds since it was last good; None: never."""
        return {document.name: document.age for document in self.documents()}

    def documents(self) -> Sequence[DocumentState]:
        """Return the state of each document."""
        now = self._now()
        return [source.state(now) for source in self.sources]

    async def refresh(self) -> bool:
        """Read all documents now; return whether all of them are good.

        A concurrent call waits, and then reads again.
        """
        async with self._refreshing:
            # Before the first read: a server that is away must not leave a new process without
            # branches [docs/explanation/failure-model.md, "The directory"].
            if not self._is_recalled:
                for source in self.sources:
                    await source.recall()
                self._is_recalled = True
            now = self._now()
            # A list: all documents are read, whichever of them is bad.
            return all([await source.refresh(now) for source in self.sources])

    async def run_once(self) -> None:
        """Refresh; :raises Unavailable: a document is not good, and is read again sooner."""
        if not await self.refresh():
            raise Unavailable("a directory document cannot be used")

    def unavailable(self, error: Unavailable, pause: float) -> None:
        """Log nothing: each document logs its own failure."""

    def branches(self) -> Branches:
        """Return the last good branches.

        :raises Unavailable: none were ever read.
        """
        good = self._branches.good
        if good is None:
            raise Unavailable("The branches file has not been read yet")
        # An unchanged document keeps its value, so that the owners which Branches has cached last
        # over refreshes.
        if self._table is None or self._table[0] is not good:
            self._table = (good, Branches.from_definitions(good, self._stored))
        return self._table[1]

    def masters(self) -> Mapping[str, Master]:
        """Return the last good masters by ``db_name``; empty if none were ever read."""
        return self._masters.good or {}

    def disabled_masters(self) -> Sequence[str]:
        """List the masters that are not enabled, by the name in claims."""
        return [name for name, master in self.masters().items() if not master.enabled]

    def probed_urls(self) -> Mapping[str, str | None]:
        """Return the root URL of each master that is expected to respond, by the name in claims."""
        return {name: master.url for name, master in self.masters().items() if master.enabled}

    def master_urls(self) -> Mapping[str, str | None]:
        """Return the root URL of each master's web interface, by the name in claims."""
        return {name: master.url for name, master in self.masters().items()}

    def master_roles(self) -> Mapping[str, str | None]:
        """Return the role of each master, by the name in claims; empty if none is known."""
        return {name: master.role for name, master in self.masters().items()}

    def builders(self) -> Builders | None:
        """Return the last good builders; None if the farm lists none.

        :raises Unavailable: none were ever read.
        """
        if self._builders is None:
            return None
        if self._builders.good is None:
            raise Unavailable("The builders file has not been read yet")
        good: Builders = self._builders.good
        return good

    def is_listed(self, buildername: str) -> bool | None:
        """Return whether the builders file lists a builder; None if none was ever read."""
        good: Builders | None = None if self._builders is None else self._builders.good
        return None if good is None else buildername in good
