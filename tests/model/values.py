"""Values of the model for tests, each with something sensible in every field."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from buildapi.model.job_identity import JobIdentity
from buildapi.model.records import BuildRequest

MASTER = "host-a:/builds/master-a"
PENDING = BuildRequest(
    id=7,
    buildsetid=70,
    buildername="linux",
    branch="try",
    revision="abcdef012345",
    reason="The push",
    priority=3,
    submitted_at=1_700_000_000,
    claimed_at=0,
    claimed_by_name=None,
    complete=False,
    complete_at=None,
    results=None,
)


def job(id_: int, life: int = 0, when: int = 1_700_000_000) -> JobIdentity:
    """Return the identity of a job; another ``life`` has another job of the same id."""
    return JobIdentity(id_, f"{life:016x}{id_:016x}", when)


def request(**changes: Any) -> BuildRequest:
    """Return a pending request with changes."""
    return replace(PENDING, **changes)


def claimed(**changes: Any) -> BuildRequest:
    """Return a claimed request with changes."""
    claim: dict[str, Any] = {"claimed_at": 1_700_000_100, "claimed_by_name": MASTER}
    return replace(PENDING, **claim | changes)
