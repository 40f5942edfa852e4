"""The OpenAPI document: valid, complete, and true of what is answered."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from buildapi import errors
from buildapi.parameters.param import Place
from buildapi.web.http.routes import WHOLE_BODY, Route
from buildapi.web.openapi.answers import ANSWERS
from buildapi.web.openapi.document import REFUSALS, TAGS, APIDescription, document
from buildapi.web.openapi.segments import segments_of
from tests.openapi.conformity import openapi_document
from tests.reactor import twisted_test
from tests.web.client import JSON, Answer
from tests.web.conftest import TOKENS, ZOE, Serve, Served
from tests.web.jobcases import ALL

OF = APIDescription("1.2", "X-Remote-User", reads_free=True, with_tokens=True)


async def fetched(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = (await served.ask("GET", "/openapi.json")).json
    return found


def operations(found: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


@twisted_test()
async def test_the_document_is_valid(served: Served) -> None:
    OpenAPIV31SpecValidator(await fetched(served)).validate()


@twisted_test()
async def test_it_has_every_route_that_is_served_and_no_other(served: Served) -> None:
    found = dict(operations(await fetched(served)))
    assert found.keys() == {f"{r.method} {r.path}" for r in served.routes}
    ids = [operation["operationId"] for operation in found.values()]
    assert len({*ids}) == len(ids)
    assert {tag for operation in found.values() for tag in operation["tags"]} <= {*TAGS}


def test_the_table_of_answers_names_no_route_that_is_not_served(served: Served) -> None:
    known = {f"{r.method} {r.path}" for r in served.routes}
    whole = {f"{m.upper()} {p}" for p, ms in openapi_document()["paths"].items() for m in ms}
    assert {*ANSWERS} <= known | whole


@twisted_test()
async def test_it_has_every_declared_parameter_where_it_is_read(served: Served) -> None:
    found = dict(operations(await fetched(served)))
    for route in served.routes:
        operation = found[f"{route.method} {route.path}"]
        sent = {(p["in"], p["name"]) for p in operation["parameters"]}
        assert {("path", p.name) for p in segments_of(route)} <= sent
        bodies = operation.get("requestBody", {"content": {}})["content"]
        for param in route.params:
            if param.name == WHOLE_BODY or ("path", param.name) in sent:
                continue
            assert (("query", param.name) in sent) == param.in_query, (route.path, param.name)
            names = [b["schema"].get("properties", ()) for b in bodies.values()]
            in_body = [param.name in known for known in names]
            assert in_body == [param.place is not Place.QUERY] * len(in_body)


def misplaced(route: Route) -> list[str]:
    own = {Place.QUERY, Place.PATH} if not route.acts else {*Place}
    return [p.name for p in route.params if p.place not in own]


def test_reads_read_nothing_from_a_body_and_changes_little_from_the_query(served: Served) -> None:
    assert [name for route in served.routes for name in misplaced(route)] == []
    in_query = {
        (route.path, p.name)
        for route in served.routes
        if route.acts
        for p in route.params
        if p.place is Place.QUERY
    }
    assert in_query == {("/self-serve/batch", "dry_run")}


@twisted_test()
async def test_the_server_is_the_mount_prefix_by_which_it_was_reached(serve: Serve) -> None:
    served = serve()
    assert (await fetched(served))["servers"] == [{"url": "/"}]
    assert document(served.routes, OF, "/buildapi")["servers"] == [{"url": "/buildapi"}]


@twisted_test()
async def test_it_is_json_for_everybody_and_shown_as_a_page(served: Served) -> None:
    answer = await served.ask("GET", "/openapi.json", {"Accept": "text/html"})
    assert answer.headers["content-type"] == "application/json"
    page = await served.ask("GET", "/docs")
    assert 'data-document="/openapi.json"' in page.text


def test_who_may_call_an_operation(served: Served) -> None:
    users: list[object] = [{"proxy": []}, {"bearer": []}]
    found = dict(operations(document(served.routes, OF, "")))
    assert found["GET /self-serve/jobs"]["security"] == [{}, *users]
    assert found["POST /self-serve/{branch}/build"]["security"] == users
    closed = APIDescription("1.2", "X-Remote-User", reads_free=False, with_tokens=False)
    found = dict(operations(document(served.routes, closed, "")))
    assert found["GET /self-serve/jobs"]["security"] == [{"proxy": []}]
    assert found["GET /static/{name}"]["security"] == [{}, {"proxy": []}]
    assert "401" not in found["GET /self-serve/jobs"]["responses"]


def test_every_error_that_clients_may_get_has_its_status(served: Served) -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.BuildAPIError)
    ]
    # No dialect raises it yet.
    assert {kind.status for kind in kinds} - {*REFUSALS} == {errors.Unsupported.status}


# --- what is answered


def schema_errors(found: Mapping[str, Any], name: str, answer: Answer) -> list[str]:
    """List where an answer differs from the schema of an operation's answer of its status."""
    operation = dict(operations(found))[name]
    schema = operation["responses"][str(answer.status)]["content"]["application/json"]["schema"]
    whole = Resource.from_contents(found, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:openapi", whole)
    text = json.dumps(schema).replace('"#/', '"urn:openapi#/')
    validator = OAS31Validator(json.loads(text), registry=registry)
    return [f"{name}: {e.json_path}: {e.message}" for e in validator.iter_errors(answer.json)]


READS = {
    "GET /": "/",
    "GET /docs": "/docs",
    "GET /pending": "/pending",
    "GET /running": "/running",
    "GET /revision/{branch}/{revision}": "/revision/try/abcdef123456",
    "GET /recent": "/recent",
    "GET /pushes": "/pushes",
    "GET /reports": "/reports",
    "GET /self-serve": "/self-serve",
    "GET /self-serve/{branch}/new": "/self-serve/try/new?revision=abcdef123456",
    "GET /self-serve/authorizations": "/self-serve/authorizations",
    "GET /self-serve/audit": "/self-serve/audit",
    "GET /self-serve/branches": "/self-serve/branches",
    "GET /self-serve/{branch}": "/self-serve/try",
    "GET /self-serve/{branch}/build/{build_id}": "/self-serve/try/build/11",
    "GET /self-serve/{branch}/builders": "/self-serve/try/builders",
    "GET /self-serve/{branch}/pushes": "/self-serve/try/pushes",
    "GET /self-serve/pushes": "/self-serve/pushes",
    "GET /self-serve/user/{user}": "/self-serve/user/zoe",
    "GET /self-serve/{branch}/request/{request_id}": "/self-serve/try/request/21",
    "GET /self-serve/{branch}/rev/{revision}": "/self-serve/try/rev/abcdef123456",
    "GET /self-serve/{branch}/rev/{revision}/is_done": "/self-serve/try/rev/abcdef123456/is_done",
    "GET /self-serve/{branch}/user/{user}": "/self-serve/try/user/zoe",
    "GET /self-serve/jobs": "/self-serve/jobs",
    "GET /self-serve/lookup": "/self-serve/lookup?kind=job&q=1",
    "GET /self-serve/whoami": "/self-serve/whoami",
    "GET /self-serve/tokens": "/self-serve/tokens",
}


def test_every_json_has_a_schema_but_files_that_hold_anything() -> None:
    anything = [
        name
        for name, operation in operations(openapi_document())
        for response in operation["responses"].values()
        for media, content in response.get("content", {}).items()
        if media == "application/json" and not content["schema"]
    ]
    assert anything == ["GET /builds/{name}"]


@pytest.mark.parametrize("name", READS)
@twisted_test()
async def test_reads_answer_as_documented(served: Served, name: str) -> None:
    answer = await served.ask("GET", READS[name], JSON | ZOE)
    assert answer.status in (200, 403, 404), answer
    assert schema_errors(await fetched(served), name, answer) == []


@twisted_test(30)
async def test_job_requests_answer_as_documented(served: Served) -> None:
    found = await fetched(served)
    for method, path, fields in ALL.values():
        (name,) = [f"{r.method} {r.path}" for r in served.routes if fits(r, method, path)]
        for sent in (fields, {**fields, "dry_run": 1}, {**fields, "nope": 1}):
            answer = await served.ask(method, path, JSON | ZOE, sent)
            assert answer.status in (200, 202, 400)
            assert schema_errors(found, name, answer) == []
        refused = await served.ask(method, path, JSON, fields)
        assert refused.status == 403
        assert schema_errors(found, name, refused) == []
    jobs = await served.ask("GET", "/self-serve/jobs/1", JSON)
    assert schema_errors(found, "GET /self-serve/jobs/{job_id}", jobs) == []


def fits(route: Route, method: str, path: str) -> bool:
    segments, given = route.path.split("/"), path.split("/")
    return (
        route.job
        and route.method == method
        and len(segments) == len(given)
        and all(s == g or s.startswith("{") for s, g in zip(segments, given, strict=True))
    )


@twisted_test()
async def test_a_new_token_is_answered_as_documented(served: Served) -> None:
    body = {"label": "x", "csrf_token": TOKENS.of(ZOE["X-Remote-User"])}
    made = await served.ask("POST", "/self-serve/tokens", JSON | ZOE, body)
    assert made.status == 201
    found = await fetched(served)
    assert schema_errors(found, "POST /self-serve/tokens", made) == []
    path = f"/self-serve/tokens/{made.json['id']}"
    gone = await served.ask("DELETE", path, JSON | ZOE, {"csrf_token": body["csrf_token"]})
    assert gone.status == 200
    assert schema_errors(found, "DELETE /self-serve/tokens/{token_id}", gone) == []


@twisted_test()
async def test_an_answer_of_another_shape_is_noticed(served: Served) -> None:
    answer = await served.ask("GET", "/self-serve/whoami", JSON | ZOE)
    assert schema_errors(await fetched(served), "GET /self-serve/jobs", answer) != []
