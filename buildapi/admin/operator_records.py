"""Record in the audit log what operators do with commands."""

from __future__ import annotations

import os
import platform
import pwd
import time
import uuid
from collections.abc import Sequence

import attrs

from buildapi.db.audit_store import SQLAuditStore
from buildapi.db.sql import Database
from buildapi.model.audit import AuditActor, AuditRecord


def by_operator() -> AuditActor:
    """Return the user of the operating system, as the actor of a command."""
    return AuditActor(_user(), "command")


async def add_records(db: Database, records: Sequence[AuditRecord]) -> None:
    """Store what a command did; :raises DatabaseUnavailable: it cannot be stored."""
    now, host = time.time(), platform.node()
    await SQLAuditStore(db).add(
        [attrs.evolve(one, at=now, host=host, identity=uuid.uuid4().hex) for one in records]
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run under a number that has no name
        return f"uid {os.getuid()}"
