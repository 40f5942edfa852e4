"""The services that the browser visits: a sample farm, and a farm of hostile names."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from tests.buildbot.seed import Seed
from tests.e2e.service import Client, Service, environment, toml, twistd
from tests.services.mariadb import free_port

USER = "sheriff@example.org"
ZONE = "America/Los_Angeles"
"""The farm's zone here: neither the reader's nor UTC."""
BRANCH = "mozilla-central"
DAYS = 3

Item = dict[str, Any]


def served(folder: Path, sections: Mapping[str, Any], **of_web: object) -> Service:
    """Return a service with a configuration of its own and no user but those a proxy names.

    ``of_web`` are more keys of the section ``[web]``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    web = {
        "listen": [f"tcp:{port}:interface=127.0.0.1"],
        "cache_seconds": 0,
        "timezone": ZONE,
        "development_user": "",
        **of_web,
    }
    document = {"service": {"data": "data", "drain_seconds": 2}, "web": web, **sections}
    (folder / "buildapi.toml").write_text(toml(document))
    command = twistd("buildapi", "--config", "buildapi.toml")
    return Service(folder=folder, command=command, environment=environment(), port=port)


def sample_farm(folder: Path, *, builds: int = 500) -> Service:
    """Return a sample farm in which nobody pushes, so that only what a test does changes things."""
    sample = {"enabled": True, "builds": builds, "days": DAYS, "push_seconds": 0}
    return served(folder, {"sample": sample})


def days() -> Sequence[str]:
    """List the days of the farm, the newest first."""
    now = datetime.now(ZoneInfo(ZONE))
    return [f"{now - timedelta(days=n):%Y-%m-%d}" for n in range(DAYS + 1)]


def day_of_rows(client: Client, branch: str = BRANCH) -> tuple[str, Sequence[Item]]:
    """Find the newest day of a branch that has something, and what: after midnight none has."""
    for day in days():
        if items := client.get(f"/self-serve/{branch}?date={day}").body:
            return day, items
    raise AssertionError(f"nothing happened on {branch}")


def passed(client: Client, *of: str, branch: str = BRANCH) -> Sequence[Item]:
    """List the builds of some days that passed, those of the shortest builders first."""
    found = [i for day in of for i in client.get(f"/self-serve/{branch}?date={day}").body]
    done = [item for item in found if item.get("status") == 0 and item["endtime"]]
    return sorted(done, key=lambda build: build["endtime"] - build["starttime"])


def quick(client: Client) -> Item:
    """Find a build that does not take long to build again."""
    return passed(client, *days())[0]


def quick_today(client: Client, seconds: float = 60) -> Item:
    """Find one on the page of today; where today is too young, build one first."""
    end = time.monotonic() + seconds
    if not passed(client, days()[0]):
        client.done(client.post(f"/self-serve/{BRANCH}/build", build_id=quick(client)["build_id"]))
    while not (found := passed(client, days()[0])):
        assert time.monotonic() < end, f"nothing passed in {seconds} s"
        time.sleep(0.2)
    return found[0]


def seed_of(service: Service) -> Seed:
    """Open the scheduler database of a sample farm."""
    return Seed(f"sqlite:///{service.folder / 'data' / 'scheduler.sqlite'}")


def submit(
    service: Service,
    count: int,
    *,
    builder: str = "waits for ever",
    branch: str = BRANCH,
    later: int = 0,
) -> Sequence[int]:
    """Submit requests for a builder that no master has: they wait until somebody acts on them.

    They come first in lists of the newest for ``later`` seconds.
    """
    seed = seed_of(service)
    now = int(time.time()) + later
    made = [
        seed.request(branch, f"{n:x}".rjust(40, "f"), builder=builder, at=now) for n in range(count)
    ]
    seed.close()
    return made
