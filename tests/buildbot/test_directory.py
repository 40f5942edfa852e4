"""The directory keeps the last good documents over failures and restarts."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi.buildbot.directory import (
    DirectoryService,
    Master,
    parse_branches,
    parse_builders,
    parse_masters,
)
from buildapi.buildbot.directory_document import (
    DocumentSource,
    NotADirectoryFile,
    Parse,
    ParsedDocument,
    Read,
    parsed,
)
from buildapi.buildbot.document_readers import LIMIT, reader
from buildapi.buildbot.http_fetch import Fetcher, FetchError
from buildapi.errors import Unavailable
from buildapi.model.branches import Branches
from buildapi.model.builders import Builder, Builders
from tests.buildbot.doubles import Masterfarm, hang, status
from tests.patience import PATIENCE
from tests.reactor import twisted_test, until

BRANCHES = {"try": {"repo": "https://hg.example.org/try"}, "cedar": {}}
MASTERS = [
    {"db_name": "a:/b", "hostname": "a.example.org", "http_port": 8010, "pb_port": 9010},
    {"db_name": "s:/b", "hostname": "s.example.org", "pb_port": 9010, "role": "scheduler"}
    | {"name": "s"},
]
BUILDERS = {
    "builders": {
        "Linux cedar build": {
            "properties": {"branch": "cedar", "repo_path": "projects/cedar", "platform": "x"},
            "slavepool": "p1",
            "shortname": "linux-cedar",
        },
        "Linux try build": {"properties": {"branch": "try"}},
    },
    "slavepools": {"p1": ["slave-a1"]},
}
REFRESH = 60.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)
NAMES = ["db_name", "hostname", "http_port", "pb_port", "role", "repo", "x", "name"]
KEYS = st.sampled_from([*NAMES, "builders", "properties", "branch", "repo_path", "slavepool"])
NEARLY = st.lists(st.dictionaries(KEYS, JSON)) | st.dictionaries(
    st.text(max_size=5), st.dictionaries(KEYS, st.sampled_from(["http://[", "x://y/z"]) | JSON)
)


@attrs.define
class Document:
    """What a location holds: text, or an error."""

    now: Any
    reads: int = 0

    async def read(self) -> bytes:
        self.reads += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now if isinstance(self.now, bytes) else json.dumps(self.now).encode()


async def here(function: Callable[..., Any], *args: Any) -> Any:
    """Stand for a thread: a clock waits for none."""
    return function(*args)


@attrs.define
class Desk:
    """A directory on a clock."""

    folder: Path
    clock: Clock = attrs.field(factory=Clock)
    branches: Document = attrs.field(factory=lambda: Document(BRANCHES))
    masters: Document = attrs.field(factory=lambda: Document(MASTERS))
    builders: Document = attrs.field(factory=lambda: Document(BUILDERS))
    allow_empty: Collection[str] = ()
    service: DirectoryService = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.service = DirectoryService(
            self.clock,
            self.source("branches", self.branches, parse_branches, "b.json"),
            self.source("masters", self.masters, parse_masters, "m.json"),
            self.source("builders", self.builders, parse_builders, "bs.json"),
            refresh_seconds=REFRESH,
            stored_names={"cedar": ["old-cedar"]},
            now=self.clock.seconds,
        )

    def source(self, name: str, document: Document, parse: Parse, kept: str) -> DocumentSource:
        empty = name in self.allow_empty
        return DocumentSource(name, document.read, parse, self.folder / kept, empty, here)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# --- documents ------------------------------------------------------------------------------


def test_masters_are_known_by_the_name_they_have_in_the_database() -> None:
    masters = parse_masters(MASTERS).value
    assert masters == {
        "a:/b": Master("a:/b", "a.example.org", 8010, 9010, None),
        "s:/b": Master("s:/b", "s.example.org", None, 9010, "scheduler", "s"),
    }
    assert [m.url for m in masters.values()] == ["http://a.example.org:8010/", None]


@pytest.mark.parametrize("port", [0, -1, 65536, "8010", True, None, 80.0])
def test_what_is_no_port_is_none(port: object) -> None:
    (master,) = parse_masters([{"db_name": "a", "hostname": "h", "http_port": port}]).value.values()
    assert master.http_port is None


@pytest.mark.parametrize(
    "entry", [{}, {"db_name": "a"}, {"hostname": "h"}, "x", None, {"db_name": 5, "hostname": "h"}]
)
def test_entries_nothing_can_be_asked_of_are_passed_over(entry: object) -> None:
    assert list(parse_masters([entry, *MASTERS]).value) == ["a:/b", "s:/b"]


@pytest.mark.parametrize(
    "document",
    [{}, [], None, 5, "x", {"try": "https://x"}, {"b": None}, {"a": {"repo": "http://["}}],
)
def test_what_is_no_branches_file_is_refused(document: object) -> None:
    with pytest.raises(NotADirectoryFile):
        parsed(json.dumps(document).encode(), parse_branches, "branches", allow_empty=False)


@pytest.mark.parametrize("document", [{}, None, 5, "x"])
def test_what_is_no_masters_file_is_refused(document: object) -> None:
    with pytest.raises(NotADirectoryFile):
        parse_masters(document)


@settings(max_examples=60)
@given(JSON | NEARLY)
def test_any_document_is_taken_or_refused(document: object) -> None:
    kinds: list[tuple[Any, type]] = [
        (parse_branches, dict),
        (parse_masters, dict),
        (parse_builders, Builders),
    ]
    for parse, kind in kinds:
        with contextlib.suppress(NotADirectoryFile):
            found: ParsedDocument[Any] = parse(document)
            assert isinstance(found.value, kind)
            assert len(getattr(found.value, "by_name", found.value)) >= found.usable
            for warning in found.warnings:
                assert warning.encode()


def test_branches_may_be_a_list_of_objects_that_name_themselves() -> None:
    listed = [{"name": name, **entry} for name, entry in BRANCHES.items()]
    found = parse_branches(listed).value
    assert list(found) == list(BRANCHES)
    assert Branches.from_definitions(found).by_name["try"].path == "try"


@pytest.mark.parametrize("entry", [{}, {"name": 5}, "try", None, ["name"]])
def test_an_entry_of_a_list_that_has_no_name_is_left_out_alone(entry: object) -> None:
    found = parse_branches([{"name": "try"}, entry])
    assert list(found.value) == ["try"]
    assert found.warnings == ["entry 2 is skipped: it has no name"]


def test_builders_are_known_with_what_is_said_of_each() -> None:
    found = parse_builders(BUILDERS).value
    assert list(found.by_name.values()) == [
        Builder("Linux cedar build", "cedar", "projects/cedar", "p1"),
        Builder("Linux try build", "try"),
    ]
    assert "Linux try build" in found
    assert "Linux" not in found
    cedar = Branches.from_definitions(BRANCHES).by_name["cedar"]
    assert found.of(cedar) == ["Linux cedar build"]


@pytest.mark.parametrize(
    "entry", [None, 5, "x", [], {}, {"properties": []}, {"properties": {"branch": 5}}]
)
def test_a_builder_of_which_nothing_can_be_read_is_known_by_its_name(entry: object) -> None:
    assert parse_builders({"builders": {"a": entry}}).value.by_name == {"a": Builder("a")}


@pytest.mark.parametrize("document", [{}, [], None, 5, "x", {"builders": []}, {"a": {}}])
def test_what_is_no_builders_file_is_refused(document: object) -> None:
    with pytest.raises(NotADirectoryFile, match="builders"):
        parse_builders(document)


# --- refreshing -----------------------------------------------------------------------------


def test_nothing_is_known_before_the_first_good_refresh(desk: Desk) -> None:
    with pytest.raises(Unavailable, match="not been read yet"):
        desk.service.branches()
    with pytest.raises(Unavailable, match="not been read yet"):
        desk.service.builders()
    assert desk.service.masters() == {}
    assert desk.service.ages() == {"branches": None, "masters": None, "builders": None}


def test_a_refresh_makes_branches_and_masters_known(desk: Desk) -> None:
    desk.service.startService()
    branches = desk.service.branches()
    assert list(branches.by_name) == ["try", "cedar"]
    assert branches.by_name["cedar"].owns("old-cedar-linux")
    assert list(desk.service.masters()) == ["a:/b", "s:/b"]
    assert desk.service.branches() is branches
    desk.service.stopService()


def test_documents_are_read_again_after_the_interval(desk: Desk) -> None:
    desk.service.startService()
    desk.branches.now = {"new": {}}
    desk.clock.advance(REFRESH - 1)
    assert desk.branches.reads == 1
    desk.clock.advance(1)
    assert list(desk.service.branches().by_name) == ["new"]
    desk.service.stopService()
    assert desk.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    "broken",
    [OSError("gone"), FetchError("HTTP 500"), b"<html>", b"\xff", b"[" * 100_000, []],
    ids=lambda x: repr(x)[:20],
)
def test_the_last_good_stays_over_a_failure_and_its_age_is_known(desk: Desk, broken: Any) -> None:
    desk.clock.advance(1000)
    desk.service.startService()
    desk.branches.now = broken
    desk.clock.advance(REFRESH)
    branches, masters, _ = desk.service.sources
    assert list(desk.service.branches().by_name) == ["try", "cedar"]
    assert (branches.good_at, masters.good_at) == (1000, 1000 + REFRESH)
    assert branches.last_error is not None
    assert masters.last_error is None
    desk.branches.now = {"new": {}}
    desk.clock.advance(REFRESH)
    assert list(desk.service.branches().by_name) == ["new"]
    assert branches.good_at == 1000 + 2 * REFRESH
    assert branches.last_error is None
    desk.service.stopService()


@pytest.mark.parametrize("broken", [OSError("gone"), b"{", {}, {"builders": []}, []], ids=repr)
def test_the_last_good_builders_stay_over_a_failure(desk: Desk, broken: Any) -> None:
    desk.clock.advance(1000)
    desk.service.startService()
    before = desk.service.builders()
    assert before is not None
    desk.builders.now = broken
    desk.clock.advance(REFRESH)
    assert desk.service.builders() is before
    assert desk.service.ages() == {"branches": 0, "masters": 0, "builders": REFRESH}
    desk.clock.advance(3)
    assert desk.service.ages() == {"branches": 3, "masters": 3, "builders": REFRESH + 3}
    desk.builders.now = {"builders": {"new": {}}}
    desk.clock.advance(2)
    assert desk.service.ages() == {"branches": 0, "masters": 0, "builders": 0}
    after = desk.service.builders()
    assert after is not None
    assert list(after.by_name) == ["new"]
    desk.service.stopService()


def test_no_document_is_younger_than_now(desk: Desk) -> None:
    desk.service.startService()
    for source in desk.service.sources:
        source.good_at = desk.clock.seconds() + 500
    assert set(desk.service.ages().values()) == {0}
    desk.service.stopService()


def test_a_farm_that_lists_no_builders_has_none(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    branches, masters, _ = desk.service.sources
    few = DirectoryService(desk.clock, branches, masters, refresh_seconds=REFRESH, stored_names={})
    few.startService()
    assert few.builders() is None
    assert list(few.ages()) == ["branches", "masters"]
    few.stopService()


def test_after_a_failure_it_is_tried_sooner_and_then_less_often(desk: Desk) -> None:
    desk.branches.now = OSError("gone")
    desk.service.startService()
    times = []
    for _ in range(200):
        before = desk.branches.reads
        desk.clock.advance(1)
        if desk.branches.reads > before:
            times.append(int(desk.clock.seconds()))
    assert times == [5, 15, 35, 75, 135, 195]
    desk.branches.now = BRANCHES
    desk.clock.advance(60)
    desk.branches.now = OSError("gone again")
    desk.clock.advance(60)
    before = desk.branches.reads
    desk.clock.advance(5)
    assert desk.branches.reads == before + 1
    desk.service.stopService()


def test_stopping_ends_a_refresh_under_way(desk: Desk) -> None:
    async def never() -> bytes:
        return await defer.Deferred[bytes]()

    desk.service.sources[0].read = never
    desk.service.startService()
    desk.service.stopService()
    assert desk.masters.reads == 0
    assert desk.clock.getDelayedCalls() == []


# --- kept over restarts ---------------------------------------------------------------------


def test_a_restart_begins_with_what_was_kept(desk: Desk, tmp_path: Path) -> None:
    desk.service.startService()
    desk.service.stopService()
    for name in ("b.json", "m.json", "bs.json"):
        os.utime(tmp_path / name, (500, 500))
    again = Desk(tmp_path)
    again.branches.now = again.masters.now = again.builders.now = OSError("gone")
    again.clock.advance(600)
    again.service.startService()
    assert list(again.service.branches().by_name) == ["try", "cedar"]
    assert list(again.service.masters()) == ["a:/b", "s:/b"]
    assert again.service.builders() == parse_builders(BUILDERS).value
    assert again.service.ages() == {"branches": 100, "masters": 100, "builders": 100}
    again.service.stopService()


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b'{"a": 5}'])
def test_a_kept_file_of_no_use_does_no_harm(desk: Desk, tmp_path: Path, kept: bytes) -> None:
    (tmp_path / "b.json").write_bytes(kept)
    desk.branches.now = OSError("gone")
    desk.service.startService()
    with pytest.raises(Unavailable):
        desk.service.branches()
    desk.service.stopService()


def test_a_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "missing")
    desk.service.startService()
    assert list(desk.service.branches().by_name) == ["try", "cedar"]
    desk.service.stopService()


# --- locations ------------------------------------------------------------------------------


@pytest_twisted.async_yield_fixture
async def web() -> AsyncIterator[Masterfarm]:
    farm = Masterfarm()
    farm.add("m", stop=lambda request: b'{"try": {}}')
    yield farm
    await farm.close()


def reader_of(location: str | None, seconds: float) -> Read:
    from twisted.internet import reactor

    return reader(location, Fetcher(reactor), seconds, reactor)  # type: ignore[arg-type]  # the module


@twisted_test()
async def test_a_document_is_read_from_a_url(web: Masterfarm) -> None:
    read = reader_of(f"{web.masters['m'].entry.url}branches.json", 2)
    assert await read() == b'{"try": {}}'
    web.masters["m"].asked.stop = status(404)
    with pytest.raises(FetchError, match="HTTP 404"):
        await read()


@twisted_test()
async def test_a_url_that_hangs_fails_in_time(web: Masterfarm) -> None:
    web.masters["m"].asked.stop = hang
    with pytest.raises(FetchError, match=r"no answer within 0\.2 s"):
        await reader_of(f"{web.masters['m'].entry.url}x", 0.2)()


@twisted_test()
async def test_stopping_ends_a_fetch_under_way(web: Masterfarm, tmp_path: Path) -> None:
    from twisted.internet import reactor

    web.masters["m"].asked.stop = hang
    read = reader_of(f"{web.masters['m'].entry.url}x", 30)
    sources = [DocumentSource(n, read, parse_branches, tmp_path / n) for n in ("b", "m")]
    service = DirectoryService(reactor, *sources, refresh_seconds=60, stored_names={})
    service.startService()
    await service.stopService()  # conftest sees to it that no delayed call is left
    assert sources[0].last_error is None


@twisted_test()
async def test_a_document_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "branches.json"
    read = reader_of(str(path), PATIENCE)
    with pytest.raises(FileNotFoundError):
        await read()
    path.write_bytes(b"{}")
    assert await read() == b"{}"


@twisted_test()
async def test_a_file_that_hangs_fails_in_time_and_is_read_by_one_thread(tmp_path: Path) -> None:
    path = tmp_path / "branches.json"
    os.mkfifo(path)  # hangs until somebody opens it to write
    read = reader_of(str(path), 0.2)
    with pytest.raises(FetchError, match=r"not read within 0\.2 s"):
        await read()
    with pytest.raises(FetchError, match="an earlier read of the file has not ended"):
        await read()
    with path.open("wb"):
        path.unlink()
        path.write_bytes(b"{}")

    async def is_read() -> bool:
        with contextlib.suppress(FetchError):
            return await read() == b"{}"
        return False

    await until(is_read)


@twisted_test()
async def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(FetchError, match=f"more than {LIMIT} bytes"):
        await reader_of("/dev/zero", PATIENCE)()


@twisted_test()
async def test_no_location_is_an_empty_list() -> None:
    assert parse_masters(json.loads(await reader_of(None, 2)())).value == {}


# --- masters that are disabled ----------------------------------------------------------------


def test_a_master_that_the_file_disables_is_known_and_not_asked_how_it_is(desk: Desk) -> None:
    """What it claimed is still stopped there, so it stays among the masters, with its links."""
    off = MASTERS[0] | {"db_name": "off:/b", "enabled": False}
    desk.masters.now = [*MASTERS, off, MASTERS[0] | {"db_name": "on:/b", "enabled": True}]
    desk.service.startService()
    assert desk.service.disabled_masters() == ["off:/b"]
    assert list(desk.service.probed_urls()) == ["a:/b", "s:/b", "on:/b"]
    assert desk.service.masters()["off:/b"].url == "http://a.example.org:8010/"
    assert "off:/b" in desk.service.master_urls()
    desk.service.stopService()


def test_whether_a_builder_is_listed_is_not_known_before_the_file_was_read(desk: Desk) -> None:
    assert desk.service.is_listed("Linux try build") is None
    desk.service.startService()
    assert desk.service.is_listed("Linux try build") is True
    assert desk.service.is_listed("Linux") is False
    desk.service.stopService()
