"""Programs that read the dumps of "make run": they find all that they look for."""

from __future__ import annotations

import gzip
import http.client
import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import attrs

from tests.e2e.service import Service
from tests.e2e.test_sample import quick, sample, wait_for

__all__ = ["sample"]

RESULTS = {0: "success", 1: "testfailed", 2: "busted", 3: "skipped", 4: "exception", 5: "retry"}
BRANCH = "/self-serve/mozilla-central"

Build = Mapping[str, Any]


@attrs.frozen
class Got:
    """An answer as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(service: Service, path: str, **headers: str) -> Got:
    """Ask with these headers and no others."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name.replace("_", "-"), value)
        connection.endheaders()
        answer = connection.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return Got(answer.status, named, answer.read())
    finally:
        connection.close()


def decoded(service: Service, name: str) -> Any:
    """Read a dump as a dashboard does: an HTTP client that undoes the coding, then JSON."""
    got = ask(service, f"/builds/{name}", Accept_Encoding="gzip, deflate", Accept="*/*")
    assert (got.status, got.headers["content-type"]) == (200, "application/json")
    coded = got.headers.get("content-encoding") == "gzip"
    return json.loads(gzip.decompress(got.body) if coded else got.body)


@attrs.define
class Keeper:
    """Keep dumps in files as they come, and ask for them again only if they changed."""

    service: Service
    folder: Path

    def builds(self, name: str) -> list[Build]:
        path = self.folder / name
        since = {}
        if path.exists():
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            since["If_Modified_Since"] = at.strftime("%a, %d %b %Y %H:%M:%S GMT")
        got = ask(self.service, f"/builds/{name}", Accept_Encoding="identity", **since)
        if got.status == 200:
            assert "content-encoding" not in got.headers
            assert int(got.headers["content-length"]) == len(got.body)
            path.write_bytes(got.body)
        else:
            assert got.status == 304
        parsedate_to_datetime(got.headers["last-modified"])
        assert path.read_bytes()[:2] == b"\x1f\x8b"
        found: list[Build] = json.loads(gzip.decompress(path.read_bytes()))["builds"]
        return found


def transformed(document: Mapping[str, Any], projects: set[str]) -> Iterator[dict[str, Any]]:
    """Make of ended builds what a dashboard stores of them; those of no project are left out."""
    for build in document["builds"]:
        properties = build["properties"]
        if properties["branch"] not in projects:
            assert properties["branch"] == "idle"
            continue
        times = (build["requesttime"], build["starttime"], build["endtime"])
        assert all(isinstance(moment, int) for moment in times)
        ids = properties["request_ids"]
        assert ids == build["request_ids"]
        assert set(properties["request_times"]) == set(map(str, ids))
        assert min(properties["request_times"].values()) == build["requesttime"]
        yield {
            "seen": build["id"],
            "guid": (ids[-1], properties["buildername"], build["endtime"]),
            "coalesced": ids[:-1],
            "revision": properties["revision"][:12],
            "project": properties["branch"],
            "product": properties["product"],
            "platform": properties["platform"],
            "result": RESULTS[build["result"]],
            "reason": build["reason"],
            "who": properties.get("who", properties["scheduler"]),
            "machine": properties["slavename"],
            "log": properties["log_url"],
            "times": times,
        }


def test_readers_of_the_sample_farm_find_what_they_look_for(
    sample: Service, tmp_path: Path
) -> None:
    """Serve dumps whose builds have what real ones have: revision, slave, requests, log."""
    listed = dumps_of(sample)
    projects = set(sample.client.get("/self-serve/branches").body)
    today = datetime.now(UTC).date()
    days = [f"builds-{today - timedelta(days=n)}.js.gz" for n in range(2)]
    assert {"builds-4hr.js.gz", "builds-pending.js", "builds-running.js", *days} <= listed

    jobs = list(transformed(decoded(sample, "builds-4hr.js.gz"), projects))
    assert len(jobs) > 50
    assert all(all(job[key] for key in job if key not in ("coalesced",)) for job in jobs)
    assert len({job["guid"] for job in jobs}) == len(jobs)
    assert any(job["coalesced"] for job in jobs)
    assert all(len(job["revision"]) == 12 for job in jobs)
    assert all(job["log"].startswith("https://") for job in jobs)
    for words in ("pending", "running"):
        found = decoded(sample, f"builds-{words}.js")[words]
        entries = [
            (revision, entry)
            for project in projects & set(found)
            for revision, of in found[project].items()
            for entry in of
        ]
        assert entries
        assert all(revision and e["buildername"] and e["submitted_at"] for revision, e in entries)
        if words == "running":
            assert all(e["request_ids"][-1] and e["start_time"] for _, e in entries)

    keeper = Keeper(sample, tmp_path)
    yesterday = keeper.builds(days[1])
    wanted = yesterday[len(yesterday) // 2]["request_ids"][0]
    again = keeper.builds(days[1])  # not modified
    [found] = [b for b in again if wanted in {*b["properties"]["request_ids"], *b["request_ids"]}]
    assert found["properties"]["revision"]
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp()
    assert all(midnight - 86_400 <= b["endtime"] <= midnight for b in again)
    packages = [b for b in again if "packageUrl" in b["properties"]]
    assert all(b["properties"]["testsUrl"] for b in packages)
    assert packages


def dumps_of(service: Service, seconds: float = 180) -> set[str]:
    """Wait until the first round of dumps is over; list the files."""
    end = time.monotonic() + seconds
    while True:
        listed = {d["name"] for d in service.client.get("/builds").body["dumps"]}
        if len(listed) >= 5:
            return listed
        assert time.monotonic() < end, listed
        time.sleep(0.1)


def test_what_is_built_now_is_in_the_next_dump_with_the_same_properties(sample: Service) -> None:
    """Record live builds with the properties that those of the history have."""
    build = quick(sample)
    job = sample.client.done(sample.client.post(f"{BRANCH}/build", build_id=build["build_id"]))
    request = job["items"][0]["request_id"]
    wait_for(sample, request, "complete")
    sample.stop()
    sample.up()  # it dumps at its start
    end = time.monotonic() + 180
    while True:
        document = decoded(sample, "builds-4hr.js.gz")
        found = [b for b in document["builds"] if request in b["request_ids"]]
        if found:
            break
        assert time.monotonic() < end, "the build is in no dump"
        time.sleep(0.2)
    *_, job_ = transformed({"builds": found}, {"mozilla-central"})
    assert job_["revision"] == build["revision"][:12]
    assert job_["guid"][0] == request
