"""Whose push a row is, in JSON and events: author, and first line of the comment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from buildapi.model.pushes import SUBJECT_MAX, Change
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import Serve, Served
from tests.web.farm import HOSTILE, NOW, PENDING, database_down

REVISION = PENDING.revision or ""
PUSH = Change(1, "try", REVISION, "zoë@example.org", f"{HOSTILE} first\n\nsecond", NOW - 5100)
LISTS = (
    "/self-serve/try",
    f"/self-serve/try/rev/{REVISION[:12]}",
    "/self-serve/try/build/12",
    "/self-serve/try/request/21",
    "/self-serve/try/user/zo%C3%AB@example.org",
    "/pending",
    "/running",
    f"/revision/try/{REVISION[:12]}",
)


def rows(value: Any) -> Iterator[Any]:
    """Yield the builds and requests of a document, those within builds left out."""
    if isinstance(value, dict) and "buildername" in value:
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from rows(item)


async def found(served: Served, path: str) -> list[Any]:
    answer = await served.ask("GET", path, JSON)
    assert answer.status == 200
    return list(rows(answer.json))


@pytest.mark.parametrize("path", LISTS)
@twisted_test()
async def test_each_row_says_whose_push_it_is(served: Served, path: str) -> None:
    served.pushes.known = [PUSH]
    items = await found(served, path)
    assert items
    for item in items:
        assert (item["author"], item["comments"]) == (PUSH.author, f"{HOSTILE} first")
        assert not any("author" in request for request in item.get("requests", ()))


@pytest.mark.parametrize("path", LISTS)
@twisted_test()
async def test_changes_that_cannot_be_read_keep_no_list_from_anybody(
    served: Served, path: str
) -> None:
    served.pushes.known = [PUSH]
    served.pushes.changing.error = database_down()
    items = await found(served, path)
    assert items
    assert not any(item.keys() & {"author", "comments"} for item in items)


@twisted_test()
async def test_a_list_does_not_wait_for_changes_that_do_not_come(serve: Serve) -> None:
    served = serve(answer_seconds=1)
    served.pushes.changing.held = Deferred(lambda _: None)
    assert not any("author" in item for item in await found(served, "/self-serve/try"))


@twisted_test()
async def test_changes_are_read_once_for_each_read_of_a_list(serve: Serve) -> None:
    served = serve(cache_seconds=60)
    for _ in range(3):
        await found(served, "/self-serve/try")
    assert served.pushes.changing.calls == [("changes", (REVISION,))]


@twisted_test()
async def test_a_row_without_a_known_push_looks_as_it_always_did(served: Served) -> None:
    served.pushes.known = [Change(1, "cedar", REVISION, "ann", "elsewhere", NOW)]
    for item in await found(served, "/self-serve/try"):
        assert not item.keys() & {"author", "comments"}


def test_a_subject_is_one_bounded_line() -> None:
    assert Change(1, "try", REVISION, "ann", "", 0).subject == ""
    assert Change(1, "try", REVISION, "ann", "\n a\nb", 0).subject == "a"
    assert len(Change(1, "try", REVISION, "ann", "x" * 999, 0).subject) == SUBJECT_MAX
