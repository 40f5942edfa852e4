"""What a configuration gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from buildapi.config import AMQPAddress, Secret, sample_config
from buildapi.config.addresses import is_local
from buildapi.config.load import from_mapping
from buildapi.errors import ConfigError
from tests.config.documents import FARM, farm_with, read


def test_a_small_file_is_enough_and_relative_paths_start_at_its_folder(farm: Path) -> None:
    config = read(farm, FARM)
    assert config.service.roles == ("api", "agent")
    assert config.service.data == farm / "data"
    assert config.service.name
    assert config.web.timezone == ZoneInfo("UTC")
    assert config.directory.branches == str(farm / "branches.json")
    assert config.databases.jobs.url == f"sqlite:{farm}/data/jobs.sqlite"
    assert config.databases.status.url == f"sqlite:{farm}/data/status.sqlite"
    assert config.broker.address is None
    assert config.warnings == ()


def test_the_replica_is_the_scheduler_unless_it_has_a_table(farm: Path) -> None:
    scheduler = {"url": "sqlite:data/scheduler.sqlite", "pool": 7}
    alone = read(farm, farm_with({"databases": {"scheduler": scheduler}})).databases
    assert alone.scheduler_replica == alone.scheduler
    assert alone.scheduler.pool == 7
    replica = {"url": "mysql://reader@replica/schedulerdb"}
    both = read(farm, farm_with({"databases": {"scheduler_replica": replica}})).databases
    assert both.scheduler_replica.url == "mysql://reader@replica/schedulerdb"
    assert both.scheduler_replica.pool == 4


def test_the_sample_needs_nothing_but_a_folder(tmp_path: Path) -> None:
    config = sample_config(tmp_path / "new", None)
    assert config.sample.enabled
    assert config.service.data == tmp_path / "new"
    assert config.databases.scheduler.url == f"sqlite:{tmp_path}/new/scheduler.sqlite"
    assert config.directory.branches == f"{tmp_path}/new/branches.json"
    assert config.directory.masters == f"{tmp_path}/new/masters.json"
    assert config.web.listen == ("tcp:8010:interface=127.0.0.1",)
    assert not (tmp_path / "new").exists()


def test_the_sample_listens_where_it_is_told(tmp_path: Path) -> None:
    local = "tcp:0:interface=127.0.0.1"
    assert sample_config(tmp_path, local).web.listen == (local,)
    with pytest.raises(ConfigError, match=r'^sample configuration: \[web\] listen = "here": must'):
        sample_config(tmp_path, "here")


@pytest.mark.parametrize(
    ("given_url", "url"),
    [
        ("sqlite:x.sqlite", "sqlite:{}/x.sqlite"),
        ("sqlite:/tmp/x.sqlite", "sqlite:/tmp/x.sqlite"),
        ("sqlite:///x.sqlite", "sqlite:{}/x.sqlite"),
        ("sqlite:////tmp/x.sqlite", "sqlite:/tmp/x.sqlite"),
        ("mysql://u@h/n", "mysql://u@h/n"),
        ("mysql+pymysql://u@h:3307/n", "mysql://u@h:3307/n"),
        ("mysql://u@/n?unix_socket=/run/x.sock", "mysql://u@/n?unix_socket=/run/x.sock"),
    ],
)
def test_database_urls_are_given_in_one_form(farm: Path, given_url: str, url: str) -> None:
    config = read(farm, farm_with({"databases": {"jobs": {"url": given_url}}}))
    assert config.databases.jobs.url == url.format(farm)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("amqp://u:p@h", AMQPAddress("h", 5672, "/", "u", False)),
        ("amqp://u:p@h/", AMQPAddress("h", 5672, "/", "u", False)),
        ("amqps://u%40x:p@h:1/%2Fa", AMQPAddress("h", 1, "/a", "u@x", True)),
        ("amqps://u:p@[::1]/b%20c", AMQPAddress("::1", 5671, "b c", "u", True)),
        ("AMQPS://u:p@h", AMQPAddress("h", 5671, "/", "u", True)),
    ],
)
def test_broker_urls_become_addresses(farm: Path, url: str, address: AMQPAddress) -> None:
    config = read(farm, farm_with({"broker": {"url": url}}))
    assert config.broker.address == address
    assert config.broker.password == Secret("p")
    assert config.broker.scheme == url.partition(":")[0].lower()


def test_authorities_go_with_encrypted_connections(farm: Path) -> None:
    document = {
        "broker": {"url": "amqps://u:p@h", "tls_ca": "ca.pem"},
        "databases": {"jobs": {"url": "mysql://u@h/n", "tls_ca": "ca.pem"}},
    }
    config = read(farm, farm_with(document))
    assert config.broker.tls_ca == farm / "ca.pem"
    assert config.databases.jobs.tls_ca == farm / "ca.pem"


def test_values_are_given_as_what_they_mean(farm: Path) -> None:
    web = {
        "trusted_proxies": ["10.0.0.0/8", "::1", "unix", "10.1.2.3/32"],
        "allowed_origins": ["https://CI.example.org:8443"],
        "timezone": "America/Los_Angeles",
        "access_log": "access.log",
        "answer_seconds": 4.5,
        "listen": ["unix:/run/b.sock:mode=660", "systemd:domain=INET:name=web", "tcp6:port=80"],
    }
    directory = {"masters": "HTTPS://h/m.json?x=1", "stored_branches": {"try": ["a", "b"]}}
    config = read(farm, farm_with({"web": web, "directory": directory}))
    assert config.web.trusted_proxies == ("10.0.0.0/8", "::1", "unix", "10.1.2.3")
    assert config.web.allowed_origins == ("https://ci.example.org:8443",)
    assert config.web.timezone.key == "America/Los_Angeles"
    assert config.web.access_log == farm / "access.log"
    assert config.web.answer_seconds == 4.5
    assert len(config.web.listen) == 3
    assert config.directory.masters == "https://h/m.json?x=1"
    assert config.directory.stored_branches == {"try": ("a", "b")}


@pytest.mark.parametrize(
    ("description", "local"),
    [
        ("tcp:80:interface=127.0.0.1", True),
        ("tcp:80:127.0.0.2", True),
        ("tcp:80:interface=localhost", True),
        (r"tcp6:80:interface=\:\:1", True),
        ("unix:/run/b.sock", True),
        ("tcp:80", False),
        ("tcp6:80", False),
        ("tcp:80:interface=10.0.0.1", False),
        ("systemd:domain=INET:index=0", False),
    ],
)
def test_it_is_known_which_endpoints_are_local(description: str, local: bool) -> None:
    assert is_local(description) is local


def test_a_development_user_is_warned_about(farm: Path) -> None:
    config = read(farm, farm_with({"web": {"development_user": "me"}}))
    assert config.warnings == (
        f'{farm}/b.toml: [web] development_user = "me": local requests without a user act as this'
        " user",
    )


def test_reading_the_configuration_installs_no_reactor() -> None:
    code = (
        "import sys, pathlib; from buildapi.config import sample_config;"
        "sample_config(pathlib.Path('x'), 'tcp:0:interface=127.0.0.1');"
        "print('twisted.internet.reactor' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


@pytest.mark.parametrize(
    ("agent", "tries", "said"),
    [({}, 5, "used as tries = 5"), ({"tries": 2}, 2, "is ignored: [agent] tries")],
)
def test_the_old_name_of_how_often_a_job_is_tried_is_read(
    tmp_path: Path, agent: dict[str, int], tries: int, said: str
) -> None:
    document = {"broker": {"max_deliveries": 5}, "agent": agent, "sample": {"enabled": True}}
    config = from_mapping(document, file=tmp_path / "buildapi.toml", environ={})
    assert config.agent.tries == tries
    assert any(said in warning for warning in config.warnings)
