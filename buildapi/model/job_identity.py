"""Identities that tell a job request from an earlier one with the same id.

Ids are assigned again when the jobs database is restored from a backup, or fails over to a copy
that lacks the newest rows.  So a job also has a random identity, recorded in its row and unique
among all jobs there ever were.
"""

from __future__ import annotations

import hashlib
import json
import re

import attrs

_IDENTITY = re.compile(r"[0-9a-f]{32}")


@attrs.frozen
class JobIdentity:
    """The id and identity of a job; ``identity`` is 32 hex digits, ``when`` in epoch seconds."""

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
    """Return the identity of a job recorded by an older web process, which generates none."""
    # Nothing but what row and message both have: each process derives it on its own [docs/amqp.md,
    # "Whose a message is"].
    known = json.dumps([request_id, who, when, action]).encode()
    return hashlib.sha256(known).hexdigest()[:32]
