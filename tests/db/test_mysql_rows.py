"""Rows of MySQL's protocol: read as PyMySQL reads them, whatever the values and packets are."""

from __future__ import annotations

import contextlib
import io

import pymysql
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymysql.connections import MAX_PACKET_LEN

from buildapi.db.mysql import MySQLDriver
from buildapi.db.mysql_rows import read_packet
from tests.services.mariadb import MariaDB

KINDS = """SELECT i, u, f, de, n, b, ti, d, dt, c, t, bi, y, e, NULL, i + 1, SUM(i), CONCAT(c, t),
 CAST(c AS CHAR) COLLATE utf8mb4_bin, COUNT(*), 1.5, '' FROM kinds GROUP BY id ORDER BY id"""
TABLE = """CREATE TABLE kinds (id INTEGER PRIMARY KEY AUTO_INCREMENT, i INTEGER, u BIGINT UNSIGNED,
 f DOUBLE, de DECIMAL(10, 2), n SMALLINT, b BIT(9), ti TINYINT, d DATE, dt DATETIME,
 c VARCHAR(300) CHARACTER SET utf8mb4, t LONGTEXT CHARACTER SET utf8mb4, bi BLOB, y YEAR,
 e ENUM('one', 'two'))"""
INSERT = """INSERT INTO kinds (i, u, f, de, n, b, ti, d, dt, c, t, bi, y, e)
 VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
rows = st.tuples(
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(0, 2**64 - 1),
    st.none() | st.sampled_from([0.0, -1.25, 1e300, 5e-9]),
    st.none() | st.sampled_from(["12.50", "-0.01", "0"]),
    st.none() | st.integers(-(2**15), 2**15 - 1),
    st.none() | st.integers(0, 511),
    st.none() | st.integers(-128, 127),
    st.none() | st.sampled_from(["2024-02-29", "1000-01-01"]),
    st.none() | st.sampled_from(["2024-02-29 23:59:59", "1000-01-01 00:00:00"]),
    st.none() | texts,
    # The lengths at which the number of a value's length gets longer, in bytes.
    st.none() | texts | st.sampled_from([250, 251, 252, 65_535, 65_536, 70_000]).map("x".__mul__),
    st.none() | st.binary(max_size=300),
    st.none() | st.sampled_from([1970, 2155]),
    st.none() | st.sampled_from(["one", "two"]),
)


@pytest.fixture(scope="module")
def driver(mariadb: MariaDB) -> MySQLDriver:
    return MySQLDriver.from_url(
        mariadb.database("rows"), name="t", seconds=30, read_only=False, password=None, tls_ca=None
    )


@pytest.mark.mariadb
@given(st.lists(rows, max_size=4))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_values_of_every_type_are_those_of_pymysql(
    driver: MySQLDriver, stored: list[tuple[object, ...]]
) -> None:
    with contextlib.closing(driver.connect()) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS kinds")
        cursor.execute(TABLE)
        cursor.executemany(INSERT, stored)
        cursor.execute(KINDS)
        known = list(cursor.fetchall())
        found = list(driver.select(connection, KINDS, {}, len(stored)))
        assert found == known
        assert [list(map(type, row)) for row in found] == [list(map(type, row)) for row in known]
        # The connection is where the next statement begins.
        assert list(driver.select(connection, "SELECT :n", {"n": "é"}, 1)) == [("é",)]


@pytest.mark.mariadb
def test_an_error_between_two_rows_is_raised_and_leaves_the_connection_in_use(
    driver: MySQLDriver,
) -> None:
    with contextlib.closing(driver.connect()) as connection:
        late = "SELECT seq, IF(seq < 3, 1, (SELECT 1 UNION SELECT 2)) FROM seq_1_to_5"
        with pytest.raises(pymysql.MySQLError, match="more than 1 row"):
            driver.select(connection, late, {}, 10)
        assert list(driver.select(connection, "SELECT 7", {}, 1)) == [(7,)]


def packets(*sizes: int) -> bytes:
    """Return packets of these sizes, numbered from 5 on."""
    heads = [size.to_bytes(3, "little") + bytes([5 + i]) for i, size in enumerate(sizes)]
    return b"".join(head + b"x" * size for head, size in zip(heads, sizes, strict=True))


@pytest.mark.parametrize("last", [0, 7])
def test_a_packet_that_is_full_goes_on_in_the_next(last: int) -> None:
    stream = io.BytesIO(packets(MAX_PACKET_LEN, MAX_PACKET_LEN, last, 3))
    data, number = read_packet(stream.read, 5)
    assert (len(data), number) == (2 * MAX_PACKET_LEN + last, 8)
    assert read_packet(stream.read, number) == (b"xxx", 9)


def test_numbers_of_packets_begin_again_after_255() -> None:
    stream = io.BytesIO(b"\x01\x00\x00\xffx")
    assert read_packet(stream.read, 255) == (b"x", 0)


@pytest.mark.parametrize("cut", [b"", packets(9)[:3], packets(9)[:-1], packets(MAX_PACKET_LEN)])
def test_a_packet_that_ends_early_is_no_packet(cut: bytes) -> None:
    with pytest.raises(EOFError, match="no more bytes"):
        read_packet(io.BytesIO(cut).read, 5)


def test_a_packet_out_of_order_is_refused() -> None:
    with pytest.raises(EOFError, match="packet 5 instead of 6"):
        read_packet(io.BytesIO(packets(2)).read, 6)
