"""What every store of trails promises; a test class of an implementation inherits it."""

from __future__ import annotations

import attrs
import pytest

from buildapi.interfaces import TrailStore
from buildapi.model.ops import Part, TrailEntry
from tests.reactor import twisted_test

AT = 1_795_819_765.046
ENTRY = TrailEntry(4711, AT, "h1", Part.AGENT, "taken", "attempt 1", "4f2a")
ODD = "a 'b' \"c\" % :d \\ \u20ac \U0001f600"


def later(seconds: float, **changes: object) -> TrailEntry:
    return attrs.evolve(ENTRY, at=AT + seconds, **changes)


class TrailStoreContract:
    """Inherit, and give a fixture ``store`` with an empty store."""

    @pytest.fixture
    def store(self) -> TrailStore:
        raise LookupError("an implementation's test class gives the store")

    @twisted_test(10)
    async def test_what_is_kept_is_read_as_it_was(self, store: TrailStore) -> None:
        entries = [later(part, part=kind) for part, kind in enumerate(Part)]
        await store.add(entries)
        assert list(await store.of_job(4711, 0)) == entries

    @twisted_test(10)
    async def test_nothing_is_kept_of_a_job_nobody_told_of(self, store: TrailStore) -> None:
        await store.add([ENTRY])
        assert list(await store.of_job(4712, 0)) == []

    @twisted_test(10)
    async def test_keeping_nothing_is_fine(self, store: TrailStore) -> None:
        await store.add([])
        assert list(await store.of_job(4711, 0)) == []

    @twisted_test(10)
    async def test_any_text_is_kept(self, store: TrailStore) -> None:
        await store.add([later(0, detail=ODD, event="put aside", host=ODD)])
        (found,) = await store.of_job(4711, 0)
        assert (found.detail, found.host) == (ODD, ODD)

    @twisted_test(10)
    async def test_what_no_database_takes_is_replaced_or_cut(self, store: TrailStore) -> None:
        await store.add(
            [later(0, detail="a\ud800\0" + "x" * 9000, event="e" * 50, host="h" * 2000)]
        )
        (found,) = await store.of_job(4711, 0)
        assert found.detail.startswith("a??xx")
        assert (len(found.event), len(found.host)) == (40, 1000)

    @twisted_test(10)
    async def test_entries_come_in_the_order_of_their_times(self, store: TrailStore) -> None:
        await store.add([later(2), later(1)])
        await store.add([later(0)])
        assert list(await store.of_job(4711, 0)) == [later(0), later(1), later(2)]

    @twisted_test(10)
    async def test_an_earlier_job_of_the_same_id_is_left_out(self, store: TrailStore) -> None:
        await store.add([later(-1000), later(-60), later(1)])
        assert list(await store.of_job(4711, AT - 60)) == [later(-60), later(1)]

    @twisted_test(10)
    async def test_what_was_written_twice_counts_once(self, store: TrailStore) -> None:
        await store.add([ENTRY, later(1)])
        await store.add([ENTRY])
        assert list(await store.of_job(4711, 0)) == [ENTRY, later(1)]

    @twisted_test(30)
    async def test_at_most_a_thousand_entries_are_read(self, store: TrailStore) -> None:
        for start in range(0, 1200, 300):
            await store.add([later(n) for n in range(start, start + 300)])
        found = await store.of_job(4711, 0)
        assert [e.at for e in found] == [later(n).at for n in range(1000)]

    @twisted_test(10)
    async def test_what_is_old_is_forgotten(self, store: TrailStore) -> None:
        await store.add([later(-10), later(-1, job_id=4712), ENTRY])
        await store.forget(AT)
        assert list(await store.of_job(4711, 0)) == [ENTRY]
        assert list(await store.of_job(4712, 0)) == []
