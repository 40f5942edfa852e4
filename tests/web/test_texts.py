"""What the scheduler database cannot store is refused before a job request is accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.reactor import twisted_test
from tests.web.batching import Hanging, answered
from tests.web.client import JSON, Answer
from tests.web.conftest import ZOE, Served
from tests.web.farm import database_down
from tests.web.jobcases import BUILDER, REV, REVISION

ROCKET = "\U0001f680"
NAME = "Linux try talos/tp5"
WAYS = ("alone", "dry run", "keyed", "batch", "dry batch", "form")
WARNING = "Your name is stored as zo\\xeb@example.org"


async def ask(served: Served, way: str, files: list[str]) -> tuple[int, dict[str, Any]]:
    """Ask for a build of one builder; give status and body of the answer."""
    fields = {"files": json.dumps(files)}
    if "batch" in way:
        entry = {"path": BUILDER, "body": fields}
        query = "?dry_run=1" if way == "dry batch" else ""
        (one,) = await answered(served, [entry], query=query)
        return one["status"], one["body"]
    answer = await _ask(served, way, fields)
    return answer.status, answer.json


async def _ask(served: Served, way: str, fields: dict[str, str]) -> Answer:
    match way:
        case "form":
            filled = {"kind": "builder", "revision": REVISION, "builder": NAME, **fields}
            return await served.ask("POST", "/self-serve/try/new", JSON | ZOE, filled)
        case "dry run":
            return await served.ask("POST", f"{BUILDER}?dry_run=1", JSON | ZOE, fields)
        case "keyed":
            return await served.ask(
                "POST", BUILDER, {**JSON, **ZOE, "Idempotency-Key": "k"}, fields
            )
        case _:
            return await served.ask("POST", BUILDER, JSON | ZOE, fields)


@pytest.mark.parametrize("way", WAYS)
@twisted_test()
async def test_a_text_that_cannot_be_stored_is_refused_before_202(served: Served, way: str) -> None:
    """Alone, as a dry run, in a batch, and from the form."""
    served.limits.foreign = ROCKET
    status, body = await ask(served, way, ["a", f"b{ROCKET}"])
    assert (status, body["code"]) == (400, "bad_request")
    assert body["msg"] == f"Bad files: {ROCKET!r} cannot be stored"
    assert not served.jobs.jobs
    assert not served.broker.published
    status, _ = await ask(served, way, ["a"])
    assert status == (200 if "dry" in way else 202)


@pytest.mark.parametrize("way", WAYS)
@twisted_test()
async def test_a_name_that_cannot_be_stored_is_warned_of(served: Served, way: str) -> None:
    """It is nobody's fault, and cannot be changed: the request is accepted."""
    served.limits.foreign = "\u00eb"
    status, body = await ask(served, way, ["a"])
    said = body["plan"] if "dry" in way else body
    assert (status, said["warnings"]) == (200 if "dry" in way else 202, [WARNING])


@pytest.mark.parametrize("way", ["alone", "batch", "form"])
@pytest.mark.parametrize("hangs", [False, True])
@twisted_test()
async def test_what_is_not_known_is_left_to_the_agent(
    served: Served, way: str, hangs: bool
) -> None:
    """A database that is away, or does not answer in time, refuses no text."""
    served.limits.foreign = ROCKET
    if hangs:
        served.limits.failing = Hanging()
    else:
        served.limits.failing.error = database_down()
    status, _ = await ask(served, way, [ROCKET])
    assert status == 202


@twisted_test()
async def test_a_repeated_key_is_answered_as_before_whatever_can_be_stored(served: Served) -> None:
    headers = {**JSON, **ZOE, "Idempotency-Key": "k"}
    first = await served.ask("POST", BUILDER, headers, {"files": json.dumps([ROCKET])})
    served.limits.foreign = ROCKET
    again = await served.ask("POST", BUILDER, headers, {"files": json.dumps([ROCKET])})
    assert (first.status, again.status) == (202, 202)
    assert first.json["request_id"] == again.json["request_id"]


@twisted_test()
async def test_a_new_build_of_a_revision_is_checked_too(served: Served) -> None:
    served.limits.foreign = "\u00eb"
    answer = await served.ask("POST", REV, JSON | ZOE, {"priority": 1})
    assert (answer.status, answer.json["warnings"]) == (202, [WARNING])
