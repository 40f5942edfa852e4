"""Whole revisions, new builds and changes on real Buildbot 0.8.2 masters."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.clobberer import clobberer
from tests.e2e.conftest import PGO, MakeService, World
from tests.e2e.service import USER, Client, Service
from tests.farm.rows import SchedulerRows

pytestmark = [pytest.mark.buildbot, pytest.mark.mariadb, pytest.mark.rabbitmq]


def revision(seed: str) -> str:
    """Make a revision of a test's own, so that no test touches what another left."""
    return (seed.encode().hex() + "0" * 40)[:40]


def requests_of(rows: SchedulerRows, revision: str) -> list[int]:
    text = (
        "SELECT br.id FROM buildrequests br JOIN buildsets bs ON bs.id = br.buildsetid"
        " JOIN sourcestamps ss ON ss.id = bs.sourcestampid WHERE ss.revision = %s ORDER BY br.id"
    )
    return [brid for (brid,) in rows.select(text, revision)]


def msg(job: dict[str, Any]) -> str:
    text: str = job["complete_data"]["body"]["msg"]
    return text


def runs(world: World, client: Client, builder: str, branch: str = "try") -> dict[str, Any]:
    """Show that masters still start what is asked for; give the build as its master tells it."""
    rev = revision(f"runs {time.monotonic()}")
    path = f"/self-serve/{branch}/builders/{quote(builder, safe='')}/{rev}"
    job = client.done(client.post(path, properties='{"answer": [42, "ü"]}', files='["http://x/y"]'))
    (item,) = job["items"]
    assert world.farm.rows.wait_complete(item["request_id"]).results == 0
    build = world.farm.rows.builds(item["request_id"])[0]
    told: dict[str, Any] = world.farm.masters[0].json(
        f"builders/{quote(builder, safe='')}/builds/{build.number}"
    )
    return told


def test_a_change_makes_the_builds_of_the_masters_schedulers(
    world: World, service: Service
) -> None:
    rows, client, rev = world.farm.rows, service.client, revision("change")

    job = client.done(client.post(f"/self-serve/mozilla-central/rev/{rev}"))

    assert (job["state"], msg(job)) == ("done", "Ok")
    found = rows.select(
        "SELECT author, branch, comments, revlink FROM changes WHERE revision=%s", rev
    )
    link = f"https://hg.example.org/mozilla-central/rev/{rev}"
    assert found == [(USER, "mozilla-central", "Submitted via self-serve", link)]
    end = time.monotonic() + 180
    while not requests_of(rows, rev):
        assert time.monotonic() < end, "the scheduler made nothing of it"
        time.sleep(0.1)
    (request_id,) = requests_of(rows, rev)
    assert rows.wait_complete(request_id).results == 0


def test_a_new_build_of_a_builder_runs_with_its_properties_and_files(
    world: World, service: Service
) -> None:
    build = runs(world, service.client, "short")

    properties = {name: (value, source) for name, value, source in build["properties"]}
    assert properties["answer"] == ([42, "ü"], "self-serve")
    assert len(properties["builduid"][0]) == 32
    assert properties["buildid"][0].isdigit()
    assert build["reason"] == f"Self-serve: Requested by {USER}"
    (change,) = build["sourceStamp"]["changes"]
    assert change["branch"] == "try-selfserve"
    assert [f["name"] for f in change["files"]] == ["http://x/y"]


def test_pgo_builds_are_those_of_the_branch_and_run(world: World, service: Service) -> None:
    rows, client, rev = world.farm.rows, service.client, revision("pgo")

    job = client.done(client.post(f"/self-serve/mozilla-central/rev/{rev}/pgo"))

    assert [i["detail"] for i in job["items"]] == [f"submitted to {PGO}"]
    assert rows.wait_complete(job["items"][0]["request_id"]).results == 0
    none = client.done(client.post(f"/self-serve/mozilla-central/rev/{rev}/nightly"))
    assert (none["state"], msg(none)) == ("done", "No builds to create")


def test_a_revision_is_cancelled_on_all_masters_though_one_of_them_hangs(
    world: World, make_service: MakeService
) -> None:
    patient = {**world.sections["agent"], "poke_seconds": 15}
    service = make_service("buildapi", {**world.sections, "agent": patient})
    service.up()
    rows, client, rev = world.farm.rows, service.client, revision("cancel")
    hung, _ = world.farm.masters

    def submit(builder: str, rev: str) -> int:
        return rows.submit(builder, revision=rev, reason="Self-serve: apart")

    at_hung = [submit("long a", rev) for _ in range(2)]
    at_fine = [submit("long b", rev) for _ in range(2)]
    for request_id in (*at_hung, *at_fine):
        rows.wait_running(request_id)
    waiting = [submit("long b", rev) for _ in range(30)]
    other = submit("long b", revision("another"))
    hung.suspend()
    try:
        accepted = client.delete(f"/self-serve/try/rev/{rev[:12]}", reason="bad push")
        job_id = accepted.body["request_id"]
        while True:  # the hung master is given a quarter of a minute
            job = client.get(f"/self-serve/jobs/{job_id}").body
            assert job["state"] in ("queued", "running"), job
            if job["progress"] and job["progress"]["done"] >= 32:
                break
            time.sleep(0.1)
        assert job["progress"] == {"done": 32, "total": 34}
        job = client.done(accepted)
    finally:
        hung.resume()

    lines = dict(zip([*at_hung, *at_fine, *waiting], msg(job).splitlines(), strict=True))
    assert job["state"] == "failed"
    assert {lines[r] for r in at_hung} == {f"Error cancelling build (request {r})" for r in at_hung}
    assert all(lines[r] == f"{r}: Ok" for r in (*at_fine, *waiting))
    assert all(rows.request(r).complete for r in (*at_fine, *waiting))
    assert all(rows.builds(r) == [] for r in waiting)
    rows.wait_running(other)  # of another revision: left alone

    for request_id in at_hung:
        rows.wait_running(request_id)
    again = client.done(client.delete(f"/self-serve/try/rev/{rev}"))
    assert (again["state"], len(again["items"])) == ("done", 2)
    assert client.done(client.delete(f"/self-serve/try/rev/{revision('another')}"))["items"]


