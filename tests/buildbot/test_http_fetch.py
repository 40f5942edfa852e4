"""One deadline for a whole answer, a bound on its size, no redirects, nothing left behind."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import defer, protocol, task
from twisted.web.server import NOT_DONE_YET

from buildapi.buildbot.http_fetch import Fetcher, FetchError
from tests.buildbot.doubles import Masterfarm, hang, redirect
from tests.reactor import twisted_test, until


@pytest_twisted.async_yield_fixture
async def web() -> AsyncIterator[Masterfarm]:
    farm = Masterfarm()
    farm.add("m")
    yield farm
    await farm.close()


@pytest.fixture
def fetcher() -> Fetcher:
    from twisted.internet import reactor

    return Fetcher(reactor)


def url(web: Masterfarm) -> str:
    return f"{web.masters['m'].entry.url}x"


def serve(web: Masterfarm, answer: Any) -> None:
    web.masters["m"].asked.stop = answer


@twisted_test()
async def test_an_answer_is_whole(web: Masterfarm, fetcher: Fetcher) -> None:
    body = b"x" * 300_000
    serve(web, lambda request: body)
    answer = await fetcher.request("GET", url(web), seconds=5)
    assert (answer.code, answer.body == body, answer.location) == (200, True, None)


@twisted_test()
async def test_a_redirect_is_an_answer(web: Masterfarm, fetcher: Fetcher) -> None:
    serve(web, redirect("../../elsewhere"))
    answer = await fetcher.request("GET", url(web), seconds=5)
    assert (answer.code, answer.location) == (302, "../../elsewhere")
    assert web.masters["m"].asked.seen == [("GET", "/x")]


@twisted_test()
async def test_a_form_is_posted(web: Masterfarm, fetcher: Fetcher) -> None:
    serve(web, lambda request: b"")
    await fetcher.request("POST", url(web), seconds=5, data={"username": "Zo\xeb & co", "c": "a b"})
    assert web.masters["m"].asked.forms == [{b"username": ["Zo\xeb & co".encode()], b"c": [b"a b"]}]


@twisted_test()
async def test_a_document_is_posted_as_json(web: Masterfarm, fetcher: Fetcher) -> None:
    serve(web, lambda request: b"")
    for document in ([{"slave": "Zo\xeb \u2603"}], {}, []):
        await fetcher.request("POST", url(web), seconds=5, document=document)
        assert web.masters["m"].asked.documents[-1] == document
    assert web.masters["m"].asked.headers[-1]["content-type"].startswith("application/json")


@twisted_test()
async def test_a_token_is_sent_as_a_bearers_and_only_where_there_is_one(
    web: Masterfarm, fetcher: Fetcher
) -> None:
    serve(web, lambda request: b"")
    await fetcher.request("POST", url(web), seconds=5, token="s3cret")
    await fetcher.request("POST", url(web), seconds=5)
    sent = [headers.get("authorization") for headers in web.masters["m"].asked.headers]
    assert sent == ["Bearer s3cret", None]


@twisted_test()
async def test_silence_ends_at_the_deadline_with_the_connection(
    web: Masterfarm, fetcher: Fetcher
) -> None:
    serve(web, hang)
    with pytest.raises(FetchError, match=r"no answer within 0\.3 s") as caught:
        await fetcher.request("GET", url(web), seconds=0.3)
    assert caught.value.timed_out
    assert caught.value.sent
    await until(lambda: web.crowd.now == 0)


@twisted_test()
async def test_a_dripping_body_does_not_stretch_the_deadline(
    web: Masterfarm, fetcher: Fetcher
) -> None:
    def drip(request: Any) -> Any:
        dripping = task.LoopingCall(request.write, b"x")
        dripping.start(0.02)
        request.notifyFinish().addErrback(lambda _: dripping.stop())
        return NOT_DONE_YET

    serve(web, drip)
    with pytest.raises(FetchError) as caught:
        await fetcher.request("GET", url(web), seconds=0.4)
    assert caught.value.timed_out
    await until(lambda: web.crowd.now == 0)


@twisted_test()
async def test_a_body_past_its_limit_is_dropped(web: Masterfarm, fetcher: Fetcher) -> None:
    def endless(request: Any) -> Any:
        writing = task.LoopingCall(request.write, b"x" * 1000)
        writing.start(0.001)
        request.notifyFinish().addErrback(lambda _: writing.stop())
        return NOT_DONE_YET

    serve(web, endless)
    with pytest.raises(FetchError, match="more than 5000 bytes"):
        await fetcher.request("GET", url(web), seconds=5, limit=5000)
    await until(lambda: web.crowd.now == 0)


@twisted_test()
async def test_the_limit_counts_what_is_unpacked(web: Masterfarm, fetcher: Fetcher) -> None:
    def packed(request: Any) -> bytes:
        request.setHeader(b"content-encoding", b"gzip")
        return gzip.compress(b"x" * 100_000)

    serve(web, packed)
    with pytest.raises(FetchError, match="more than 5000 bytes"):
        await fetcher.request("GET", url(web), seconds=5, limit=5000)


@twisted_test(20)
async def test_what_is_packed_does_not_fill_the_memory(web: Masterfarm, fetcher: Fetcher) -> None:
    bomb = gzip.compress(b"x" * 2**26)

    def packed(request: Any) -> bytes:
        request.setHeader(b"content-encoding", b"gzip")
        return bomb

    serve(web, packed)
    tracemalloc.start()
    try:
        with pytest.raises(FetchError, match="more than 5000 bytes"):
            await fetcher.request("GET", url(web), seconds=15, limit=5000)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@twisted_test()
async def test_what_is_packed_more_than_once_is_refused(web: Masterfarm, fetcher: Fetcher) -> None:
    def packed(request: Any) -> bytes:
        request.setHeader(b"content-encoding", b"gzip, gzip")
        return gzip.compress(gzip.compress(b"x"))

    serve(web, packed)
    with pytest.raises(FetchError, match="the body is packed more than once"):
        await fetcher.request("GET", url(web), seconds=5)
    await until(lambda: web.crowd.now == 0)


class Heads(protocol.Protocol):
    """Send lines of a response's head, as many as are taken."""

    transport: Any
    factory: Any
    first, line = b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"y" * 90 + b"\r\n"

    def connectionMade(self) -> None:
        self.factory.made = self
        self.transport.write(self.first)
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.transport.write(500 * self.line)

    def stopProducing(self) -> None:
        pass


