"""Wait times: blocks, percentiles, who still waits, and which pool that is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.report_rows import Waiting
from buildapi.reports.grid import GvizTable
from buildapi.reports.wait_times import WaitTimesQuery, WaitTimesReport, pool_of
from buildapi.reports.window import Window
from tests.reports.recorded import rules

START, END = 1_486_500_000, 1_486_586_400
BUILD = "Linux mozilla-central build"
UTC = ZoneInfo("UTC")


def row(id_: int, start: int | None, change: int | None = START, **more: Any) -> Waiting:
    values = {"buildername": BUILD, "submitted_at": START, "claimed_by_name": "m1"} | more
    return Waiting(
        request_id=id_, start_time=start, change_time=change, **{"complete": False} | values
    )


def report(rows: Sequence[Waiting], **asked: Any) -> WaitTimesReport:
    window = Window(START, END, 7200)
    made = WaitTimesReport(
        WaitTimesQuery("buildpool", window, **asked), ["m1:/builds/m1"], UTC, END
    )
    made.add(rows, rules())
    return made


def test_the_document_has_the_keys_of_the_original() -> None:
    """New keys stand beside them [docs/compatibility.md, "Reports"]."""
    rows = [
        row(1, START + 10),
        row(2, START + 16 * 60),
        row(3, START + 14_500, change=START + 14_400),
        row(4, None, submitted_at=START + 50),
        row(5, START, buildername="Firefox mozilla-central linux l10n dep"),
    ]
    nothing = [0] * 11
    first, both = [1, *nothing], [1, 0, 1, *[0] * 9]
    blocks = {"0": {"total": 2, "intervals": both}, "15": {"total": 1, "intervals": first}}
    document = dict(report(rows).document())
    assert document.pop("waiting")
    assert document.pop("percentiles")
    assert document["platforms"]["linux-mock"].pop("percentiles")
    assert document == {
        "pool": "buildpool",
        "masters": ["m1:/builds/m1"],
        "starttime": START,
        "endtime": END,
        "int_size": 7200,
        "mpb": 15,
        "maxb": 120,
        "no_changes": 0,
        "otherplatforms": [],
        "unknownbuilders": ["Firefox mozilla-central linux l10n dep"],
        "pending": [BUILD],
        "total": 3,
        "wt": blocks,
        "platforms": {"linux-mock": {"total": 3, "wt": blocks}},
    }


Waits = st.lists(st.integers(-100, 50_000), min_size=1, max_size=40)


@given(Waits, st.integers(1, 40), st.integers(0, 200))
def test_blocks_against_counting(waits: list[int], mpb: int, maxb: int) -> None:
    made = report([row(i, START + w) for i, w in enumerate(waits)], mpb=mpb, maxb=maxb)
    limit = maxb // mpb * mpb
    expected: dict[str, int] = {}
    for wait in waits:
        block = max(0, wait) // 60 // mpb * mpb
        block = min(block, limit) if limit else block
        expected[str(block)] = expected.get(str(block), 0) + 1
    document = made.document()
    assert {b: e["total"] for b, e in document["wt"].items() if e["total"]} == expected
    assert list(document["wt"]) == [str(b) for b in range(0, max(map(int, expected)) + mpb, mpb)]
    assert document["maxb"] == limit
    assert document["total"] == len(waits)


@given(Waits)
def test_so_many_percent_waited_at_most_so_long(waits: list[int]) -> None:
    """A wait below zero is not known, and counts for none of them."""
    found = report([row(i, START + w) for i, w in enumerate(waits)]).document()["percentiles"]
    minutes = [w / 60 for w in waits if w >= 0]
    assert bool(found) is bool(minutes)
    for share, value in found.items():
        at_most = sum(m <= value + 0.006 for m in minutes)
        below = sum(m < value - 0.006 for m in minutes)
        assert at_most * 100 >= int(share) * len(minutes)
        assert below * 100 < int(share) * len(minutes)


def test_what_has_no_change_counts_from_its_submission() -> None:
    made = report([row(1, START + 60, change=None, submitted_at=START + 30)])
    assert made.document()["no_changes"] == 1
    assert made.document()["percentiles"]["50"] == 0.5


def test_what_begins_before_the_window_is_in_its_first_interval() -> None:
    made = report([row(1, START + 60, change=START - 10_000)])
    assert [e["intervals"][0] for e in made.document()["wt"].values()][-1] == 1


def test_who_waits_longest_comes_first_and_what_is_over_does_not_wait() -> None:
    rows = [
        row(1, None, change=START + 100),
        row(2, None, change=START + 50),
        row(3, None, complete=True),
        row(4, None, change=END + 5),
    ]
    document = report(rows).document()
    waits = [(w["request_id"], w["seconds"]) for w in document["waiting"]]
    assert waits == [(2, END - START - 50), (1, END - START - 100), (4, 0)]
    assert document["pending"] == [BUILD] * 4


def test_a_chart_has_counts_or_percent_by_interval() -> None:
    rows = [row(1, START + 10), row(2, START + 16 * 60), row(3, START + 30 * 3600)]
    full, share = report(rows).chart(), report(rows, num="ptg").chart()
    assert isinstance(full, GvizTable)
    assert isinstance(share, GvizTable)
    assert [c[1] for c in full.columns][:3] == ["Interval", "0-15", "15-30"]
    assert full.columns[-1][1] == "120+"
    assert full.rows[0][1:3] == [1, 1]
    assert sum(share.rows[0][1:]) == 100
    assert sum(share.rows[1][1:]) == 0


def test_nothing_at_all_is_a_report_too() -> None:
    made = report([])
    assert made.document()["wt"] == {}
    assert made.facts()
    assert next(g.rows for g in made.grids())
    assert made.pictures()


def test_a_pool_works_for_the_slaves_it_took_most_for() -> None:
    builders = {"a": "p1", "b": "p1", "c": "p2", "d": None}
    claims = [("a", "m1", 3), ("b", "m2", 4), ("b", "m3", 2), ("c", "m2", 1), ("d", "m1", 9)]
    pools = {"m1": "one", "m2": "two", "m3": "one", "m4": None}
    assert pool_of(builders, claims, pools.get) == {"p1": "one", "p2": "two"}
