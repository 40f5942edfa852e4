"""The load of the farm over time: /load."""

from __future__ import annotations

from typing import Any

import pytest

from buildapi.errors import DatabaseUnavailable
from buildapi.model.farm_load import LoadSample
from buildapi.web.farm.load_routes import counts_picture, load_json, waits_picture
from tests.reactor import twisted_test
from tests.web.conftest import Served
from tests.web.farm import NOW

JSON = {"Accept": "application/json"}
START = NOW - NOW % 300


def fill(served: Served, *samples: LoadSample) -> None:
    served.loads.stored = {one.at: one for one in samples}


async def ask(served: Served, query: str = "") -> Any:
    answer = await served.ask("GET", f"/load{query}", JSON)
    assert answer.status == 200, answer.body
    return answer.json


@twisted_test(10)
async def test_the_last_day_is_shown_in_steps_of_five_minutes(served: Served) -> None:
    fill(
        served,
        LoadSample(START - 86_400 - 300, 9, 9, 9),
        LoadSample(START - 600, 5, 2, 30),
        LoadSample(START - 540, 4, 3, None),
        LoadSample(START, 0, 0, None),
    )
    assert await ask(served) == {
        "since": NOW - NOW % 60 + 60 - 86_400,
        "until": NOW - NOW % 60 + 60,
        "step": 300,
        "samples": [
            {"at": START - 600, "pending": 5, "running": 3, "longest_wait": 30},
            {"at": START, "pending": 0, "running": 0, "longest_wait": None},
        ],
    }


@twisted_test(10)
async def test_a_span_can_be_asked_for_in_minutes(served: Served) -> None:
    fill(served, *(LoadSample(START + at, at, 0, None) for at in (0, 60, 120)))
    found = await ask(served, f"?since={START + 60}&until={START + 120}&step=60")
    assert [one["at"] for one in found["samples"]] == [START + 60]


@twisted_test(10)
async def test_a_farm_without_samples_has_an_empty_list(served: Served) -> None:
    assert (await ask(served))["samples"] == []


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("since=5&until=5", "since (5) is not before until (5)"),
        ("since=0&until=180060&step=60", "ask for step=61 or more"),
        ("step=59", "60"),
        ("step=x", "step"),
        ("since=yesterday", "yesterday"),
        ("until=2023-13-01", "2023-13-01"),
    ],
)
@twisted_test(10)
async def test_what_cannot_be_answered_is_refused(served: Served, query: str, text: str) -> None:
    answer = await served.ask("GET", f"/load?{query}", JSON)
    assert answer.status == 400
    assert text in answer.json["msg"]


@twisted_test(10)
async def test_samples_that_cannot_be_read_are_unavailable(served: Served) -> None:
    served.loads.failing = DatabaseUnavailable("the jobs database does not respond")
    answer = await served.ask("GET", "/load", JSON)
    assert answer.status == 503
    assert "jobs database" in answer.json["msg"]


@twisted_test(10)
async def test_the_page_has_a_table_beside_each_chart(served: Served) -> None:
    fill(served, LoadSample(START - 600, 512, 2, 90), LoadSample(START, 0, 613, None))
    page = (await served.ask("GET", "/load", {"Accept": "text/html"})).body.decode()
    assert page.count("<figure") == page.count("<table") == 2
    assert '<td class="num">512</td><td class="num">2</td>' in page
    assert '<td class="num">1.5</td>' in page


@twisted_test(10)
async def test_a_page_without_samples_says_so(served: Served) -> None:
    answer = await served.ask("GET", "/load?until=9007199254740991", {"Accept": "text/html"})
    assert answer.status == 200
    assert "No samples of the load in this time." in answer.body.decode()


def test_a_chart_shows_no_line_where_samples_are_missing() -> None:
    found = [LoadSample(at, 1, 2, 60) for at in (0, 300, 1200, 1500)]
    told = load_json(0, 1800, 300, found)
    assert counts_picture(told).grid.rows == [
        (0, 1, 2),
        (300, 1, 2),
        (600, None, None),
        (1200, 1, 2),
        (1500, 1, 2),
    ]
    assert (600, None) in waits_picture(told).grid.rows


HUGE = 2**53


@pytest.mark.parametrize("form", ["html", "json"])
@pytest.mark.parametrize(
    "query",
    [
        f"since={HUGE - 90}&until={HUGE}",
        f"since=-{HUGE}&until=-{HUGE - 90}",
        f"since={'9' * 29}&until={'9' * 30}",
        f"until=-{'9' * 30}",
        "since=0001-01-01&until=0001-01-02",
        "since=9999-12-30T00:00&until=9999-12-31T00:00",
        "until=9999-12-31",
        "since=٣&until=٤",
        "step=٣٠٠",
        "step=1e3",
        "step=-300",
        f"step={'9' * 10_000}",
        "since=" + "1" * 10_000,
        "until=%00",
        "since=1&since=2",
    ],
)
@twisted_test(20)
async def test_any_number_is_a_time_or_refused(served: Served, query: str, form: str) -> None:
    answer = await served.ask("GET", f"/load?{query}&format={form}".encode(), JSON)
    assert answer.status in (200, 400), answer.body
