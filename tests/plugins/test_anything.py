"""Whatever the service answers, the plugin gives one line and one of four exit codes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.plugins.answering import FAILED, HEALTHY, Answering, Page
from tests.plugins.running import KINDS, run

STATUS_KINDS = tuple(kind for kind in KINDS if kind != "http")
OPTIONS = {
    "pending": ("--pool", "linux", "--pool", "nope"),
    "queue": ("--unacked-warning", "@5:7", "--queue", "requests"),
    "db": ("-w", "~:0.5", "--lag-critical", "10:20"),
    "masters": ("-c", "50:100", "--age-warning", "100"),
}

leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["|", "\x1b[2J", "a\nb", "\ud800", "\u202e", "x" * 5000, "failed", "requests"]
    )
)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List the paths of everything in a document."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any, *, lost: bool) -> Any:
    """Put something else at a place, or take away what is there."""
    if not path:
        return value
    document = copy.deepcopy(document)
    at = document
    for key in path[:-1]:
        at = at[key]
    if lost:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


def changes(document: Any) -> st.SearchStrategy[Any]:
    """Make documents with one thing changed or missing."""
    return st.builds(
        lambda path, value, lost: changed(document, path, value, lost=lost),
        st.sampled_from(list(places(document))),
        leaves | anything,
        st.booleans(),
    )


def text_of(value: Any) -> bytes:
    return json.dumps(value).encode()


@given(status=changes(HEALTHY) | anything)
@settings(max_examples=60)
def test_any_status_gives_one_line_and_a_state(answering_once: Answering, status: Any) -> None:
    service = answering_once
    service.heal()
    service.pages["/status"] = Page(text_of(status))
    for kind in STATUS_KINDS:
        run(kind, "--url", service.url).check(kind)
        if kind in OPTIONS:
            run(kind, "--url", service.url, *OPTIONS[kind]).check(kind)


@given(failed=changes(FAILED) | anything)
@settings(max_examples=60)
def test_any_list_of_jobs_gives_one_line_and_a_state(
    answering_once: Answering, failed: Any
) -> None:
    answering_once.heal()
    answering_once.pages["/self-serve/jobs"] = Page(text_of(failed))
    run("jobs", "--url", answering_once.url).check("jobs")


@given(
    body=st.binary(max_size=300) | anything.map(text_of),
    code=st.integers(200, 599),
    reason=st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=30),
)
@settings(max_examples=60)
def test_any_page_gives_one_line_and_a_state(
    answering_once: Answering, body: bytes, code: int, reason: str
) -> None:
    answering_once.every(Page(body, code, reason=reason))
    done = run("http", "--url", answering_once.url).check("http")
    assert code == 200 or done.code == 2


@pytest.mark.parametrize("kind", STATUS_KINDS)
@pytest.mark.parametrize("key", ["farm", "jobs", "agents", "agents_error", "broker", "masters"])
def test_a_part_that_is_missing_is_named(service: Answering, kind: str, key: str) -> None:
    status = changed(HEALTHY, (key,), None, lost=True)
    service.pages["/status"] = Page(text_of(status))
    done = run(kind, "--url", service.url).check(kind)
    assert done.code == 0 or (done.code == 3 and f"status lacks {key!r}" in done.line)
