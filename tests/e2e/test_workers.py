"""Workers: two real processes of one configuration on one port, of which one is killed."""

from __future__ import annotations

import http.client
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.restarting import Process, Site
from tests.e2e.service import environment, toml, twistd
from tests.patience import PATIENCE
from tests.services.mariadb import MariaDB, free_port
from tests.services.rabbitmq import RabbitMQ

pytestmark = [pytest.mark.mariadb, pytest.mark.rabbitmq]


@pytest.fixture
def workers(tmp_path: Path, mariadb: MariaDB, rabbitmq: RabbitMQ) -> Iterator[list[Process]]:
    """Start two workers of one configuration; end both."""
    site, port = Site.over(tmp_path, mariadb, rabbitmq, None), free_port()
    own = {
        "service": {"data": "data", "roles": ["api"], "name": "host", "workers": 2},
        "web": {"listen": [f"tcp:{port}:interface=127.0.0.1"], "form_secret": "s" * 40},
    }
    (tmp_path / "buildapi.toml").write_text(toml({**own, **site.sections}))
    for number in (1, 2):
        folder = tmp_path / f"out-{number}"
        folder.mkdir()
        command = twistd("buildapi", "--config", "../buildapi.toml", "--worker", str(number))
        site.processes.append(
            Process(folder=folder, command=command, environment=environment(), port=port)
        )
    for process in site.processes:
        process.up()
    yield site.processes
    site.end()


def answering(port: int) -> str | None:
    """Return who answers on a new connection; None if it was cut or refused."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/status?format=json")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
    except OSError:
        return None
    finally:
        connection.close()
    return str(found["process"]["name"])


def test_both_answer_on_one_port_and_one_goes_on_when_the_other_is_killed(
    workers: list[Process],
) -> None:
    first, second = workers
    seen, end = set[str | None](), time.monotonic() + PATIENCE
    while seen != {"host-1", "host-2"}:
        seen.add(answering(first.port))
        assert time.monotonic() < end, seen
    assert None not in seen
    first.end(signal.SIGKILL)
    assert {answering(second.port) for _ in range(20)} == {"host-2"}
    first.up()
    while "host-1" not in seen - {"host-2"} or answering(first.port) != "host-1":
        assert time.monotonic() < end
    second.end()
    assert {answering(first.port) for _ in range(20)} == {"host-1"}
