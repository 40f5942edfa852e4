"""Two live processes do not share a data folder or a SQLite file: one line tells who has it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.service import Service, configured, environment, twistd
from tests.e2e.test_twistd import run
from tests.services.mariadb import free_port

SAMPLE = ("buildapi", "--sample", "--data")
MakeRun = Callable[[], Service]


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[MakeRun]:
    """Make services as ``make run`` starts them, all on one data folder."""
    made: list[Service] = []

    def make() -> Service:
        folder = tmp_path / f"run{len(made)}"
        folder.mkdir()
        port = free_port()
        listen = ("--listen", f"tcp:{port}:interface=127.0.0.1")
        command = twistd(*SAMPLE, str(tmp_path / "data"), *listen)
        made.append(Service(folder, command, environment(), port=port))
        return made[-1]

    yield make
    for service in made:
        service.kill()


def refusal(what: str, holder: Service) -> str:
    return f"buildapi: {what} is in use by process {holder.pid} on {platform.node()}\n"


def serves(service: Service) -> bool:
    return service.running and service.client.get("/self-serve/branches").status == 200


def second(folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    """Run a second process to its end, as somebody at a terminal does; it may make a pid file."""
    folder.mkdir(exist_ok=True)
    listen = ("--listen", f"tcp:{free_port()}:interface=127.0.0.1")
    command = [twistd()[0], "-n", *SAMPLE, str(data), *listen]
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_a_second_process_on_the_data_folder_ends_with_one_line_while_the_first_serves(
    make_run: MakeRun, tmp_path: Path
) -> None:
    first, data = make_run(), tmp_path / "data"
    first.up()
    for _ in range(2):  # a refused start leaves nothing behind that a later one trips over
        done = second(tmp_path / "second", data)
        assert done.returncode == 1
        assert done.stderr == refusal(f"the data folder {data}", first)
        assert "Traceback" not in done.stdout
    assert serves(first)


def test_a_second_process_is_refused_before_the_first_is_ready(
    make_run: MakeRun, tmp_path: Path
) -> None:
    first, data = make_run(), tmp_path / "data"
    first.begin()
    end = time.monotonic() + 180
    while not (data / "buildapi.lock").exists():
        assert first.running, first.output()
        assert time.monotonic() < end
        time.sleep(0.001)
    done = second(tmp_path / "second", data)
    assert done.returncode == 1
    assert done.stderr == refusal(f"the data folder {data}", first)
    first.wait_ready()
    assert serves(first)


def test_of_processes_that_are_started_at_the_same_moment_one_serves_and_the_others_name_it(
    make_run: MakeRun, tmp_path: Path
) -> None:
    services = [make_run() for _ in range(3)]
    for service in services:
        service.begin()
    end = time.monotonic() + 180
    while len(running := [s for s in services if s.running]) > 1:
        assert time.monotonic() < end, "more than one goes on"
        time.sleep(0.05)
    (first,) = running
    for service in services:
        if service is not first:
            assert service.ended() == 1
            assert service.output() == refusal(f"the data folder {tmp_path / 'data'}", first)
    first.wait_ready()
    assert serves(first)


def test_a_process_starts_on_the_data_folder_of_one_that_was_killed(make_run: MakeRun) -> None:
    first, next_ = make_run(), make_run()
    first.up()
    first.kill()
    next_.up()
    assert serves(next_)


def test_a_process_whose_data_folder_is_deleted_ends_once_another_has_made_it_anew(
    make_run: MakeRun, tmp_path: Path
) -> None:
    first, next_, data = make_run(), make_run(), tmp_path / "data"
    first.up()
    first.suspend()  # else it may be the one that locks what is made anew
    shutil.rmtree(data)
    next_.up()
    first.resume()
    assert first.ended(60) == 1
    assert refusal(f"the data folder {data}", next_)[len("buildapi: ") : -1] in first.output()
    assert serves(next_)


def test_a_lock_that_is_deleted_under_a_process_is_taken_anew(
    make_run: MakeRun, tmp_path: Path
) -> None:
    first, data = make_run(), tmp_path / "data"
    first.up()
    for file in data.glob("*.lock"):
        file.unlink()
    end = time.monotonic() + 180
    while len(list(data.glob("*.lock"))) < 4:
        assert time.monotonic() < end, list(data.glob("*.lock"))
        time.sleep(0.05)
    done = second(tmp_path / "second", data)
    assert (done.returncode, done.stderr) == (1, refusal(f"the data folder {data}", first))
    assert serves(first)


def test_a_second_process_on_a_sqlite_file_of_another_data_folder_is_refused(
    make_run: MakeRun, tmp_path: Path
) -> None:
    first = make_run()
    first.up()
    for name in ("jobs", "scheduler", "status"):
        file = tmp_path / "data" / f"{name}.sqlite"
        sections: dict[str, Any] = {
            "databases": {name: {"url": f"sqlite:///{file}"}},
            "sample": {"enabled": True, "builds": 10},
        }
        other = configured(tmp_path / f"other-{name}", sections)
        done = run(other.folder, "buildapi", "--config", "buildapi.toml")
        assert done.returncode == 1
        assert done.stderr == refusal(f"the database {file}", first)
        assert "Traceback" not in done.stdout
    assert serves(first)
