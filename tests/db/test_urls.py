"""Database URLs, and the :name parameters of PyMySQL."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from buildapi.db.mysql import MySQLDriver, session, translate
from buildapi.db.pool import open_database
from buildapi.db.sqlite import SQLiteDriver
from buildapi.errors import ConfigError
from tests.db.conftest import DEFAULTS


class Idle(Clock):
    """Stand for a reactor that does not run."""

    def callWhenRunning(self, call: Any) -> None: ...


def opened(url: str, **options: Any) -> Any:
    return open_database(url, reactor=Idle(), **DEFAULTS | options)


def mysql(url: str, **options: Any) -> MySQLDriver:
    given: dict[str, Any] = {"password": None, "tls_ca": None, "read_only": False}
    return MySQLDriver.from_url(url, name="jobs", seconds=5, **given | options)


@pytest.mark.parametrize(
    ("url", "dialect"),
    [
        ("sqlite:jobs.sqlite", "sqlite"),
        ("sqlite:///jobs.sqlite", "sqlite"),
        ("mysql://bob@db.example.org/jobs", "mysql"),
        ("mysql+pymysql://bob@db.example.org/jobs", "mysql"),
    ],
)
def test_the_scheme_chooses_the_engine(url: str, dialect: str) -> None:
    assert opened(url).dialect == dialect


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:jobs.sqlite", "jobs.sqlite"),
        ("sqlite:/srv/jobs.sqlite", "/srv/jobs.sqlite"),
        ("sqlite:///jobs.sqlite", "jobs.sqlite"),
        ("sqlite:////srv/jobs.sqlite", "/srv/jobs.sqlite"),
        ("sqlite::memory:", ":memory:"),
    ],
)
def test_sqlite_paths_begin_after_the_colon_or_three_slashes(url: str, path: str) -> None:
    driver = SQLiteDriver.from_url(
        url, name="jobs", seconds=5, read_only=False, password=None, tls_ca=None
    )
    assert driver.path == path


def test_a_mysql_url_gives_the_login() -> None:
    options = mysql("mysql://b%40b:p%2Fw@db.example.org:3307/jobs").options
    assert options["host"] == "db.example.org"
    assert options["port"] == 3307
    assert options["user"] == "b@b"
    assert options["password"] == "p/w"
    assert options["database"] == "jobs"


def test_a_password_given_apart_wins() -> None:
    assert mysql("mysql://bob:old@h/jobs", password="new").options["password"] == "new"


def test_a_unix_socket_can_be_named() -> None:
    options = mysql("mysql://bob@localhost/jobs?unix_socket=/run/mysqld.sock").options
    assert options["unix_socket"] == "/run/mysqld.sock"


def test_a_certificate_authority_turns_verification_on() -> None:
    options = mysql("mysql://bob@h/jobs", tls_ca="/etc/ca.pem").options
    assert options["ssl_ca"] == "/etc/ca.pem"
    assert options["ssl_verify_cert"]
    assert options["ssl_verify_identity"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgres://bob:s3cret@h/jobs", "'postgres'"),
        ("mysql://bob:s3cret@h/", "name of the database"),
        ("mysql://bob:s3cret@h:port/jobs", "port"),
        ("mysql://bob:s3cret@h/jobs?charset=latin1", "unix_socket"),
        ("sqlite:", "sqlite:PATH"),
        ("sqlite://host/jobs", "sqlite:PATH"),
    ],
)
def test_wrong_urls_are_explained_without_the_password(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        opened(url, name="jobs")
    assert "jobs" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_password_is_not_shown() -> None:
    assert "s3cret" not in repr(mysql("mysql://bob:s3cret@h/jobs"))
    assert "s3cret" not in repr(opened("mysql://bob@h/jobs", password="s3cret"))


def test_a_pool_that_never_ran_can_be_stopped() -> None:
    assert opened("sqlite:jobs.sqlite").stopService().called


# --- sessions -------------------------------------------------------------------------------

MARIADB = {
    "version": "10.11.4-MariaDB",
    "log_bin": "OFF",
    "binlog_format": "MIXED",
    "tx_isolation": "REPEATABLE-READ",
    "max_statement_time": "0",
    "innodb_lock_wait_timeout": "50",
}
MYSQL8 = {
    "version": "8.0.36",
    "log_bin": "ON",
    "binlog_format": "ROW",
    "transaction_isolation": "REPEATABLE-READ",
    "transaction_read_only": "OFF",
    "max_execution_time": "0",
    "innodb_lock_wait_timeout": "50",
}


SILENCE = {"wait_timeout": "28800", "net_read_timeout": "30", "net_write_timeout": "60"}


def test_mariadb_gets_its_time_limit_in_seconds() -> None:
    chosen = session(MARIADB, 6, read_only=False)
    assert chosen["max_statement_time"] == 6
    assert chosen["tx_isolation"] == "READ-COMMITTED"
    assert chosen["innodb_lock_wait_timeout"] == 2


def test_mysql_gets_its_time_limit_in_milliseconds() -> None:
    chosen = session(MYSQL8, 6, read_only=True)
    assert chosen["max_execution_time"] == 6000
    assert chosen["transaction_isolation"] == "READ-COMMITTED"
    assert chosen["transaction_read_only"] == 1
    assert "max_statement_time" not in chosen


def test_milliseconds_of_another_server_are_not_taken_for_seconds() -> None:
    percona = {"version": "5.6.50-90.0", "max_statement_time": "0"}
    assert "max_statement_time" not in session(percona, 6, read_only=False)


def test_a_server_that_logs_statements_keeps_its_isolation() -> None:
    chosen = session(MARIADB | {"log_bin": "ON", "binlog_format": "STATEMENT"}, 6, read_only=False)
    assert "tx_isolation" not in chosen


def test_a_server_that_tells_transactions_apart_lets_only_those_go() -> None:
    chosen = session(MARIADB | SILENCE | {"idle_transaction_timeout": "0"}, 6, read_only=False)
    assert (chosen["idle_transaction_timeout"], chosen["net_read_timeout"]) == (5, 5)
    assert "wait_timeout" not in chosen


def test_a_server_that_does_not_lets_silent_sessions_go() -> None:
    chosen = session(MYSQL8 | SILENCE, 6, read_only=False)
    assert (chosen["wait_timeout"], chosen["net_read_timeout"]) == (15, 5)


def test_an_old_server_gets_what_it_knows() -> None:
    chosen = session({"version": "5.1.73"}, 6, read_only=True)
    assert set(chosen) == {"sql_mode", "time_zone", "group_concat_max_len"}


# --- parameters -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "translated"),
    [
        ("id = :id", "id = %(id)s"),
        ("a = :a AND b=:b_2", "a = %(a)s AND b=%(b_2)s"),
        ("x LIKE 'a:b%' AND y = :y", "x LIKE 'a:b%%' AND y = %(y)s"),
        ("x = 'it''s :no' AND y = :y", "x = 'it''s :no' AND y = %(y)s"),
        ('x = "q:q" AND `w:hen` = :y', 'x = "q:q" AND `w:hen` = %(y)s'),
        ("a % 2 = :a", "a %% 2 = %(a)s"),
        ("a -- it's :no\n = :a", "a -- it's :no\n = %(a)s"),
        ("a /* it's :no */ = :a", "a /* it's :no */ = %(a)s"),
        ("SET @x := 1", "SET @x := 1"),
        ("ESCAPE '|' AND a = :a", "ESCAPE '|' AND a = %(a)s"),
    ],
)
def test_names_are_translated_outside_of_strings(text: str, translated: str) -> None:
    assert translate(text) == translated


LITERALS = st.text(st.sampled_from("ab:%'\" `-/*\n"), max_size=8).map(
    lambda t: "'" + t.replace("'", "''") + "'"
)
PIECES = st.lists(st.one_of(LITERALS, st.sampled_from([":a", ":b"])), min_size=1, max_size=8)


@given(PIECES)
def test_both_engines_see_the_same_parameters_and_strings(pieces: list[str]) -> None:
    """SQLite reads the text itself; PyMySQL's form, filled in, must select the same values."""
    values = {"a": "va:%l", "b": "x'y"}
    quoted = {key: "'" + value.replace("'", "''") + "'" for key, value in values.items()}
    text = "SELECT " + ", ".join(pieces)
    filled = translate(text) % quoted
    connection = sqlite3.connect(":memory:")
    try:
        assert connection.execute(filled).fetchall() == connection.execute(text, values).fetchall()
    finally:
        connection.close()