def test_only_what_was_named_of_a_revision_is_cancelled(world: World, service: Service) -> None:
    rows, client, rev = world.farm.rows, service.client, revision("some")
    running = [rows.submit("long b", revision=rev, reason=f"Self-serve: {n}") for n in range(2)]
    for request_id in running:
        rows.wait_running(request_id)
    pending = rows.submit("long b", revision=rev, reason="Self-serve: waits")
    path = f"/self-serve/try/rev/{rev}"

    plan = client.delete(path, dry_run=1).body["plan"]
    assert plan["writes"][0]["brids"] == [pending]
    assert [p["brid"] for p in plan["pokes"] if p["type"] == "StopBuild"] == running
    assert client.done(client.delete(path, builder="*talos*"))["items"][0]["state"] == "nothing"
    assert msg(client.done(client.delete(path, only="pending"))) == f"{pending}: Ok"
    assert [rows.request(r).complete for r in running] == [0, 0]
    assert client.done(client.delete(path, only="running"))["state"] == "done"
    assert [rows.request(r).complete for r in running] == [1, 1]


def test_poison_is_refused_and_the_builders_go_on(world: World, service: Service) -> None:
    rows, client, rev = world.farm.rows, service.client, revision("poison")
    before = len(rows.select("SELECT id FROM buildrequests"))
    short = f"/self-serve/try/builders/short/{rev}"
    refused = {
        "/self-serve/try/rev/" + quote("ünü"): {},
        f"/self-serve/try/rev/{quote('ünü')}/pgo": {},
        f"/self-serve/try/builders/short/{quote('ünü')}": {},
        f"/self-serve/try/builders/{quote('lïnux')}/{rev}": {},
        f"/self-serve/try/builders/nobody/{rev}": {},
        short: {"properties": '{"ü": 1}'},
        f"{short}?": {"properties": json.dumps({"long": "x" * 1024})},
        f"{short}?a": {"properties": "[1]"},
        f"{short}?b": {"files": '{"a": 1}'},
        f"/self-serve/try/rev/{'x' * 300}": {},
    }
    for path, form in refused.items():
        answer = client.post(path, **form)
        assert answer.status == 400, (path, answer)
    assert len(rows.select("SELECT id FROM buildrequests")) == before

    assert runs(world, client, "short")["results"] == 0


def test_a_cancelled_build_is_clobbered_where_it_ran(
    world: World, make_service: MakeService
) -> None:
    rows, rev = world.farm.rows, revision("clobber")
    with clobberer() as known:
        clobber = {"url": known.url, "token": "s3cret", "builders": "long .*"}
        service = make_service("clobbering", {**world.sections, "clobber": clobber})
        service.up()
        request_id = rows.submit("long b", revision=rev)
        rows.wait_running(request_id)

        job = service.client.done(service.client.delete(f"/self-serve/try/request/{request_id}"))

    assert job["state"] == "done"
    ((authorization, document),) = known.asked
    assert authorization == "Bearer s3cret"
    assert document[0]["buildername"] == "long b"
    assert document[0]["slave"] in ("slave-b1", "slave-b2")
    assert [i["detail"] for i in job["items"]] == [
        "stopped",
        f"{document[0]['slave']} clobbered for long b",
    ]
    assert "s3cret" not in service.output()


def test_a_key_holds_over_a_restart_of_the_program(world: World, service: Service) -> None:
    rows, client = world.farm.rows, service.client
    first = rows.submit("short")
    rows.wait_complete(first)

    def ask() -> Any:
        form = {"request_id": first}
        return client.ask("POST", "/self-serve/try/request", form, key="push 7")

    answer = ask()
    client.done(answer)
    service.stop()
    service.up()

    assert (answer.status, ask().body) == (202, answer.body)


def test_a_batch_is_carried_out_in_its_order(world: World, service: Service) -> None:
    rows, client, rev = world.farm.rows, service.client, revision("batch")
    rebuilt = rows.submit("short", revision=rev)
    rows.wait_complete(rebuilt)
    again = {"path": "/self-serve/try/request", "body": {"request_id": rebuilt}}
    cancel = {"method": "DELETE", "path": f"/self-serve/try/rev/{rev}", "body": {"only": "pending"}}

    answer = client.ask(
        "POST", "/self-serve/batch", document=[again, cancel, {"path": "/x"}, again]
    )

    assert [one["status"] for one in answer.body] == [202, 202, 404, 202]
    jobs = [client.wait_job(o["body"]["request_id"]) for o in answer.body if o["status"] == 202]
    assert [job["state"] for job in jobs] == ["done"] * 3
    last = jobs[2]["items"][0]["request_id"]
    assert rows.wait_complete(last).results == 0, "asked for after the cancel: not cancelled"
