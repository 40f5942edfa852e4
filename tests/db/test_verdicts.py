"""What errors of the drivers mean, the unknown ones above all."""

from __future__ import annotations

import sqlite3
from typing import Any

import pymysql
import pytest
from pymysql.constants import ER

from buildapi.db.driver import ErrorKind
from buildapi.db.mysql import MySQLDriver
from buildapi.db.sqlite import SQLiteDriver

MYSQL, SQLITE = MySQLDriver({}, 4), SQLiteDriver("jobs.sqlite", 4)


def trouble(number: int) -> ErrorKind | None:
    verdict = MYSQL.verdict(pymysql.OperationalError(number, "x"))
    return None if verdict is None else verdict.trouble


@pytest.mark.parametrize("number", [1030, 1105, 1180, 1223, 1026, 1047, 1637, 4711, 65000])
def test_an_error_nobody_classified_counts_as_away(number: int) -> None:
    assert trouble(number) is ErrorKind.UNKNOWN


@pytest.mark.parametrize("number", [ER.PARSE_ERROR, ER.BAD_FIELD_ERROR, ER.BAD_NULL_ERROR])
def test_the_statements_own_fault_is_no_outage(number: int) -> None:
    assert trouble(number) is None


@pytest.mark.parametrize("number", [ER.LOCK_DEADLOCK, ER.LOCK_WAIT_TIMEOUT, ER.CHECKREAD])
def test_what_other_transactions_did_is_a_conflict_which_is_tried_again(number: int) -> None:
    assert trouble(number) is ErrorKind.CONFLICT


@pytest.mark.parametrize("number", [ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR])
def test_a_table_that_the_account_may_not_use_is_denied(number: int) -> None:
    assert trouble(number) is ErrorKind.DENIED


def test_a_packet_that_is_too_large_is_the_statements_own_fault() -> None:
    assert trouble(1153) is ErrorKind.VALUE


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (sqlite_error(sqlite3.SQLITE_NOMEM), ErrorKind.UNKNOWN),
        (sqlite_error(sqlite3.SQLITE_PROTOCOL), ErrorKind.UNKNOWN),
        (sqlite_error(255), ErrorKind.UNKNOWN),
        (sqlite_error(sqlite3.SQLITE_ERROR), None),
        (sqlite_error(sqlite3.SQLITE_CONSTRAINT_NOTNULL), None),
        (sqlite3.ProgrammingError("Cannot operate on a closed database."), ErrorKind.UNAVAILABLE),
        (sqlite3.ProgrammingError("You did not supply a value for binding 1."), None),
        (ValueError("no error of a database"), None),
    ],
)
def test_sqlite_is_judged_alike(error: Any, expected: ErrorKind | None) -> None:
    verdict = SQLITE.verdict(error)
    assert (None if verdict is None else verdict.trouble) is expected
