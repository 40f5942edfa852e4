"""Build the OpenAPI document [OpenAPI Specification 3.1.1] of the routes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import msgspec

from buildapi.parameters.param import AnyParam, Place
from buildapi.parameters.types import Schema
from buildapi.web.http.parameter_names import BUTTONS, SENT_ALONG
from buildapi.web.http.routes import WHOLE_BODY, Route
from buildapi.web.openapi.answers import HTML, Answer, ListOfEither, TypeForm, answers_of
from buildapi.web.openapi.segments import segments_of
from buildapi.web.selfserve.documents import ErrorDocument

VERSION = "3.1.1"
JSON = "application/json"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
REF = "#/components/schemas/{name}"
EVENTS = "/self-serve/events"
EVENT_STREAM = "text/event-stream"

TAGS = {
    "builds": "Builds, build requests and revisions of a branch.",
    "job requests": "Changes to the farm, and their state.",
    "farm": "The whole farm.",
    "reports": "Statistics.",
    "tokens": "The user, and bearer tokens of programs.",
    "service": "Health of the service, and its documentation.",
}
PREFIXES = {
    "/reports": "reports",
    "/self-serve/jobs": "job requests",
    "/self-serve/tokens": "tokens",
    "/self-serve/whoami": "tokens",
    "/self-serve/": "builds",
    "/pending": "farm",
    "/running": "farm",
    "/recent": "farm",
    "/revision": "farm",
    "/pushes": "farm",
}
"""The tag of a path by its beginning: the first that fits, else ``service``."""

REFUSALS = {
    400: "Something in the request is malformed or not allowed; msg says what.",
    401: "The token is unknown, revoked or expired.",
    403: "A user is needed, or may not do this.",
    404: "There is no such branch, build, request, revision, job, or path.",
    409: "A request with this Idempotency-Key is being accepted; retry in a second.",
    413: "The body, or the answer, is too large.",
    421: "The Host of the request is not one of this service.",
    422: "This Idempotency-Key was used for another request.",
    429: "Too much is asked for; Retry-After says when to retry.",
    500: "An internal error; msg has the id that is in the log.",
    503: "Not possible now; Retry-After says when to retry.",
}
OF_JOBS = (409, 422)
"""Statuses of requests that may have an Idempotency-Key."""

IDEMPOTENCY_KEY: Mapping[str, object] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A text of the client's choice: repeating the request with it is safe.",
    "schema": {"type": "string", "maxLength": 255},
}
LAST_EVENT_ID: Mapping[str, object] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "The last event that the client has; the stream goes on after it.",
    "schema": {"type": "string"},
}
_ALSO = "|".join((*SENT_ALONG, *BUTTONS))
SENT_ANYWAY = rf"^(?:_|[cC][sS][rR][fF])|^(?:{_ALSO})$"
"""Names that any client may send along with the parameters of a body."""


@attrs.frozen
class APIDescription:
    """What the document says of the service, beside its routes.

    ``user_header`` is that of the proxy.  Reads need a user unless they are ``reads_free``;
    ``with_tokens`` is whether bearer tokens are accepted.
    """

    version: str
    user_header: str
    reads_free: bool
    with_tokens: bool

    @property
    def schemes(self) -> Mapping[str, Mapping[str, str]]:
        """Return the security schemes by name."""
        proxy = {
            "type": "apiKey",
            "in": "header",
            "name": self.user_header,
            "description": "The user, set by a trusted proxy that has authenticated it.",
        }
        bearer = {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of /self-serve/tokens.",
        }
        return {"proxy": proxy} | ({"bearer": bearer} if self.with_tokens else {})

    def security(self, route: Route) -> Sequence[Mapping[str, Sequence[str]]]:
        """Return what authenticates a call of a route: any of these, an empty one is nothing."""
        users: list[Mapping[str, Sequence[str]]] = [{name: []} for name in self.schemes]
        if self.needs_user(route):
            return users
        return [{}, *users]

    def needs_user(self, route: Route) -> bool:
        """Return whether a route needs a user."""
        return route.acts or not (self.reads_free or route.open)


def document(routes: Sequence[Route], of: APIDescription, mount: str) -> dict[str, object]:
    """Return the document for clients that reach the service below a mount prefix."""
    schemas = Schemas.of(routes)
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(route, of, schemas)
    return {
        "openapi": VERSION,
        "info": {
            "title": "BuildAPI",
            "version": of.version,
            "summary": "The self-serve desk of a Buildbot farm.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": mount or "/"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": of.schemes},
    }


@attrs.frozen
class Schemas:
    """JSON schemas of the types of answers: named components, and references to them."""

    components: Mapping[str, Schema]
    _by_type: Sequence[tuple[Any, Schema]]

    @classmethod
    def of(cls, routes: Sequence[Route]) -> Schemas:
        """Return the schemas of all answers of some routes."""
        answers = [answer for route in routes for answer in answers_of(route).values()]
        found = [part for answer in answers for part in _parts(answer.type)]
        # Compared and not hashed: types such as dict[str, Any] need not be the same to be equal.
        types: list[Any] = [ErrorDocument]
        types += [t for i, t in enumerate(found) if t not in found[:i]]
        schemas, components = msgspec.json.schema_components(types, ref_template=REF)
        return cls(components, list(zip(types, schemas, strict=True)))

    def schema(self, type: TypeForm) -> Schema:
        """Return the schema of a type of an answer."""
        if isinstance(type, ListOfEither):
            either = [self.schema(part) for part in _parts(type)]
            return {"type": "array", "items": {"oneOf": either}}
        return next(schema for known, schema in self._by_type if known == type)


def _parts(type: TypeForm) -> Sequence[TypeForm]:
    return (type.one, type.other) if isinstance(type, ListOfEither) else (type,)


def operation(route: Route, of: APIDescription, schemas: Schemas) -> dict[str, object]:
    """Return what the document says of a route."""
    told: dict[str, object] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [tag_of(route)],
        "security": of.security(route),
        "parameters": list(_parameters(route)),
        "responses": _responses(route, of, schemas),
    }
    body = _body(route) if route.acts else None
    return told if body is None else told | {"requestBody": body}


def operation_id(route: Route) -> str:
    """Return the name of an operation: its method, and the words of its path."""
    path = route.path
    # "/pushes" is an older one, with counts by author.
    if path != "/self-serve/pushes":
        path = path.replace("/self-serve/", "/")
    words = re.findall(r"\w+", path)
    return "_".join([route.method.lower(), *(words or ["home"])])


def tag_of(route: Route) -> str:
    """Return the tag of a route."""
    if route.job:
        return "job requests"
    return next((t for start, t in PREFIXES.items() if route.path.startswith(start)), "service")


def _parameters(route: Route) -> Iterator[Mapping[str, object]]:
    in_path = {param.name for param in segments_of(route)}
    yield from (_parameter(param, "path") for param in segments_of(route))
    for param in route.params:
        if param.in_query and param.name not in in_path:
            yield _parameter(param, "query")
    if route.job:
        yield IDEMPOTENCY_KEY
    if route.path == EVENTS:
        yield LAST_EVENT_ID


def _parameter(param: AnyParam, place: str) -> Mapping[str, object]:
    told: dict[str, object] = {
        "name": param.name,
        "in": place,
        "description": param.text(),
        "schema": param.form_schema(),
    }
    more = {"required": place == "path" or param.needed, "deprecated": param.deprecated}
    return told | {name: True for name, holds in more.items() if holds}


def _body(route: Route) -> Mapping[str, object] | None:
    """Return the body of a change; None if it has no parameters there."""
    params = [p for p in route.params if p.place in (Place.BODY, Place.EITHER)]
    whole = next((p for p in params if p.name == WHOLE_BODY), None)
    if whole is not None:
        return {"required": True, "content": {JSON: {"schema": whole.schema()}}}
    if not params:
        return None
    form = {"schema": _object(params, {p.name: p.form_schema() for p in params})}
    as_json = {"schema": _object(params, {p.name: p.schema() for p in params})}
    content = {JSON: as_json} | dict.fromkeys(FORMS, form)
    return {"content": content} | ({"required": True} if any(p.needed for p in params) else {})


def _object(params: Sequence[AnyParam], schemas: Mapping[str, Schema]) -> Schema:
    needed = [p.name for p in params if p.needed]
    properties = {p.name: {**schemas[p.name], "description": p.text()} for p in params}
    told: Schema = {
        "type": "object",
        "properties": properties,
        "patternProperties": {SENT_ANYWAY: True},
        "additionalProperties": False,
    }
    return told | ({"required": needed} if needed else {})


def _responses(route: Route, of: APIDescription, schemas: Schemas) -> Mapping[str, object]:
    told: dict[str, dict[str, object]] = {
        str(status): {"description": answer.meaning, "content": _content(answer, schemas)}
        for status, answer in answers_of(route).items()
    }
    if not route.acts:
        told["304"] = {"description": "The client has this version (If-None-Match)."}
    error = schemas.schema(ErrorDocument)
    content = {JSON: {"schema": error}, HTML: {"schema": {"type": "string"}}}
    for status in refusals(route, of):
        told.setdefault(str(status), {"description": REFUSALS[status], "content": content})
    return told


def refusals(route: Route, of: APIDescription) -> Sequence[int]:
    """List the statuses of errors that a route may answer with."""
    never = {
        *(() if of.with_tokens else (401,)),
        *(() if route.job else OF_JOBS),
    }
    return [status for status in REFUSALS if status not in never]


def _content(answer: Answer, schemas: Schemas) -> Mapping[str, object]:
    text = {"schema": {"type": "string"}}
    as_json = {} if answer.without_json else {JSON: {"schema": schemas.schema(answer.type)}}
    # Readers of 3.1 disagree whether a schema is that of the stream or of each event.
    special: Mapping[str, Mapping[str, object]] = {EVENT_STREAM: {}, JSON: {"schema": {}}}
    return as_json | {media: special.get(media, text) for media in answer.media}
