"""Changes sent to the sample farm: what is taken, what is stored, what is built of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import defer, task
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.spread import pb

from buildapi.sample import change_source, loopback_ports
from buildapi.sample.catalog import DEFAULT_BRANCHES
from buildapi.sample.change_source import (
    BadChangeError,
    ChangeSource,
    change_statements,
    read_change,
)
from buildapi.sample.sample_rows import SampleChange
from tests.reactor import twisted_test, until
from tests.sample.direct import DirectDatabase, scheduler_database
from tests.sample.sending import REVISION, change, send

NOW = 1_700_000_000


# --- values ---------------------------------------------------------------------------------


def test_a_change_needs_no_more_than_who_files_and_comments() -> None:
    assert read_change({"who": "ada", "files": ("x",), "comments": ""}) == SampleChange(
        author="ada",
        comments="",
        files=["x"],
        branch=None,
        revision=None,
        revlink="",
        category=None,
        repository="",
        project="",
        when=None,
        properties=[],
    )


def test_keys_and_values_of_old_clients_are_bytes() -> None:
    read = read_change({b"who": b"ada", b"files": [b"x"], b"comments": b"", b"branch": b"try"})
    assert read is not None
    assert (read.author, read.files, read.branch) == ("ada", ["x"], "try")


def test_a_revision_may_be_a_number() -> None:
    read = read_change(change(revision=4711))
    assert read is not None
    assert read.revision == "4711"


@pytest.mark.parametrize("files", [[], ()])
def test_a_change_without_files_is_none(files: Any) -> None:
    assert read_change(change(files=files)) is None


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (None, "dictionary"),
        ([], "dictionary"),
        ({7: 8}, "key"),
        ({"files": ["x"], "comments": ""}, "'who'"),
        ({"who": "x", "comments": ""}, "'files'"),
        ({"who": "x", "files": ["x"]}, "'comments'"),
        (change(who=None), "who"),
        (change(comments=None), "comments"),
        (change(who=b"\xff"), "ASCII"),
        (change(comments="x" * 1025), "1024"),
        (change(branch="n\u00e4chste"), "ASCII"),
        (change(revision="\u2013"), "ASCII"),
        (change(revision=1.5), "text"),
        (change(branch="x" * 257), "256"),
        (change(files="a.txt"), "list"),
        (change(files=["x"] * 1001), "1000"),
        (change(files=["x" * 1025]), "1024"),
        (change(files=[7]), "text"),
        (change(when="now"), "when"),
        (change(when=True), "when"),
        (change(when=-1), "when"),
        (change(when=float("nan")), "when"),
        (change(properties=None), "dictionary"),
        (change(properties={"x": float("nan")}), "JSON"),
        (change(properties={"x": b""}), "JSON"),
        (change(properties={"x": "y" * 1020}), "1024"),
        (change(properties={7: 8}), "text"),
        (change(properties={str(i): i for i in range(101)}), "100"),
        (change(category="x" * 257), "256"),
    ],
)
def test_what_cannot_be_stored_is_refused(told: Any, why: str) -> None:
    with pytest.raises(BadChangeError, match=why):
        read_change(told)


# --- storing --------------------------------------------------------------------------------


@attrs.define
class Taker:
    """A change source on a real port."""

    db: DirectDatabase
    source: ChangeSource
    port: int = 0


@pytest.fixture
def taker() -> Iterator[Taker]:
    from twisted.internet import reactor

    clock = task.Clock()
    clock.advance(NOW)
    db = scheduler_database()
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    made = Taker(db, ChangeSource(endpoint, db, DEFAULT_BRANCHES, clock.seconds))
    made.port = pytest_twisted.blockon(defer.ensureDeferred(made.source.listen()))
    made.source.startService()  # type: ignore[no-untyped-call]  # Service is not typed
    yield made
    pytest_twisted.blockon(made.source.stopService())
    db.connection.close()


@twisted_test()
async def test_a_change_is_stored_as_a_master_stores_it(taker: Taker) -> None:
    link = f"https://hg.example.org/integration/mozilla-inbound/rev/{REVISION}"
    more = {"revlink": link, "when": NOW - 5, "category": "c", "project": "p", "repository": "r"}
    await send(taker.port, change(**more, properties={"n": [1, "\u00e4"], "b": False}))
    assert taker.db.rows("SELECT * FROM changes") == [
        (
            *(1, "ada@example.org", "n\u00e4mlich", 0, "integration/mozilla-inbound", REVISION),
            *(link, NOW - 5, "c", "r", "p"),
        )
    ]
    files = taker.db.rows("SELECT changeid, filename FROM change_files")
    assert files == [(1, "a.txt"), (1, "b.txt")]
    stored = taker.db.rows("SELECT * FROM change_properties")
    assert [(id_, name, json.loads(value)) for id_, name, value in stored] == [
        (1, "n", [[1, "\u00e4"], "Change"]),
        (1, "b", [False, "Change"]),
    ]


@twisted_test()
async def test_a_change_of_the_future_or_without_a_time_is_of_now(taker: Taker) -> None:
    await send(taker.port, change(when=1e30), change())
    times = "SELECT DISTINCT when_timestamp FROM changes"
    assert taker.db.one(times) == NOW


@twisted_test()
async def test_opt_and_debug_builds_of_its_branch_follow(taker: Taker) -> None:
    await send(taker.port, change())
    rows = taker.db.rows(
        """SELECT r.buildername, s.branch, s.revision, c.revision, b.reason, r.submitted_at
        FROM buildrequests r
        JOIN buildsets b ON b.id = r.buildsetid JOIN sourcestamps s ON s.id = b.sourcestampid
        JOIN sourcestamp_changes sc ON sc.sourcestampid = s.id
        JOIN changes c ON c.changeid = sc.changeid"""
    )
    assert {row[1:] for row in rows} == {
        ("integration/mozilla-inbound", REVISION, REVISION, "scheduler", NOW)
    }
    assert sorted(row[0] for row in rows) == [
        "Android armv7 API 15+ mozilla-inbound build",
        "Android armv7 API 15+ mozilla-inbound debug build",
        "Linux mozilla-inbound build",
        "Linux mozilla-inbound leak test build",
        "Linux x86-64 mozilla-inbound build",
        "Linux x86-64 mozilla-inbound leak test build",
        "OS X 10.7 mozilla-inbound build",
        "OS X 10.7 mozilla-inbound leak test build",
        "WINNT 5.2 mozilla-inbound build",
        "WINNT 5.2 mozilla-inbound leak test build",
    ]
    properties: dict[str, str] = dict(
        taker.db.rows("SELECT property_name, property_value FROM buildset_properties")
    )
    assert json.loads(properties["branch"]) == ["mozilla-inbound", "Scheduler"]


@pytest.mark.parametrize("branch", [None, "mozilla-inbound", "projects/cedar", "elsewhere"])
@twisted_test()
async def test_of_other_branches_nothing_is_built(taker: Taker, branch: str | None) -> None:
    await send(taker.port, change(branch=branch))
    assert taker.db.one("SELECT COUNT(*) FROM changes") == 1
    assert taker.db.one("SELECT COUNT(*) FROM buildsets") == 0


@twisted_test()
async def test_a_change_without_files_stores_nothing(taker: Taker) -> None:
    await send(taker.port, change(files=[]))
    assert taker.db.one("SELECT COUNT(*) FROM changes") == 0


def test_a_change_without_revision_is_built_too() -> None:
    read = read_change(change(revision=None))
    assert read is not None
    texts = [s.text for s in change_statements(read, DEFAULT_BRANCHES, NOW)]
    assert sum("INTO buildrequests" in text for text in texts) == 10


def kind(refused: pb.RemoteError) -> str:
    """Name what was raised: bytes, but a text where our own client is loaded."""
    said = refused.remoteType
    return said.decode() if isinstance(said, bytes) else str(said)


# --- the connection -------------------------------------------------------------------------


@twisted_test()
async def test_a_refusal_names_its_reason_and_stores_nothing(taker: Taker) -> None:
    with pytest.raises(pb.RemoteError, match="'who' is missing") as refused:
        await send(taker.port, {"files": ["x"], "comments": ""})
    assert kind(refused.value).endswith(".ChangeRefusedError")
    assert taker.db.one("SELECT COUNT(*) FROM changes") == 0


@twisted_test()
async def test_a_database_that_is_down_is_told_to_the_sender(taker: Taker) -> None:
    taker.db.down = True
    with pytest.raises(pb.RemoteError, match="the database is down"):
        await send(taker.port, change())


@pytest.mark.parametrize("who", [(b"change", b"wrong"), (b"somebody", b"changepw")])
@twisted_test()
async def test_others_may_not_send(
    taker: Taker, who: tuple[bytes, bytes], logged_errors: list[Any]
) -> None:
    with pytest.raises(pb.RemoteError) as refused:
        await send(taker.port, change(), user=who[0], password=who[1])
    assert kind(refused.value) == "twisted.cred.error.UnauthorizedLogin"
    assert taker.db.one("SELECT COUNT(*) FROM changes") == 0
    assert logged_errors, "as a master logs it"
    logged_errors.clear()


class Raw(Protocol):
    """Send bytes and see the connection end."""

    ended = False

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = True


async def raw(port: int) -> Any:
    from twisted.internet import reactor

    return await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), Raw())


@twisted_test()
async def test_a_message_without_end_is_cut_off(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_source, "MESSAGE_MAX", 1000)
    with pytest.raises(pb.PBConnectionLost):
        await send(taker.port, change(files=["x" * 100] * 20))
    await send(taker.port, *(change(files=["x"]) for _ in range(20)))
    assert taker.db.one("SELECT COUNT(*) FROM changes") == 20, "each message counts alone"


@twisted_test()
async def test_a_peer_that_speaks_something_else_is_cut_off(taker: Taker) -> None:
    peer = await raw(taker.port)
    peer.transport.write(b"GET / HTTP/1.1\r\n\r\n" + b"\xff" * 100)
    await until(lambda: peer.ended)


@twisted_test()
async def test_a_silent_peer_is_cut_off(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_source, "IDLE_SECONDS", 0.1)
    peer = await raw(taker.port)
    await until(lambda: peer.ended)


@twisted_test()
async def test_there_is_a_bound_to_the_connections(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback_ports, "CONNECTIONS_MAX", 1)
    first = await raw(taker.port)
    await until(lambda: len(taker.source._connections.protocols) == 1)
    second = await raw(taker.port)
    await until(lambda: second.ended)
    assert not first.ended
    first.transport.loseConnection()
    await until(lambda: first.ended)


@twisted_test()
async def test_there_is_a_bound_to_what_is_being_stored(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_source, "CONCURRENT_MAX", 0)
    with pytest.raises(pb.RemoteError, match="busy"):
        await send(taker.port, change())


@twisted_test()
async def test_a_stop_waits_for_what_is_being_stored(
    taker: Taker, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing: defer.Deferred[list[int]] = defer.Deferred()
    monkeypatch.setattr(DirectDatabase, "transact", lambda *_: writing)
    sending = defer.ensureDeferred(send(taker.port, change()))
    await until(lambda: len(taker.source._storing) == 1)
    stopping = taker.source.stopService()
    await until(lambda: taker.source._port is None)
    assert not stopping.called
    writing.callback([])
    await stopping
    # Whether the answer is still read is a matter of luck: the connection ends with the service.
    sending.addErrback(lambda failure: failure.trap(pb.PBConnectionLost))
    await sending
