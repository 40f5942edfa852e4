"""Generate the properties of sample builds that readers of dumps look for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs

from buildapi.db.sql import Database
from buildapi.sample import request_queue
from buildapi.sample.catalog import (
    BRANCHES,
    BuildType,
    SampleBuilder,
    SampleMaster,
    product_of,
)
from buildapi.sample.outcomes import WARNINGS
from buildapi.sample.request_queue import SampleRequest

ARCHIVE = "https://archive.example.org/pub/"
"""Root URL of logs and packages, which do not exist."""

OF_MANY = frozenset(
    (
        *("basedir", "branch", "buildername", "master", "platform", "product", "repo_path"),
        *("repository", "scheduler", "slavename", "stage_platform"),
    )
)
"""Properties with so few values that one row for each is shared by all builds."""

PropertyValue = tuple[Any, str]
"""Value and source."""


@attrs.frozen
class CatalogBuild:
    """Describe a build of a catalogue builder; ``requests`` maps ids to submission times."""

    builder: SampleBuilder
    master: SampleMaster
    number: int
    slave: str
    revision: str | None
    requests: Mapping[int, float]
    result: int | None
    buildid: str
    builduid: str


def build_properties(build: CatalogBuild) -> Mapping[str, PropertyValue]:
    """Return the properties that a build has at its end."""
    builder, product = build.builder, product_of(build.builder.platform)
    branch = BRANCHES.get(builder.branch)
    stage = builder.platform + ("-debug" if builder.kind is BuildType.DEBUG else "")
    path = branch.path if branch is not None else builder.stored
    found: dict[str, PropertyValue] = {
        "basedir": (f"/builds/slave/{_short(builder.name)}", "slave"),
        "branch": (builder.branch, "Build"),
        "buildername": (builder.name, "Builder"),
        "buildid": (build.buildid, "Scheduler"),
        "buildnumber": (build.number, "Build"),
        "builduid": (build.builduid, "Scheduler"),
        "log_url": (log_url(build), "PostRunner"),
        "master": (f"http://{build.master.host}:8001/", "master.cfg"),
        "platform": (builder.platform, "Builder"),
        "product": (product, "Builder"),
        "repo_path": (path, "Builder"),
        "repository": ("", "Build"),
        "request_ids": (list(build.requests), "postrun"),
        "request_times": ({str(i): int(t) for i, t in build.requests.items()}, "postrun"),
        "revision": (build.revision, "Build"),
        "scheduler": (_scheduler(builder), "Scheduler"),
        "slavename": (build.slave, "BuildSlave"),
        "stage_platform": (stage, "Builder"),
    }
    if build.revision is not None:
        found["got_revision"] = (build.revision, "Source")
    if builder.suite is None and build.result is not None and build.result <= WARNINGS:
        found |= _packages(build, product)
    return found


def log_url(build: CatalogBuild) -> str:
    """Return the URL of a build's log."""
    return f"{_folder(build)}/{_short(build.builder.name)}-build{build.number}.txt.gz"


def _packages(build: CatalogBuild, product: str) -> Mapping[str, PropertyValue]:
    start = f"{_folder(build)}/{product}-{build.builder.platform}"
    ends = {"packageUrl": "zip", "symbolsUrl": "symbols.zip", "testsUrl": "tests.zip"}
    return {name: (f"{start}.{end}", "SetProperty Step") for name, end in ends.items()}


def _folder(build: CatalogBuild) -> str:
    product = product_of(build.builder.platform)
    place = f"{build.builder.branch}-{build.builder.platform}"
    return f"{ARCHIVE}{product}/builds/{quote(place)}/{build.buildid}"


def _short(name: str) -> str:
    return quote(name.lower().replace(" ", "-"), safe="")


def _scheduler(builder: SampleBuilder) -> str:
    what = "build" if builder.suite is None else f"{builder.pool} unittest"
    return f"{builder.branch}-{builder.platform} {what}".replace(" ", "-")


async def submitted_properties(
    db: Database, requests: Sequence[SampleRequest]
) -> dict[str, PropertyValue]:
    """Return the properties that a build gets from its requests and their changes."""
    found: dict[str, PropertyValue] = {}
    sets = dict.fromkeys(r.buildset for r in requests)
    # As a master does: those of requests replace those of changes.
    for query in (request_queue.CHANGE_PROPERTIES, request_queue.PROPERTIES):
        for buildset in sets:
            for name, text in await query.many(db, buildset=buildset):
                value, source = json.loads(text)
                found[name] = (value, source)
    return found
