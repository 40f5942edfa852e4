"""What the page of a revision says of its push: changes, files, the pushes before and after."""

from __future__ import annotations

import pytest
from markupsafe import escape
from twisted.internet.defer import Deferred

from buildapi.model.pushes import Change
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import Serve, Served
from tests.web.farm import HOSTILE, NOW, database_down

REVISION = "abcdef123456" + "0" * 28
REV = f"/self-serve/try/rev/{REVISION}"
ANN = "ann@example.org"
FIRST = Change(5, "try", REVISION, ANN, f"fix {HOSTILE}\n\nbecause", NOW - 5000, "https://hg/r/ab")


def of_another(id_: int, revision: str, when: int, branch: str = "try", who: str = ANN) -> Change:
    return Change(id_, branch, revision, who, f"comment {id_}", when)


def about(page: str) -> str:
    """Return the part of the page that is about the push."""
    return page.partition('<section class="of-push"')[2].partition("</section>")[0]


@twisted_test()
async def test_a_push_is_shown_with_its_comment_files_and_link(served: Served) -> None:
    served.pushes.known = [FIRST]
    served.pushes.of_files = {5: [f"b{n:03}.c" for n in range(205)]}
    text = about((await served.ask("GET", REV)).text)
    assert '<a href="/self-serve/user/ann%40example.org">ann@example.org</a>' in text
    assert f"fix {escape(HOSTILE)}\n\nbecause</pre>" in text
    assert '<a href="https://hg/r/ab" rel="noreferrer">in the repository</a>' in text
    assert "<summary>205 files</summary>" in text
    assert ("<li>b199.c</li>" in text, "b200.c" in text) == (True, False)
    assert "<li>and 5 more</li>" in text


@pytest.mark.parametrize("link", ["javascript:alert(1)", "", None, "hg/r/ab"])
@twisted_test()
async def test_only_addresses_of_the_web_are_links(served: Served, link: str | None) -> None:
    served.pushes.known = [Change(5, "try", REVISION, ANN, "fix", NOW, link)]
    text = about((await served.ask("GET", REV)).text)
    assert "fix" in text
    assert "in the repository" not in text
    assert "Whole comment" not in text, "all of it is there"


@twisted_test()
async def test_all_changes_of_a_push_are_there_once(served: Served) -> None:
    """Masters repeat the comment; what was pushed in the same second is one push."""
    others = [of_another(id_, f"{id_}cdef1234567", NOW - 5000) for id_ in (3, 4)]
    repeated = Change(7, "try-linux-unittest", REVISION, "sendchange", FIRST.comments, NOW - 1)
    tests = Change(8, "try-linux-unittest", REVISION, "sendchange", "tests", NOW)
    late = of_another(9, "9cdef1234567", NOW - 4999)
    served.pushes.known = [*others, FIRST, repeated, tests, late]
    text = about((await served.ask("GET", REV)).text)
    assert "<summary>3 more changes of this push</summary>" in text
    places = [text.index(words) for words in ("tests", "4cdef1234567", "comment 4", "comment 3")]
    assert places == sorted(places)
    assert "comment 9" not in text


@twisted_test()
async def test_the_pushes_before_and_after_are_linked(served: Served) -> None:
    """Of revisions that were pushed together the last is built, which is linked."""
    served.pushes.known = [
        FIRST,
        of_another(1, "1cdef1234567", NOW - 9000),
        of_another(2, "2cdef1234567", NOW - 6000),
        of_another(3, "3cdef1234567", NOW - 6000),
        of_another(4, "4cdef1234567", NOW - 5500, branch="cedar"),
        of_another(6, "6cdef1234567", NOW - 4000),
        of_another(7, "7cdef1234567", NOW - 3000),
    ]
    page = (await served.ask("GET", REV)).text
    assert '<a rel="prev" href="/self-serve/try/rev/3cdef1234567">' in page
    assert '<a rel="next" href="/self-serve/try/rev/6cdef1234567">' in page
    served.pushes.known = [FIRST]


@twisted_test()
async def test_the_first_and_the_last_push_have_none_beside_them(served: Served) -> None:
    served.pushes.known = [FIRST]
    page = (await served.ask("GET", REV)).text
    assert about(page)
    assert 'rel="prev"' not in page
    assert 'rel="next"' not in page


@twisted_test()
async def test_a_push_of_which_nothing_is_built_yet_has_a_page_and_no_document(
    served: Served,
) -> None:
    served.pushes.known = [of_another(1, "1cdef1234567", NOW - 9)]
    path = "/self-serve/try/rev/1cdef1234567"
    page = await served.ask("GET", path)
    assert page.status == 200
    assert "comment 1" in about(page.text)
    assert "No builds or pending requests on try." in page.text
    assert "1cdef1234567 is not done yet" in page.text
    for other in (path, f"{path}/is_done"):
        assert (await served.ask("GET", other, JSON)).status == 404
    assert (await served.ask("GET", "/self-serve/try/rev/2cdef1234567")).status == 404


@twisted_test()
async def test_the_page_does_not_wait_for_its_push(serve: Serve) -> None:
    served = serve(answer_seconds=1)
    served.pushes.changing.held = Deferred(lambda _: None)
    page = await served.ask("GET", REV)
    assert (page.status, about(page.text)) == (200, "")


@twisted_test()
async def test_changes_that_cannot_be_read_are_left_out(served: Served) -> None:
    served.pushes.known = [FIRST]
    served.pushes.changing.error = database_down()
    page = await served.ask("GET", REV)
    assert (page.status, about(page.text)) == (200, "")
