"""Parameters that a request does not know: refused where it acts, named where it reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest, BuildAPIError, UnknownParameter
from buildapi.parameters.param import Param, Place
from buildapi.parameters.types import Patterns, Switch, Text
from buildapi.web.http.auth import NOBODY
from buildapi.web.http.call import Call
from buildapi.web.http.form import Form
from buildapi.web.http.parameter_names import check, known_of, nearest, unknown_names, warnings
from buildapi.web.http.routes import Route
from tests.reactor import twisted_test
from tests.web.batching import BATCH, answered, entry
from tests.web.client import FORM, JSON, Answer
from tests.web.conftest import TOKENS, ZOE, Serve, Served
from tests.web.jobcases import ALL, REV, each

MULTIPART = "multipart/form-data; boundary=x"
KNOWN = (
    Param("only", "", Text(), Place.BODY),
    Param("dry_run", "", Switch(), Place.EITHER),
    Param("builder", "", Patterns(9, 9), Place.BODY),
)


def part(name: str, value: Any) -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'
    return f"{head}{value}\r\n".encode()


def bodies(fields: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Spell the fields as each kind of body."""
    yield FORM, urlencode(fields).encode()
    yield "application/json", json.dumps(fields).encode()
    yield MULTIPART, b"".join(part(n, v) for n, v in fields.items()) + b"--x--\r\n"


def nothing_came_of_it(served: Served) -> bool:
    looked = served.builds.failing.calls + served.observer.failing.calls
    return not (served.jobs.jobs or served.broker.published or looked)


def is_unknown(answer: Answer, msg: str) -> bool:
    assert answer.status == 400, answer
    return (answer.json["code"], answer.json["msg"]) == ("unknown_parameter", msg)


# --- the rule


@pytest.mark.parametrize(
    ("name", "near"),
    [("onyl", "only"), ("dry-run", "dry_run"), ("DRYRUN", "dry_run"), ("builders", "builder")],
)
def test_the_nearest_known_name_is_suggested(name: str, near: str) -> None:
    assert nearest(name, [p.name for p in KNOWN]) == near
    told = f"^unknown parameter '{name}': did you mean '{near}'\\?$"
    with pytest.raises(UnknownParameter, match=told):
        check(KNOWN, {name: ["1"]}, Form({}))


def test_where_no_name_is_near_the_known_ones_are_listed() -> None:
    with pytest.raises(UnknownParameter, match=r"'zz': allowed are only, dry_run, builder$"):
        check(KNOWN, {}, Form({"zz": ["1"]}))
    with pytest.raises(UnknownParameter, match=r"'zz': this request has no parameters$"):
        check((), {"zz": ["1"]}, Form({}))


def test_a_name_whose_value_is_null_is_looked_at_as_well() -> None:
    with pytest.raises(UnknownParameter, match="did you mean 'only'"):
        check(KNOWN, {}, Form({}, nulls=("onyl",)))


SENT = ["format", "_method", "_", "_ts", "csrf_token", "csrfmiddlewaretoken", "submit", "cancel"]


@pytest.mark.parametrize("name", [*SENT, "rebuild"])
def test_what_old_clients_send_along_is_accepted(name: str) -> None:
    check(KNOWN, {name: ["1"]}, Form({}))
    check(KNOWN, {}, Form({name: ["1"]}))


