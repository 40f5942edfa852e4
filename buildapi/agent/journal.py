"""Record what is done for a job while it is carried out: its audit trail and its progress."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
from twisted.logger import Logger

from buildapi.errors import BuildAPIError
from buildapi.interfaces import JobStore, Trail
from buildapi.model.ops import Part
from buildapi.model.outcome import Item
from buildapi.model.records import Progress
from buildapi.model.wire import item_data
from buildapi.reactor_time import ReactorTime, repeated

SECONDS = 0.5
"""Seconds between two records."""

log = Logger()


@attrs.frozen
class JobJournal:
    """Implement ``Journal`` for the job ``_job_id``; ``reactor`` is an IReactorTime.

    ``now`` returns epoch seconds; ``_on_written`` is called once the job has written.
    """

    _reactor: ReactorTime
    _store: JobStore
    _now: Callable[[], float]
    _trail: Trail
    _job_id: int
    _on_written: Callable[[], None]

    def note(self, event: str, detail: str) -> None:
        """Record an event in the audit trail."""
        self._trail.note(self._job_id, Part.AGENT, event, detail)

    def written(self) -> None:
        """Record that everything is written that later jobs on the same revision must see."""
        self._on_written()

    @asynccontextmanager
    async def progress(self, total: int) -> AsyncIterator[ProgressRecorder]:
        """Record progress until the block ends; a job of one line has none."""
        recorder = ProgressRecorder(self._reactor, self._store, self._now, self._job_id, total)
        async with recorder.kept():
            yield recorder


class ProgressRecorder:
    """Record the items of a job; ``reactor`` provides IReactorTime, ``now`` epoch seconds."""

    def __init__(
        self, reactor: ReactorTime, store: JobStore, now: Callable[[], float], job: int, total: int
    ) -> None:
        self._reactor, self._store, self._now = reactor, store, now
        self._job, self._total = job, total
        self._items: list[Item] = []
        # Not 0: the first record, before any item is finished, says how many there will be.
        self._noted = -1

    def add(self, items: Sequence[Item]) -> None:
        """Add finished items."""
        self._items += items

    async def open(self, item: Item) -> None:
        """Record, until the job goes on, an item that was asked for and cannot be confirmed yet."""
        await self._noted_now([*self._items, item])

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Record progress until the block ends; a job of one item has none."""
        if self._total < 2:
            yield
            return
        loop = repeated(self._reactor, self._note)
        ended = loop.start(SECONDS)
        try:
            yield
        finally:
            loop.stop()
            # LoopingCall.stop() does not wait for a record that is being written; its Deferred
            # does.
            await ended

    async def _note(self) -> None:
        if self._noted == len(self._items):
            return
        self._noted = len(self._items)
        await self._noted_now(self._items)

    async def _noted_now(self, items: Sequence[Item]) -> None:
        progress = Progress(self._total, [item_data(i) for i in items])
        try:
            await self._store.progress(self._job, progress, int(self._now()))
        except BuildAPIError as e:  # the job itself does not depend on it
            log.info("job {id}: cannot store the progress: {msg}", id=self._job, msg=e.msg)
        except Exception:
            log.failure("job {id}: cannot store the progress", id=self._job)
