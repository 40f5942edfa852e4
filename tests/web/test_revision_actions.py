"""Job requests of revisions over HTTP: new builds, and the cancel of all that is open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from msgspec.structs import replace

from buildapi.errors import Unavailable
from buildapi.model.records import RequestDetails
from tests.reactor import twisted_test
from tests.web.client import FORM, JSON, Answer
from tests.web.conftest import ZOE, Serve, Served
from tests.web.jobcases import BUILDER, NEW, REV, REVISION, WHAT

PLAIN_JSON = JSON | ZOE | {"Content-Type": "application/json"}
WITH_PRIORITY = [name for name in NEW if name != "new_build_at_revision"]
WHY_ASCII = "must be 1 to 256 printable ASCII characters: masters fail on anything else"


async def cancel(served: Served, query: str, body: Any) -> Answer:
    """Cancel the revision; a mapping as body is sent as JSON, bytes as a form."""
    if isinstance(body, bytes):
        headers = JSON | ZOE | {"Content-Type": FORM}
        return await served.ask("DELETE", REV + query, headers, body)
    return await served.ask("DELETE", REV + query, PLAIN_JSON, json.dumps(body).encode())


async def build(served: Served, fields: Mapping[str, Any], path: str = BUILDER) -> Answer:
    return await served.ask("POST", path, PLAIN_JSON, json.dumps(fields).encode())


def refused(served: Served, answer: Answer) -> str:
    """Return the text of a 400 that has left nothing behind."""
    assert answer.status == 400, answer
    assert not served.jobs.jobs
    assert not served.broker.published
    return str(answer.json["msg"])


# --- priorities


@pytest.mark.parametrize("priority", ["x", "1.5", "9" * 30, ""])
@twisted_test()
async def test_the_priority_of_what_the_schedulers_build_is_ignored(
    served: Served, priority: str
) -> None:
    answer = await served.ask("POST", REV, JSON | ZOE, {"priority": priority})
    assert answer.status == 202
    assert served.jobs.jobs[1].what == {"branch": "try", "revision": REVISION}


@pytest.mark.parametrize("name", WITH_PRIORITY)
@twisted_test()
async def test_another_new_build_has_a_priority_of_32_bits(served: Served, name: str) -> None:
    method, path, fields = NEW[name]
    for bad in ("x", "1.5", " ", str(2**31), str(-(2**31) - 1), "9" * 40):
        answer = await served.ask(method, path, JSON | ZOE, fields | {"priority": bad})
        assert refused(served, answer) == "Bad priority"
    for good, meant in ((" +4 ", 4), ("", 0), (str(-(2**31)), -(2**31))):
        answer = await served.ask(method, path, JSON | ZOE, fields | {"priority": good})
        assert answer.status == 202
        assert served.jobs.jobs[answer.json["request_id"]].what["priority"] == meant


@pytest.mark.parametrize("name", WITH_PRIORITY)
@twisted_test()
async def test_the_priority_of_a_new_build_does_not_come_from_the_query(
    served: Served, name: str
) -> None:
    method, path, _ = NEW[name]
    answer = await served.ask(method, f"{path}?priority=5", JSON | ZOE)
    told = "Bad priority: send it in the body, not in the query"
    assert refused(served, answer) == told


# --- texts masters cannot read


@pytest.mark.parametrize("end", ["", "/pgo", "/nightly"])
@pytest.mark.parametrize("revision", ["abcd\u00fcef", "abc\nd", "a" * 257, "\x7f"])
@twisted_test()
async def test_a_revision_that_stops_masters_is_refused_with_the_reason(
    served: Served, revision: str, end: str
) -> None:
    path = f"/self-serve/try/rev/{quote(revision, safe='')}{end}"
    answer = await served.ask("POST", path, JSON | ZOE)
    assert refused(served, answer) == f"Bad revision: revision {WHY_ASCII}"


@twisted_test()
async def test_a_branch_that_stops_masters_is_refused_with_the_reason(served: Served) -> None:
    served.directory.definitions["z\u00fcrich"] = {}
    answer = await served.ask("POST", "/self-serve/z%C3%BCrich/rev/abcdef", JSON | ZOE)
    assert refused(served, answer) == f"Bad branch: branch {WHY_ASCII}"


@twisted_test()
async def test_a_builder_that_stops_masters_is_refused_with_the_reason(served: Served) -> None:
    served.directory.listed = ["L\u00fcnux"]
    answer = await served.ask("POST", "/self-serve/try/builders/L%C3%BCnux/abcdef", JSON | ZOE)
    assert refused(served, answer) == f"Bad builder_name: builder_name {WHY_ASCII}"


@pytest.mark.parametrize(
    ("properties", "msg"),
    [
        ("{", "Bad properties: it is not JSON"),
        ("[]", "Bad properties: it is not a JSON object"),
        ("[" * 3000, "Bad properties: it is not JSON"),
        ('{"\\u00fc": 1}', f"the name of property '\u00fc' {WHY_ASCII}"),
        ('{"a": NaN}', "property a must be a JSON value (NaN and Infinity are none)"),
        (json.dumps({"a": "x" * 1020}), "property a must be at most 1024 characters"),
        (json.dumps({f"p{n}": n for n in range(101)}), "at most 100 properties"),
    ],
)
@twisted_test()
async def test_properties_that_cannot_be_stored_are_refused_with_the_reason(
    serve: Serve, properties: str, msg: str
) -> None:
    served = serve(max_body=20_000)
    answer = await served.ask("POST", BUILDER, JSON | ZOE, {"properties": properties})
    assert msg in refused(served, answer)


@pytest.mark.parametrize(
    ("files", "msg"),
    [
        ("f", "Bad files: it is not JSON"),
        ('{"f": 1}', "Bad files: it is not a JSON list"),
        ("[1]", "files must be a JSON list of texts of 1 to 1024 printable characters"),
        ('[""]', "files must be a JSON list of texts of 1 to 1024 printable characters"),
        ('["a\\nb"]', "files must be a JSON list of texts of 1 to 1024 printable characters"),
        (json.dumps(["f"] * 1001), "files must be a JSON list of at most 1000 texts"),
    ],
)
@twisted_test()
async def test_files_that_cannot_be_sent_are_refused_with_the_reason(
    serve: Serve, files: str, msg: str
) -> None:
    served = serve(max_body=20_000)
    answer = await served.ask("POST", BUILDER, JSON | ZOE, {"files": files})
    assert msg in refused(served, answer)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [(n, v, k) for n, k in (("properties", "object"), ("files", "list")) for v in (0, False, 1.5)]
    + [("properties", [], "object"), ("files", {}, "list")],
)
@twisted_test()
async def test_values_of_a_json_body_have_their_kind(
    served: Served, name: str, value: object, kind: str
) -> None:
    answer = await build(served, {name: value})
    assert refused(served, answer) == f"Bad {name}: it is not a JSON {kind}"


@pytest.mark.parametrize(
    "fields",
    [
        {"properties": {"a": 1}, "files": ["f"], "priority": 3},
        {"properties": '{"a": 1}', "files": '["f"]', "priority": "3"},
    ],
)
@twisted_test()
async def test_properties_and_files_of_a_json_body_may_be_values_or_texts(
    served: Served, fields: dict[str, Any]
) -> None:
    assert (await build(served, fields)).status == 202
    assert served.jobs.jobs[1].what == WHAT["new_build_for_builder"]


@pytest.mark.parametrize("fields", [{}, {"properties": "", "files": ""}, {"properties": None}])
@twisted_test()
async def test_a_build_needs_neither_properties_nor_files(
    served: Served, fields: dict[str, Any]
) -> None:
    assert (await build(served, fields)).status == 202
    what = served.jobs.jobs[1].what
    assert (what["properties"], what["files"], what["priority"]) == ({}, [], 0)


# --- builders


@twisted_test()
async def test_a_builder_nobody_has_is_refused(served: Served) -> None:
    answer = await build(served, {}, "/self-serve/try/builders/no%20such%20builder/abcdef")
    msg = refused(served, answer)
    assert msg.startswith("Unknown builder no such builder: the farm does not list it")
    assert "60 days" in msg


@twisted_test()
async def test_a_builder_with_requests_is_known_where_the_farm_lists_none(served: Served) -> None:
    path = "/self-serve/try/builders/Linux%20try%20build/abcdef"
    for listed in (None, ()):
        served.directory.listed = listed
        assert (await build(served, {}, path)).status == 202
    name, since = served.builds.failing.calls[-1][1:]
    assert (name, since) == ("Linux try build", 1_700_000_000 - 60 * 86400)


@twisted_test()
async def test_a_listed_builder_is_known_without_a_look_at_its_requests(served: Served) -> None:
    assert (await build(served, {})).status == 202
    assert not served.builds.failing.calls
    assert served.jobs.jobs[1].what["builder_name"] == "Linux try talos/tp5"


# --- the cancel of a revision


@pytest.mark.parametrize("revision", ["abcd", "abcdef123456", "abcdef1234567", REVISION])
@twisted_test()
async def test_twelve_characters_of_the_revision_to_cancel_count(
    served: Served, revision: str
) -> None:
    answer = await served.ask("DELETE", f"/self-serve/try/rev/{revision}", JSON | ZOE)
    assert answer.status == 202
    ((_, body, _, _),) = served.broker.published
    assert json.loads(body)["body"]["revision"] == revision[:12]
    assert revision in answer.json["msg"]


@pytest.mark.parametrize("revision", ["a", "abc", "%C3%BC%C3%BC%C3%BC"])
@twisted_test()
async def test_a_revision_that_names_too_much_is_not_cancelled(
    served: Served, revision: str
) -> None:
    answer = await served.ask("DELETE", f"/self-serve/try/rev/{revision}", JSON | ZOE)
    msg = refused(served, answer)
    assert msg == "Bad revision: revision must be a text of 4 to 256 printable characters"


@twisted_test()
async def test_an_unknown_revision_is_accepted_for_cancel(served: Served) -> None:
    assert (await served.ask("DELETE", "/self-serve/try/rev/ffffffff", JSON | ZOE)).status == 202
    assert not served.builds.failing.calls


NARROWER = {
    "only": "pending",
    "builders": ["*talos*", "L\u00fc*"],
    "exclude_builds": True,
    "reason": "trees are closed: \u00fc",
}
PAIRS = [
    ("only", "pending"),
    ("builder", "*talos*"),
    ("builder", "L\u00fc*"),
    ("exclude_builds", "1"),
    ("reason", "trees are closed: \u00fc"),
]
OBJECT = {
    "only": "pending",
    "builder": ["*talos*", "L\u00fc*"],
    "exclude_builds": True,
    "reason": "trees are closed: \u00fc",
}


@pytest.mark.parametrize(
    ("query", "body"),
    [("?" + urlencode(PAIRS), b""), ("", urlencode(PAIRS).encode()), ("", OBJECT)],
    ids=["query", "form", "json"],
)
@twisted_test()
async def test_a_cancel_may_be_narrowed_down_in_query_and_body(
    served: Served, query: str, body: Any
) -> None:
    assert (await cancel(served, query, body)).status == 202
    wanted = WHAT["cancel_revision"] | NARROWER
    assert served.jobs.jobs[1].what == wanted
    ((_, message, _, _),) = served.broker.published
    assert json.loads(message)["body"].items() >= wanted.items()


@twisted_test()
async def test_query_and_body_may_each_give_some(served: Served) -> None:
    assert (await cancel(served, "?only=running", {"builder": "*pgo*"})).status == 202
    wanted = {"only": "running", "builders": ["*pgo*"]}
    assert served.jobs.jobs[1].what == WHAT["cancel_revision"] | wanted


@pytest.mark.parametrize("body", [{}, {"only": "", "reason": "", "exclude_builds": "0"}])
@twisted_test()
async def test_what_says_nothing_is_not_sent(served: Served, body: dict[str, Any]) -> None:
    """Agents of older programs know nothing of it."""
    assert (await cancel(served, "", body)).status == 202
    assert served.jobs.jobs[1].what == WHAT["cancel_revision"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("only", "pending"), ("builder", "*"), ("exclude_builds", "1"), ("reason", "x")],
)
@twisted_test()
async def test_what_is_given_in_query_and_body_is_refused(
    served: Served, name: str, value: str
) -> None:
    answer = await cancel(served, "?" + urlencode({name: value}), {name: value})
    assert refused(served, answer) == f"Parameter {name} is given in the query and in the body"


@pytest.mark.parametrize("name", ["only", "exclude_builds", "reason"])
@twisted_test()
async def test_what_may_be_given_once_is_refused_twice(served: Served, name: str) -> None:
    for query, body in ((f"?{name}=1&{name}=1", {}), ("", {name: ["1", "1"]})):
        answer = await cancel(served, query, body)
        assert refused(served, answer) == f"Parameter {name} is given 2 times (max 1)"


@pytest.mark.parametrize(
    ("body", "msg"),
    [
        ({"only": "complete"}, "Bad only: only must be pending or running"),
        ({"only": "Pending"}, "Bad only: only must be pending or running"),
        ({"only": 0}, "Bad only: only must be pending or running"),
        ({"only": False}, "Bad only: only must be pending or running"),
        ({"only": {}}, "Bad only: only must be pending or running"),
        ({"exclude_builds": "maybe"}, "Bad exclude_builds: allowed are 1 and 0"),
        ({"reason": "x" * 201}, "reason must be a text of 0 to 200 printable characters"),
        ({"reason": "a\nb"}, "reason must be a text of 0 to 200 printable characters"),
        ({"reason": 0}, "reason must be a text of 0 to 200 printable characters"),
        ({"builder": [""]}, "must be at most 50 patterns of 1 to 256 characters"),
        ({"builder": ["*"] * 51}, "must be at most 50 patterns of 1 to 256 characters"),
        ({"builder": [["*"]]}, "must be at most 50 patterns of 1 to 256 characters"),
        ({"builder": {"a": 1}}, "must be at most 50 patterns of 1 to 256 characters"),
    ],
)
@twisted_test()
async def test_another_value_is_refused_with_what_is_allowed(
    served: Served, body: dict[str, Any], msg: str
) -> None:
    assert msg in refused(served, await cancel(served, "", body))


# --- which revision is meant

ONE, OTHER = "fedcba987654" + "1" * 28, "fedcba987654" + "2" * 28
TWO = f"Revision {ONE[:12]} fits 2 revisions: {ONE}, {OTHER}; give more characters"


def of(revision: str, end: str = "") -> str:
    return f"/self-serve/try/rev/{revision}{end}"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", of(ONE[:12])),
        ("POST", of(ONE[:12])),
        ("POST", of(ONE[:12], "/pgo")),
        ("POST", of(ONE[:12], "/nightly")),
        ("POST", BUILDER.rpartition("/")[0] + "/" + ONE[:12]),
    ],
)
@twisted_test()
async def test_a_job_request_of_a_hash_that_fits_two_revisions_is_refused_and_names_both(
    served: Served, method: str, path: str
) -> None:
    served.builds.stored = (ONE, OTHER)
    assert refused(served, await served.ask(method, path, JSON | ZOE, {})) == TWO


@twisted_test()
async def test_more_of_a_hash_is_sent_where_twelve_digits_do_not_decide(served: Served) -> None:
    served.builds.stored = (ONE, OTHER)
    assert (await served.ask("DELETE", of(ONE), JSON | ZOE)).status == 202
    asked = served.jobs.jobs[1].what
    assert asked == {"branch": "try", "revision": ONE[:12], "full_revision": ONE}


@pytest.mark.parametrize("revision", ["1234", "1234567890", "release-2010.1", "abcdefabcdef-x"])
@twisted_test()
async def test_what_is_no_hash_is_cancelled_as_it_is_given(served: Served, revision: str) -> None:
    served.builds.stored = (revision + "5",)
    assert (await served.ask("DELETE", of(revision), JSON | ZOE)).status == 202
    assert served.jobs.jobs[1].what == {"branch": "try", "revision": revision}


@twisted_test()
async def test_a_cancel_is_accepted_while_nobody_can_tell_what_its_hash_fits(
    served: Served,
) -> None:
    """The agent looks, too, before it does anything."""
    served.builds.failing.error = Unavailable("the replica is away")
    assert (await served.ask("DELETE", of(ONE[:12]), JSON | ZOE)).status == 202


@twisted_test()
async def test_a_read_of_a_hash_that_fits_two_revisions_says_so(served: Served) -> None:
    """The list is that of both; a header, the page and ``is_done`` name them."""
    request = served.builds.requests[21].request
    for id_, revision in ((31, ONE), (32, OTHER)):
        more = replace(request, id=id_, revision=revision)
        served.builds.requests[id_] = RequestDetails(more, {}, [])
    said = f"Revision {ONE[:12]} fits 2 revisions: {ONE}, {OTHER}"
    answer = await served.ask("GET", of(ONE[:12]), JSON)
    assert [item["revision"] for item in answer.json] == [OTHER, ONE], "the newest first"
    assert answer.headers["warning"] == f'299 - "{said}"'
    assert said in (await served.ask("GET", of(ONE[:12]))).text
    done = await served.ask("GET", of(ONE[:12], "/is_done"), JSON)
    assert done.json["revisions"] == [ONE, OTHER]
    alone = await served.ask("GET", of(ONE), JSON)
    assert [item["revision"] for item in alone.json] == [ONE]
    assert "warning" not in alone.headers


@pytest.mark.parametrize("revision", ["abcdef", "abcdef12345", "ABCDEF12345-"])
@twisted_test()
async def test_a_short_word_is_not_the_beginning_of_a_revision(
    served: Served, revision: str
) -> None:
    assert (await served.ask("GET", of(revision), JSON)).status == 404
    assert (await served.ask("GET", of(revision, "/is_done"), JSON)).status == 404
