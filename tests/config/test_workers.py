"""Several processes of one host share a configuration; what is their own, and what must not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildapi.config import Config, for_worker
from buildapi.errors import ConfigError
from tests.config.documents import Document, farm_with, read, refused

SERVERS: Document = {
    "databases": {
        "jobs": {"url": "mysql://u@h/jobs"},
        "scheduler": {"url": "mysql://u@h/scheduler"},
    },
    "broker": {"url": "amqp://u:p@h/"},
    "web": {"listen": ["tcp:8010", "systemd:domain=INET:index=0"], "form_secret": "s" * 40},
    "ops": {
        "listen": ["tcp:8011:interface=127.0.0.1", "tcp6:interface=\\:\\:1:port=9011", "tcp:0"]
    },
    "service": {"workers": 3, "name": "host", "data": "/var/lib/b"},
}


@pytest.fixture
def shared(farm: Path) -> Config:
    return read(farm, farm_with(SERVERS))


def test_each_worker_has_a_name_a_folder_and_monitoring_ports_of_its_own(shared: Config) -> None:
    found = [for_worker(shared, n) for n in (1, 2, 3)]
    assert [c.service.name for c in found] == ["host-1", "host-2", "host-3"]
    assert [str(c.service.data) for c in found][2] == "/var/lib/b/worker-3"
    assert [c.ops.listen for c in found] == [
        ("tcp:8011:interface=127.0.0.1", "tcp6:interface=\\:\\:1:port=9011", "tcp:0"),
        ("tcp:8012:interface=127.0.0.1", "tcp6:interface=\\:\\:1:port=9012", "tcp:0"),
        ("tcp:8013:interface=127.0.0.1", "tcp6:interface=\\:\\:1:port=9013", "tcp:0"),
    ]
    assert {c.web for c in found} == {shared.web}
    assert [c.worker for c in found] == [1, 2, 3]


@pytest.mark.parametrize("number", [None, 0, 4])
def test_a_worker_needs_a_number_that_there_is(shared: Config, number: int | None) -> None:
    with pytest.raises(ConfigError, match=r"workers = 3.*expected a number from 1 to 3"):
        for_worker(shared, number)


def test_one_process_needs_no_number_and_is_what_it_was(farm: Path) -> None:
    config = read(farm, farm_with({}))
    assert for_worker(config, None) is config
    assert for_worker(config, 1) is config
    with pytest.raises(ConfigError, match="there is no such worker"):
        for_worker(config, 2)


def test_what_processes_cannot_share_is_refused(farm: Path) -> None:
    (farm / "s.sqlite").touch()
    alone = {
        "databases": {"jobs": {"url": "sqlite:j"}, "scheduler": {"url": "sqlite:s.sqlite"}},
        "web": {"listen": ["unix:/run/b.sock", "tcp:80"]},
        "ops": {"listen": ["unix:/run/o.sock"]},
        "service": {"workers": 2},
    }
    lines = refused(farm, farm_with(alone)).split("\n")
    assert all(NEEDED in line for line in lines)
    for line, (place, why) in zip(
        lines,
        [
            ("[databases.jobs] url", "an SQLite file, which one process uses"),
            ("[databases.scheduler] url", "an SQLite file, which one process uses"),
            ("[broker] url", "an amqp URL"),
            ("[web] listen", "tcp:, tcp6: or systemd:"),
            ("[ops] listen", "tcp: or tcp6:"),
            ("[web] form_secret", "set"),
        ],
        strict=True,
    ):
        assert line.startswith(place)
        assert why in line


NEEDED = "if [service] workers = 2"
