"""What is remembered for listeners, and who is told what."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.web.events.event_buffer import (
    BUILD,
    JOB,
    Event,
    EventBuffer,
    Subscription,
    wish,
    written,
)
from buildapi.web.http.json_body import encode

ITEM = Event(BUILD, b"{}", "try", "abcdef0123456789")
OTHER = Event(BUILD, b"{}", "cedar", None)
MINE = Event(JOB, b"{}", "try", None, 5, "zoë")
THEIRS = Event(JOB, b"{}", None, None, 6, "ann")
EVERYTHING = Subscription()
ALL = [ITEM, OTHER, MINE, THEIRS]


@pytest.mark.parametrize(
    ("query", "granted"),
    [
        ({}, ALL),
        ({"branch": ["try"]}, [ITEM, MINE]),
        ({"branch": ["try", "cedar"]}, [ITEM, OTHER, MINE]),
        ({"revision": ["abcdef012345ffff"]}, [ITEM]),
        ({"revision": ["abcdef"], "branch": ["cedar"]}, []),
        ({"job": ["5"]}, [MINE]),
        ({"job": ["mine"]}, [MINE]),
        ({"job": ["all"]}, [MINE, THEIRS]),
        ({"branch": ["try"], "job": ["6"]}, [ITEM, THEIRS]),
        ({"branch": [""], "job": [""]}, ALL),
    ],
)
def test_who_wishes_is_told_that_and_nothing_else(
    query: dict[str, list[str]], granted: list[Event]
) -> None:
    wanted = wish(query, "zoë")
    assert [event for event in ALL if wanted.grants(event)] == granted


@pytest.mark.parametrize(
    ("query", "who"),
    [
        ({"job": ["x"]}, "zoë"),
        ({"job": ["-1"]}, "zoë"),
        ({"job": ["mine"]}, None),
        ({"branch": ["b"] * 101}, "zoë"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(query: dict[str, list[str]], who: str | None) -> None:
    with pytest.raises(BadRequest):
        wish(query, who)


@given(st.integers(1, 20), st.lists(st.integers(0, 9), max_size=20), st.integers(-3, 120))
def test_a_memory_gives_all_after_a_number_or_says_that_it_cannot(
    size: int, batches: list[int], number: int
) -> None:
    memory, added = EventBuffer("m", size), list[Event]()
    for length in batches:
        events = [Event(BUILD, b'{"n":%d}' % (len(added) + i)) for i in range(length)]
        memory.add(events)
        added += events
    found = memory.after(number, EVERYTHING)
    assert memory.has_after(number) == (found is not None)
    if found is None:
        assert number < len(added) - size or number > len(added) or number < 0
    else:
        told = [
            written(BUILD, memory.id_of(number + 1 + i), event.data)
            for i, event in enumerate(added[number:])
        ]
        assert found == b"".join(told)


def test_clients_with_the_same_subscription_share_the_bytes() -> None:
    memory = EventBuffer("m", 9)
    memory.add(ALL)
    first = memory.after(1, wish({"branch": ["cedar"], "job": ["mine"]}, "zoë"))
    assert memory.after(1, wish({"job": ["mine"], "branch": ["cedar"]}, "zoë")) is first
    theirs = memory.after(1, wish({"branch": ["cedar"], "job": ["mine"]}, "ann"))
    assert (first, theirs) == (
        written(BUILD, "m-2", b"{}") + written(JOB, "m-3", b"{}"),
        written(BUILD, "m-2", b"{}") + written(JOB, "m-4", b"{}"),
    )
    memory.add([OTHER])
    assert memory.after(4, EVERYTHING) == written(BUILD, "m-5", b"{}")


def test_an_id_is_known_only_to_the_memory_it_is_of() -> None:
    memory = EventBuffer("ab12", 3)
    assert memory.number_of(memory.id_of(7)) == 7
    for text in ("", "7", "ab13-7", "ab12-", "ab12--7", "ab12-x"):
        assert memory.number_of(text) is None


@given(st.dictionaries(st.text(), st.text()))
def test_no_data_ends_an_event_too_early(data: dict[str, str]) -> None:
    lines = written(BUILD, "m-1", encode(data)).split(b"\n")
    assert lines[:2] == [b"id: m-1", b"event: build"]
    assert lines[3:] == [b"", b""]
    assert json.loads(lines[2].removeprefix(b"data: ")) == data


def test_a_wish_for_nothing_is_one_for_everything() -> None:
    assert all(Subscription().grants(event) for event in ALL)
