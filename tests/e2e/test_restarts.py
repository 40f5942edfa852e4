"""Processes are restarted and killed under load: no request fails, no job is lost or doubled."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.restarting import Load, Process, Site, all_done
from tests.patience import PATIENCE
from tests.services.mariadb import MariaDB
from tests.services.nginx import nginx_before
from tests.services.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.mariadb, pytest.mark.rabbitmq]


@pytest.fixture
def shared() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as s:
        yield s


@pytest.fixture
def site(
    tmp_path: Path, mariadb: MariaDB, rabbitmq: RabbitMQ, shared: socket.socket
) -> Iterator[Site]:
    made = Site.over(tmp_path, mariadb, rabbitmq, shared)
    yield made
    made.end()


def test_restarts_behind_one_socket_fail_no_request(site: Site) -> None:
    apis, agents = site.start()
    with Load(apis[0].port) as load:
        for process in (apis[0], agents[0], apis[1], agents[1]):
            load.until(20)
            process.restart()
        load.until(20)
    print(f"{load.answered} answered, {len(load.accepted)} jobs, longest {load.longest:.2f} s")
    assert load.failures == []
    assert load.accepted
    all_done(site, load, apis[0].client)
    assert "Traceback" not in "".join(p.log() for p in site.processes)


@pytest.mark.nginx
def test_restarts_behind_nginx_fail_no_request(
    tmp_path: Path, mariadb: MariaDB, rabbitmq: RabbitMQ
) -> None:
    site = Site.over(tmp_path, mariadb, rabbitmq, None)
    try:
        apis, agents = site.start()
        with nginx_before(tmp_path, [api.port for api in apis]) as port, Load(port) as load:
            for process in (apis[0], agents[0], apis[1], apis[0]):
                load.until(20)
                process.restart()
            load.until(20)
        print(f"{load.answered} answered, {len(load.accepted)} jobs, longest {load.longest:.2f} s")
        assert load.failures == []
        assert load.accepted
        all_done(site, load, apis[0].client)
    finally:
        site.end()


def test_kills_lose_no_accepted_job_and_double_none(site: Site) -> None:
    apis, agents = site.start()
    with Load(apis[0].port, every=2) as load:
        for process in (agents[0], apis[0], agents[1]):
            load.until(20)
            process.kill()
            load.until(20)
            process.up()
        load.until(20)
    print(f"{load.answered} answered, {len(load.accepted)} jobs, {len(load.failures)} failed")
    assert len(load.failures) <= load.clients, "at most what each client had on the killed process"
    all_done(site, load, apis[0].client)


@pytest.mark.parametrize("numbers", [[signal.SIGTERM] * 2, [signal.SIGINT, signal.SIGTERM]])
def test_a_second_signal_changes_nothing(site: Site, numbers: list[signal.Signals]) -> None:
    api = site.process("api", "api", drain=PATIENCE)
    api.up()
    idle = socket.create_connection(("127.0.0.1", api.port))
    idle.sendall(b"GET /self-serve/branches?format=json HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.recv(15) == b"HTTP/1.1 200 OK"
    assert api._process is not None
    api._process.send_signal(numbers[0])
    _until_told(api, "shutting down")
    assert api.end(numbers[1]) < PATIENCE
    idle.close()
    assert f"{numbers[1].name} again: already stopping" in api.output()
    assert "Traceback" not in api.output()


def test_two_signals_at_the_same_moment_are_one_end(site: Site) -> None:
    """The second may come before the reactor has begun to stop."""
    api = site.process("api", "api")
    api.up()
    assert api._process is not None
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        api._process.send_signal(number)
    api._process.wait(PATIENCE)
    assert "again: already stopping" in api.output()
    assert "stopped broker" in api.output()
    assert "Traceback" not in api.output()


def test_a_process_that_never_got_ready_ends_at_once(site: Site, mariadb: MariaDB) -> None:
    agent = site.process("agent", "agent")
    path = agent.folder / "buildapi.toml"
    path.write_text(re.sub(r"127\.0\.0\.1:\d+/jobs", "127.0.0.1:9/jobs", path.read_text()))
    agent.start()
    _until_told(agent, "not ready yet")
    agent.end()
    assert "stopped broker" in agent.output()
    assert "Traceback" not in agent.output()


def _until_told(process: Process, text: str) -> None:
    end = time.monotonic() + 180
    while text not in process.output():
        assert time.monotonic() < end, process.output()
        assert process.running, process.output()
        time.sleep(0.02)
