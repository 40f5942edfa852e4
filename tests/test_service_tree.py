"""The service tree is the architecture: which parts a process has, and what they are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from buildapi.assembly import assemble
from buildapi.config import Config, from_mapping, sample_config
from buildapi.lifecycle import Program
from buildapi.mq.amqp import AMQPBroker
from buildapi.mq.embedded import EmbeddedBroker
from tests.reactor import twisted_test, until

POOLS = ["jobs", "scheduler", "scheduler_replica", "status"]


def names(program: Program) -> list[str | None]:
    return [service.name for service in program]


def built(config: Config) -> Program:
    from twisted.internet import reactor

    return assemble(config, reactor).program


def real(folder: Path, *roles: str, **broker: Any) -> Config:
    (folder / "branches.json").write_text(json.dumps({"try": {}}))
    (folder / "masters.json").write_text("[]")
    database = {"url": "mysql://buildapi@127.0.0.1:1/scheduler", "password": "p"}
    return from_mapping(
        {
            "service": {"roles": list(roles)},
            "databases": {"jobs": database, "scheduler": database},
            "directory": {"branches": "branches.json", "masters": "masters.json"},
            "broker": {"url": "amqp://buildapi@127.0.0.1:1/", "password": "p", **broker},
        },
        file=folder / "buildapi.toml",
        environ={},
    )


REPORTS = ["scheduler_reports", "status_reports"]
FIRST = ["manager"]
WATCH = ["heartbeat", "reactor lag"]
PROBE = ["master probe"]


def test_a_process_with_both_roles(tmp_path: Path) -> None:
    parts = [
        "trail",
        "audit",
        "broker",
        "directory",
        *WATCH,
        *PROBE,
        "finisher",
        "outbox",
        "dead letters",
        "load sampler",
        "agent",
        "http",
    ]
    assert names(built(real(tmp_path, "api", "agent"))) == [*FIRST, *POOLS, *REPORTS, *parts]


def test_a_process_warns_of_the_branches_that_its_own_routes_hide(tmp_path: Path) -> None:
    """The names come from the table of routes: none is written down but here."""
    from twisted.internet import reactor

    names = ["jobs", "branches", "events", "lookup", "whoami", "tokens", "batch", "try", "a/b"]
    branches, *_ = assemble(real(tmp_path, "api"), reactor).services.adapters.directory.sources
    hidden = [text.split('"')[1] for text in branches.remarks(names)]
    assert hidden == ["jobs", "branches", "events", "lookup", "whoami", "tokens"]
    branches, *_ = assemble(real(tmp_path, "agent"), reactor).services.adapters.directory.sources
    assert list(branches.remarks(names)) == []


def test_an_agent_serves_no_http(tmp_path: Path) -> None:
    parts = ["trail", "audit", "broker", "directory", *WATCH, *PROBE, "agent"]
    used = [p for p in POOLS if p in ("jobs", "scheduler")]
    assert names(built(real(tmp_path, "agent"))) == [*FIRST, *used, *parts]


def test_whoever_has_an_endpoint_for_it_serves_those_who_watch(tmp_path: Path) -> None:
    for roles in (["agent"], ["api", "agent"]):
        config = real(tmp_path, *roles)
        ops = attrs.evolve(config.ops, listen=("tcp:0:interface=127.0.0.1",))
        assert "ops http" in names(built(attrs.evolve(config, ops=ops)))


def test_an_agent_that_is_not_to_look_at_masters_does_not(tmp_path: Path) -> None:
    config = real(tmp_path, "agent")
    ops = attrs.evolve(config.ops, probe_seconds=0)
    assert "master probe" not in names(built(attrs.evolve(config, ops=ops)))


def test_an_api_process_executes_nothing(tmp_path: Path) -> None:
    parts = [
        "trail",
        "audit",
        "broker",
        "directory",
        *WATCH,
        "finisher",
        "outbox",
        "dead letters",
        "load sampler",
        "http",
    ]
    assert names(built(real(tmp_path, "api"))) == [*FIRST, *POOLS, *REPORTS, *parts]


def test_the_sample_farm_is_a_part_of_its_own(tmp_path: Path) -> None:
    program = built(sample_config(tmp_path, "tcp:0:interface=127.0.0.1"))
    acting = ["dumps", "finisher", "outbox", "dead letters", "load sampler", "agent", "http"]
    parts = ["trail", "audit", "broker", "sample farm", "directory", *WATCH, *PROBE, *acting]
    assert names(program) == [*FIRST, *POOLS, *REPORTS, *parts]


def test_dumps_are_a_part_where_a_folder_is_named(tmp_path: Path) -> None:
    config = real(tmp_path, "api")
    dumps = attrs.evolve(config.dumps, folder=tmp_path / "dumps")
    parts = [
        "trail",
        "audit",
        "broker",
        "directory",
        *WATCH,
        "dumps",
        "finisher",
        "outbox",
        "dead letters",
        "load sampler",
        "http",
    ]
    assert names(built(attrs.evolve(config, dumps=dumps))) == [*FIRST, *POOLS, *REPORTS, *parts]
    agent = attrs.evolve(real(tmp_path, "agent"), dumps=dumps)
    assert "dumps" not in names(built(agent))


@pytest.mark.parametrize("url", ["amqp://u@127.0.0.1:1/", "amqps://u@127.0.0.1:1/v"])
def test_the_url_chooses_the_broker(tmp_path: Path, url: str) -> None:
    program = built(real(tmp_path, "api", url=url))
    assert isinstance(program.getServiceNamed("broker"), AMQPBroker)
    sample = built(sample_config(tmp_path, "tcp:0:interface=127.0.0.1"))
    assert isinstance(sample.getServiceNamed("broker"), EmbeddedBroker)


@twisted_test(30)
async def test_it_starts_and_stops_without_leaving_anything(tmp_path: Path) -> None:
    config = from_mapping(
        {
            "service": {"data": str(tmp_path)},
            "web": {"listen": ["tcp:0:interface=127.0.0.1"]},
            "sample": {"enabled": True, "builds": 10},
        },
        file=tmp_path / "buildapi.toml",
        environ={},
    )
    program = built(config)
    program.startService()
    agent: Any = program.getServiceNamed("agent")
    await until(lambda: bool(agent.running), 20)
    await program.stopService()
    assert [s.name for s in program if s.running] == []


@twisted_test(10)
async def test_stopping_while_it_still_starts(tmp_path: Path) -> None:
    program = built(sample_config(tmp_path, "tcp:0:interface=127.0.0.1"))
    program.startService()
    await program.stopService()
    assert [s.name for s in program if s.running] == []
