"""Entity tags, compression, and what nobody may keep."""

from __future__ import annotations

import gzip

import pytest

from tests.reactor import twisted_test
from tests.web.client import JSON, request
from tests.web.conftest import ZOE, Served

PATH = "/self-serve/try"


@pytest.mark.parametrize("headers", [JSON, {}], ids=["json", "html"])
@twisted_test()
async def test_what_the_client_has_is_not_sent_again(
    served: Served, headers: dict[str, str]
) -> None:
    etag = (await served.ask("GET", PATH, headers)).headers["etag"]
    opaque = etag.removeprefix("W/")
    for tags in (etag, opaque, f'"x", {etag}', f'{opaque},"x"', "*"):
        for method in ("GET", "HEAD"):
            answer = await served.ask(method, PATH, headers | {"If-None-Match": tags})
            assert (answer.status, answer.body) == (304, b""), tags
            assert answer.headers["etag"] == etag
            assert "accept" in answer.headers["vary"].lower()


@pytest.mark.parametrize("tags", ['"x"', "", 'W/"', "\xff"])
@twisted_test()
async def test_other_tags_change_nothing(served: Served, tags: str) -> None:
    headers = JSON | {"If-None-Match": tags.encode("latin-1")}
    assert (await served.ask("GET", PATH, headers)).status == 200


@twisted_test()
async def test_the_tag_follows_the_content_and_the_format(served: Served) -> None:
    jobs = "/self-serve/jobs"
    before = await served.ask("GET", jobs, JSON)
    page = await served.ask("GET", jobs)
    await served.ask("DELETE", f"{PATH}/build/12", ZOE)
    after = await served.ask("GET", jobs, JSON | {"If-None-Match": before.headers["etag"]})
    assert after.status == 200
    assert len({a.headers["etag"] for a in (before, page, after)}) == 3


@pytest.mark.parametrize("path", [PATH, "/self-serve", "/nowhere"])
@twisted_test()
async def test_answers_are_compressed_for_who_can_read_that(served: Served, path: str) -> None:
    plain = await served.ask("GET", path, JSON)
    packed = await served.ask("GET", path, JSON | {"Accept-Encoding": "deflate, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert packed.status == plain.status
    assert "accept-encoding" in packed.headers["vary"].lower()


@pytest.mark.parametrize("accepts", ["", "identity", "gzip;q=0", "br"])
@twisted_test()
async def test_others_get_it_plain(served: Served, accepts: str) -> None:
    answer = await served.ask("GET", PATH, JSON | {"Accept-Encoding": accepts})
    assert "content-encoding" not in answer.headers
    assert int(answer.headers["content-length"]) == len(answer.body)


@twisted_test()
async def test_nothing_follows_an_answer_without_body(served: Served) -> None:
    etag = (await served.ask("GET", PATH, JSON)).headers["etag"]
    packed = JSON | {"Accept-Encoding": "gzip"}
    for method, headers in (
        ("HEAD", packed),
        ("GET", packed | {"If-None-Match": etag}),
        ("OPTIONS", packed),
    ):
        wire = await served.wire()
        wire.send(request(method, PATH, headers))
        await wire.closed
        assert wire.received.endswith(b"\r\n\r\n"), method


@twisted_test()
async def test_a_compressed_head_tells_the_length_of_get(served: Served) -> None:
    packed = JSON | {"Accept-Encoding": "gzip"}
    get, head = [await served.ask(method, PATH, packed) for method in ("GET", "HEAD")]
    assert int(head.headers["content-length"]) == len(get.body)


@twisted_test()
async def test_identical_reads_share_one_query(served: Served) -> None:
    for _ in range(3):
        await served.ask("GET", PATH, JSON)
    await served.ask("GET", PATH)
    assert len(served.builds.failing.calls) == 1


@pytest.mark.parametrize("what", ["?date=2011-01-01", "/rev/ffff"])
@twisted_test()
async def test_an_empty_answer_is_looked_up_again(served: Served, what: str) -> None:
    for _ in range(2):
        await served.ask("GET", PATH + what, JSON)
    assert len(served.builds.failing.calls) == 2


@twisted_test()
async def test_an_empty_answer_about_a_user_is_looked_up_again(served: Served) -> None:
    for _ in range(2):
        await served.ask("GET", f"{PATH}/user/nobody", JSON)
    assert len(served.builds.failing.calls) == 2
