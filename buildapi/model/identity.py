"""Which job request a message, a marker or a change is of, also where its id is given out again.

Ids begin again at an older one when the jobs database is restored from a backup, or fails over to
a copy that lacks the newest rows.  So a job also has an identity that is its own among all jobs
that ever were: random, and recorded together with its row.
"""

from __future__ import annotations

import hashlib
import json
import re

import attrs

_IDENTITY = re.compile(r"[0-9a-f]{32}")


@attrs.frozen
class JobIdentity:
    """A job request; ``identity`` is 32 hex digits, ``when`` seconds since the epoch."""

    id: int
    identity: str
    when: int

    def __attrs_post_init__(self) -> None:
        if not is_identity(self.identity):
            raise ValueError("an identity is 32 hex digits")


def is_identity(value: object) -> bool:
    """Return whether a value has the form of an identity."""
    return isinstance(value, str) and _IDENTITY.fullmatch(value) is not None


def derived_identity(request_id: int, who: str, when: int, action: str) -> str:
    """Make the identity of a job that an older web process recorded, which minted none."""
    known = json.dumps([request_id, who, when, action]).encode()
    return hashlib.sha256(known).hexdigest()[:32]
