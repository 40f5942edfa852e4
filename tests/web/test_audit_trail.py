"""What happened to a job: from its trail, or from its record where nothing was noted."""

from __future__ import annotations

import attrs
import pytest

from buildapi.model.ops import CLOCKS_APART, Part, TrailEntry
from buildapi.model.records import JobRecord
from buildapi.web.selfserve.audit_trail import trace_json
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Served
from tests.web.farm import NOW

REPORT = {"body": {"errors": False, "msg": "Ok\nthere"}, "request_id": 1, "trace": "rid-9"}


async def accepted(served: Served) -> int:
    answer = await served.ask(
        "POST", "/self-serve/try/build", {**JSON, **ZOE, "X-Request-Id": "rid-1"}, {"build_id": 11}
    )
    assert answer.status == 202, answer.text
    return int(answer.json["request_id"])


def entry(job: int, at: float, event: str, trace: str = "rid-1") -> TrailEntry:
    return TrailEntry(job, at, "h", Part.AGENT, event, "<b>it</b>", trace)


@twisted_test(8)
async def test_it_tells_the_job_the_id_and_what_happened(served: Served) -> None:
    job = await accepted(served)
    served.trail.noted[:] = [entry(job, NOW + 0.125, "taken"), entry(job, NOW + 1, "reported", "")]
    told = (await served.ask("GET", f"/self-serve/jobs/{job}/trace", JSON)).json
    assert told["job"] == (await served.ask("GET", f"/self-serve/jobs/{job}", JSON)).json
    assert told["trace"] == "rid-1"
    assert told["events"] == [
        {
            "at": NOW + 0.125,
            "host": "h",
            "part": "agent",
            "event": "taken",
            "detail": "<b>it</b>",
            "trace": "rid-1",
        },
        {
            "at": NOW + 1,
            "host": "h",
            "part": "agent",
            "event": "reported",
            "detail": "<b>it</b>",
            "trace": "",
        },
    ]


@twisted_test(8)
async def test_the_page_shows_it_and_the_page_of_the_job_leads_there(served: Served) -> None:
    job = await accepted(served)
    served.trail.noted[:] = [entry(job, NOW + 0.125, "taken")]
    page = (await served.ask("GET", f"/self-serve/jobs/{job}/trace")).text
    assert "rid-1" in page
    assert "taken" in page
    assert "&lt;b&gt;it&lt;/b&gt;" in page
    assert "<b>it" not in page
    shown = (await served.ask("GET", f"/self-serve/jobs/{job}")).text
    assert f'href="/self-serve/jobs/{job}/trace"' in shown


@twisted_test(8)
async def test_an_earlier_job_of_the_same_id_is_not_told_of(served: Served) -> None:
    job = await accepted(served)
    served.trail.noted[:] = [
        entry(job, NOW - CLOCKS_APART - 1, "old"),
        entry(job, NOW - CLOCKS_APART + 1, "early"),
        entry(job + 1, NOW, "other"),
    ]
    told = (await served.ask("GET", f"/self-serve/jobs/{job}/trace", JSON)).json
    assert [e["event"] for e in told["events"]] == ["early"]


@pytest.mark.parametrize("job", ["7", "0", "x", "99999999999999999999"])
@twisted_test(8)
async def test_a_job_nobody_knows_has_none(served: Served, job: str) -> None:
    answer = await served.ask("GET", f"/self-serve/jobs/{job}/trace", JSON)
    assert (answer.status, answer.json["msg"]) == (404, f"Job {job} not found")


def record(**changes: object) -> JobRecord:
    plain = JobRecord(1, "rebuild_build", "zoe", NOW, {})
    return attrs.evolve(plain, **changes)  # type: ignore[arg-type]  # tests know the fields


def test_where_nothing_was_noted_the_record_tells() -> None:
    done = record(complete_data=REPORT, completed_at=NOW + 5, agent="h2")
    told = trace_json(done, [])
    shown = [(e["at"], e["part"], e["event"], e["host"]) for e in told["events"]]
    assert shown == [
        (NOW, "http", "recorded", ""),
        (NOW + 5, "agent", "begun", "h2"),
        (NOW + 5, "finisher", "stored", ""),
    ]
    assert told["events"][2]["detail"] == "Ok there"
    assert told["trace"] == "rid-9"


def test_a_fresh_record_tells_that_it_is_recorded() -> None:
    told = trace_json(record(), [])
    assert [e["detail"] for e in told["events"]] == ["rebuild_build by zoe"]
    assert told["trace"] is None


@pytest.mark.parametrize("data", [{}, {"body": "x"}, {"body": {}, "trace": 5}, {"body": None}])
def test_an_odd_report_does_no_harm(data: dict[str, object]) -> None:
    told = trace_json(record(complete_data=data, completed_at=NOW + 1), [])
    assert [e["event"] for e in told["events"]] == ["recorded", "stored"]
    assert told["trace"] is None
