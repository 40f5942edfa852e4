"""What every store of load samples promises; a test class of an implementation inherits it."""

from __future__ import annotations

import pytest

from buildapi.interfaces import LoadStore
from buildapi.model.farm_load import LoadSample
from tests.reactor import twisted_test

AT = 1_795_819_740
"""A whole minute, hour and six hours: 0:00 of a day would hide steps that begin at ``since``."""


def sample(minute: int, pending: int = 1, running: int = 2, wait: int | None = 3) -> LoadSample:
    return LoadSample(AT + 60 * minute, pending, running, wait)


class LoadStoreContract:
    """Inherit, and give a fixture ``store`` with an empty store."""

    @pytest.fixture
    def store(self) -> LoadStore:
        raise LookupError("an implementation's test class gives the store")

    @twisted_test(10)
    async def test_samples_are_read_in_the_order_of_their_times(self, store: LoadStore) -> None:
        samples = [sample(0, 10, 20, 30), sample(1, 0, 0, None), sample(5, 2**31 - 1, 1, 2**40)]
        for one in reversed(samples):
            await store.add(one)
        assert list(await store.samples(AT, AT + 3600, 60)) == samples

    @twisted_test(10)
    async def test_a_minute_has_one_sample_the_first(self, store: LoadStore) -> None:
        assert not await store.known(AT)
        await store.add(LoadSample(AT + 7, 1, 2, 3))
        await store.add(LoadSample(AT + 59, 4, 5, 6))
        assert await store.known(AT)
        assert await store.known(AT + 59)
        assert not await store.known(AT + 60)
        assert list(await store.samples(AT, AT + 60, 60)) == [LoadSample(AT, 1, 2, 3)]

    @twisted_test(10)
    async def test_a_span_ends_before_its_end(self, store: LoadStore) -> None:
        for minute in range(4):
            await store.add(sample(minute))
        found = await store.samples(AT + 60, AT + 180, 60)
        assert [one.at for one in found] == [AT + 60, AT + 120]
        assert list(await store.samples(AT + 60, AT + 60, 60)) == []

    @twisted_test(10)
    async def test_a_step_has_the_greatest_of_each_number(self, store: LoadStore) -> None:
        start = AT - AT % 300
        for at, numbers in ((0, (9, 1, None)), (240, (1, 9, 5)), (300, (2, 2, None))):
            await store.add(LoadSample(start + at, *numbers))
        found = await store.samples(start + 60, start + 600, 300)
        assert list(found) == [LoadSample(start, 9, 9, 5), LoadSample(start + 300, 2, 2, None)]

    @twisted_test(30)
    async def test_two_days_of_minutes_are_read_whole(self, store: LoadStore) -> None:
        for minute in range(0, 2880, 9):
            await store.add(sample(minute))
        found = await store.samples(AT, AT + 172_800, 60)
        assert [one.at for one in found] == [AT + 60 * minute for minute in range(0, 2880, 9)]

    @twisted_test(10)
    async def test_only_old_samples_are_forgotten(self, store: LoadStore) -> None:
        for minute in range(3):
            await store.add(sample(minute))
        await store.forget(AT + 120)
        assert [one.at for one in await store.samples(AT, AT + 3600, 60)] == [AT + 120]
