"""Generate the inserts of buildsets with all that belongs to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from buildapi.buildbot.v08.lowered_plan import CopyBuildset, InsertBuildset
from buildapi.db.sql import Ref, Statement
from buildapi.model.steps import NewChange

REQUEST = "-request"
"""Suffix of the name that an inserted build request is bound to."""


def buildset_copy(step: CopyBuildset, name: str, now: int) -> Iterable[Statement]:
    """Insert a copy of a buildset without its request, bound to ``name``."""
    # The source stamp is shared, and the external id copied [docs/compatibility.md, "What stays the
    # same"].
    yield _buildset(step.sourcestampid, step.external_idstring, step.reason, name, now)
    if step.properties:
        yield _properties(step.properties, name)


def new_buildset(step: InsertBuildset, name: str, now: int) -> Iterable[Statement]:
    """Insert a buildset with its source stamp and change, without its requests."""
    stamp, change = f"{name}-stamp", f"{name}-change"
    yield Statement(
        # repository and project are TEXT NOT NULL, which MySQL gives no literal default (The BLOB
        # and TEXT Types).
        "INSERT INTO sourcestamps (branch, revision, repository, project)"
        " VALUES (:branch, :revision, '', '')",
        {"branch": step.branch, "revision": step.revision},
        binds=stamp,
    )
    if step.change is not None:
        yield _change(step.change, change, now)
        # Test builders look there for what to install [docs/api.md, "New builds"].
        if step.change.files:
            yield _files(step.change.files, change)
        yield Statement(
            "INSERT INTO sourcestamp_changes (sourcestampid, changeid) VALUES (:stamp, :change)",
            {"stamp": Ref(stamp), "change": Ref(change)},
        )
    yield _buildset(Ref(stamp), None, step.reason, name, now)
    # Never empty: every new build has buildid and builduid [docs/api.md, "New builds"].
    yield _properties(step.properties, name)


def request(name: str, number: int, buildername: str, priority: int, now: int) -> Statement:
    """Insert request ``number`` of the buildset bound to ``name``."""
    # claimed_at must be 0: masters never claim a request where it is NULL.
    return Statement(
        "INSERT INTO buildrequests (buildsetid, buildername, priority, claimed_at, complete,"
        " submitted_at) VALUES (:buildsetid, :buildername, :priority, 0, 0, :now)",
        {
            "buildsetid": Ref(name),
            "buildername": buildername,
            "priority": priority,
            "now": now,
        },
        binds=f"{name}#{number}{REQUEST}",
    )


def buildset_of(bound: str) -> str | None:
    """Return the name that the buildset of a bound request is bound to; None for other rows."""
    return bound.partition("#")[0] if bound.endswith(REQUEST) else None


def _change(change: NewChange, name: str, now: int) -> Statement:
    return Statement(
        # comments and is_dir are NOT NULL without a default (schema version 6).
        "INSERT INTO changes (author, comments, is_dir, branch, revision, when_timestamp,"
        " repository, project) VALUES (:author, '', 0, :branch, :revision, :now, '', '')",
        {
            "author": change.author,
            "branch": change.branch,
            "revision": change.revision,
            "now": now,
        },
        binds=name,
    )


def _files(files: Sequence[str], name: str) -> Statement:
    rows = ", ".join(f"(:changeid, :file{i})" for i in range(len(files)))
    params = {f"file{i}": file for i, file in enumerate(files)}
    return Statement(
        f"INSERT INTO change_files (changeid, filename) VALUES {rows}",  # noqa: S608  # numbered parameters
        {"changeid": Ref(name), **params},
    )


def _buildset(
    sourcestampid: int | Ref, external_idstring: str | None, reason: str, name: str, now: int
) -> Statement:
    return Statement(
        "INSERT INTO buildsets (external_idstring, reason, sourcestampid, submitted_at, complete)"
        " VALUES (:external_idstring, :reason, :sourcestampid, :now, 0)",
        {
            "external_idstring": external_idstring,
            "reason": reason,
            "sourcestampid": sourcestampid,
            "now": now,
        },
        binds=name,
    )


def _properties(properties: Sequence[tuple[str, str]], name: str) -> Statement:
    rows = ", ".join(f"(:buildsetid, :name{i}, :value{i})" for i in range(len(properties)))
    params: dict[str, object] = {"buildsetid": Ref(name)}
    for i, (key, value) in enumerate(properties):
        params |= {f"name{i}": key, f"value{i}": value}
    return Statement(
        "INSERT INTO buildset_properties (buildsetid, property_name, property_value)"  # noqa: S608  # numbered parameters
        f" VALUES {rows}",
        params,
    )
