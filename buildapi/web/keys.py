"""Idempotency keys: the same request again gives the first answer again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import attrs
from twisted.internet import task

from buildapi.errors import BadRequest, KeyReused
from buildapi.interfaces import JobStore
from buildapi.model.records import KEY_SECONDS, JobKey, KeyedJob
from buildapi.web.call import Call
from buildapi.web.deadline import Deadline
from buildapi.web.orders import JobRoute
from buildapi.web.parameter_names import is_content

KEY_MAX = 255
PAUSE, PATIENCE = 0.1, 2.0
"""Seconds between two looks at a request that is just being accepted, and of all of them."""

NOT_CONTENT = {"dry_run", "wait"}
"""Parameters that say how to answer, not what to do, besides those of any request."""


@attrs.frozen
class Keys:
    """Find what keys stand for; ``now`` gives seconds since the epoch."""

    _reactor: Any
    _store: JobStore
    _now: Callable[[], float]
    _looking: Deadline

    async def known(self, name: str, content: str) -> KeyedJob | None:
        """Return the job that a key stands for, None where there is none.

        One that is just being accepted is waited for; who accepts it may be dead, so it is returned
        as not accepted after ``PATIENCE`` seconds.

        :raises KeyReused: the key stands for another request.
        """
        end = self._reactor.seconds() + PATIENCE
        while True:
            since = int(self._now()) - KEY_SECONDS
            job = await self._looking.bound(self._store.keyed(name, since))
            if job is None:
                return None
            if job.key.content != content:
                raise KeyReused("This Idempotency-Key was used for another request")
            if job.accepted or self._reactor.seconds() >= end:
                return job
            await task.deferLater(self._reactor, PAUSE)


def key_of(call: Call, route: JobRoute, words: str = "") -> JobKey | None:
    """Make the key of a call; None where the client gives none.

    :raises BadRequest: it cannot be one.
    """
    if not call.key:
        return None
    if len(call.key) > KEY_MAX or not (call.key.isascii() and call.key.isprintable()):
        raise BadRequest(f"Idempotency-Key must be 1 to {KEY_MAX} printable ASCII characters")
    asked = [route.method, route.path, dict(call.path), _content(call)]
    try:
        return JobKey(_digest([call.user, call.key]), _digest(asked), words)
    except RecursionError as e:
        raise BadRequest("The body is nested too deeply") from e


def _content(call: Call) -> list[Mapping[str, Any]]:
    parts: tuple[Mapping[str, Any], ...] = (call.form.values, call.query)
    return [
        {k: list(v) for k, v in part.items() if k not in NOT_CONTENT and is_content(k)}
        for part in parts
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
