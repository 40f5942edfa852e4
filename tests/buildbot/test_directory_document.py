"""A document of the directory: one bad entry, none at all, a foreign one, a large one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import pytest_twisted
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent, globalLogPublisher

from buildapi.buildbot.directory import (
    Master,
    parse_branches,
    parse_builders,
    parse_masters,
)
from buildapi.buildbot.directory_document import (
    DocumentSource,
    NotADirectoryFile,
    Parse,
    decode,
    parsed,
)
from buildapi.buildbot.document_readers import REDIRECTS_MOST, reader, redirected
from buildapi.buildbot.http_fetch import Fetcher, FetchError
from tests.buildbot.doubles import Masterfarm, redirect
from tests.reactor import twisted_test

MASTER = {"db_name": "a:/b", "hostname": "a.example.org", "http_port": 8010}
GOOD: dict[str, tuple[Parse, Any]] = {
    "branches": (parse_branches, {"try": {}}),
    "masters": (parse_masters, [MASTER]),
    "builders": (parse_builders, {"builders": {"linux": {}}}),
}
EMPTY: dict[str, list[Any]] = {
    "branches": [{}, [], [{"id": 1}], {"status": "error", "code": 500}],
    "masters": [[], [{}], [{"db_name": "a"}], [{"db_name": "a", "hostname": "h"}], ["x", None]],
    "builders": [{"builders": {}}, {"builders": {"a": 5, "b": None}}],
}
FOREIGN: list[Any] = [None, 5, "x", True]


@attrs.define
class Place:
    """A document that somebody replaces, and the source that reads it."""

    folder: Path
    name: str
    allow_empty: bool = False
    now: Any = None
    source: DocumentSource = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        parse, self.now = GOOD[self.name]
        kept = self.folder / f"{self.name}.json"
        self.source = DocumentSource(self.name, self._read, parse, kept, self.allow_empty, here)

    async def _read(self) -> bytes:
        return json.dumps(self.now).encode()


@contextlib.contextmanager
def logged() -> Iterator[list[str]]:
    """Collect the texts that are logged meanwhile."""
    lines: list[str] = []

    def observe(event: Any) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        yield lines
    finally:
        globalLogPublisher.removeObserver(observe)


async def here(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def cases(documents: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(name, document) for name, some in documents.items() for document in some]


# --- empty and foreign documents --------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "document"),
    [*cases(EMPTY), *cases(dict.fromkeys(GOOD, FOREIGN)), ("masters", {}), ("builders", {})],
)
@twisted_test()
async def test_an_empty_or_foreign_document_never_replaces_the_last_good_one(
    name: str, document: Any, tmp_path: Path
) -> None:
    place = Place(tmp_path, name)
    assert await place.source.refresh(5)
    good, kept = place.source.good, place.source.kept.read_bytes()
    place.now = document
    assert not await place.source.refresh(10)
    assert place.source.good is good
    assert place.source.kept.read_bytes() == kept
    state = place.source.state(15)
    assert (state.age, state.last_error_at) == (10, 10)
    assert state.last_error is not None
    assert state.last_error.startswith("NotADirectoryFile: ")


@pytest.mark.parametrize(("name", "document"), cases(EMPTY))
@twisted_test()
async def test_an_empty_document_is_taken_where_the_configuration_names_it(
    name: str, document: Any, tmp_path: Path
) -> None:
    place = Place(tmp_path, name, allow_empty=True)
    assert await place.source.refresh(5)
    place.now = document
    assert await place.source.refresh(10)
    assert place.source.last_error is None


@twisted_test()
async def test_an_empty_document_is_refused_with_the_setting_that_would_allow_it(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, "masters")
    place.now = [{"hostname": "h"}]
    assert not await place.source.refresh(5)
    assert place.source.good is None
    assert place.source.last_error == (
        "NotADirectoryFile: no usable entry: refused unless [directory] allow_empty lists"
        " 'masters'; master 1 is skipped: it has no db_name"
    )


@twisted_test()
async def test_an_empty_document_that_an_older_version_kept_is_of_no_use(tmp_path: Path) -> None:
    place = Place(tmp_path, "masters")
    place.source.kept.write_text("[]")
    await place.source.recall()
    assert (place.source.good, place.source.good_at) == (None, None)


# --- one bad entry ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "definition", "why"),
    [
        ("bad", None, "expected a JSON object"),
        ("bad", "https://hg.example.org/bad", "expected a JSON object"),
        ("bad", {"repo": "http://["}, "its repo is not a URL: Invalid IPv6 URL"),
        ("bad", {"repo": 5}, "repo is not a string"),
        ("bad", {"repo_path": ["x"]}, "repo_path is not a string"),
        ("", {}, "its name cannot be a path segment (blank, or dots only)"),
        ("..", {}, "its name cannot be a path segment (blank, or dots only)"),
        ("\ud800", {}, "its name cannot be encoded as UTF-8"),
    ],
)
def test_a_bad_branch_is_left_out_by_its_name_and_the_others_are_taken(
    name: str, definition: Any, why: str
) -> None:
    found = parse_branches({"try": {}, name: definition, "cedar": {"repo": None}})
    assert list(found.value) == ["try", "cedar"]
    shown = '"\\ud800"' if name == "\ud800" else json.dumps(name)
    assert list(found.warnings) == [f"branch {shown} is skipped: {why}"]


@pytest.mark.parametrize(
    ("entry", "warning"),
    [
        ("x", "master 1 is skipped: expected a JSON object"),
        ({"name": "m", "hostname": "h"}, 'master "m" is skipped: it has no db_name'),
        ({"db_name": "b:/b"}, 'master "b:/b" is skipped: it has no hostname'),
        ({"db_name": "", "hostname": "h"}, "master 1 is skipped: it has no db_name"),
        (
            {"db_name": "b:/b", "hostname": "http://h/"},
            'master "b:/b" is skipped: invalid hostname "http://h/"',
        ),
    ],
)
def test_a_bad_master_is_left_out_by_its_name_and_the_others_are_taken(
    entry: Any, warning: str
) -> None:
    found = parse_masters([entry, MASTER])
    assert list(found.value) == ["a:/b"]
    assert list(found.warnings) == [warning]


@pytest.mark.parametrize(
    ("more", "warning"),
    [
        (
            {"pb_port": "9010"},
            'master "a:/b": pb_port is "9010" (expected 1 to 65535): ignored',
        ),
        (
            {"enabled": "no"},
            ('master "a:/b": enabled is "no" (expected true or false): treated as true'),
        ),
    ],
)
def test_a_bad_value_of_a_master_is_told_and_the_master_taken(
    more: dict[str, Any], warning: str
) -> None:
    found = parse_masters([MASTER | more])
    assert found.value == {"a:/b": Master("a:/b", "a.example.org", 8010, None, None)}
    assert list(found.warnings) == [warning]


@pytest.mark.parametrize("port", [0, None])
def test_a_master_without_a_port_is_nothing_to_warn_of(port: int | None) -> None:
    assert list(parse_masters([MASTER | {"pb_port": port}]).warnings) == []


def test_a_master_that_is_listed_twice_is_told() -> None:
    found = parse_masters([MASTER, MASTER | {"http_port": 8011}])
    assert found.value["a:/b"].http_port == 8011
    assert list(found.warnings) == ['master "a:/b" is listed twice: the later entry is used']


def test_a_branch_that_is_listed_twice_is_told() -> None:
    found = parse_branches([{"name": "try", "repo": "http://a/b"}, {"name": "try"}])
    assert found.value == {"try": {"name": "try"}}
    assert list(found.warnings) == ['branch "try" is listed twice: the later entry is used']


@twisted_test()
async def test_a_name_that_an_object_lists_twice_is_told(tmp_path: Path) -> None:
    document = b'{"try": {"repo": "http://a/b"}, "cedar": {}, "try": {}}'

    async def read() -> bytes:
        return document

    source = DocumentSource("branches", read, parse_branches, tmp_path / "b")
    assert await source.refresh(5)
    assert source.good == {"try": {}, "cedar": {}}
    assert list(source.warnings) == ['"try" is listed twice: the later entry is used']


def test_a_bad_builder_is_told_by_its_name_and_the_others_are_taken() -> None:
    found = parse_builders({"builders": {"linux": {}, "": {}, "mac": 5}})
    assert list(found.value.by_name) == ["linux", "mac"]
    assert list(found.warnings) == [
        'builder "" is skipped: its name cannot be a path segment (blank, or dots only)',
        'builder "mac" is not a JSON object: only its name is used',
    ]


@twisted_test()
async def test_warnings_of_a_document_are_in_its_state_and_once_in_the_log(tmp_path: Path) -> None:
    place = Place(tmp_path, "branches")
    place.source.remarks = lambda names: [f"branch {n!r} is hidden" for n in names if n == "jobs"]
    place.now = {"try": {}, "jobs": {}, "bad": None}
    told = 'branch "bad" is skipped: expected a JSON object', "branch 'jobs' is hidden"
    with logged() as lines:
        assert await place.source.refresh(5)
        place.now["more"] = {}
        assert await place.source.refresh(6)
    assert place.source.state(7).warnings == told
    assert [line for line in lines if "directory: branches" in line] == [
        f"directory: branches: {words}" for words in told
    ]
    place.now = {"try": {}}
    assert await place.source.refresh(8)
    assert place.source.state(9).warnings == ()


# --- large documents --------------------------------------------------------------------------


def large() -> bytes:
    """Make a builders file of 18 MB."""
    properties = {"branch": "cedar", "repo_path": "projects/cedar", "platform": "x" * 250}
    entry = {"properties": properties, "slavepool": "p1", "shortname": "linux-cedar-debug"}
    data = json.dumps({"builders": {f"Linux cedar {i} build": entry for i in range(45_000)}})
    assert len(data) > 18_000_000
    return data.encode()


@contextlib.contextmanager
def turning() -> Iterator[list[None]]:
    """Note each turn of the reactor, at most one in 5 ms."""
    turns: list[None] = []
    ticking = LoopingCall(turns.append, None)
    ticking.start(0.005, now=False)
    try:
        yield turns
    finally:
        ticking.stop()


@twisted_test(60)
async def test_while_a_builders_file_of_18_mb_is_parsed_the_reactor_goes_on_turning(
    tmp_path: Path,
) -> None:
    data = large()

    async def read() -> bytes:
        return data

    source = DocumentSource("builders", read, parse_builders, tmp_path / "b.json")
    with turning() as turns:
        assert await source.refresh(5)
    assert len(source.good.by_name) == 45_000
    assert len(turns) > 10


@twisted_test(60)
async def test_a_thread_that_decodes_18_mb_lets_others_run() -> None:
    """The C decoder alone keeps the interpreter to itself: the reactor turns once or twice."""
    data = large()
    with turning() as turns:
        assert len((await deferToThread(decode, data, []))["builders"]) == 45_000
    assert len(turns) > 10


@twisted_test()
async def test_what_has_not_changed_is_not_parsed_again(tmp_path: Path) -> None:
    place = Place(tmp_path, "builders")
    assert await place.source.refresh(5)
    good = place.source.good
    assert await place.source.refresh(6)
    assert place.source.good is good
    assert place.source.good_at == 6


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000, b""])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises((ValueError, RecursionError)):
        decode(data, [])


@settings(max_examples=60)
@given(
    st.binary(max_size=30)
    | st.text(alphabet='[]{}":,0123456789eE.-ntruefalsN\\ud8', max_size=30).map(str.encode),
)
def test_any_bytes_are_a_document_or_refused(data: bytes) -> None:
    for name, (parse, _) in GOOD.items():
        with contextlib.suppress(ValueError, NotADirectoryFile):
            assert parsed(data, parse, name, allow_empty=True).value is not None


# --- redirects --------------------------------------------------------------------------------


@pytest_twisted.async_yield_fixture
async def web() -> AsyncIterator[Masterfarm]:
    farm = Masterfarm()
    farm.add("m")
    farm.add("n", stop=lambda request: b'{"try": {}}')
    yield farm
    await farm.close()


def read_from(url: str) -> Any:
    from twisted.internet import reactor

    return reader(url, Fetcher(reactor), 2, reactor)()  # type: ignore[arg-type]  # the module


@twisted_test()
async def test_a_redirect_of_a_directory_url_is_followed_to_another_host(web: Masterfarm) -> None:
    web.masters["m"].asked.stop = redirect(f"{web.masters['n'].entry.url}branches.json")
    assert await read_from(f"{web.masters['m'].entry.url}old") == b'{"try": {}}'
    assert web.masters["n"].asked.seen == [("GET", "/branches.json")]


@twisted_test()
async def test_at_most_three_redirects_are_followed(web: Masterfarm) -> None:
    start = str(web.masters["m"].entry.url)

    def count(request: Any) -> bytes:
        left = int(request.path[1:])
        return b"{}" if not left else redirect(f"/{left - 1}")(request)

    web.masters["m"].asked.stop = count
    assert REDIRECTS_MOST == 3
    assert await read_from(f"{start}3") == b"{}"
    with pytest.raises(FetchError, match=f"more than 3 redirects, the last one to {start}0"):
        await read_from(f"{start}4")


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("http://a/b/c", "d", "http://a/b/d"),
        ("http://a/b", "https://c:8443/d?e#f", "https://c:8443/d?e"),
        ("https://a/b", "//c/d", "https://c/d"),
    ],
)
def test_a_redirect_leads_to_the_same_scheme_or_to_https(
    url: str, location: str, target: str
) -> None:
    assert redirected(url, location) == target


@pytest.mark.parametrize(
    ("url", "location", "why"),
    [
        ("https://a/b", "http://a/b", "a redirect from https to http is not followed"),
        ("http://a/b", "ftp://a/b", "a redirect from http to ftp is not followed"),
        ("http://a/b", "file:///etc/passwd", "a URL that is not allowed"),
        ("http://a/b", "http://me:secret@c/d", "no user name"),
        ("http://a/b", "http://[", "an invalid URL"),
        ("http://a/b", "http://c:99999/", "an invalid URL"),
        ("http://a/b", None, "without Location"),
    ],
)
def test_other_redirects_are_refused_in_words_without_secrets(
    url: str, location: str | None, why: str
) -> None:
    with pytest.raises(FetchError, match=why) as caught:
        redirected(url, location)
    assert "secret" not in str(caught.value)
