"""The contracts of the directory on the service that reads it, and on doubles."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock

from buildapi.buildbot.directory import (
    DirectoryService,
    Master,
    parse_branches,
    parse_builders,
    parse_masters,
)
from buildapi.buildbot.directory_document import DocumentSource
from buildapi.model.builders import Builder, Builders
from tests.buildbot.doubles import Papers
from tests.contracts.directory import (
    BRANCHES,
    BUILDERS,
    MASTER,
    OFF,
    SCHEDULER,
    URL,
    DirectoryContract,
    DocumentsContract,
)
from tests.web.farm import MemoryDirectory

MASTERS = [
    {"db_name": MASTER, "hostname": "a.example.org", "http_port": 8010, "pb_port": 9010},
    {"db_name": SCHEDULER, "hostname": "s.example.org", "pb_port": 9010, "role": "scheduler"},
    {"db_name": OFF, "hostname": "o.example.org", "http_port": 8010, "enabled": False},
]


async def here(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def service(folder: Path, *, listed: bool = True, read: bool = True) -> DirectoryService:
    """Make a directory that has read its documents."""

    def source(name: str, parse: Any, content: Any) -> DocumentSource:
        async def text() -> bytes:
            return json.dumps(content).encode()

        return DocumentSource(name, text, parse, folder / f"{name}.json", False, here)

    builders = {"builders": {name: {"properties": {}} for name in BUILDERS}}
    clock = Clock()
    made = DirectoryService(
        clock,
        source("branches", parse_branches, BRANCHES),
        source("masters", parse_masters, MASTERS),
        source("builders", parse_builders, builders) if listed else None,
        refresh_seconds=60,
        stored_names={},
        now=clock.seconds,
    )
    if read:
        assert ensureDeferred(made.refresh()).result
    return made


@attrs.define
class Service:
    """The directory service, and what it would be without its documents."""

    folder: Path
    directory: DirectoryService

    def forget(self) -> None:
        self.directory = service(self.folder, read=False)

    def unlist(self) -> None:
        self.directory = service(self.folder, listed=False)


class TestDirectoryService(DirectoryContract):
    """The contract."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> Service:
        return Service(tmp_path, service(tmp_path))


class TestDocumentsOfTheService(DocumentsContract):
    """What the dialect reads of a DirectoryService."""

    @pytest.fixture
    def documents(self, tmp_path: Path) -> DirectoryService:
        return service(tmp_path)

    @pytest.fixture
    def unlisted(self, tmp_path: Path) -> DirectoryService:
        return service(tmp_path, listed=False)


@attrs.define
class InMemory:
    """The double of the tests of pages."""

    directory: MemoryDirectory

    def forget(self) -> None:
        self.directory.missing = "never read"

    def unlist(self) -> None:
        self.directory.listed = None


class TestMemoryDirectory(DirectoryContract):
    """The double keeps the contract."""

    @pytest.fixture
    def made(self) -> InMemory:
        return InMemory(
            MemoryDirectory(
                definitions=BRANCHES,
                listed=BUILDERS,
                disabled=[OFF],
                urls={MASTER: URL, SCHEDULER: None, OFF: "http://o.example.org:8010/"},
                roles={MASTER: None, SCHEDULER: "scheduler", OFF: None},
            )
        )


class TestPapers(DocumentsContract):
    """The double of the dialect's tests keeps the contract."""

    @pytest.fixture
    def documents(self) -> Papers:
        return Papers(BRANCHES, Builders({n: Builder(n) for n in BUILDERS}), masters())

    @pytest.fixture
    def unlisted(self) -> Papers:
        return Papers(BRANCHES, None, masters())


def masters() -> list[Master]:
    found: Any = parse_masters(MASTERS).value
    return list(found.values())
