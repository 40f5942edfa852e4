"""The real farm of the tests does what the other tests rely on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.farm.farm import Farm, Kind, Master, NotReadyError
from tests.farm.fixtures import MakeFarm
from tests.farm.processes import Guard

pytestmark = pytest.mark.buildbot


@pytest.fixture
def master(farm: Farm) -> Master:
    return farm.masters[0]


def test_an_inserted_request_is_built(farm: Farm, master: Master) -> None:
    request = farm.rows.submit("short", revision="abc123", properties={"who": "Zoë"})
    done = farm.rows.wait_complete(request)
    assert done.results == 0
    assert done.claimed_by_name == master.claimed_by_name
    (build,) = farm.rows.builds(request)
    assert build.finish_time is not None
    shown = master.json(f"builders/short/builds/{build.number}")
    assert shown["slave"] == "slave-a1"
    assert ["who", "Zoë", "test"] in shown["properties"]


def test_a_failing_build_completes_with_results_2(farm: Farm) -> None:
    request = farm.rows.submit("fail", revision="abc123")
    assert farm.rows.wait_complete(request).results == 2


def test_a_second_request_waits_while_the_only_slave_is_busy(farm: Farm, master: Master) -> None:
    # The second comes later: of two submitted in one second a master takes either.
    first = farm.rows.submit("long", revision="r1")
    build = farm.rows.wait_running(first)
    second = farm.rows.submit("long", revision="r2")
    time.sleep(2.5)  # two polls of the master
    assert farm.rows.request(second).claimed_at == 0
    farm.rows.execute("UPDATE buildrequests SET complete=1, results=2 WHERE id = %s", second)
    master.stop_build("long", build.number)
    farm.rows.wait_complete(first)


def test_stopping_a_build_by_web_redirects_and_completes_it(farm: Farm, master: Master) -> None:
    request = farm.rows.submit("long", revision="abc123")
    build = farm.rows.wait_running(request)
    status, location = master.stop_build(
        "long", build.number, {"comments": "enough", "username": "zoe"}
    )
    assert (status, location.split("/")[-1]) == (302, "long")
    assert farm.rows.wait_complete(request).results == 2


def test_stopping_a_build_that_is_not_there_is_404(master: Master) -> None:
    assert master.stop_build("long", 9999) == (404, "")


def test_a_suspended_master_times_out_and_stops_the_build_when_it_goes_on(
    farm: Farm, master: Master
) -> None:
    request = farm.rows.submit("long", revision="abc123")
    build = farm.rows.wait_running(request)
    master.suspend()
    try:
        with pytest.raises(TimeoutError):
            master.stop_build("long", build.number, seconds=1.5)
        assert not farm.rows.request(request).complete
    finally:
        master.resume()
    assert farm.rows.wait_complete(request).results == 2


def test_a_suspended_slave_keeps_a_stopped_build_running(farm: Farm, master: Master) -> None:
    request = farm.rows.submit("long", revision="abc123")
    build = farm.rows.wait_running(request)
    (slave,) = master.slaves
    slave.suspend()
    try:
        assert master.stop_build("long", build.number)[0] == 302
        assert not farm.rows.request(request).complete
    finally:
        slave.resume()
    assert farm.rows.wait_complete(request).results == 2


def test_a_killed_master_builds_again_after_its_restart(make_farm: MakeFarm) -> None:
    farm = make_farm()
    master = farm.master("b", {"long": "long"})
    farm.start()
    request = farm.rows.submit("long", revision="abc123")
    first = farm.rows.wait_running(request)
    master.kill()
    with pytest.raises(OSError, match="refused"):
        master.json("project")
    farm.start(master)
    wait_until(lambda: len(farm.rows.builds(request)) == 2)
    assert farm.rows.builds(request)[0].id == first.id


def test_masters_refuse_whom_they_must(make_farm: MakeFarm) -> None:
    farm = make_farm()
    deny = farm.master("deny", {"deny": "long"}, web="deny")
    auth = farm.master("auth", {"auth": "long"}, web="auth")
    farm.start()
    builds = {
        builder: farm.rows.wait_running(farm.rows.submit(builder, revision="abc123")).number
        for builder in ("deny", "auth")
    }
    assert deny.stop_build("deny", builds["deny"])[1].endswith("authfail")
    assert auth.stop_build("auth", builds["auth"])[1].endswith("authfail")
    known = {"username": "webuser", "passwd": "webpw"}
    assert auth.stop_build("auth", builds["auth"], known)[1].endswith("builders/auth")


def test_every_kind_of_builder_starts_and_stops(make_farm: MakeFarm) -> None:
    farm = make_farm()
    kinds: list[Kind] = ["long", "vlong", "medium", "stubborn", "twostep"]
    master = farm.master("d", {kind: kind for kind in kinds}, slaves=2, max_builds=3)
    farm.start()
    requests = {kind: farm.rows.submit(kind, revision="abc123") for kind in kinds}
    builds = {kind: farm.rows.wait_running(requests[kind]).number for kind in kinds}
    with ThreadPoolExecutor() as threads:  # each answer takes a second
        list(threads.map(lambda kind: master.stop_build(kind, builds[kind]), kinds))
    assert {farm.rows.wait_complete(request).results for request in requests.values()} == {2}


@pytest.mark.parametrize(("no_merge", "builds"), [(False, 1), (True, 2)])
def test_equal_requests_are_one_build_unless_merging_is_off(
    make_farm: MakeFarm, no_merge: bool, builds: int
) -> None:
    farm = make_farm()
    farm.master("e", {"short": "short"}, no_merge=no_merge)
    requests = [farm.rows.submit("short", revision="abc123") for _ in range(2)]
    farm.start()
    for request in requests:
        farm.rows.wait_complete(request)
    assert len({farm.rows.builds(request)[0].number for request in requests}) == builds


def test_a_master_that_does_not_poll_leaves_inserted_rows_alone(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.master("f", {"short": "short"}, db_poll_interval=None)
    farm.start()
    time.sleep(2)  # for the run of the master's loop that follows the attaching of its slave
    request = farm.rows.submit("short", revision="abc123")
    time.sleep(2.5)
    assert farm.rows.request(request).claimed_at == 0


def test_the_masters_file_names_each_master(make_farm: MakeFarm) -> None:
    farm = make_farm()
    one = farm.master("g", {"short": "short"})
    two = farm.master("h", {"short": "short"}, role="tests")
    entries = json.loads(farm.masters_json())
    assert [e["db_name"] for e in entries] == [one.claimed_by_name, two.claimed_by_name]
    assert [e["role"] for e in entries] == ["build", "tests"]
    assert len({e[key] for e in entries for key in ("http_port", "pb_port")}) == 4
    assert set(entries[0]) == {"name", "role", "db_name", "hostname", "http_port", "pb_port"}


def test_a_master_that_ends_says_why(make_farm: MakeFarm) -> None:
    farm = make_farm()
    master = farm.master("i", {"short": "short"})
    (master.folder / "master.cfg").write_text("c = wrong\n")
    master.start()
    master.kill()
    with pytest.raises(NotReadyError, match="master-i"):
        master.wait_ready()


def test_closing_a_farm_leaves_no_process(make_farm: MakeFarm) -> None:
    farm = make_farm()
    farm.master("j", {"stubborn": "stubborn"})
    farm.start()
    farm.rows.wait_running(farm.rows.submit("stubborn", revision="abc123"))
    wait_until(lambda: len(processes_inside(farm.folder)) >= 3)  # master, slave, what it runs
    farm.close()
    assert not processes_inside(farm.folder)


def test_processes_end_with_a_test_run_that_is_killed(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    code = (
        "import subprocess, pathlib, os, signal\n"
        "from tests.farm.processes import Guard\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "guard = Guard.over(folder)\n"
        "subprocess.Popen(['sleep', '60'], cwd=folder / 'inside', start_new_session=True)\n"
        "print('started', flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
        timeout=10,
        check=False,
    )
    assert killed.stdout == "started\n"
    wait_until(lambda: not processes_inside(tmp_path))


def test_a_guard_ends_nothing_elsewhere(tmp_path: Path) -> None:
    inside, elsewhere = tmp_path / "inside", tmp_path / "inside-not"
    inside.mkdir()
    elsewhere.mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=elsewhere) as bystander:
        Guard.over(inside).end()
        assert bystander.poll() is None
        bystander.kill()


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not so in time"
        time.sleep(0.05)


def processes_inside(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = str((process / "cwd").readlink())
        except OSError:
            continue
        if where.startswith(f"{folder.resolve()}/"):
            found.append(process.name)
    return found
