"""Hold an answer to ``/openapi.json``: its status, its media type, its JSON, and no key more."""

from __future__ import annotations

import functools
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import jsonschema_rs
from twisted.internet.testing import MemoryReactorClock

from buildapi.assembly import assemble
from buildapi.config import sample_config
from buildapi.web.openapi.document import JSON, APIDescription, document

COMPONENTS = "#/components/schemas/"


@attrs.frozen(eq=False)
class Operation:
    """A method and path of the document, and the schemas of its JSON by status."""

    name: str
    path: re.Pattern[str]
    responses: Mapping[str, Any]
    components: Mapping[str, Any]

    @functools.cache  # noqa: B019 - the operations are kept as long
    def validator(self, status: str) -> Any:
        """Return the validator of the JSON of a status."""
        schema = self.responses[status]["content"][JSON]["schema"]
        whole = {**schema, "components": {"schemas": self.components}}
        return jsonschema_rs.Draft202012Validator(whole)


@functools.cache
def openapi_document() -> Mapping[str, Any]:
    """Build the document of a program that has everything, once per process."""
    with tempfile.TemporaryDirectory() as folder:
        api = assemble(sample_config(Path(folder), None), MemoryReactorClock()).services.api
    assert api is not None
    of = APIDescription("0", "X-Remote-User", reads_free=True, with_tokens=True)
    return document(api.site.routes, of, "")


@functools.cache
def operations() -> Mapping[str, list[Operation]]:
    """List the operations by method, fixed paths before those with segments that vary."""
    found = openapi_document()
    components = closed(found["components"]["schemas"])
    made: dict[str, list[Operation]] = {}
    paths: Mapping[str, Mapping[str, Any]] = found["paths"]
    for path in sorted(paths, key=lambda path: ("{" in path, path.count("{"))):
        pattern = re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path)))
        for method, operation in paths[path].items():
            name = f"{method.upper()} {path}"
            one = Operation(name, pattern, operation["responses"], components)
            made.setdefault(method.upper(), []).append(one)
    return made


def closed(components: Mapping[str, Any]) -> dict[str, Any]:
    """Return schemas that permit no other keys than theirs: what is answered is documented."""
    return {
        name: {"additionalProperties": False, **schema} if "properties" in schema else schema
        for name, schema in components.items()
    }


def undocumented(method: str, path: str, status: int, media_type: str, body: Any) -> Iterator[str]:
    """List how an answer differs from the document; a path that no route has is not looked at."""
    bare = path.partition("?")[0]
    found = operations().get("GET" if method == "HEAD" else method, ())
    operation = next((one for one in found if one.path.fullmatch(bare)), None)
    if operation is None:
        return
    told = operation.responses.get(str(status))
    if told is None:
        yield f"{operation.name}: {status} is not documented"
        return
    content = told.get("content", {})
    if method == "HEAD" or not content:
        return
    if media_type not in content:
        yield f"{operation.name}: {status} with {media_type} is not documented"
    elif media_type == JSON:
        for error in operation.validator(str(status)).iter_errors(body):
            where = "/".join(map(str, error.instance_path))
            yield f"{operation.name}: {status}: at /{where}: {error.message[:500]}"
