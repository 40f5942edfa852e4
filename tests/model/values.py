"""Values of the model for tests, each with something sensible in every field."""

from __future__ import annotations

from typing import Any

import attrs

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
    claimed_by_incarnation=None,
    complete=False,
    complete_at=None,
    results=None,
)


def request(**changes: Any) -> BuildRequest:
    """Give a pending request with changes."""
    return attrs.evolve(PENDING, **changes)


def claimed(**changes: Any) -> BuildRequest:
    """Give a claimed request with changes."""
    claim: dict[str, Any] = {"claimed_at": 1_700_000_100, "claimed_by_name": MASTER}
    return attrs.evolve(PENDING, **claim | changes)
