"""Idempotency keys: a repeated request gets the answer of the first one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence

import attrs

from buildapi.errors import BadRequest, KeyReused
from buildapi.interfaces import JobStore
from buildapi.model.records import KEY_SECONDS, JobKey, KeyedJob
from buildapi.reactor_time import ReactorTime, pause
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.parameter_names import is_content
from buildapi.web.selfserve.job_routes import JobRoute

KEY_MAX = 255
PAUSE, PATIENCE = 0.1, 2.0
"""Seconds between two reads of a job that is being accepted, and of all of them together."""

NOT_CONTENT = {"dry_run", "wait"}
"""Parameters that say how to answer, not what to do, beside those of any request."""


@attrs.frozen
class IdempotencyKeys:
    """Look up idempotency keys; ``now`` returns seconds since the epoch."""

    _reactor: ReactorTime
    _store: JobStore
    _now: Callable[[], float]
    _looking: Deadline

    async def known(self, name: str, content: str) -> KeyedJob | None:
        """Return the job of a key, None without one.

        Wait up to ``PATIENCE`` seconds for a job that is being accepted; after that, return it as
        not accepted, since its process may have died.

        :raises KeyReused: the key was used for another request.
        """
        end = self._reactor.seconds() + PATIENCE
        while True:
            # A key is remembered for a day (docs/api.md, "On every job request").
            since = int(self._now()) - KEY_SECONDS
            job = await self._looking.bound(self._store.keyed(name, since))
            if job is None:
                return None
            # Even of a job that is still being accepted: no waiting makes another request the same.
            if job.key.content != content:
                raise KeyReused("This Idempotency-Key was used for another request")
            if job.accepted or self._reactor.seconds() >= end:
                return job
            await pause(self._reactor, PAUSE)


def key_of(call: Call, route: JobRoute, words: str = "") -> JobKey | None:
    """Return the key of a call, bound to its user and content; None without one.

    :raises BadRequest: it is not a valid key.
    """
    if not call.key:
        return None
    if len(call.key) > KEY_MAX or not (call.key.isascii() and call.key.isprintable()):
        raise BadRequest(f"Idempotency-Key must be 1 to {KEY_MAX} printable ASCII characters")
    asked = [route.method, route.path, dict(call.path), _content(call)]
    try:
        # With the user, so that nobody reaches the job of another one by guessing a key.
        return JobKey(_digest([call.user, call.key]), _digest(asked), words)
    except RecursionError as e:
        raise BadRequest("The body is nested too deeply") from e


def _content(call: Call) -> list[Mapping[str, object]]:
    parts: tuple[Mapping[str, Sequence[object]], ...] = (call.form.values, call.query)
    return [
        {k: list(v) for k, v in part.items() if k not in NOT_CONTENT and is_content(k)}
        for part in parts
    ]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