@pytest.mark.parametrize(
    ("query", "values", "told"),
    [
        ({"dry_run": ["1", "0"]}, {}, r"dry_run is given 2 times \(max 1\)"),
        ({}, {"only": ["a", "a"]}, r"only is given 2 times \(max 1\)"),
        ({}, {"_method": ["PUT", "DELETE"]}, r"_method is given 2 times \(max 1\)"),
        ({"dry_run": ["1"]}, {"dry_run": ["1"]}, "dry_run is given in the query and in the body"),
        ({"only": ["a"]}, {}, "Bad only: send it in the body, not in the query"),
    ],
)
def test_a_parameter_stands_once_and_where_it_is_read(query: Any, values: Any, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        check(KNOWN, query, Form(values))


@given(st.dictionaries(st.text(), st.lists(st.text(), min_size=1, max_size=3)))
def test_any_names_are_accepted_or_refused_in_a_short_text(query: Any) -> None:
    told = ""
    try:
        check(KNOWN, query, Form({}))
    except BadRequest as e:
        told = e.msg
    assert len(told) < 1500
    for line in warnings(unknown_names(query, [p.name for p in KNOWN])):
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 120
        assert line.count('"') == 2


# --- job requests


@each
@twisted_test(30)
async def test_a_job_request_with_an_unknown_parameter_is_refused_before_anything_is_looked_up(
    served: Served, name: str
) -> None:
    method, path, fields = ALL[name]
    told = "unknown parameter 'dry-run': did you mean 'dry_run'?"
    for kind, body in bodies({**fields, "dry-run": 1}):
        answer = await served.ask(method, path, JSON | ZOE | {"Content-Type": kind}, body)
        assert is_unknown(answer, told), kind
    for query, sent in (("dry-run=1", fields), ("dry-run=", fields), ("dry-run", fields)):
        answer = await served.ask(method, f"{path}?{query}", JSON | ZOE, sent)
        assert is_unknown(answer, told), query
    assert nothing_came_of_it(served)


@twisted_test()
async def test_a_misspelled_only_cancels_nothing_of_a_push(served: Served) -> None:
    answer = await served.ask("DELETE", f"{REV}?dry_run=1&onyl=pending", JSON | ZOE)
    assert is_unknown(answer, "unknown parameter 'onyl': did you mean 'only'?")
    page = await served.ask("DELETE", f"{REV}?onyl=pending", ZOE)
    assert page.status == 400
    assert "did you mean" in page.text
    assert nothing_came_of_it(served)


@twisted_test()
async def test_who_is_nobody_is_told_so_before_any_parameter_is_looked_at(served: Served) -> None:
    answer = await served.ask("DELETE", f"{REV}?onyl=pending", JSON)
    assert (answer.status, answer.json["msg"]) == (403, "ACCESS DENIED!")


@each
@twisted_test(30)
async def test_what_clients_send_along_does_not_hinder_a_job_request(
    served: Served, name: str
) -> None:
    method, path, fields = ALL[name]
    noise = {"_": "1434650400", "csrf": "x", "submit": "rebuild", "rebuild": "rebuild"}
    for kind, body in bodies({**fields, **noise}):
        headers = JSON | ZOE | {"Content-Type": kind}
        answer = await served.ask(method, f"{path}?format=json&_=1", headers, body)
        assert answer.status == 202, (kind, answer)


@twisted_test()
async def test_what_a_library_adds_does_not_make_another_request_of_one_with_a_key(
    served: Served,
) -> None:
    headers = JSON | ZOE | {"Idempotency-Key": "night"}
    asked = [await served.ask("DELETE", f"{REV}?_={n}", headers) for n in (1, 2)]
    assert [answer.status for answer in asked] == [202, 202]
    assert len(served.jobs.jobs) == 1


@twisted_test()
async def test_each_entry_of_a_batch_knows_the_parameters_of_its_request(served: Served) -> None:
    wrong = entry("cancel_revision", body={"onyl": "pending"})
    odd = {**entry("cancel_build"), "bdoy": {}}
    answers = await answered(served, [wrong, odd, entry("rebuild_build")])
    assert [a["status"] for a in answers] == [400, 400, 202]
    told = [a["body"]["msg"] for a in answers[:2]]
    assert told[0] == "unknown parameter 'onyl': did you mean 'only'?"
    assert told[1].endswith("unknown parameter 'bdoy': did you mean 'body'?")
    assert len(served.jobs.jobs) == 1


FORM_TOKEN = TOKENS.of(ZOE["X-Remote-User"]).encode()
OTHERS = {
    "batch": (f"{BATCH}?dryrun=1", "application/json", b"[]"),
    "selection": ("/self-serve/selection", FORM, b"item=try/build/12&act=cancel&confrim=1"),
    "new": ("/self-serve/try/new", FORM, b"kind=build&revision=abcdef&dry-run=1"),
    "tokens": ("/self-serve/tokens", FORM, b"label=x&day=1&csrf_token=" + FORM_TOKEN),
}


@pytest.mark.parametrize("name", OTHERS)
@twisted_test()
async def test_so_does_whatever_else_acts_for_a_user(served: Served, name: str) -> None:
    path, kind, body = OTHERS[name]
    answer = await served.ask("POST", path, JSON | ZOE | {"Content-Type": kind}, body)
    assert (answer.status, answer.json["code"]) == (400, "unknown_parameter")
    assert "did you mean" in answer.json["msg"]
    assert nothing_came_of_it(served)
    assert not served.tokens.tokens


@pytest.mark.parametrize("in_query", [True, False])
@twisted_test()
async def test_a_selection_and_a_form_of_new_builds_may_be_tried_without_doing(
    served: Served, in_query: bool
) -> None:
    forms = {
        "/self-serve/selection": {"item": "try/build/12", "act": "cancel"},
        "/self-serve/try/new": {"kind": "build", "revision": "abcdef123456"},
    }
    for path, fields in forms.items():
        query, body = ("?dry_run=1", fields) if in_query else ("", {**fields, "dry_run": 1})
        answer = await served.ask("POST", path + query, JSON | ZOE, body)
        assert answer.status == 200
        assert b"nothing was done" in answer.body
    assert not served.jobs.jobs


# --- reads


@twisted_test()
async def test_a_read_names_an_unknown_parameter_in_a_header(served: Served) -> None:
    answer = await served.ask("GET", "/self-serve/try?dates=2020-01-01&date=2020-01-01&_=1", JSON)
    assert answer.status == 200
    assert answer.headers["warning"] == '299 buildapi "unknown parameter dates"'
    clean = await served.ask("GET", "/self-serve/try?date=2020-01-01&q=x&format=json", JSON)
    assert "warning" not in clean.headers


@twisted_test()
async def test_the_header_is_short_and_holds_nothing_but_plain_letters(served: Served) -> None:
    names = ["%0d%0aSet-Cookie:%20a=1", "%22%5c%c3%a9", "x" * 900, *"abcdefgh"]
    answer = await served.ask("GET", f"/self-serve/jobs?{'&'.join(names)}", JSON)
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert len(answer.headers["warning"]) < 600
    assert answer.headers["warning"].isprintable()


@twisted_test()
async def test_a_strict_service_refuses_reads_with_unknown_parameters(serve: Serve) -> None:
    served = serve(strict=True)
    answer = await served.ask("GET", "/self-serve/try?dat=2020-01-01", JSON)
    assert is_unknown(answer, "unknown parameter 'dat': did you mean 'date'?")
    for path in ("/self-serve/try?date=2020-01-01&_=1", "/self-serve/jobs?num=1&format=json"):
        assert (await served.ask("GET", path, JSON)).status == 200
    page = await served.ask("GET", "/self-serve/try", ZOE)
    files = [text.partition('"')[0] for text in page.text.split('"/static/')[1:]]
    assert files
    for name in files:
        assert (await served.ask("GET", f"/static/{name}")).status == 200


class Noting(dict[str, Sequence[str]]):
    """A query that notes which parameters are read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return default

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return False


async def names_read(route: Route, path: Mapping[str, str]) -> set[str]:
    """Return the names that a read looks for in its query."""
    query = Noting()
    call = Call(path, query, Form({}), NOBODY, html=True)
    if route.patience:
        route.patience(call)
    try:
        reply = await route.handler(call)
    except BuildAPIError:
        return query.read
    await reply.page.shown()
    return query.read


PLACES = {"branch": "try", "build_id": "11", "request_id": "21", "revision": "abcdef123456"} | {
    "branch_name": "try",
    "builder_name": "linux",
    "buildername": "linux",
    "platform": "linux",
    "pool": "buildpool",
    "slave": "s1",
    "slave_id": "1",
    "fromtime": "1",
    "totime": "2",
}


@twisted_test(20)
async def test_every_parameter_that_a_read_reads_is_a_known_one(served: Served) -> None:
    for route in (route for route in served.routes if route.method == "GET"):
        path = {"user": "zoe", "job_id": "1", "name": "x", "token_id": "1"} | PLACES
        known = {*known_of(route.params, path), "format"}
        assert await names_read(attrs.evolve(route), path) <= known, route.path
