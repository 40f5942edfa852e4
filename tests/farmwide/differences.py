"""Where the pages differ from the recordings on purpose, case by case, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.farmwide.comparing import in_order, owned
from tests.farmwide.recorded import push_counts
from tests.golden.difference import Difference

ACCEPT = "The Accept header counts here too; these pages did not look at it."
EMPTY = "An empty format is none at all, as on every page; it was refused."
PLAIN = "`%` and `_` are plain characters."
EXACT = 'The name of a branch means what belongs to it, no longer what has it inside: "Branches".'
SLASH = "A branch with an encoded slash is one segment of the path; it was taken for two."
NUMBER = "A number that is none, or out of range, is refused; it crashed."
ALL = "Several branches mean all of these; only the first counted."
SLAVES = "`slave` works in the query too; it crashed."
PENDING = "`pending` is what waits of the revision; it was everything that waits on the branch."
CLAIMED = "What a master has claimed, and whose build is not there yet, is listed; it was nowhere."
QUERY = "Leaving a slash away keeps the query."

MIDNIGHT = 1_434_610_800
"""The last one in the zone of the farm before the recorded time."""

Case = Mapping[str, Any]


def _path(case: Case) -> list[str]:
    path: str = case["request"]["path"]
    return urlsplit(path).path.split("/")[2:]


def _page(case: Case) -> str:
    path: str = case["request"]["path"]
    return urlsplit(path).path.split("/")[1]


def is_empty(_case: Case, now: Any) -> bool:
    """Look for nothing at all."""
    return now in ([], {"pending": {}}, {"running": {}}, {"TOTAL": 0})


def nothing_of_the_revision(_case: Case, now: Any) -> bool:
    """Look for an answer that only says what was asked."""
    return bool(now["all"] == now["pending"] == {})


def counted_anew(case: Case, now: Any) -> bool:
    """Count again, over the recorded rows."""
    branch, *times = map(unquote, _path(case))
    spans = {"today": MIDNIGHT}
    return bool(now == push_counts(branch, *(spans.get(t) or int(t) for t in times)))


def only_the_revision_waits(case: Case, now: Any) -> bool:
    """Compare with what was recorded, without pending requests of other revisions."""
    prefix, body = _path(case)[1], owned(case)
    kept = {
        branch: {rev: requests for rev, requests in revisions.items() if rev.startswith(prefix)}
        for branch, revisions in body["pending"].items()
    }
    expected = body | {"pending": {branch: revs for branch, revs in kept.items() if revs}}
    return bool(in_order(now) == in_order(expected))


def claimed_ones_wait_too(case: Case, now: Any) -> bool:
    """Compare with what was recorded, without what masters have claimed, or NULL in the row."""
    kept = {
        branch: {
            rev: [e for e in entries if "claimed_by_name" not in e and e["id"] not in NULL_CLAIMS]
            for rev, entries in revisions.items()
        }
        for branch, revisions in now["pending"].items()
    }
    full = {b: {rev: entries for rev, entries in r.items() if entries} for b, r in kept.items()}
    left = {"pending": {branch: revs for branch, revs in full.items() if revs}}
    return bool(in_order(left) == in_order(owned(case)))


NULL_CLAIMS = {105817}
"""The request of the recorded farm whose row has no time of a claim, not even 0."""


def both_branches(case: Case, now: Any) -> bool:
    """Look for what was recorded, and for one more branch."""
    ((part, recorded),) = owned({**case, "request": {"path": f"/{_page(case)}/try"}}).items()
    others = {branch: revs for branch, revs in now[part].items() if branch == "cedar"}
    return bool(others and in_order(now[part]) == in_order(recorded | others))


def of_one_path(case: Case, now: Any) -> bool:
    """Compare with what was recorded for the first half of the path."""
    ((part, recorded),) = case["body"].items()
    expected = {"mozilla-inbound": recorded["mozilla-inbound"]}
    return bool(in_order(now[part]) == in_order(expected))


def slave_alone(_case: Case, now: Any) -> bool:
    """Look for builds of the slave asked for."""
    return {build["slavename"] for build in now} == {"bld-linux64-spot-001"}


def _refused(cases: Sequence[str], why: str, msg: str) -> Difference:
    return Difference(cases, why, {"status"}, 400, msg)


def _other(
    cases: Sequence[str], why: str, agree: Callable[[Case, Any], bool], *respects: str
) -> Difference:
    return Difference(cases, why, {*respects} or {"body"}, 200, agree=agree)


DIFFERENCES: Sequence[Difference] = (
    Difference(
        ["pending/accept-json", "running/accept-json", "recent/accept"],
        ACCEPT,
        {"type"},
        200,
    ),
    Difference(["pending[?]format=", "running[?]format="], EMPTY, {"status"}, 200),
    _refused(["recent[?]format=json&numbuilds=abc"], NUMBER, "Bad numbuilds: 'abc'"),
    _refused(["recent[?]format=json&numbuilds=-1"], NUMBER, "Bad numbuilds: '-1'"),
    _refused(["pushes[?]format=json&fromtime=abc", "pushes/b/abc"], NUMBER, "Bad fromtime: 'abc'"),
    _refused(["pushes[?]format=json&totime=abc"], NUMBER, "Bad totime: 'abc'"),
    Difference(
        ["revision/run_unknown_master/html"],
        "A master that is not known is no reason to fail.",
        {"status"},
        200,
    ),
    _other(
        [
            "pending/%25",
            "running/%25",
            "recent/%25[?]format=json",
            "recent/%25[?]format=json&greedy=0&numbuilds=2",
            "recent/bld-linux64-spot-00_[?]format=json",
            "recent/bld-linux64-spot-00_[?]format=json&greedy=0&numbuilds=2",
            "pushes/%25*",
        ],
        PLAIN,
        is_empty,
    ),
    _other(["revision/percent"], PLAIN, nothing_of_the_revision),
    _other(
        [
            "pending[?]format=json",
            "pending[?]format=json&branch=mozilla-central",
            "pending[?]format=json&branch=",
            "pending/mozilla-central",
            "pending/cedar",
            "pending/moz",
            "pending/mozilla-central[?]branch=try",
            "pending/branch/platform",
        ],
        CLAIMED,
        claimed_ones_wait_too,
    ),
    _other(
        ["pending[?]format=json&branch=try&branch=cedar", "running[?]*&branch=try&branch=cedar"],
        ALL,
        both_branches,
    ),
    _other(["revision/*/json", "revision/unknown"], PENDING, only_the_revision_waits),
    _other(
        ["pushes/mozilla-central", "pushes/mozilla-central/from", "pushes/try*", "pushes/b/today"],
        EXACT,
        counted_anew,
    ),
    _other(["pending/path-branch", "running/path-branch"], SLASH, of_one_path),
    _other(["pushes/integration%2Fmozilla-inbound*"], SLASH, counted_anew, "status"),
    _other(["recent[?]format=json&slave=*"], SLAVES, slave_alone, "status"),
    Difference(["pushes/b/slash-totime"], QUERY, {"location"}, 301),
)
