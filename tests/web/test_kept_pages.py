"""Pages that are shown again: who gets what of them, and until when."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.reactor import twisted_test
from tests.web.client import JSON, Answer
from tests.web.conftest import ORIGIN, ZOE, Serve, Served

MO = {"X-Remote-User": "mo@example.org"}
KEPT = (
    "/",
    "/self-serve/try",
    "/self-serve/try?sort=-took&q=linux",
    "/self-serve/try/rev/abcdef123456",
    "/self-serve/try/builders",
    "/self-serve/try/user/zo%C3%AB@example.org",
    "/pending",
    "/running",
    "/pushes",
    "/revision/try/abcdef123456",
)
LISTS = ("/self-serve/try", "/self-serve/try/rev/abcdef123456", "/pending", "/running")


def shown_at(answer: Answer) -> str:
    """Return when a page was rendered, by its own word."""
    found = re.search(r'data-now="(\d+)"', answer.text)
    assert found, answer.text
    return found[1]


def tokens(answer: Answer) -> set[str]:
    return set(re.findall(r'name="csrf_token" value="([^"]*)"', answer.text))


@pytest.mark.parametrize("path", KEPT)
@twisted_test()
async def test_a_page_is_rendered_once_for_all_who_read_it(serve: Serve, path: str) -> None:
    served = serve(cache_seconds=60)
    pages = []
    for _ in range(2):
        pages.append([await served.ask("GET", path, who) for who in ({}, ZOE, MO)])
        served.time.now += 1
    assert {answer.status for answers in pages for answer in answers} == {200}
    assert {shown_at(answer) for answers in pages for answer in answers[1:]} == {
        shown_at(pages[0][1])
    }
    assert pages[0][0].body == pages[1][0].body


@twisted_test()
async def test_a_page_of_nothing_is_not_kept(serve: Serve) -> None:
    served = serve(cache_seconds=60)
    before = shown_at(await served.ask("GET", "/recent"))
    served.time.now += 1
    assert shown_at(await served.ask("GET", "/recent")) != before


@pytest.mark.parametrize("path", LISTS)
@twisted_test()
async def test_each_user_gets_the_own_name_and_tokens(served: Served, path: str) -> None:
    for _ in range(2):
        nobody, zoe, mo = [await served.ask("GET", path, who) for who in ({}, ZOE, MO)]
        assert ("zoë@example.org</a>" in zoe.text, "mo@example.org</a>" in zoe.text) == (
            True,
            False,
        )
        assert ("zoë@example.org</a>" in mo.text, "mo@example.org</a>" in mo.text) == (False, True)
        assert "jobs?who=zo%C3%AB%40example.org" in zoe.text
        assert len(tokens(zoe)) == len(tokens(mo)) == 1
        assert not tokens(zoe) & tokens(mo)
        assert 'class="who">not logged in' in nobody.text
        assert not tokens(nobody)


@twisted_test()
async def test_the_tokens_of_a_kept_page_work_for_their_user_alone(served: Served) -> None:
    for _ in range(2):
        (token,) = tokens(await served.ask("GET", "/self-serve/try", ZOE))
        build = {"build_id": "11", "csrf_token": token}
        site = {"Sec-Fetch-Site": "cross-site"}
        for who, status in ((ZOE, 202), (MO, 403)):
            answer = await served.ask("POST", "/self-serve/try/build", who | site | JSON, build)
            assert answer.status == status, answer.body


@twisted_test()
async def test_a_page_that_another_site_may_read_never_has_a_token(served: Served) -> None:
    for headers, number in ((ZOE, 1), (ZOE | {"Origin": ORIGIN}, 0), (ZOE, 1)):
        assert len(tokens(await served.ask("GET", "/self-serve/try", headers))) == number


@twisted_test()
async def test_a_tag_is_of_one_user_and_its_page_is_not_sent_again(served: Served) -> None:
    tags = {}
    for who in ({}, ZOE, MO):
        name = who.get("X-Remote-User", "")
        first = await served.ask("GET", "/self-serve/try", who)
        tags[name] = first.headers["etag"]
        again = await served.ask("GET", "/self-serve/try", {**who, "If-None-Match": tags[name]})
        assert (again.status, again.body) == (304, b"")
    assert len(set(tags.values())) == 3
    other = {**ZOE, "If-None-Match": tags["mo@example.org"]}
    assert (await served.ask("GET", "/self-serve/try", other)).status == 200


@pytest.mark.parametrize("who", [{}, ZOE], ids=["nobody", "user"])
@twisted_test()
async def test_a_kept_page_is_compressed_for_who_accepts_that(
    served: Served, who: dict[str, str]
) -> None:
    plain = await served.ask("GET", "/self-serve/try", who)
    for _ in range(2):
        packed = await served.ask("GET", "/self-serve/try", {**who, "Accept-Encoding": "gzip"})
        text = gzip.decompress(packed.body)
        assert re.sub(rb"[0-9a-f]{128}", b"", text) == re.sub(rb"[0-9a-f]{128}", b"", plain.body)
        assert len(set(re.findall(rb"[0-9a-f]{128}", text))) == (1 if who else 0)


@twisted_test()
async def test_the_prefix_of_a_page_is_that_of_its_request(serve: Serve) -> None:
    served = serve(prefix="/farm")
    for path, link in (("/pending", '"/self-serve"'), ("/farm/pending", '"/farm/self-serve"')):
        assert link in (await served.ask("GET", path)).text


@twisted_test()
async def test_without_a_cache_each_page_is_as_of_its_request(serve: Serve) -> None:
    served = serve(cache_seconds=0)
    before = shown_at(await served.ask("GET", "/self-serve/try"))
    served.time.now += 1
    assert shown_at(await served.ask("GET", "/self-serve/try")) != before
