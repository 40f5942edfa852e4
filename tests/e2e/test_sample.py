"""The sample farm of "make run": what the README promises, on embedded defaults."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any

import pytest

from tests.e2e.service import Service, environment, twistd
from tests.services.mariadb import free_port

BRANCH = "/self-serve/mozilla-central"


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run one sample farm for all tests of a module, which leave it running."""
    port, folder = free_port(), tmp_path_factory.mktemp("sample")
    listen = f"tcp:{port}:interface=127.0.0.1"
    command = twistd("buildapi", "--sample", "--data", "data", "--listen", listen)
    service = Service(folder=folder, command=command, environment=environment(), port=port)
    service.up()
    yield service
    service.stop()


def items(service: Service) -> list[dict[str, Any]]:
    """List what is of today and of yesterday: just after midnight today is empty."""
    now = datetime.now(UTC)
    days = [f"{now - timedelta(days=n):%Y-%m-%d}" for n in range(2)]
    return [item for day in days for item in service.client.get(f"{BRANCH}?date={day}").body]


def quick(service: Service) -> dict[str, Any]:
    """Find a build that passed, the shortest one: what is built again should not take long."""
    passed = [item for item in items(service) if item.get("status") == 0 and item["endtime"]]
    return min(passed, key=lambda build: build["endtime"] - build["starttime"])


def of_request(service: Service, request_id: int) -> dict[str, Any]:
    details: dict[str, Any] = service.client.get(f"{BRANCH}/request/{request_id}").body
    return details


def wait_until_listed(service: Service, requests: Sequence[int], seconds: float = 180) -> None:
    """Wait for requests in the lists of a branch, which may be 0.25 s older than the job."""
    end = time.monotonic() + seconds
    while True:
        shown = {r["request_id"] for i in items(service) for r in i.get("requests", [i])}
        if shown >= set(requests):
            return
        assert time.monotonic() < end, set(requests) - shown
        time.sleep(0.05)


def wait_for(service: Service, request_id: int, key: str, seconds: float = 180) -> dict[str, Any]:
    """Wait until a request is claimed, complete, ...; give it."""
    end = time.monotonic() + seconds
    while not (request := of_request(service, request_id))[key]:
        assert time.monotonic() < end, f"no {key} in {seconds} s: {request}"
        time.sleep(0.2)
    return request


def test_cancelling_works_for_pending_and_running(sample: Service) -> None:
    """Act on what waits and runs in a farm that has just been filled: this test is the first."""
    client = sample.client
    running = next(i for i in items(sample) if "build_id" in i and i["endtime"] is None)
    pending = next(i for i in items(sample) if "build_id" not in i)

    stopped = client.done(client.delete(f"{BRANCH}/build/{running['build_id']}"))
    dropped = client.done(client.delete(f"{BRANCH}/request/{pending['request_id']}"))

    assert stopped["complete_data"]["body"]["msg"] in ("Ok", "Build is complete, nothing to do")
    assert dropped["state"] == "done"
    assert of_request(sample, pending["request_id"])["complete"] == 1


def test_a_rebuild_goes_pending_running_done_and_a_restart_goes_on(sample: Service) -> None:
    client = sample.client
    assert set(client.get("/self-serve/branches").body) >= {
        "mozilla-central",
        "mozilla-inbound",
        "try",
    }
    build = quick(sample)

    job = client.done(client.post(f"{BRANCH}/build", build_id=build["build_id"], count=3))

    made = [item["request_id"] for item in job["items"]]
    assert len(made) == 3
    old = client.get(f"{BRANCH}/build/{build['build_id']}").body
    assert old["rebuilt_as"] == sorted(made, reverse=True)
    new = client.get(f"{BRANCH}/request/{made[0]}").body
    assert new["rebuild_of"] == {
        "build_id": build["build_id"],
        "request_id": None,
        "job_id": job["id"],
    }
    wait_until_listed(sample, made)
    wait_for(sample, made[0], "claimed_at")
    sample.stop()
    sample.up()
    for request_id in made:
        assert wait_for(sample, request_id, "complete")["build_ids"]
    assert client.get(f"/self-serve/jobs/{job['id']}").body == job
    build = quick(sample)
    again = client.done(client.post(f"{BRANCH}/build", build_id=build["build_id"], count=3))
    assert len(again["items"]) == 3


def test_the_user_is_you_on_loopback_and_whom_a_proxy_names(sample: Service) -> None:
    build = quick(sample)
    job = sample.client.done(sample.client.post(f"{BRANCH}/build", build_id=build["build_id"]))
    assert job["who"] == "sheriff@example.org"
    assert "you@localhost" in sample.output(), "the override is said loudly"


def test_a_job_accepted_before_a_kill_is_carried_out_after_it(sample: Service) -> None:
    """The queue of the embedded broker is gone with the process; the table is not."""
    build = quick(sample)
    accepted = sample.client.post(f"{BRANCH}/build", build_id=build["build_id"])
    sample.kill()
    sample.up()
    job = sample.client.wait_job(accepted.body["request_id"])
    assert job["complete_data"]["body"] == {"errors": False, "msg": "Ok"}


def test_it_answers_to_names_of_this_host_alone(sample: Service) -> None:
    """A page of another name that is bound to this address must not act as its reader."""
    answers = {}
    for host in (
        "localhost",
        f"127.0.0.1:{sample.port}",
        f"[::1]:{sample.port}",
        "evil.example.org",
    ):
        connection = HTTPConnection("127.0.0.1", sample.port, timeout=120)
        headers = {"Host": host, "Accept": "application/json"}
        connection.request("GET", "/self-serve/whoami", headers=headers)
        answers[host] = connection.getresponse().status
        connection.close()
    assert answers.pop("evil.example.org") == 421
    assert set(answers.values()) == {200}
