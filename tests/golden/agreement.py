"""What stays the same where a recorded case differs: the rest of the answer, or of the effect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from buildapi.jobs.new_builds import CHANGE_FAILED
from tests.golden.compare import belongs, normal, owned
from tests.golden.databases import Farm
from tests.golden.replay import Seen

Case = Mapping[str, Any]


def bad_property_is_raw(case: Case, request: Any) -> bool:
    """Look for the one property that no program can decode."""
    return request["properties"]["bad"] in ("('a', 'b')", '{"a": 1}')


def odd_property_is_raw(case: Case, request: Any) -> bool:
    """Compare all but the property whose stored value is a JSON text."""
    odd = request["properties"]["odd"]
    recorded = case["body"]
    same = request | {"properties": request["properties"] | {"odd": "a"}}
    return bool(odd == '"abc"' and normal(same) == normal(recorded))


def only_try_builders(case: Case, names: Any) -> bool:
    """Compare with the recorded names without those of two other branches."""
    others = ("gaia-try", "try-comm-central")
    return sorted(names) == sorted(n for n in case["body"] if not any(o in n for o in others))


def coalesced_requests_follow(case: Case, build: Any) -> bool:
    """Compare the build and its own request, and name the others."""
    first, *others = build["requests"]
    ids = [request["request_id"] for request in others]
    numbers = [first["request_id"] + 1, first["request_id"] + 2]
    return bool(build | {"requests": [first]} == case["body"] and sorted(ids) == numbers)


def each_request_once(case: Case, found: Any) -> bool:
    """Compare with the recorded lists without their repetitions."""
    once = {
        part: [_single(item) for item in _distinct(items)] for part, items in case["body"].items()
    }
    return bool(normal(_without_claimed(found)) == normal(once))


NULL_CLAIM = 105817
"""The request of the recorded farm whose row has NULL for the time of its claim."""


def claimed_ones_are_listed(case: Case, found: Any) -> bool:
    """Compare all but what a master has claimed, or NULL in the row, and has no build yet."""
    left = _without_claimed(found)
    return bool(left != found and normal(left) == normal(owned(case)))


def _without_claimed(found: Any) -> Any:
    if isinstance(found, dict):
        return {part: _without_claimed(items) for part, items in found.items()}
    return [{k: v for k, v in i.items() if k != "abandoned"} for i in found if not _is_claimed(i)]


def _is_claimed(item: Mapping[str, Any]) -> bool:
    claimed = "claimed_by_name" in item or item.get("request_id") == NULL_CLAIM
    return "build_id" not in item and claimed


def names_its_master(case: Case, request: Any) -> bool:
    """Compare all but the master that has claimed a request whose build is not there yet."""
    rest = {key: value for key, value in request.items() if key != "claimed_by_name"}
    return bool(request["claimed_by_name"] and normal(rest) == normal(case["body"]))


def null_is_0(case: Case, request: Any) -> bool:
    """Compare all but the time of the claim, which was null."""
    return bool(request["claimed_at"] == 0 and request | {"claimed_at": None} == case["body"])


def is_abandoned(case: Case, build: Any) -> bool:
    """Compare all but the word that nobody works on the build."""
    rest = {key: value for key, value in build.items() if key != "abandoned"}
    return bool(build["abandoned"] is True and normal(rest) == normal(case["body"]))


def gets_its_priority(case: Case, seen: Seen) -> bool:
    """Look whether nothing but the priority of the request was changed."""
    (changed,) = seen.scheduler["buildrequests"]["changed"]
    return len(seen.scheduler) == 1 and changed["key"] == NULL_CLAIM and done(case, seen)


def _single(item: Any) -> Any:
    return item | {"requests": _distinct(item["requests"])} if "requests" in item else item


def _distinct(items: Sequence[Any]) -> Sequence[Any]:
    return [item for i, item in enumerate(items) if item not in items[:i]]


def only_reads(case: Case, seen: Seen) -> bool:
    """Look whether nothing happened."""
    return seen.nothing


def creates_nothing(case: Case, seen: Seen) -> bool:
    """Look at the report and at the scheduler database."""
    return not seen.scheduler and _report(seen) == {"errors": True, "msg": "No builds to create"}


def done(case: Case, seen: Seen) -> bool:
    """Look whether the job was done, as it would have been for a form."""
    return bool(seen.scheduler) and _report(seen) == {"errors": False, "msg": "Ok"}


def build_is_complete(case: Case, seen: Seen) -> bool:
    """Look whether the job says so, and no master was asked anything."""
    complete = {"errors": False, "msg": "Build is complete, nothing to do"}
    return not seen.asked and _report(seen) == complete


def buildset_is_completed(case: Case, seen: Seen) -> bool:
    """Compare all but the buildset of the request, which is completed like the request."""
    (changed,) = seen.scheduler["buildsets"]["changed"]
    rest = {table: change for table, change in seen.scheduler.items() if table != "buildsets"}
    (request,) = rest["buildrequests"]["changed"]
    return bool(rest == case["scheduler_diff"] and changed["after"] == request["after"])


def others_are_left_alone(case: Case, seen: Seen) -> bool:
    """Compare all but the requests of no branch, and the buildsets that are completed."""
    what = json.loads(seen.published("requests")[0].row["what"])
    recorded = case["scheduler_diff"]["buildrequests"]["changed"]
    branches = _branches([change["key"] for change in recorded])
    kept = [c for c in recorded if belongs(branches[c["key"]], what["branch"])]
    others = {f"{key}: Ok" for key in branches} - {f"{c['key']}: Ok" for c in kept}
    lines = json.loads(case["finished"][0]["body_raw"])["body"]["msg"].split("\n")
    ended = {json.dumps(c["after"]) for c in seen.scheduler["buildsets"]["changed"]}
    return (
        bool(others)
        and seen.scheduler.keys() == {"buildrequests", "buildsets"}
        and seen.scheduler["buildrequests"] == {"changed": kept}
        and ended == {json.dumps(c["after"]) for c in kept}
        and _report(seen)["msg"].split("\n") == [line for line in lines if line not in others]
    )


def _branches(brids: Sequence[int]) -> Mapping[int, str]:
    """Find the stored branches of requests."""
    tables = Farm.recorded().scheduler
    stamps = {row["id"]: row["branch"] for row in tables["sourcestamps"]}
    buildsets = {row["id"]: stamps[row["sourcestampid"]] for row in tables["buildsets"]}
    rows = tables["buildrequests"]
    return {row["id"]: buildsets[row["buildsetid"]] for row in rows if row["id"] in brids}


def change_failed(case: Case, seen: Seen) -> bool:
    """Look whether the report says what has failed, and an item why."""
    report = seen.published("finished")[0].body
    (item,) = report["items"]
    said = report["body"] == {"errors": True, "msg": CHANGE_FAILED}
    return said and "No space left on device" in item["detail"]


def _report(seen: Seen) -> Any:
    return seen.published("finished")[0].body["body"]
