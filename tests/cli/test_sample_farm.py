"""The commands with a real service: a sample farm, started as users start it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import COMMAND, Done, buildapi
from tests.e2e.service import Service, environment
from tests.services.mariadb import free_port

BRANCH = "mozilla-central"


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    port = free_port()
    listen = f"tcp:{port}:interface=127.0.0.1"
    command = [COMMAND, "sample", "run", "--data", "data", "--listen", listen]
    folder = tmp_path_factory.mktemp("farm")
    service = Service(folder=folder, command=command, environment=environment(), port=port)
    service.up()
    yield service
    service.stop()


def run(farm: Service, *arguments: str | int) -> Done:
    return buildapi(
        *map(str, arguments), environment={"BUILDAPI_URL": f"http://127.0.0.1:{farm.port}"}
    )


def read(farm: Service, *arguments: str | int) -> Any:
    done = run(farm, *arguments, "--json")
    assert done.code == 0, done
    return json.loads(done.out)


def found(farm: Service, state: str) -> list[dict[str, Any]]:
    """List what is in a state, of whatever day it is."""
    import datetime

    today = datetime.datetime.now(datetime.UTC).date()
    days = [today - datetime.timedelta(days=n) for n in range(3)]
    return [
        item
        for day in days
        for item in read(farm, "builds", BRANCH, "--state", state, "--date", str(day))
    ]


def test_what_is_there_can_be_listed(farm: Service) -> None:
    assert BRANCH in read(farm, "branches")
    build = found(farm, "success")[0]
    listed = read(farm, "rev", BRANCH, build["revision"])
    assert build["build_id"] in [item.get("build_id") for item in listed]
    table = run(farm, "rev", BRANCH, build["revision"]).out.decode()
    assert build["buildername"] in table
    for command in ("pending", "running", "recent", "waittimes", "jobs", "names"):
        assert run(farm, command).code == 0, command
        assert isinstance(read(farm, command), dict | list)


def test_pushes_are_listed_with_whose_they_are(farm: Service) -> None:
    listed = read(farm, "pushes", "--all", "--limit", 30)["pushes"]
    push = next(p for p in listed if p["counts"])
    branch, revision, author = push["branch"], push["revision"], push["author"]
    assert len(read(farm, "pushes", branch, "--limit", 2)["pushes"]) == 2
    assert revision in [p["revision"] for p in read(farm, "user", author, "--limit", 50)["pushes"]]
    table = run(farm, "pushes", branch, "--author", author, "--limit", 50).out.decode()
    assert revision[:12] in table
    found = run(farm, "lookup", revision).out.decode().splitlines()
    assert found == [f"http://127.0.0.1:{farm.port}/self-serve/{branch}/rev/{revision}"]


def test_failed_builds_of_a_push_are_rebuilt(farm: Service) -> None:
    pushes = read(farm, "pushes", BRANCH, "--state", "failure", "--limit", 50)["pushes"]
    commands = [("rebuild", BRANCH, "--failed", push["revision"]) for push in pushes]
    # The farm lives: what failed may be built again just now.
    command = next(c for c in commands if b"dry run" in run(farm, *c, "--dry-run").out)
    done = run(farm, *command, "--wait=60")
    assert done.code == 0, done
    assert "is done: Ok" in done.out.decode()


def test_events_are_watched(farm: Service) -> None:
    build = found(farm, "success")[0]["build_id"]
    watched = subprocess.Popen(
        [COMMAND, "watch", "--job", "all", "--limit", "1", "--seconds", "120", "--json"],
        stdout=subprocess.PIPE,
        env={**os.environ, "BUILDAPI_URL": f"http://127.0.0.1:{farm.port}"},
    )
    while watched.poll() is None:
        assert run(farm, "rebuild", BRANCH, "--build", build, "--wait=30").code == 0
    out, _ = watched.communicate()
    event = json.loads(out.splitlines()[0])
    assert (event["event"], event["data"]["action"]) == ("job", "rebuild_build")


def test_is_done_says_no_while_something_runs(farm: Service) -> None:
    code = run(farm, "is-done", BRANCH, found(farm, "success")[-1]["revision"]).code
    assert code in (0, 1, 3)
    assert run(farm, "is-done", BRANCH, "0" * 40).code == 5


def test_builds_are_built_again(farm: Service) -> None:
    build = found(farm, "success")[0]["build_id"]
    done = run(farm, "rebuild", BRANCH, "--build", build, "--count", 2, "--json", "--wait=30")
    job = json.loads(done.out)["job"]
    assert (done.code, job["state"], len(job["items"])) == (0, "done", 2)
    shown = run(farm, "job", job["id"])
    assert shown.code == 0
    assert f"job {job['id']} is done: Ok" in shown.out.decode()
    request = job["items"][0]["request_id"]
    again = run(farm, "rebuild", BRANCH, "--request", request, "--build", build, "--wait=30")
    assert again.code == 0, again
    assert again.out.decode().count("is done: Ok") == 2


def test_a_dry_run_does_nothing(farm: Service) -> None:
    build = found(farm, "success")[0]["build_id"]
    before = read(farm, "jobs")
    done = run(farm, "rebuild", BRANCH, "--build", build, "--dry-run")
    assert done.code == 0
    assert "Requeue" in done.out.decode()
    assert read(farm, "jobs") == before


def test_a_key_makes_a_repetition_harmless(farm: Service) -> None:
    build = found(farm, "success")[0]["build_id"]
    asked = ["rebuild", BRANCH, "--build", build, "--key", "again"]
    assert read(farm, *asked)["request_id"] == read(farm, *asked)["request_id"]


def test_new_builds_are_asked_for_prioritized_and_cancelled(farm: Service) -> None:
    build = found(farm, "success")[0]
    revision, builder = "c0ffee" * 6 + "c0ff", build["buildername"]
    made = read(
        farm, "new", BRANCH, revision, "--builder", builder, "--property", "a=b", "--wait=30"
    )
    assert made["job"]["state"] == "done", made
    rebuilt = read(farm, "rebuild", BRANCH, "--build", build["build_id"], "--wait=30")
    request = rebuilt["job"]["items"][0]["request_id"]
    raised = run(farm, "prioritize", BRANCH, request, -2, "--wait=30")
    assert raised.code in (0, 1), raised  # 1: a master was faster
    dropped = run(farm, "cancel", BRANCH, "--request", request, "--wait=30")
    assert dropped.code in (0, 1), dropped
    assert "job" in dropped.out.decode() + dropped.err


def test_a_revision_is_cancelled(farm: Service) -> None:
    revision = found(farm, "success")[0]["revision"]
    planned = run(farm, "cancel-rev", BRANCH, revision, "--dry-run", "--only", "pending")
    assert planned.code == 0
    done = run(farm, "cancel-rev", BRANCH, revision, "--builder", "*no such*", "--wait=60")
    assert done.code == 0, done
    assert "is done" in done.out.decode()


@pytest.mark.parametrize(
    "arguments", [("builds", "nope"), ("rebuild", BRANCH, "--build", 1), ("job", 999999)]
)
def test_what_is_not_there_is_not_found(farm: Service, arguments: tuple[str | int, ...]) -> None:
    done = run(farm, *arguments)
    assert done.code == 5
    assert "not found" in done.err


def test_a_shell_completes_branches(farm: Service) -> None:
    given = {
        "_BUILDAPI_COMPLETE": "bash_complete",
        "COMP_WORDS": "buildapi builds mozilla-",
        "COMP_CWORD": "2",
        "BUILDAPI_URL": f"http://127.0.0.1:{farm.port}",
    }
    done = subprocess.run(
        [COMMAND], env={**os.environ, **given}, capture_output=True, timeout=180, check=True
    )
    assert b"plain,mozilla-central" in done.stdout
    assert done.stderr == b""


def test_a_sample_is_written(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path / 's.db'}"
    done = buildapi("sample", "write", "--scheduler", url, "--builds", "20", "--quiet")
    assert done.code == 0, done
    assert (tmp_path / "s.db").stat().st_size > 0
    assert b"--scheduler" in buildapi("sample", "write", "--help").out