class OneLine(Heads):
    """Send one line that does not end."""

    first, line = b"HTTP/1.1 200 OK\r\nX: ", b"y" * 100


class Interim(Heads):
    """Send interim responses, one after the other."""

    first, line = b"", b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize("kind", [Heads, OneLine, Interim])
@twisted_test(8)
async def test_headers_without_end_are_given_up_at_64_kb(
    fetcher: Fetcher, kind: type[Heads]
) -> None:
    from twisted.internet import reactor

    network: Any = reactor
    factory: Any = protocol.Factory.forProtocol(kind)
    port = network.listenTCP(0, factory, interface="127.0.0.1")
    with pytest.raises(FetchError, match="more than 65536 bytes of headers") as caught:
        await fetcher.request("GET", f"http://127.0.0.1:{port.getHost().port}/", seconds=6)
    assert not caught.value.timed_out
    await until(lambda: not factory.made.transport.connected)
    await port.stopListening()


@twisted_test()
async def test_headers_of_60_kb_are_read(web: Masterfarm, fetcher: Fetcher) -> None:
    def wordy(request: Any) -> bytes:
        for n in range(3):
            request.setHeader(f"x-long-{n}".encode(), b"y" * 20_000)
        return b"here" * 50_000

    serve(web, wordy)
    answer = await fetcher.request("GET", url(web), seconds=5)
    assert answer.body == b"here" * 50_000


@twisted_test()
async def test_a_host_without_an_address_was_sent_nothing(fetcher: Fetcher) -> None:
    with pytest.raises(FetchError) as caught:
        await fetcher.request("GET", "http://master.invalid:8010/", seconds=60)  # RFC 6761, 6.4
    assert (caught.value.sent, caught.value.timed_out) == (False, False)


@twisted_test()
async def test_a_refused_connection_sent_nothing(web: Masterfarm, fetcher: Fetcher) -> None:
    target = url(web)
    await web.close()
    with pytest.raises(FetchError, match="refused") as caught:
        await fetcher.request("GET", target, seconds=5)
    assert (caught.value.sent, caught.value.timed_out) == (False, False)


@twisted_test()
async def test_an_answer_cut_off_is_none(web: Masterfarm, fetcher: Fetcher) -> None:
    def cut(request: Any) -> Any:
        request.setHeader(b"content-length", b"1000")
        request.write(b"half")
        request.transport.loseConnection()
        return NOT_DONE_YET

    serve(web, cut)
    with pytest.raises(FetchError) as caught:
        await fetcher.request("GET", url(web), seconds=5)
    assert caught.value.sent
    assert str(caught.value)


@twisted_test()
async def test_what_is_not_http_is_no_answer(fetcher: Fetcher) -> None:
    from twisted.internet import reactor

    class Shout(protocol.Protocol):
        transport: Any

        def connectionMade(self) -> None:
            self.transport.write(b"220 mail.example.org ESMTP\r\n\r\n")
            self.transport.loseConnection()

    network: Any = reactor
    shouting = protocol.Factory.forProtocol(Shout)
    port = network.listenTCP(0, shouting, interface="127.0.0.1")
    with pytest.raises(FetchError):
        await fetcher.request("GET", f"http://127.0.0.1:{port.getHost().port}/", seconds=5)
    await port.stopListening()


@pytest.mark.parametrize("target", ["nonsense", "http://", "ftp://example.org/x", "http://[x/"])
@twisted_test()
async def test_what_is_no_url_is_refused_in_words(fetcher: Fetcher, target: str) -> None:
    with pytest.raises(FetchError) as caught:
        await fetcher.request("GET", target, seconds=1)
    assert str(caught.value)


@twisted_test()
async def test_a_caller_that_is_cancelled_learns_nothing_else(
    web: Masterfarm, fetcher: Fetcher
) -> None:
    serve(web, hang)
    running = defer.ensureDeferred(fetcher.request("GET", url(web), seconds=30))
    await until(lambda: web.crowd.now == 1)
    running.cancel()
    with pytest.raises(defer.CancelledError):
        await running
    await until(lambda: web.crowd.now == 0)


@twisted_test()
async def test_a_caller_cancelled_before_there_is_a_connection_learns_nothing_else(
    web: Masterfarm, fetcher: Fetcher
) -> None:
    running = defer.ensureDeferred(fetcher.request("GET", url(web), seconds=30))
    running.cancel()
    with pytest.raises(defer.CancelledError):
        await running
