"""``buildapi check-config``: what it says of a file, and of what the file names."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cli.running import buildapi
from tests.operating.conftest import Place
from tests.services.mariadb import MariaDB, free_port
from tests.services.rabbitmq import RabbitMQ


@pytest.fixture
def engine() -> str:
    return "sqlite"


def test_a_file_without_errors_is_told_with_its_warnings(tmp_path: Path) -> None:
    file = tmp_path / "buildapi.toml"
    file.write_text('[sample]\nenabled = true\n[web]\ndevelopment_user = "me@example.org"\n')
    done = buildapi("check-config", "-c", file)
    warning, ok = done.out.decode().splitlines()
    assert (done.code, done.err) == (0, "")
    assert warning.startswith("warning: ")
    assert "development_user" in warning
    assert ok == f"ok: {file}"


def test_every_error_is_told(tmp_path: Path) -> None:
    file = tmp_path / "buildapi.toml"
    file.write_text('[web]\ncache_seconds = "soon"\n[agent]\nprefetch = 0\n[nothing]\n')
    done = buildapi("check-config", "--config", file)
    assert (done.code, done.out) == (1, b"")
    for part in ("[web] cache_seconds", "[agent] prefetch", "nothing"):
        assert part in done.err


def test_a_classification_with_errors_is_told(place: Place) -> None:
    (place.folder / "names.toml").write_text("not TOML")
    place.configure(reports={"classification": "names.toml"})
    done = place.run("check-config")
    assert done.code == 1
    assert "names.toml" in done.err


def test_the_sample_farm_has_nothing_to_try(tmp_path: Path) -> None:
    (tmp_path / "buildapi.toml").write_text("[sample]\nenabled = true\n")
    assert buildapi("check-config", "--connect", folder=tmp_path).code == 0


def test_each_thing_that_is_wrong_has_a_line(place: Place) -> None:
    """Nobody listens, nothing is made, files are broken, a server keeps silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        masters = [
            {"db_name": "a:/x", "hostname": "127.0.0.1", "http_port": free_port()},
            {"db_name": "b:/x", "hostname": "127.0.0.1", "http_port": port},
        ]
        (place.folder / "masters.json").write_text(json.dumps(masters))
        (place.folder / "branches.json").write_text("{")
        place.configure(
            broker={"url": f"amqp://u:p@127.0.0.1:{free_port()}/"}, agent={"poke_seconds": 1}
        )
        done = place.run("check-config", "--connect")
    lines = done.out.decode().splitlines()
    assert done.code == 1
    assert {line.split(": ")[1] for line in lines if line.startswith("FAILED")} == {
        "tables in jobs",
        "tables in scheduler",
        "database scheduler",
        "database status",
        "broker",
        "branches",
        "master a:/x",
        "master b:/x",
    }
    assert "FAILED: master b:/x: no answer within 1 s" in lines
    assert any(line.startswith("ok: masters: ") for line in lines)


BRANCHES: dict[str, Any] = {"try": {}, "jobs": {}, "bad": {"repo": 5}}
MASTERS = [
    {"db_name": "off:/x", "hostname": "127.0.0.1", "http_port": 1, "enabled": False, "name": "off"},
    {"name": "no name"},
]
WARNED = [
    'warning: branches: branch "bad" is skipped: repo is not a string',
    'warning: branches: branch "jobs" is hidden: GET /self-serve/{branch} does not reach it:'
    " /self-serve/jobs comes first",
    'warning: masters: master "no name" is skipped: it has no db_name',
    'warning: masters: [changes] master = "off": disabled in the masters file, so it accepts no'
    " changes",
]


@pytest.mark.parametrize("options", [(), ("--connect",)], ids=str)
def test_entries_left_out_and_branches_that_routes_hide_are_told(
    place: Place, options: tuple[str, ...]
) -> None:
    """Where a master is disabled, nobody asks it."""
    (place.folder / "branches.json").write_text(json.dumps(BRANCHES))
    (place.folder / "masters.json").write_text(json.dumps(MASTERS))
    place.configure(changes={"master": "off"})
    lines = place.run("check-config", *options).out.decode().splitlines()
    assert [line for line in lines if line.startswith("warning: ")] == WARNED
    assert not any("master off" in line for line in lines if line.startswith(("ok", "FAILED")))


@pytest.mark.parametrize("allowed", [[], ["masters"]])
def test_an_empty_masters_file_is_told(place: Place, allowed: list[str]) -> None:
    (place.folder / "masters.json").write_text("[]")
    farm = {"branches": "branches.json", "masters": "masters.json", "allow_empty": allowed}
    place.configure(directory=farm)
    lines = place.run("check-config", "--connect").out.decode().splitlines()
    (line,) = [line for line in lines if ": masters: " in line]
    assert line.startswith("ok: masters: " if allowed else "FAILED: masters: no usable entry")


def test_of_an_agent_only_what_it_uses_is_tried(place: Place) -> None:
    broker = {"url": f"amqp://u:p@127.0.0.1:{free_port()}/"}
    place.configure(service={"roles": ["agent"]}, broker=broker)
    lines = place.run("check-config", "--connect").out.decode().splitlines()
    tried = {line.split(": ")[1] for line in lines if line.startswith(("ok: ", "FAILED: "))}
    assert {name for name in tried if name.startswith("database")} == {"database scheduler"}


@pytest.mark.mariadb
@pytest.mark.rabbitmq
class TestServers:
    @pytest.fixture
    def engine(self) -> str:
        return "mysql"

    def test_a_broker_is_logged_in_to_and_left_as_it_is(
        self, place: Place, rabbitmq: RabbitMQ
    ) -> None:
        def broker(password: str) -> None:
            url = f"amqp://{rabbitmq.user}:{password}@127.0.0.1:{rabbitmq.port}/"
            place.configure(broker={"url": url, "agent_queue": "checked", "web_queue": "checked2"})

        broker(rabbitmq.password)
        for _ in range(2):
            out = place.run("check-config", "--connect").out.decode()
            assert (
                "ok: broker: logged in; created at start: checked, checked2, checked.dead,"
                " checked2.dead\n" in out
            )
        broker("wrong")
        refused = place.run("check-config", "--connect").out.decode()
        assert "FAILED: broker: " in refused
        assert "wrong" not in refused

    def test_an_account_that_is_refused_is_told(self, place: Place, mariadb: MariaDB) -> None:
        mariadb.execute("CREATE OR REPLACE USER poor@'127.0.0.1' IDENTIFIED BY 'secret'")
        urls = {n: u.replace("root@", "poor:secret@") for n, u in place.urls.items()}
        poor = Place(place.folder, urls)
        poor.configure()
        done = poor.run("check-config", "--connect")
        assert done.code == 1
        assert "FAILED: database status: the status database refuses the account" in (
            done.out.decode()
        )
        assert "secret" not in done.out.decode() + done.err
