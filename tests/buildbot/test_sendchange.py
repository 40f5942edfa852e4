"""Changes are told to a master within a deadline, whatever is there in its place."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import defer
from twisted.python.failure import Failure
from twisted.spread import banana, pb

from buildapi.buildbot.v08.sendchange import (
    ANSWER_BYTES,
    ChangeError,
    MasterFailure,
    PBChange,
    send_change,
)
from tests.buildbot.pbmaster import PBMaster, Python2Error, RawPeer
from tests.reactor import twisted_test, until

CHANGE = PBChange(
    who="zoë@example.org",
    branch="try",
    revision="abcdef012345",
    revlink="https://hg.example.org/try/rev/abcdef012345",
    comments="Submitted",
    files=["dummy"],
    properties={"selfserve_job": 7},
)


@pytest_twisted.async_yield_fixture
async def master() -> AsyncIterator[PBMaster]:
    master = PBMaster().start()
    yield master
    await master.close()


@pytest_twisted.async_yield_fixture
async def listen() -> AsyncIterator[Callable[..., RawPeer]]:
    peers: list[RawPeer] = []

    def listening(data: bytes, *, closes: bool = False) -> RawPeer:
        peers.append(RawPeer(data, closes).start())
        return peers[-1]

    yield listening
    for peer in peers:
        await peer.close()


async def send(
    port: int, change: PBChange = CHANGE, *, host: str = "127.0.0.1", **more: Any
) -> None:
    from twisted.internet import reactor

    said: Any = {"username": "change", "password": "changepw", "seconds": 2.0} | more
    await send_change(reactor, host, port, change, **said)


async def refused(port: int, change: PBChange = CHANGE, **more: Any) -> ChangeError:
    with pytest.raises(ChangeError) as e:
        await send(port, change, **more)
    return e.value


@twisted_test()
async def test_a_change_arrives_whole_and_the_connection_ends(master: PBMaster) -> None:
    await send(master.number)
    assert master.changes == [
        {
            "who": "zoë@example.org",
            "branch": "try",
            "revision": "abcdef012345",
            "revlink": "https://hg.example.org/try/rev/abcdef012345",
            "comments": "Submitted",
            "files": ["dummy"],
            "properties": {"selfserve_job": 7},
        }
    ]
    await until(lambda: not master.connections)


@twisted_test()
async def test_a_host_is_found_by_its_name(master: PBMaster) -> None:
    await send(master.number, host="localhost")
    assert len(master.changes) == 1


@twisted_test()
async def test_no_link_is_left_out_and_long_comments_are_cut(master: PBMaster) -> None:
    await send(master.number, attrs.evolve(CHANGE, revlink=None, comments="é" * 2000))
    (change,) = master.changes
    assert "revlink" not in change
    assert change["comments"] == "é" * 1024


@twisted_test()
async def test_many_changes_are_sent_at_once(master: PBMaster) -> None:
    sending = [defer.ensureDeferred(send(master.number)) for _ in range(30)]
    await defer.gatherResults(sending)
    assert len(master.changes) == 30


@pytest.mark.parametrize(
    ("login", "what"),
    [({"password": "wröng"}, "password"), ({"username": "nobody"}, "user name")],
)
@twisted_test()
async def test_refused_credentials_are_told(
    master: PBMaster, login: dict[str, Any], what: str
) -> None:
    error = await refused(master.number, **login)
    assert str(error) == "the master refused our user name or password"
    assert not error.sent
    assert not master.changes


@twisted_test()
async def test_a_master_without_change_source_is_told(master: PBMaster) -> None:
    master.no_source = True
    error = await refused(master.number)
    assert str(error) == "the master accepts no changes (no PBChangeSource)"
    assert not error.sent


@twisted_test()
async def test_what_the_master_says_is_passed_on_in_brief(master: PBMaster) -> None:
    master.error = Python2Error(
        b"MySQLdb.OperationalError", b"(1366,\n 'Incorrect \xf0\x9f\x98\x80 or \xff')" + b"x" * 2000
    )
    error = await refused(master.number)
    assert str(error).startswith(
        "the master refused: OperationalError: (1366, 'Incorrect 😀 or \ufffd')xx"
    )
    assert len(str(error)) == len("the master refused: ") + 300
    assert not error.sent


@twisted_test()
async def test_an_error_without_text_gives_its_name(master: PBMaster) -> None:
    master.error = Python2Error(b"exceptions.AssertionError")
    assert str(await refused(master.number)) == "the master refused: AssertionError"


@twisted_test()
async def test_the_error_of_a_peer_on_python_3_is_read_too(master: PBMaster) -> None:
    master.take = lambda change: defer.fail(pb.Error("out of disk"))  # type: ignore[method-assign]  # another answer
    assert str(await refused(master.number)) == "the master refused: Error: out of disk"


@pytest.mark.parametrize(
    "state",
    [
        None,
        [b"type"],
        {},
        {b"type": b"a.B", b"value": b"\xff", b"parents": [b"a.B", 7]},
        {"type": "a.B", "value": {"deep": []}, "parents": "a.B"},
        {b"type": 5, b"value": None, b"parents": None, b"__class__": b"int"},
    ],
)
def test_any_state_of_a_failure_can_be_raised(state: Any) -> None:
    failure: Any = MasterFailure.__new__(MasterFailure)
    failure.setCopyableState(state)
    seen: list[Any] = []
    defer.fail(failure).addErrback(seen.append)
    assert seen == [failure]
    assert failure.check(KeyError) is None

    async def raised() -> None:
        with pytest.raises(pb.RemoteError) as e:
            await defer.fail(failure)
        assert isinstance(e.value.remoteType, str)
        assert isinstance(str(e.value), str)

    results: list[Any] = []
    defer.ensureDeferred(raised()).addBoth(results.append)
    assert results == [None]


def with_text(name: str, text: str) -> PBChange:
    changed: Any = {name: text}
    return attrs.evolve(CHANGE, **changed)


@pytest.mark.parametrize("name", ["branch", "revision"])
@twisted_test()
async def test_what_would_poison_masters_is_not_sent(master: PBMaster, name: str) -> None:
    error = await refused(master.number, with_text(name, "trÿ"))
    assert str(error) == f"the {name} has non-ASCII characters"
    assert not error.sent
    assert master.connected == 0


@twisted_test()
async def test_a_change_without_files_is_refused_as_masters_drop_it(master: PBMaster) -> None:
    error = await refused(master.number, attrs.evolve(CHANGE, files=()))
    assert str(error) == "a change needs a file"
    assert master.connected == 0


@pytest.mark.parametrize(
    "value", ["\ud800", 2 ** (64 * 7 + 1), "x" * 2**20], ids=["surrogate", "number", "text"]
)
@twisted_test()
async def test_what_cannot_be_put_on_the_wire_is_not_sent(master: PBMaster, value: Any) -> None:
    error = await refused(master.number, attrs.evolve(CHANGE, properties={"x": value}))
    assert str(error) == "the change cannot be encoded for Perspective Broker"
    assert not error.sent
    assert master.connected == 0


@twisted_test()
async def test_a_closed_port_is_told_at_once(master: PBMaster) -> None:
    port = master.number
    await master.close()
    error = await refused(port)
    assert str(error).startswith("no connection: Connection was refused")
    assert not error.sent
    master.start()


@twisted_test()
async def test_a_name_that_no_host_has_is_told() -> None:
    error = await refused(9, host="no such host")
    assert str(error).startswith("no connection: ")
    assert not error.sent


@twisted_test()
async def test_a_master_that_never_answers_is_left_after_the_deadline(master: PBMaster) -> None:
    master.mute = True
    start = time.monotonic()
    error = await refused(master.number, seconds=0.2)
    assert time.monotonic() - start >= 0.2
    assert str(error) == "no answer within 0.2 s"
    assert not error.sent
    await until(lambda: not master.connections)


@twisted_test()
async def test_silence_after_the_change_was_sent_leaves_it_open(master: PBMaster) -> None:
    master.silent = True
    error = await refused(master.number, seconds=0.3)
    assert str(error) == "no answer within 0.3 s"
    assert error.sent
    assert len(master.changes) == 1
    await until(lambda: not master.connections)


@twisted_test()
async def test_a_connection_lost_after_the_change_was_sent_leaves_it_open(master: PBMaster) -> None:
    master.drops = True
    error = await refused(master.number)
    assert str(error) == "the master closed the connection"
    assert error.sent


@twisted_test()
async def test_a_peer_that_closes_at_once_is_told_at_once(listen: Callable[..., RawPeer]) -> None:
    error = await refused(listen(b"", closes=True).number)
    assert str(error) == "the master closed the connection"
    assert not error.sent


def encode(*expressions: Any) -> bytes:
    """Spell expressions as a server does, which first offers its dialects."""
    speaker: Any = banana.Banana(isClient=0)
    speaker.setPrefixLimit(64)
    speaker.currentDialect = b"none"
    words: list[bytes] = []
    for expression in ([b"pb", b"none"], *expressions):
        speaker._encode(expression, words.append)
    return b"".join(words)


REMOTE = [b"remote", 1]
NONSENSE = {
    "http": b"HTTP/1.1 400 Bad Request\r\n" + b"Server: some web server\r\n" * 3,
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n" * 20,
    "no prefix ends": b"\x01" * 100,
    "high bits": bytes(range(128, 256)),
    "huge list": b"\x7f" * 8 + b"\x80",
    "huge string": b"\x7f\x7f\x7f\x7f\x82",
    "number as dialects": b"\x05\x81",
    "not a list": encode(5),
    "empty list": encode([]),
    "other version": encode([b"version", 5]),
    "a call": encode([b"message", 1, b"root", b"x", 1, [b"tuple"], [b"dictionary"]]),
    "decref": encode([b"decref", 1]),
    "private method": encode([b"_sendMessage", 1]),
    "answer to nothing": encode([b"answer", 99, [b"None"]]),
    "login is a number": encode([b"answer", 1, 5]),
    "login is None": encode([b"answer", 1, [b"None"]]),
    "login is three": encode([b"answer", 1, [b"tuple", b"a", b"b", b"c"]]),
    "challenger is text": encode([b"answer", 1, [b"tuple", b"a", b"b"]]),
    "forbidden class": encode([b"answer", 1, [b"os.system", [b"tuple"]]]),
    "forbidden instance": encode([b"answer", 1, [b"instance", [b"class", b"os._wrap_close"], []]]),
    "error is text": encode([b"error", 1, b"oops"]),
    "error is None": encode([b"error", 1, [b"None"]]),
    "error is no failure": encode([b"error", 1, [b"list", 1, 2]]),
    "perspective is text": encode(
        [b"answer", 1, [b"tuple", b"challenge", REMOTE]], [b"answer", 2, b"oops"]
    ),
}


@pytest.mark.parametrize("name", NONSENSE)
@twisted_test()
async def test_a_peer_that_is_no_master_is_told_at_once(
    listen: Callable[..., RawPeer], name: str
) -> None:
    peer = listen(NONSENSE[name])
    error = await refused(peer.number)
    assert str(error) in {
        "the master does not speak Perspective Broker",
        "the master's answer cannot be read",
    }
    assert not error.sent
    await until(lambda: not peer.connections)


@twisted_test()
async def test_other_dialects_are_told_at_once(listen: Callable[..., RawPeer]) -> None:
    peer = listen(b"\x01\x80\x03\x82xml")
    assert str(await refused(peer.number)) == "the master closed the connection"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x7f\x7f\x23\x82" + b"x" * 2**19, id="one string"),
        pytest.param(encode() + struct.pack(">BB", 1, 0x81) * 2**19, id="many numbers"),
        pytest.param(encode() + b"\x01\x80" * 2**19, id="many lists"),
    ],
)
@twisted_test()
async def test_no_more_than_a_bound_is_taken(listen: Callable[..., RawPeer], data: bytes) -> None:
    peer = listen(data)
    error = await refused(peer.number)
    assert str(error) in {
        f"the master sent more than {ANSWER_BYTES} bytes",
        "the master does not speak Perspective Broker",
    }
    await until(lambda: not peer.connections)


@twisted_test()
async def test_what_comes_in_the_worst_shape_is_read_in_no_time(
    listen: Callable[..., RawPeer],
) -> None:
    start = encode()
    peer = listen(start + b"\x01\x80" * ((ANSWER_BYTES - len(start)) // 2))
    before = time.process_time()
    await refused(peer.number, seconds=0.5)
    assert time.process_time() - before < 0.3


@twisted_test()
async def test_a_change_that_was_sent_stays_so_whatever_the_answer(master: PBMaster) -> None:
    def nonsense(change: Any) -> Any:
        for connection in master.connections:
            connection.transport.write(b"\xff" * 100)
        return defer.Deferred()

    master.take = nonsense  # type: ignore[method-assign]  # another answer
    error = await refused(master.number)
    assert str(error) == "the master does not speak Perspective Broker"
    assert error.sent


@pytest.mark.parametrize("stage", ["lookup", "login", "sent"])
@twisted_test()
async def test_who_is_cancelled_hangs_up(master: PBMaster, stage: str) -> None:
    master.mute, master.silent = stage == "login", stage == "sent"
    sending = defer.ensureDeferred(send(master.number))
    if stage == "login":
        await until(lambda: bool(master.connections))
    elif stage == "sent":
        await until(lambda: bool(master.changes))
    results: list[Any] = []
    sending.addBoth(results.append)
    sending.cancel()
    await until(lambda: bool(results))
    assert isinstance(results[0], Failure)
    assert results[0].check(defer.CancelledError)
    await until(lambda: not master.connections)


@twisted_test()
async def test_the_password_is_told_to_nobody(master: PBMaster) -> None:
    from twisted.logger import globalLogPublisher

    said: list[str] = []
    observer: Any = lambda event: said.append(repr(event))  # noqa: E731  # mypy takes no def here
    globalLogPublisher.addObserver(observer)
    try:
        await send(master.number)
        error = await refused(master.number, password="s3cret")
        master.mute = True
        late = await refused(master.number, password="s3cret", seconds=0.1)
    finally:
        globalLogPublisher.removeObserver(observer)
    for text in (*said, repr(error), repr(late), repr(error.__cause__)):
        assert "s3cret" not in text
