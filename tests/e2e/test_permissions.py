"""Access rules on a real database: builds that serve several branches, and a reload of rules."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.buildbot.conftest import create
from tests.buildbot.seed import Seed
from tests.e2e.service import Client, Service, configured
from tests.e2e.test_logs import wait
from tests.services.mariadb import MariaDB

BRANCHES = {
    "try": {"repo": "https://hg.example.org/try", "access": "scm_level_1"},
    "mozilla-central": {"repo": "https://hg.example.org/mozilla-central", "access": "scm_level_3"},
}
GROUPS = """
[groups]
level1 = ["dev@example.org"]
sheriffs = ["sheriff@example.org"]
"""
RULES = """
[access]
default = "deny"
groups_file = "groups.toml"

[[access.rules]]
name = "sheriffs"
groups = ["sheriffs"]

[[access.rules]]
name = "level 1 on try"
groups = ["level1"]
access = ["scm_level_1"]
"""
CLOSED = """
[access]
groups_file = "groups.toml"

[[access.rules]]
name = "mac is closed"
effect = "deny"
builders = ["mac*"]
"""


@attrs.define
class Ruled:
    """A service with rules, its users, and the rows of masters."""

    service: Service
    seed: Seed
    plain: str

    @property
    def dev(self) -> Client:
        return Client(self.service.client.url, "dev@example.org")

    @property
    def sheriff(self) -> Client:
        return Client(self.service.client.url, "sheriff@example.org")

    def reload(self, rules: str) -> None:
        """Put other rules in force."""
        before = self._last()
        self.write(rules)
        os.kill(self.service.pid, signal.SIGHUP)
        wait(lambda: self._last() not in (None, before))
        assert self._last()["ok"], self._last()

    def write(self, rules: str) -> None:
        (self.service.folder / "buildapi.toml").write_text(self.plain + rules)

    def _last(self) -> Any:
        return self.service.client.get("/status").body["reload"]


Start = Callable[[str], Ruled]


@pytest.fixture
def start(mariadb: MariaDB, tmp_path: Path) -> Iterator[Start]:
    services: list[Service] = []
    seeds: list[Seed] = []

    def started(rules: str) -> Ruled:
        scheduler = mariadb.database("scheduler", charset="utf8")
        create(scheduler, "mysql")
        (tmp_path / "branches.json").write_text(json.dumps(BRANCHES))
        (tmp_path / "masters.json").write_text("[]")
        databases = {"jobs": {"url": mariadb.database("jobs")}, "scheduler": {"url": scheduler}}
        directory = {name: str(tmp_path / f"{name}.json") for name in ("branches", "masters")}
        sections = {"databases": databases, "directory": directory}
        service = configured(tmp_path / "service", sections)
        services.append(service)
        (service.folder / "groups.toml").write_text(GROUPS)
        seeds.append(Seed(scheduler))
        ruled = Ruled(service, seeds[-1], (service.folder / "buildapi.toml").read_text())
        ruled.write(rules)
        service.up()
        return ruled

    yield started
    for service in services:
        service.stop()
    for seed in seeds:
        seed.close()


def test_a_build_that_serves_two_branches_needs_the_permission_on_both(start: Start) -> None:
    ruled = start(RULES)
    seed, dev = ruled.seed, ruled.dev
    ours, theirs, alone = seed.request("try"), seed.request("mozilla-central"), seed.request("try")
    both, own = seed.run(ours, theirs), seed.run(alone)

    for refused in (
        dev.delete(f"/self-serve/try/build/{both}"),
        dev.delete(f"/self-serve/try/request/{ours}"),
        dev.post("/self-serve/try/build", build_id=both),
        dev.delete("/self-serve/try/rev/abcdef012345"),
        dev.delete("/self-serve/try/rev/abcdef012345?dry_run=1"),
    ):
        assert refused.status == 403, refused
        assert (refused.body["rule"], refused.body["needed"]) == (None, "group sheriffs")
        assert f"whose request {theirs} has the same build" in refused.body["msg"]
        assert "on mozilla-central (scm_level_3)" in refused.body["msg"]
    assert dev.get("/self-serve/jobs").body == []

    assert dev.delete(f"/self-serve/try/build/{own}").status == 202
    assert dev.post("/self-serve/try/request", request_id=alone).status == 202
    assert dev.post("/self-serve/mozilla-central/request", request_id=theirs).status == 403
    assert ruled.sheriff.delete(f"/self-serve/try/build/{both}").status == 202
    # Once the other request is complete, nobody else loses anything.
    seed.complete(theirs)
    assert dev.delete(f"/self-serve/try/request/{ours}").status == 202


def test_rules_of_builders_hold_for_the_requests_of_a_revision(start: Start) -> None:
    ruled = start(CLOSED)
    seed, dev, path = ruled.seed, ruled.dev, "/self-serve/try/rev/abcdef012345"
    seed.request("try", builder="linux")
    assert dev.delete(f"{path}?dry_run=1").status == 200
    seed.request("try", builder="mac talos")
    refused = dev.delete(path)
    assert (refused.status, refused.body["rule"]) == (403, "mac is closed")
    assert dev.delete(f"{path}?builder=linux&dry_run=1").status == 200

    ruled.reload(RULES)
    done = dev.done(dev.delete(path))
    assert len(done["items"]) == 2
    found = dev.get("/self-serve/authorizations").body
    assert found["groups"] == ["level1"]
    assert found["branches"]["try"]["actions"]["cancel_revision"]["rule"] == "level 1 on try"
    assert found["branches"]["mozilla-central"]["actions"]["cancel_revision"]["allowed"] == "no"
