"""A farm whose names, reasons, authors, properties, revisions and branches mean harm."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from buildapi.sample.history import FarmSize
from buildapi.sample.sample_farm import prepare
from tests.browser.service import ZONE, served
from tests.buildbot.seed import Seed, connect
from tests.e2e.service import Service
from tests.services.mariadb import free_port

TEXTS: Mapping[str, str] = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "statement": "';alert(1)//",
    "template": "{{7*7}}${7*7}<%= 7*7 %>",
    "reordered": "safe\u202ecod.exe\u2066\u200b",
    "long": "x" * 300,
    "address": "javascript:alert(1)",
    "path": "../a/b?c=d&amp;e#f%2F",
    "pattern": "$&$`$'$$ {id} {}",
}
SURROGATE = "\ud800<b>\udfff"
BRANCH = "try"
SMALL = FarmSize(builds=40, days=1, pending=3, running=3)


@attrs.frozen
class Hostile:
    """The service, the day of its rows, and ids of builds and requests by the text they hold."""

    service: Service
    day: str
    builds: Mapping[str, int]
    requests: Mapping[str, int]
    scheduler: str

    def submit(self, text: str) -> int:
        """Submit one more request with a text in all places."""
        seed = Seed(self.scheduler)
        made = _request(seed, text, int(time.time()))
        seed.close()
        return made


def hostile_farm(folder: Path) -> Hostile:
    """Write the files of the farm, on which no master works; nothing runs yet."""
    farm = folder / "farm"
    now = int(time.time())
    prepare(farm, now=now, size=SMALL, ports=[free_port() for _ in range(4)])
    _merge(
        farm / "branches.json",
        {text: {"repo": "https://hg.example.org/x"} for text in TEXTS.values()},
    )
    _add_builders(farm / "builders.json")
    scheduler, status = (f"sqlite:///{farm / f}.sqlite" for f in ("scheduler", "status"))
    _rename(status)
    seed = Seed(scheduler)
    builds, requests = {}, {}
    for name, text in TEXTS.items():
        requests[name] = _request(seed, text, now - 60)
        builds[name] = seed.run(_request(seed, text, now - 90), at=now - 80, master=text)
        _request(seed, text, now - 60, branch=text)
        seed.run(_request(seed, text, now - 90, branch=text), at=now - 80)
    _store_broken_text(seed)
    for name, text in TEXTS.items():
        _report(status, text, seed.row("builds", builds[name]))
    seed.close()
    sections = {
        "directory": {n: str(farm / f"{n}.json") for n in ("branches", "masters", "builders")},
        "databases": {"scheduler": {"url": scheduler}, "status": {"url": status}},
    }
    day = f"{datetime.fromtimestamp(now - 90, ZoneInfo(ZONE)):%Y-%m-%d}"
    return Hostile(served(folder, sections), day, builds, requests, scheduler)


def _request(seed: Seed, text: str, at: int, branch: str = BRANCH) -> int:
    stamp = seed.stamp(branch, text)
    seed.change(text, [stamp], at, branch=branch, revision=text, comments=text, revlink=text)
    properties = {text: text, "list": [text], "broken": SURROGATE}
    made = seed.buildset(stamp, reason=text, at=at, properties=properties)
    return seed.request(branch, builder=text, at=at, buildset=made)


def _store_broken_text(seed: Seed) -> None:
    """Store bytes that are no UTF-8 as the text of a name and a reason."""
    broken = "CAST(x'eda080' || 'broken' AS TEXT)"
    for table, column in (("buildrequests", "buildername"), ("buildsets", "reason")):
        seed.execute(f"UPDATE {table} SET {column} = {broken} WHERE id = 1")


def _merge(path: Path, more: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def _add_builders(path: Path) -> None:
    document = json.loads(path.read_text())
    example = next(iter(document["builders"].values()))
    for text in TEXTS.values():
        document["builders"][text] = {**example, "slavepool": text, "shortname": text}
    path.write_text(json.dumps(document))


def _report(url: str, text: str, build: Mapping[str, Any]) -> None:
    """Report a build with a step and a log of a hostile name."""
    seed = Seed(url)
    started = f"{datetime.fromtimestamp(build['start_time'], UTC):%Y-%m-%d %H:%M:%S}"
    found = seed.rows("SELECT id FROM builders WHERE name = %s", text)
    builder = found[0]["id"] if found else seed.insert("builders", name=text, master_id=1)
    worker = seed.insert("slaves", name=text)
    ids = {"builder_id": builder, "slave_id": worker, "master_id": 1, "lost": 0}
    made = seed.insert("builds", buildnumber=build["number"], starttime=started, **ids)
    quoted = {"`order`": 0}  # a reserved word
    of_step = {"name": text, "description": json.dumps(["a", text]), "status": 2, **quoted}
    seed.insert("steps", build_id=made, starttime=started, endtime=started, **of_step)
    log = seed.insert("properties", name="log_url", source="", value=json.dumps(text))
    seed.insert("build_properties", property_id=log, build_id=made)
    seed.close()


def _rename(url: str) -> None:
    """Rename slaves, builders and masters of the status database to hostile names."""
    connection = connect(url)
    for table in ("slaves", "builders", "masters"):
        ids = [id_ for (id_,) in connection.execute(f"SELECT id FROM {table}")]
        names = list(TEXTS.values())
        for n, id_ in enumerate(ids):
            name = names[n] if n < len(names) else f"{names[n % len(names)]}{n}"
            connection.execute(f"UPDATE {table} SET name = ? WHERE id = ?", (name, id_))
    connection.close()
