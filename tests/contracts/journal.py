"""Contracts of Journal and ItemProgress, and a journal in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import attrs
import pytest

from buildapi.interfaces import ItemProgress, Journal
from buildapi.model.outcome import Item
from tests.reactor import twisted_test

DONE = Item("done", "stopped", request_id=7)
OPEN = Item("unconfirmed", "asked", request_id=8)


class JournalUnderTest(Protocol):
    """A journal of one job, and what came of it as somebody else sees it."""

    @property
    def journal(self) -> Journal: ...

    def noted(self) -> list[tuple[str, str]]:
        """List the events of the job with their details, in order."""

    def times_written(self) -> int:
        """Return how often the job said that it has written."""


class JournalContract:
    """Tests of a Journal; a subclass has the fixture ``kept``."""

    def test_events_are_noted_in_order(self, kept: JournalUnderTest) -> None:
        kept.journal.note("decided", "1 write")
        kept.journal.note("written", "")
        assert kept.noted() == [("decided", "1 write"), ("written", "")]

    def test_it_is_known_that_a_job_has_written(self, kept: JournalUnderTest) -> None:
        assert kept.times_written() == 0
        kept.journal.written()
        assert kept.times_written() == 1

    @twisted_test()
    async def test_progress_takes_items_until_its_block_ends(self, kept: JournalUnderTest) -> None:
        for total in (0, 1, 2):
            async with kept.journal.progress(total) as progress:
                progress.add([DONE])
                await progress.open(OPEN)

    @twisted_test()
    async def test_an_error_inside_the_block_of_progress_comes_out(
        self, kept: JournalUnderTest
    ) -> None:
        with pytest.raises(ZeroDivisionError):
            async with kept.journal.progress(2):
                raise ZeroDivisionError


class ProgressUnderTest(Protocol):
    """The progress of a job of three lines, and what is recorded of it."""

    @property
    def progress(self) -> ItemProgress: ...

    async def recorded(self) -> Sequence[tuple[str, int | None]]:
        """List the recorded items, each by its state and request."""


class ItemProgressContract:
    """Tests of an ItemProgress; a subclass has the fixture ``kept``."""

    @twisted_test()
    async def test_an_open_item_is_recorded_at_once_after_those_that_are_done(
        self, kept: ProgressUnderTest
    ) -> None:
        kept.progress.add([DONE])
        await kept.progress.open(OPEN)
        assert await kept.recorded() == [("done", 7), ("unconfirmed", 8)]

    @twisted_test()
    async def test_an_open_item_is_no_outcome(self, kept: ProgressUnderTest) -> None:
        await kept.progress.open(OPEN)
        kept.progress.add([DONE])
        await kept.progress.open(OPEN)
        assert await kept.recorded() == [("done", 7), ("unconfirmed", 8)]


@attrs.define
class MemoryProgress:
    """An ItemProgress in memory; ``recorded`` is what others see."""

    items: list[Item] = attrs.field(factory=list)
    recorded: list[Item] = attrs.field(factory=list)

    def add(self, items: Sequence[Item]) -> None:
        self.items += items

    async def open(self, item: Item) -> None:
        self.recorded = [*self.items, item]


@attrs.define
class MemoryJournal:
    """A Journal in memory; ``writes`` counts what was said to be written."""

    events: list[tuple[str, str]] = attrs.field(factory=list)
    writes: int = 0

    def note(self, event: str, detail: str) -> None:
        self.events.append((event, detail))

    def written(self) -> None:
        self.writes += 1

    @asynccontextmanager
    async def progress(self, total: int) -> AsyncIterator[MemoryProgress]:
        del total
        yield MemoryProgress()
