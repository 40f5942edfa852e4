"""Generated requests to every operation of ``/openapi.json``: is what is answered documented?

schemathesis makes the requests: it tries the bounds of each parameter, and random requests, also
such as the document forbids.  It prints the seed of a run; ``SCHEMATHESIS_SEED`` is another one and
``SCHEMATHESIS_EXAMPLES`` the number of random requests to each operation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from buildapi.sample.bulk_writer import fill
from buildapi.sample.history import FarmSize, generate
from buildapi.sample.sample_farm import write_branches, write_masters
from tests.e2e.service import USER, Service, configured, toml
from tests.services.mariadb import MariaDB, free_port

BRANCH = "mozilla-central"
SIZE = FarmSize(builds=300, days=1)
SEED = os.environ.get("SCHEMATHESIS_SEED", "17")
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "8")
"""Random requests to each operation, beside those that try each bound of each parameter."""
SECONDS = 500
"""When a run is given up: it takes a tenth of that where nothing else runs."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


IDS = ("build_id", "request_id")
"""Names of ids in bodies."""
KEY = "Idempotency-Key"
AUDITORS = f"""
[[access.rules]]
name = "auditors"
effect = "allow"
users = ["{USER}"]
actions = ["read_audit"]
"""


@pytest.fixture(params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)])
def engine(request: pytest.FixtureRequest) -> str:
    """Name the database."""
    name: str = request.param
    return name


@pytest.fixture
def service(request: pytest.FixtureRequest, engine: str, tmp_path: Path) -> Iterator[Service]:
    """Run one process on an invented farm, whose masters are out of reach."""
    folder = tmp_path / "farm"
    folder.mkdir()
    write_branches(folder, SIZE)
    write_masters(folder, [free_port() for _ in range(4)])
    names = ("scheduler", "status", "jobs")
    urls = {name: f"sqlite:{folder / name}.sqlite" for name in names}
    if engine == "mariadb":
        server: MariaDB = request.getfixturevalue("mariadb")
        urls = {name: server.database(name, "utf8mb3") for name in names}
    now = int(time.time())
    fill(
        urls["scheduler"], urls["status"], lambda ids: generate(seed=7, now=now, size=SIZE, ids=ids)
    )
    sections = {
        "databases": {name: {"url": url} for name, url in urls.items()},
        "directory": {
            name: str(folder / f"{name}.json") for name in ("branches", "masters", "builders")
        },
        "agent": {"poke_seconds": 1, "verify_seconds": 0, "recheck_seconds": 0},
    }
    service = configured(tmp_path / "service", sections)
    with (service.folder / "buildapi.toml").open("a") as configuration:
        configuration.write(AUDITORS)
    service.up()
    try:
        yield service
    finally:
        service.kill()


def header(service: Service, engine: str) -> str:
    """Return the header that authenticates: of the proxy, or, on MariaDB, a token."""
    if engine == "sqlite":
        return f"X-Remote-User: {USER}"
    csrf_token = service.client.get("/self-serve/whoami").body["csrf_token"]
    for _ in range(9):  # those with lower ids are for requests that revoke one
        form = {"label": "all operations", "csrf_token": csrf_token}
        answer = service.client.post("/self-serve/tokens", **form)
        assert answer.status == 201, answer
    return f"Authorization: Bearer {answer.body['token']}"


def known(service: Service) -> Mapping[str, Sequence[Any]]:
    """List values of path segments that the farm knows, so that not all is 404."""
    items = service.client.get(f"/self-serve/{BRANCH}").body
    builds = [item for item in items if "build_id" in item][:5]
    waiting = [item for item in items if "build_id" not in item][:5]
    assert builds
    assert waiting
    builders = sorted({build["buildername"] for build in builds})
    return {
        "branch": [BRANCH],
        "branch_name": [BRANCH],
        "build_id": [build["build_id"] for build in builds],
        "request_id": [item["request_id"] for item in waiting],
        "revision": sorted({item["revision"] for item in (*builds, *waiting) if item["revision"]}),
        "builder": builders,
        "builder_name": builders,
        "buildername": builders,
        "user": ["zoe@example.org"],
        "job_id": [1, 2],
        "name": ["buildapi.css"],
        "pool": ["buildpool"],
    }


def configuration(found: Mapping[str, Sequence[Any]]) -> str:
    """Write what the command line of schemathesis has no options for."""
    return toml(
        {
            "generation": {"with-security-parameters": False},  # the header is that of a user
            "max-stream-events": 1,  # /self-serve/events goes on for ever
            "cache": {"enabled": False},
            "dictionaries": {name: {"values": values} for name, values in found.items()},
            "parameters": {
                f"{place}.{name}": {"dictionary": name, "probability": 0.7}
                for place in ("path", "body")
                for name in found
                if place == "path" or name in IDS
            },
            "phases": {
                "coverage": {
                    # Methods that a path does not have are tried in tests/web/test_methods.py.
                    "unexpected-methods": [],
                    # What is beyond the bounds is among the random requests: each parameter with
                    # each wrong value took two thirds of the time.
                    "generation": {"mode": "positive"},
                },
            },
        }
    )


def described(service: Service, found: Mapping[str, Sequence[Any]]) -> Mapping[str, Any]:
    """Read the document, and give an example of what the farm knows.

    What may be in the query or in the body is left in the body: in both it is refused, which the
    document cannot say, and would be in both of nearly every request.  So is an Idempotency-Key of
    another request (tests/web/test_idempotency.py), and nearly all would have the same.
    """
    document: dict[str, Any] = service.client.get("/openapi.json").body
    for operation in (one for methods in document["paths"].values() for one in methods.values()):
        contents = operation.get("requestBody", {"content": {}})["content"].values()
        bodies = [content["schema"].get("properties", {}) for content in contents]
        in_body = {name for body in bodies for name in body}
        operation["parameters"] = [
            p
            for p in operation["parameters"]
            if (p["in"] != "query" or p["name"] not in in_body) and p["name"] != KEY
        ]
        waits = [p["schema"] for p in operation["parameters"] if p["name"] == "wait"]
        for schema in (*waits, *(body["wait"] for body in bodies if "wait" in body)):
            schema["maximum"] = 1  # more are a minute, in which nothing else happens
        schemas = [
            *((p["name"], p["schema"]) for p in operation["parameters"] if p["in"] == "path"),
            *((name, body[name]) for body in bodies for name in IDS if name in body),
        ]
        for name, schema in schemas:
            if name in found:
                value = found[name][0]
                text = schema.get("type") == "string"
                schema["examples"] = [str(value) if text else value]
    return document


def test_every_operation_answers_as_documented(
    service: Service, engine: str, tmp_path: Path
) -> None:
    found = known(service)
    (tmp_path / "schemathesis.toml").write_text(configuration(found))
    (tmp_path / "openapi.json").write_text(json.dumps(described(service, found)))
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", "schemathesis.toml", "--no-color"),
            *("run", "openapi.json", "--url", f"http://127.0.0.1:{service.port}"),
            *("--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", SEED),
            *("--checks", ",".join(CHECKS), "--continue-on-failure", "--no-shrink"),
            *("--generation-database", "none", "--request-timeout", "120", "--warnings", "off"),
            *("--header", header(service, engine)),
            # A page has no schema; that it is documented is seen where ?format=html is tried.
            *("--header", "Accept: application/json"),
            *("--report", "ndjson", "--report-ndjson-path", "report.ndjson"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    print(run.stdout, run.stderr)
    assert run.returncode == 0, run.stdout[-20_000:]
    assert "errors" not in service.output()
