"""Lists of pushes, as tables and as JSON."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from buildapi.cli.push_rows import counts, result
from tests.cli.fake import Asked, Reply, fake
from tests.cli.running import buildapi
from tests.cli.test_watch import HOSTILE


def push(number: int = 1, **more: Any) -> dict[str, Any]:
    found = {"failure": 2, "success": 3, "pending": 1}
    return {
        "branch": "try",
        "revision": f"{number:040x}",
        "author": "ann@example.org",
        "comments": "Bug 1 - mend it",
        "when": 1000 + number,
        "changes": 2,
        "revlink": None,
        "counts": found,
        "job_complete": False,
        "job_passed": False,
        "started": 1100,
        "ended": None,
        "expected_seconds": 90,
        **more,
    }


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "not done"),
        ({"counts": {}}, "no jobs"),
        ({"counts": {}, "jobs_omitted": True}, "too many jobs"),
        ({"job_complete": True}, "failed"),
        ({"job_complete": True, "job_passed": True}, "passed"),
    ],
)
def test_a_push_has_a_word_for_its_result(more: dict[str, Any], words: str) -> None:
    assert result(push(**more)) == words


def test_failures_are_counted_first() -> None:
    found = {"pending": 3, "success": 120, "exception": 1, "failure": 2, "running": 0}
    assert counts(found) == "2 failure, 1 exception, 3 pending, 120 success"


def test_a_push_is_a_row_with_whose_it_is_and_how_its_jobs_are() -> None:
    with fake(lambda _: Reply(200, {"pushes": [push()], "next": None})) as server:
        done = buildapi("pushes", "try", "--utc", "--url", server.url)
        of_user = buildapi("user", "ann@example.org", "--url", server.url)
        of_all = buildapi("pushes", "--all", "--failures", "--author=ann", "--url", server.url)
    assert (done.code, done.err) == (0, "")
    head, row = done.out.decode().splitlines()
    assert head.split() == ["revision", "author", "when", "result", "left", "jobs", "comment"]
    words = "ann@example.org 1970-01-01 00:16:41 not done 1m 30s 2 failure, 1 pending, 3 success"
    assert " ".join(row.split()) == f"{'0' * 12} {words} Bug 1 - mend it"
    assert all(b"try" in each.out for each in (of_user, of_all))
    paths = [urlsplit(asked.path) for asked in server.asked]
    users = "/self-serve/user/ann%40example.org"
    assert [p.path for p in paths] == ["/self-serve/try/pushes", users, "/self-serve/pushes"]
    assert parse_qs(paths[0].query) == {"limit": ["20"], "jobs": ["0"]}
    asked_of_all = {"limit": ["20"], "jobs": ["0"], "failures": ["1"], "author": ["ann"]}
    assert parse_qs(paths[2].query) == asked_of_all


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_what_filters_leave_is_read_on_until_the_limit(more: tuple[str, ...]) -> None:
    """Read on where an answer has fewer than the limit and says that there are more."""

    def answer(asked: Asked) -> Reply:
        place = parse_qs(urlsplit(asked.path).query).get("after", ["0-"])[0]
        number = int(place.partition("-")[0]) + 1
        following = f"/b/self-serve/try/pushes?state=failure&after={number}-ab%20c"
        return Reply(200, {"pushes": [push(number)], "next": following})

    with fake(answer) as server:
        args = ("pushes", "try", "--state=failure", "--limit=3", *more, "--url", server.url)
        done = buildapi(*args)
    assert done.code == 0
    queries = [parse_qs(urlsplit(asked.path).query) for asked in server.asked]
    assert [q.get("after") for q in queries] == [None, ["1-ab c"], ["2-ab c"]]
    assert [q["limit"] for q in queries] == [["3"], ["2"], ["1"]]
    if more:
        document = json.loads(done.out)
        assert [p["when"] for p in document["pushes"]] == [1001, 1002, 1003]
        assert document["next"].endswith("after=3-ab%20c")
    else:
        assert done.err == "The newest 3 pushes; there may be more (--limit, --until).\n"


def test_a_search_that_finds_nothing_ends() -> None:
    following = "/self-serve/pushes?after=1-a"
    with fake(lambda _: Reply(200, {"pushes": [], "next": following})) as server:
        done = buildapi("pushes", "try", "--author", "zoe", "--url", server.url)
    assert done.code == 0
    assert done.err.splitlines()[0] == "No such pushes on try."
    assert "Older pushes not read" in done.err
    assert len(server.asked) == 10


@pytest.mark.parametrize("arguments", [["pushes"], ["pushes", "try", "--all"]])
def test_a_branch_or_all_of_them_are_asked_for(arguments: list[str]) -> None:
    done = buildapi(*arguments)
    assert done.code == 2
    assert "a BRANCH is required, or --all" in done.err


@pytest.mark.parametrize("body", [[], {}, {"pushes": 1, "next": None}, {"pushes": [1], "next": 3}])
def test_an_answer_of_something_else_is_no_traceback(body: Any) -> None:
    with fake(lambda _: Reply(200, body)) as server:
        done = buildapi("pushes", "try", "--url", server.url)
    assert done.code == 7
    assert "Traceback" not in done.err


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_hostile_push_is_one_plain_row(text: str) -> None:
    hostile = push(author=text, comments=text, branch=text, revision=text)
    recent = {
        "slavename": text,
        "buildername": text,
        "buildnumber": 1,
        "master": text,
        "result": 2,
        "starttime": 1,
        "endtime": 2,
    }
    answers = {
        "pushes": {"pushes": [hostile], "next": None},
        "user": {"pushes": [hostile], "next": None},
        "recent": [recent],
        "lookup": {"found": [f"/self-serve/{text}"]},
    }
    for name, document in answers.items():
        with fake(lambda _, told=document: Reply(200, told)) as server:
            asked = {"pushes": "try", "user": "ann", "recent": "w", "lookup": "abcdef"}[name]
            done = buildapi(name, asked, "--url", server.url)
            as_json = buildapi(name, asked, "--json", "--url", server.url)
        lines = done.out.decode().splitlines()
        assert (done.code, len(lines)) == (0, 1 if name == "lookup" else 2), (name, done)
        assert all(line.isprintable() for line in [*lines, *done.err.splitlines()]), name
        assert json.loads(as_json.out) == document
        assert as_json.out.isascii()
