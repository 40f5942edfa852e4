"""What every driver of a database engine promises to the pool."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from buildapi.db.driver import Driver, ErrorKind
from buildapi.db.sql import RowLimitError

ADD, ALL = "INSERT INTO numbers (n) VALUES (:n)", "SELECT n FROM numbers ORDER BY n"


class DriverContract:
    """Inherit; the fixture ``driver`` is one of an empty database of its own."""

    @pytest.fixture
    def connection(self, driver: Driver) -> Iterator[Any]:
        """Return a connection to a database with an empty table ``numbers(n)``, n unique."""
        connection = driver.connect()
        driver.execute(connection.cursor(), "CREATE TABLE numbers (n INTEGER UNIQUE)", {})
        yield connection
        driver.close(connection)

    def numbers(self, driver: Driver, connection: Any) -> list[int]:
        return [row[0] for row in driver.select(connection, ALL, {}, 100)]

    def test_a_statement_has_named_parameters_and_is_committed_at_once(
        self, driver: Driver, connection: Any
    ) -> None:
        for n in (3, 1):
            driver.execute(connection.cursor(), ADD, {"n": n})
        connection.rollback()
        assert self.numbers(driver, connection) == [1, 3]
        text = "SELECT n, '100 %:x' FROM numbers WHERE n > :n"
        assert [tuple(row) for row in driver.select(connection, text, {"n": 1}, 9)] == [
            (3, "100 %:x")
        ]

    def test_a_transaction_is_kept_or_lost_as_a_whole(
        self, driver: Driver, connection: Any
    ) -> None:
        for end, kept in ((connection.rollback, []), (connection.commit, [1, 2])):
            driver.begin(connection)
            for n in (1, 2):
                driver.execute(connection.cursor(), ADD, {"n": n})
            end()
            assert self.numbers(driver, connection) == kept

    def test_a_select_of_more_rows_than_allowed_is_refused_and_what_is_usable_works(
        self, driver: Driver, connection: Any
    ) -> None:
        for n in range(4):
            driver.execute(connection.cursor(), ADD, {"n": n})
        assert len(driver.select(connection, ALL, {}, 4)) == 4
        with pytest.raises(RowLimitError, match="more than 3 rows"):
            driver.select(connection, ALL, {}, 3)
        if driver.usable(connection):  # else the pool opens another
            assert self.numbers(driver, connection) == [0, 1, 2, 3]

    def test_a_snapshot_is_read_and_ends(self, driver: Driver, connection: Any) -> None:
        driver.execute(connection.cursor(), ADD, {"n": 1})
        driver.begin_snapshot(connection)
        assert self.numbers(driver, connection) == [1]
        connection.rollback()
        driver.execute(connection.cursor(), ADD, {"n": 2})
        assert self.numbers(driver, connection) == [1, 2]

    def test_a_kept_connection_is_ready_for_more(self, driver: Driver, connection: Any) -> None:
        for idle in (0.0, 3600.0):
            assert driver.ready(connection, idle)
            assert self.numbers(driver, connection) == []

    def test_a_connection_is_closed_in_whatever_state_it_is(self, driver: Driver) -> None:
        connection = driver.connect()
        driver.begin(connection)
        driver.close(connection)
        driver.close(connection)

    def test_a_key_that_is_there_already_is_a_duplicate(
        self, driver: Driver, connection: Any
    ) -> None:
        driver.execute(connection.cursor(), ADD, {"n": 1})
        with pytest.raises(Exception) as caught:  # of the driver's own module
            driver.execute(connection.cursor(), ADD, {"n": 1})
        judged = driver.verdict(caught.value)
        assert judged is not None
        assert judged.trouble is ErrorKind.DUPLICATE
        assert driver.usable(connection)

    def test_a_table_that_is_not_there_is_missing(self, driver: Driver, connection: Any) -> None:
        with pytest.raises(Exception) as caught:  # of the driver's own module
            driver.select(connection, "SELECT 1 FROM nowhere", {}, 9)
        judged = driver.verdict(caught.value)
        assert judged is not None
        assert judged.trouble is ErrorKind.MISSING

    def test_what_is_no_error_of_the_database_is_not_judged(self, driver: Driver) -> None:
        assert driver.verdict(KeyError("mine")) is None
        unstorable = UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        judged = driver.verdict(unstorable)
        assert judged is not None
        assert judged.trouble is ErrorKind.VALUE

    def test_it_is_told_of_by_its_engine_and_module(self, driver: Driver) -> None:
        assert driver.dialect in ("sqlite", "mysql")
        assert issubclass(import_module(driver.module).Error, Exception)
        assert {type(driver.one_writer), type(driver.shared)} == {bool}
        assert "{tables}" in (driver.foreign_engines or "{tables}")
