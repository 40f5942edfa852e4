"""Every recorded report, on SQLite and on MariaDB."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import defer

from buildapi.model.results import CANCELLED
from tests.farmwide.recorded import in_files, on_server
from tests.golden.cases import Case, load
from tests.golden.client import Answer, ask
from tests.golden.compare import unequal
from tests.reports.differences import DIFFERENCES, Difference
from tests.reports.recorded import recorded_site

ADDED = {
    "percentiles",
    "waiting",
    "contradictory",
    "hours",
    "authors_used",
    "authors_not_used",
    "median_run_time",
    "p95_run_time",
}
"""Keys that are new."""

TYPES = {"json": "application/json", "chart": "text/javascript", "text": "text/csv"}
CALL = "google.visualization.Query.setResponse("


def cases() -> Sequence[Case]:
    """List the reports."""
    recorded = [c for c in load("get.json.gz") if c["group"] == "reports"]
    return [Case(c["name"], json.dumps(c).encode()) for c in recorded]


def listed(name: str) -> Difference | None:
    return next((d for d in DIFFERENCES if d.covers(name)), None)


Answers = Mapping[str, tuple[Answer, Answer]]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def answers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Ask all of one site; give the answers by case: to it, and to what it says to ask instead."""
    if request.param == "sqlite":
        urls = in_files(tmp_path_factory.mktemp("reports"))
    else:
        urls = on_server(request.getfixturevalue("mariadb"))
    given: Answers = pytest_twisted.blockon(defer.ensureDeferred(_ask_all(urls)))
    return given


async def _ask_all(urls: Mapping[str, str]) -> Answers:
    found = {}
    async with recorded_site(urls) as port:
        for case in cases():
            wanted, known = case.recorded["request"], listed(case.name)
            answer = other = await ask(port, wanted)
            if known is not None and known.instead is not None:
                other = await ask(port, wanted | {"path": known.instead(wanted["path"])})
            found[case.name] = answer, other
    return found


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_report_is_as_recorded_or_as_the_table_of_differences_says(
    case: Case, answers: Answers
) -> None:
    answer, other = answers[case.name]
    recorded, known = case.recorded, listed(case.name)
    found = differences(recorded, answer)
    if known is None:
        assert not found, "\n".join(f"{r} {text}" for r, text in found.items())
        return
    assert found.keys() == known.respects, found or "it is equal now: unlist it"
    assert known.status == answer.status, answer
    assert known.msg in answer.body.decode().replace("&#39;", "'"), answer
    if known.agree is not None:
        shown = {**recorded, "body": renamed(parsed(recorded["body"]))}
        assert known.agree(shown, parsed(other.body.decode())), other


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_recorded_report_is_answered_as_documented(case: Case, answers: Answers) -> None:
    answer, _ = answers[case.name]
    assert answer.undocumented(case.recorded["request"]) == []


def differences(case: Mapping[str, Any], answer: Answer) -> dict[str, str]:
    found = unequal("status", case["status"], answer.status)
    if found or answer.status != 200:
        return found
    kind = "chart" if CALL in str(case.get("body"))[: len(CALL) + 1] else case["kind"]
    if kind == "none" or "<html" in str(case.get("body"))[:200]:
        return {}
    if case["request"]["headers"].get("Accept") == "application/json":
        return {}  # pages were not recorded, and JSON is what is asked for
    found |= unequal("type", TYPES[kind], answer.media_type)
    old, new = renamed(parsed(case["body"])), parsed(answer.body.decode())
    return found | unequal("body", in_order(old), in_order(without_additions(old, new)))


def renamed(value: Any) -> Any:
    """Name result 6 as everywhere, in recordings that had no word for it."""
    if isinstance(value, list):
        return [renamed(item) for item in value]
    if not isinstance(value, dict):
        return value
    word = {"results_str": "cancelled"} if value.get("results") == CANCELLED else {}
    return {key: renamed(item) for key, item in value.items()} | word


def parsed(body: Any) -> Any:
    """Parse a body that may be JSON, a chart, or a text."""
    if not isinstance(body, str):
        return body
    if body.startswith(CALL):
        return json.loads(body[len(CALL) : body.rindex(")")])
    try:
        return json.loads(body)
    except ValueError:
        return body


def without_additions(old: Any, new: Any) -> Any:
    """Leave out keys that are new, unless they were there."""
    if isinstance(new, dict):
        before = old if isinstance(old, dict) else {}
        kept = {k: v for k, v in new.items() if k in before or k not in ADDED}
        return {k: without_additions(before.get(k), v) for k, v in kept.items()}
    if isinstance(new, list):
        return [without_additions(None, v) for v in new]
    return new


def in_order(value: Any) -> Any:
    """Put lists of objects and of names into an order: they had none; numbers keep theirs."""
    if isinstance(value, dict):
        return {key: in_order(item) for key, item in value.items()}
    if not isinstance(value, list) or not value or isinstance(value[0], int | float):
        return value
    return sorted(map(in_order, value), key=lambda v: json.dumps(v, sort_keys=True))


@pytest.mark.parametrize("pattern", [p for d in DIFFERENCES for p in d.cases])
def test_a_pattern_of_the_table_stands_for_one_entry(pattern: str) -> None:
    names = [case.name for case in cases()]
    covered = [n for n in names if any(pattern in d.cases and d.covers(n) for d in DIFFERENCES)]
    assert covered
    assert all(sum(d.covers(n) for d in DIFFERENCES) == 1 for n in covered)
