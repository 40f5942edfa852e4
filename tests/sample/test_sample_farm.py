"""The sample farm of a data folder, as `make run` starts it."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import treq
from twisted.internet import defer
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.client import Agent

from buildapi.buildbot.directory import parse_branches, parse_builders, parse_masters
from buildapi.db.pool import PooledDatabase, open_database
from buildapi.sample.bulk_writer import fill
from buildapi.sample.catalog import MASTERS, builders
from buildapi.sample.change_source import change_statements, read_change
from buildapi.sample.history import FarmSize, generate
from buildapi.sample.push_generator import PushGenerator
from buildapi.sample.sample_farm import SampleFarm, StoppedError, prepare
from buildapi.sample.simulated_master import MasterSettings, SimulatedMaster
from buildapi.sample.status_builds import StatusRecorder
from tests.reactor import sleep, twisted_test, until
from tests.sample.sending import change, send

SMALL = FarmSize(builds=120, days=1, pending=6, running=5)
FAST = MasterSettings(poll=0.05, shortest=0.1, longest=0.3, slaves=8)


def pool(url: str, name: str) -> PooledDatabase:
    from twisted.internet import reactor

    return open_database(
        url,
        reactor=reactor,
        name=name,
        size=2,
        max_waiting=100,
        statement_seconds=4,
        max_rows=50_000,
    )


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[SampleFarm]:
    """Run a farm on pools of its own."""
    from twisted.internet import reactor

    scheduler, status = (
        pool(f"sqlite:{folder}/{name}.sqlite", name) for name in ("scheduler", "status")
    )
    usual: dict[str, Any] = {"size": SMALL, "settings": FAST, "push_seconds": 0}
    farm = SampleFarm(reactor, folder, scheduler, status, **usual | options)
    farm.startService()
    try:
        yield farm
    finally:
        await farm.stopService()
        await scheduler.stopService()
        await status.stopService()


def look(folder: Path, text: str, name: str = "scheduler") -> Any:
    db = sqlite3.connect(folder / f"{name}.sqlite")
    try:
        [[value]] = db.execute(text).fetchall()
    finally:
        db.close()
    return value


def document(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


LEFT = "SELECT COUNT(*) FROM buildrequests WHERE complete = 0"


@twisted_test(15)
async def test_a_new_folder_is_filled_and_its_work_gets_done(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as farm:
        await farm.when_ready()
        data = tmp_path / "data"
        assert look(data, "SELECT COUNT(*) FROM builds") >= SMALL.builds + SMALL.running
        await until(lambda: look(data, LEFT) == 0, 10)
        finished = "SELECT COUNT(*) FROM builds WHERE endtime IS NOT NULL"
        links = "SELECT COUNT(*) FROM schedulerdb_requests"
        all_builds = SMALL.builds + SMALL.pending + SMALL.running
        # A master writes to the status database after it has completed the request.
        await until(lambda: look(data, links, "status") >= all_builds, 10)
        assert look(data, finished, "status") > 0


@twisted_test(15)
async def test_the_files_name_branches_and_masters_that_listen(tmp_path: Path) -> None:
    from twisted.internet import reactor

    async with running(tmp_path) as farm:
        await farm.when_ready()
        branches = parse_branches(document(tmp_path, "branches.json")).value
        assert set(branches) == set(SMALL.branches)
        assert branches["mozilla-inbound"]["repo"].endswith("/integration/mozilla-inbound")
        masters = parse_masters(document(tmp_path, "masters.json")).value
        assert set(masters) == {m.db_name for m in MASTERS}
        for entry in document(tmp_path, "masters.json"):
            url = f"http://{entry['hostname']}:{entry['http_port']}/json/project"
            response = await Agent(reactor).request(b"GET", url.encode())
            assert json.loads(await treq.content(response))["projectName"] == entry["name"]
        taken = {m.db_name: m.pb_port for m in masters.values() if m.pb_port is not None}
        assert list(taken) == [MASTERS[0].db_name]
    claims = "SELECT COUNT(DISTINCT claimed_by_name) FROM buildrequests"
    assert look(tmp_path, claims) == len(masters) - 1, "the scheduler builds nothing"


@twisted_test(20)
async def test_a_second_start_goes_on_with_the_same_data(tmp_path: Path) -> None:
    slow = MasterSettings(poll=0.05, shortest=60, longest=90, slaves=8)
    async with running(tmp_path, settings=slow) as farm:
        await farm.when_ready()
        await until(lambda: look(tmp_path, "SELECT MAX(number) FROM builds") is not None)
        await sleep(0.3)
    requests = look(tmp_path, "SELECT COUNT(*) FROM buildrequests")
    left = look(tmp_path, LEFT)
    assert left >= SMALL.running
    async with running(tmp_path) as farm:
        await farm.when_ready()
        await until(lambda: look(tmp_path, LEFT) == 0, 10)
    assert look(tmp_path, "SELECT COUNT(*) FROM buildrequests") == requests


@twisted_test(15)
async def test_people_push_while_it_runs(tmp_path: Path) -> None:
    async with running(tmp_path, push_seconds=0.2) as farm:
        await farm.when_ready()
        before = look(tmp_path, "SELECT COUNT(*) FROM changes")
        await until(lambda: look(tmp_path, "SELECT COUNT(*) FROM changes") > before)


@twisted_test(15)
async def test_a_change_sent_to_the_scheduler_is_built(tmp_path: Path) -> None:
    async with running(tmp_path) as farm:
        await farm.when_ready()
        masters = parse_masters(document(tmp_path, "masters.json")).value.values()
        [port] = [m.pb_port for m in masters if m.role == "scheduler" and m.pb_port]
        await send(port, change(revision="feedbeef"))
        done = (
            "SELECT COUNT(*) FROM buildrequests r JOIN buildsets b ON b.id = r.buildsetid"
            " JOIN sourcestamps s ON s.id = b.sourcestampid"
            " WHERE s.revision = 'feedbeef' AND r.complete = 1 AND r.claimed_at > 0"
        )
        await until(lambda: look(tmp_path, done) == 10, 10)


@twisted_test(15)
async def test_the_farm_has_a_clobberer(tmp_path: Path) -> None:
    from twisted.internet import reactor

    async with running(tmp_path) as farm:
        assert farm.clobber_url == ""
        await farm.when_ready()
        response = await Agent(reactor).request(b"GET", farm.clobber_url.encode())
        assert await treq.json_content(response) == []


@twisted_test(15)
async def test_a_folder_of_before_there_was_a_scheduler_goes_on(tmp_path: Path) -> None:
    """Neither the builders file nor anything of the scheduler is there."""
    prepare(tmp_path, now=int(time.time()), size=SMALL)
    (tmp_path / "builders.json").unlink()
    masters = document(tmp_path, "masters.json")[1:]
    (tmp_path / "masters.json").write_text(json.dumps(masters))
    async with running(tmp_path) as farm:
        await farm.when_ready()
        assert len(document(tmp_path, "masters.json")) == len(MASTERS)
        assert set(parse_builders(document(tmp_path, "builders.json")).value.by_name)
        await until(lambda: look(tmp_path, LEFT) == 0, 10)


@twisted_test(15)
async def test_a_farm_can_be_stopped_while_it_is_filled(tmp_path: Path) -> None:
    async with running(tmp_path, size=FarmSize(builds=200_000, days=30)) as farm:
        waiting = farm.when_ready()
        await sleep(0.3)
        await farm.stopService()
        with pytest.raises(StoppedError):
            await waiting
    assert look(tmp_path, "SELECT COUNT(*) FROM builds") == 0


@twisted_test(15)
async def test_the_reactor_is_free_while_the_farm_is_filled(tmp_path: Path) -> None:
    async with running(tmp_path, size=FarmSize(builds=2000)) as farm:
        ready = farm.when_ready()
        turns = 0
        while not ready.called:
            await sleep(0.02)
            turns += 1
        await ready
        assert turns >= 10, "a reactor that fills the databases itself makes one or two"


@twisted_test(15)
async def test_a_port_in_use_is_told_to_those_who_wait(
    tmp_path: Path, logged_errors: list[Any]
) -> None:
    from twisted.internet import reactor
    from twisted.internet.error import CannotListenError
    from twisted.web.server import Site

    taken = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(None))
    number = taken.getHost().port
    endpoints = [TCP4ServerEndpoint(reactor, number, interface="127.0.0.1") for _ in MASTERS]
    async with running(tmp_path, endpoints=endpoints) as farm:
        with pytest.raises(CannotListenError):
            await farm.when_ready()
        assert logged_errors
        logged_errors.clear()
    await defer.maybeDeferred(taken.stopListening)


@twisted_test(30)
async def test_masters_and_pushes_work_on_either_engine(urls: tuple[str, str]) -> None:
    from twisted.internet import reactor

    now = int(time.time())
    fill(*urls, lambda ids: generate(seed=1, now=now, size=SMALL, ids=ids))
    scheduler, status = (pool(url, "sample") for url in urls)
    services: list[Any] = [PushGenerator(reactor, scheduler, ["try"], seed=1, seconds=0.3)]
    for master in MASTERS:
        known = {b.name: b for b in builders(SMALL.branches) if b.role == master.role}
        log = StatusRecorder(status)
        services.append(
            SimulatedMaster(reactor, master, known, scheduler, status=log, settings=FAST)
        )
    for service in services:
        service.startService()
    sent = read_change(change(branch="try", properties={"x": 1}))
    assert sent is not None
    await scheduler.transact(change_statements(sent, SMALL.branches, now))

    async def all_done() -> bool:
        rows = await scheduler.fetch(
            "SELECT COUNT(*), SUM(CASE WHEN complete = 0 THEN 1 ELSE 0 END) FROM buildrequests", {}
        )
        if rows[0][0] > SMALL.builds + SMALL.pending + SMALL.running + 50:
            services[0].stopService()
        return not services[0].running and rows[0][1] == 0

    await until(all_done, 25)
    for service in services[1:]:
        await service.stopService()
    [[open_sets]] = await scheduler.fetch("SELECT COUNT(*) FROM buildsets WHERE complete = 0", {})
    assert open_sets == 0
    [row] = await scheduler.fetch(
        "SELECT property_name, property_value, filename FROM change_properties p"
        " JOIN change_files f ON f.changeid = p.changeid WHERE filename = 'a.txt'",
        {},
    )
    assert tuple(row) == ("x", '[1, "Change"]', "a.txt")
    recorded = "SELECT COUNT(*) FROM builds WHERE lost = 0 AND result IS NOT NULL"
    [[count]] = await status.fetch(recorded, {})
    assert count > SMALL.builds
    await scheduler.stopService()
    await status.stopService()


def test_a_folder_can_be_prepared_without_a_reactor(tmp_path: Path) -> None:
    data = tmp_path / "new" / "folder"
    prepare(data, now=1_700_000_000, seed=3, size=SMALL, ports=(1, 2, 3, 4), pb_port=5)
    masters = document(data, "masters.json")
    assert [m["http_port"] for m in masters] == [1, 2, 3, 4]
    assert [m["pb_port"] for m in masters] == [5, 0, 0, 0]
    assert look(data, "SELECT COUNT(*) FROM builds") == SMALL.builds + SMALL.running
    prepare(data, now=1_700_009_999, seed=4, size=SMALL)
    assert look(data, "SELECT COUNT(*) FROM builds") == SMALL.builds + SMALL.running
    assert sorted(p.name for p in data.iterdir() if p.suffix != ".new") == [
        "branches.json",
        "builders.json",
        "masters.json",
        "scheduler.sqlite",
        "status.sqlite",
    ]


def test_a_lost_status_database_gets_its_tables_back(tmp_path: Path) -> None:
    prepare(tmp_path, now=1_700_000_000, size=SMALL)
    (tmp_path / "status.sqlite").unlink()
    prepare(tmp_path, now=1_700_000_000, size=SMALL)
    assert look(tmp_path, "SELECT COUNT(*) FROM builds", "status") == 0


def test_a_crash_between_the_two_databases_is_repaired(tmp_path: Path) -> None:
    prepare(tmp_path, now=1_700_000_000, size=SMALL)
    (tmp_path / "scheduler.sqlite").unlink()
    prepare(tmp_path, now=1_700_000_000, size=SMALL)
    assert look(tmp_path, "SELECT COUNT(*) FROM builds") == SMALL.builds + SMALL.running
