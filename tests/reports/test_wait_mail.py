"""The mail about wait times: what it says, and that nothing in it is taken for markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import tinyhtml5
from hypothesis import given
from hypothesis import strategies as st

from buildapi.reports.wait_mail import Mail, NoReportError, mail_of, read_report, shown

UTC, PACIFIC = ZoneInfo("UTC"), ZoneInfo("US/Pacific")
PAGE = "http://buildapi.example.org/pending"


def block(total: int) -> dict[str, Any]:
    return {"total": total, "intervals": [total]}


REPORT: dict[str, Any] = {
    "pool": "buildpool",
    "masters": ["m1"],
    "starttime": 1_486_500_000,
    "endtime": 1_486_586_400.75,
    "int_size": 7200,
    "mpb": 15,
    "maxb": 90,
    "no_changes": 2,
    "otherplatforms": ["Z builder", "A builder"],
    "unknownbuilders": ["l10n dep"],
    "pending": ["Linux build", "Linux build"],
    "total": 3,
    "wt": {"90": block(1), "0": block(2), "15": block(0)},
    "platforms": {
        "win32": {"total": 1, "wt": {"0": block(1)}},
        "linux": {"total": 2, "wt": {"0": block(1), "90": block(1)}},
    },
    "percentiles": {"50": 1},
    "waiting": [],
}

TEXT = """\
Wait time report for buildpool
from Tue, 07 Feb 2017 20:40:00 +0000 (UTC)
to   Wed, 08 Feb 2017 20:40:00 +0000 (UTC)

Total Jobs: 3

Wait Times
  0:        2    66.67%
 15:        0     0.00%
 90+:        1    33.33%

Platform break down

linux: 2
  0:        1    50.00%
 90+:        1    50.00%

win32: 1
  0:        1   100.00%

The number on the left is how many minutes a build waited to start, rounded down.
Builds with no changes: 2
Rebuilds and forced builds are not counted.

Jobs still waiting (2): Linux build, Linux build

Other platforms: A builder, Z builder

Unknown builders: l10n dep

Pending jobs: http://buildapi.example.org/pending

Generated at Wed, 08 Feb 2017 21:00:00 +0000 (UTC). All times are UTC.
"""


def mail(changes: Mapping[str, Any] | None = None, zone: ZoneInfo = UTC) -> Mail:
    times = read_report({**REPORT, **(changes or {})})
    return mail_of(times, zone, pending_page=PAGE, now=1_486_587_600)


def words(html: str) -> str:
    """Return what a reader of the page reads."""
    root = tinyhtml5.parse(html)
    return " ".join(" ".join(root.itertext()).split())


def test_the_text() -> None:
    assert mail().text == TEXT


def test_the_subject_tells_how_many_started_at_once() -> None:
    assert mail().subject == "Wait: 3/66.67% (buildpool)"


def test_the_page_has_the_same_facts() -> None:
    read = words(mail().html) + PAGE
    for line in TEXT.splitlines():
        for fact in re.split(r" {2,}|: ", line.replace("from ", "").replace("to   ", "")):
            if fact not in {"", "Total Jobs", "Wait Times", "Platform break down", "Pending jobs"}:
                assert fact.removeprefix("Wait time report for ").rstrip(":").strip() in read, fact
    assert PAGE in mail().html


def test_the_bars_need_no_pictures() -> None:
    html = mail().html
    assert 'width="66.7%"' in html
    assert not re.search("<img|<svg|url\\(|<script|<link", html)


def test_a_report_without_jobs_has_no_percentages() -> None:
    empty = mail({"total": 0, "wt": {"0": block(0)}, "platforms": {}, "pending": []})
    assert empty.subject == "Wait: 0/0.00% (buildpool)"
    assert "\n  0:        0\n" in empty.text
    assert "Jobs still waiting" not in empty.text
    nothing = mail({"total": 0, "wt": {}, "platforms": {}})
    assert nothing.subject == "Wait: 0/0.00% (buildpool)"


def test_only_a_last_block_that_is_limited_has_a_plus() -> None:
    assert "+:" not in mail({"maxb": 0}).text


def test_the_first_twenty_waiting_jobs_are_named() -> None:
    text = mail({"pending": [f"b{i:02}" for i in range(25)]}).text
    assert "Jobs still waiting (25): b00, " in text
    assert "b19, ...\n" in text
    assert "b20" not in text
    assert "b19\n" in mail({"pending": [f"b{i:02}" for i in range(20)]}).text


def test_what_is_absent_is_left_out() -> None:
    bare = {k: REPORT[k] for k in ("pool", "starttime", "endtime", "total", "wt")}
    text = mail_of(read_report(bare), UTC, pending_page=PAGE, now=0).text
    assert "Other platforms" not in text


@pytest.mark.parametrize(
    ("zone", "moment", "text"),
    [
        (UTC, 0, "Thu, 01 Jan 1970 00:00:00 +0000 (UTC)"),
        (PACIFIC, 1_486_500_000, "Tue, 07 Feb 2017 12:40:00 -0800 (PST)"),
        (PACIFIC, 1_489_500_000, "Tue, 14 Mar 2017 07:00:00 -0700 (PDT)"),
        (PACIFIC, 1_478_300_000, "Fri, 04 Nov 2016 15:53:20 -0700 (PDT)"),
        (UTC, 1e30, "1000000000000000019884624838656"),
    ],
)
def test_times_are_those_of_a_real_zone(zone: ZoneInfo, moment: float, text: str) -> None:
    assert shown(moment, zone) == text


HOSTILE = "<script>alert(1)</script>&\"'"


def test_values_are_texts_in_the_page() -> None:
    named = {"platforms": {HOSTILE: {"total": 1, "wt": {"0": block(1)}}}, "pending": [HOSTILE]}
    named |= {"pool": HOSTILE, "otherplatforms": [HOSTILE], "unknownbuilders": [HOSTILE]}
    html = mail(named).html
    assert "<script" not in html
    assert words(html).count(HOSTILE) == 6


@pytest.mark.parametrize("pool", ["a\nBcc: eve@example.org", "a\r\nb", "a\u2028b"])
def test_a_subject_is_one_line(pool: str) -> None:
    assert len(mail({"pool": pool}).subject.splitlines()) == 1


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "text",
        {},
        {"status": "FAILED", "msg": "no"},
        {**REPORT, "wt": []},
        {**REPORT, "wt": {"a": block(1)}},
        {**REPORT, "wt": {"0": 1}},
        {**REPORT, "total": None},
        {**REPORT, "platforms": [1]},
        {**REPORT, "starttime": "soon"},
        {**REPORT, "starttime": float("inf"), "total": float("inf")},
    ],
    ids=range(12),
)
def test_what_is_no_report_is_refused(document: Any) -> None:
    with pytest.raises(NoReportError, match="not a wait-time report"):
        read_report(document)


NAMES = st.text(max_size=20)
COUNTS = st.integers(0, 10**6)
BLOCKS = st.dictionaries(st.integers(0, 600).map(str), COUNTS.map(block), max_size=5)


@given(
    pool=NAMES,
    total=COUNTS,
    wt=BLOCKS,
    platforms=st.dictionaries(NAMES, st.fixed_dictionaries({"total": COUNTS, "wt": BLOCKS})),
    pending=st.lists(NAMES),
    starttime=st.floats(allow_nan=False),
)
def test_every_report_makes_a_mail(**changes: Any) -> None:
    made = mail(changes)
    assert len(made.subject.splitlines()) == 1
    assert f"Total Jobs: {changes['total']}" in made.text
