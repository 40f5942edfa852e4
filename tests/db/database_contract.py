"""What reads, writes and several reads of one moment promise, whatever the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from buildapi.db.sql import (
    Database,
    DuplicateError,
    GuardFailedError,
    Query,
    Read,
    Row,
    Statement,
    Write,
)
from tests.reactor import twisted_test

NUMBERS = Query("SELECT n FROM numbers ORDER BY n", int)
ADD = "INSERT INTO numbers (n) VALUES (:n)"


def adding(*numbers: int) -> list[Statement]:
    return [Statement(ADD, {"n": n}, 1) for n in numbers]


class DatabaseContract:
    """Inherit; the fixture ``numbers`` is a database with an empty table ``numbers(n)``, unique."""

    @twisted_test(20)
    async def test_what_is_written_is_read(self, numbers: Database) -> None:
        assert len(await numbers.transact(adding(3, 5))) == 2
        rows = await numbers.fetch("SELECT n FROM numbers WHERE n > :n", {"n": 3})
        assert [tuple(row) for row in rows] == [(5,)]
        assert list(await numbers.fetch("SELECT n FROM numbers WHERE n = :n", {"n": 9})) == []
        assert await NUMBERS.many(numbers) == [3, 5]
        assert list(await numbers.transact([])) == []

    @twisted_test(20)
    async def test_where_a_guard_fails_nothing_is_written(self, numbers: Database) -> None:
        await numbers.transact(adding(1))
        guarded = Statement("UPDATE numbers SET n = 7 WHERE n = :n", {"n": 4}, 1)
        with pytest.raises(GuardFailedError):
            await numbers.transact([*adding(2), guarded])
        assert await NUMBERS.many(numbers) == [1]
        unguarded = Statement("UPDATE numbers SET n = 7 WHERE n = :n", {"n": 4})
        await numbers.transact([*adding(2), unguarded])
        assert await NUMBERS.many(numbers) == [1, 2]

    @twisted_test(20)
    async def test_where_a_key_is_there_already_nothing_is_written(self, numbers: Database) -> None:
        await numbers.transact(adding(1))
        with pytest.raises(DuplicateError):
            await numbers.transact(adding(2, 1))
        assert await NUMBERS.many(numbers) == [1]

    @twisted_test(20)
    async def test_its_table_takes_part_in_transactions(self, numbers: Database) -> None:
        assert await numbers.transactional(["numbers"])

    @twisted_test(20)
    async def test_a_later_read_can_use_what_an_earlier_one_found(self, numbers: Database) -> None:
        await numbers.transact(adding(3, 5, 8))

        def reading(read: Read) -> Sequence[Row]:
            last = NUMBERS.all_of(read)[-1]
            assert NUMBERS.first_of(read) == 3
            return read("SELECT n FROM numbers WHERE n < :last ORDER BY n", {"last": last})

        assert [tuple(row) for row in await numbers.snapshot(reading)] == [(3,), (5,)]

    @twisted_test(20)
    async def test_what_is_written_can_depend_on_what_was_read(self, numbers: Database) -> None:
        await numbers.transact(adding(3, 5))

        def deciding(read: Read, write: Write) -> int:
            found = NUMBERS.all_of(read)
            assert len(write(adding(sum(found), 9))) == 2
            return sum(found)

        assert await numbers.decide(deciding) == 8
        assert await NUMBERS.many(numbers) == [3, 5, 8, 9]

    @pytest.mark.parametrize("how", ["guard", "key", "error"])
    @twisted_test(20)
    async def test_what_fails_after_a_write_that_was_decided_has_written_nothing(
        self, numbers: Database, how: str
    ) -> None:
        await numbers.transact(adding(3))
        guarded = Statement("UPDATE numbers SET n = 7 WHERE n = :n", {"n": 4}, 1)

        def deciding(read: Read, write: Write) -> None:
            assert NUMBERS.all_of(read) == [3]
            write(adding(5))
            if how == "error":
                raise ZeroDivisionError
            write([guarded] if how == "guard" else adding(3))

        errors = {"guard": GuardFailedError, "key": DuplicateError, "error": ZeroDivisionError}
        with pytest.raises(errors[how]):
            await numbers.decide(deciding)
        assert await NUMBERS.many(numbers) == [3]
        assert len(await numbers.transact(adding(5))) == 1

    @twisted_test(20)
    async def test_nothing_found_is_nothing(self, numbers: Database) -> None:
        found = await numbers.snapshot(lambda r: (NUMBERS.all_of(r), NUMBERS.first_of(r)))
        assert found == ([], None)

    @twisted_test(20)
    async def test_an_error_between_reads_is_the_callers_and_ends_the_snapshot(
        self, numbers: Database
    ) -> None:
        def reading(read: Read) -> None:
            NUMBERS.all_of(read)
            raise KeyError("mine")

        for _ in range(6):
            with pytest.raises(KeyError, match="mine"):
                await numbers.snapshot(reading)
        await numbers.transact(adding(1))
        assert await numbers.snapshot(NUMBERS.all_of) == [1]

    @twisted_test(20)
    async def test_a_snapshot_sees_what_was_written_before_it(self, numbers: Database) -> None:
        for n in range(5):
            await numbers.transact(adding(n))
            assert await numbers.snapshot(NUMBERS.all_of) == list(range(n + 1))


class ConcurrentDatabaseContract(DatabaseContract):
    """The same where others write meanwhile: give a fixture ``write`` that does so at once."""

    @twisted_test(20)
    async def test_what_is_written_between_two_reads_is_seen_by_neither(
        self, numbers: Database, write: Callable[[int], None]
    ) -> None:
        """No answer is put together from reads of different moments."""
        await numbers.transact(adding(1))

        def reading(read: Read) -> list[list[int]]:
            seen = [NUMBERS.all_of(read)]
            for n in (2, 3):
                write(n)
                seen.append(NUMBERS.all_of(read))
            return seen

        assert await numbers.snapshot(reading) == [[1], [1], [1]]
        assert await numbers.snapshot(NUMBERS.all_of) == [1, 2, 3]
