"""Tell 0.8 masters of the changes that job requests ask for, each once, and see them stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet import task

from buildapi.buildbot.directory import Master
from buildapi.buildbot.v08.sendchange import ChangeError, PBChange, send_change
from buildapi.db.sql import Database, Query
from buildapi.model.outcome import Item
from buildapi.model.steps import SendChange

COMMENTS = "Submitted via self-serve"
FILES = ("dummy",)
"""A master drops a change without files."""

JOB_PROPERTY = "selfserve_job"
"""The property of a change that tells which job request it is for."""

LOOK_SECONDS = 0.25
"""Pause between two looks at the database for the change."""

# Few changes have the same revision, which is indexed, as is the change of a property.
CHANGE_OF_JOB: Query[int] = Query(
    "SELECT c.changeid FROM changes c JOIN change_properties p ON p.changeid = c.changeid"
    " WHERE c.revision = :revision AND p.property_name = :name AND p.property_value LIKE :value"
    " ORDER BY c.changeid LIMIT 1",
    int,
)


@attrs.frozen
class ChangeLogin:
    """The user that masters take changes from."""

    username: str
    password: str = attrs.field(repr=False)


@attrs.define
class ChangeSender:
    """Send changes, each within ``seconds``; ``verify_seconds`` is how long one is looked for.

    ``db`` is the scheduler database of the masters.
    """

    _reactor: Any
    _db: Database
    _directory: Callable[[], Mapping[str, Master]]
    _login: ChangeLogin
    _seconds: float
    _verify_seconds: float

    async def send(self, request_id: int, step: SendChange, who: str) -> Item:
        """Send one change for a job request, unless it was sent before; look for the effect."""
        before = await self._find(request_id, step)
        if before is not None:
            return _item(step, "done", f"change {before} was sent before")
        try:
            await self._send(request_id, step, who)
        except ChangeError as e:
            return await self._after_error(request_id, step, e)
        change = await self._seen(request_id, step, self._verify_seconds)
        if change is not None:
            return _sent(step, change)
        detail = f"the master took the change; not stored {self._verify_seconds:g} s later"
        return _item(step, "unconfirmed", detail)

    async def _send(self, request_id: int, step: SendChange, who: str) -> None:
        master = self._directory().get(step.master)
        if master is None:
            raise ChangeError(f"no master {step.master} in the directory")
        if not master.enabled:
            raise ChangeError(f"master {step.master} is disabled in the masters file")
        if master.pb_port is None:
            raise ChangeError(f"master {step.master} takes no changes: it has no pb_port")
        change = PBChange(
            who=who,
            branch=step.branch,
            revision=step.revision,
            revlink=step.revlink,
            comments=COMMENTS,
            files=FILES,
            properties={JOB_PROPERTY: request_id},
        )
        await send_change(
            self._reactor,
            master.hostname,
            master.pb_port,
            change,
            username=self._login.username,
            password=self._login.password,
            seconds=self._seconds,
        )

    async def _after_error(self, request_id: int, step: SendChange, error: ChangeError) -> Item:
        # One look even after a refusal: a master may fail when it has stored the change already.
        change = await self._seen(request_id, step, self._verify_seconds if error.sent else 0)
        if change is not None:
            return _sent(step, change)
        if error.sent:
            return _item(step, "unconfirmed", f"{error}; the master may store the change later")
        return _item(step, "failed", f"not sent: {error}")

    async def _seen(self, request_id: int, step: SendChange, seconds: float) -> int | None:
        """Wait for the change; give its id."""
        end = self._reactor.seconds() + seconds
        while (change := await self._find(request_id, step)) is None:
            if self._reactor.seconds() >= end:
                return None
            await task.deferLater(self._reactor, LOOK_SECONDS)
        return change

    async def _find(self, request_id: int, step: SendChange) -> int | None:
        return await CHANGE_OF_JOB.maybe(
            self._db,
            revision=step.revision,
            name=JOB_PROPERTY,
            value=f"[{request_id:d},%",  # JSON, [value, "Change"]
        )


def _sent(step: SendChange, change: int) -> Item:
    return _item(step, "done", f"change {change} sent to {step.master}")


def _item(step: SendChange, state: str, detail: str) -> Item:
    return Item(state, detail, master=step.master)
