"""``buildapi db``: what it makes, what it leaves alone, and what it says."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Sequence

import pytest

from buildapi.db.schema import JOBS, schema_sql, statements
from buildapi.db.schema_diff import objects
from tests.cli.running import COMMAND
from tests.operating.conftest import OLD_TABLE, Place
from tests.services.mariadb import MariaDB

JOB = (
    "INSERT INTO jobrequests (action, who, `when`, completed_at, what, complete_data) VALUES"
    " ('new_build_at_revisio', 'Jörg <j@example.org>', 1400000000, NULL, '{{}}', NULL),"
    " ('cancel_build', 'arla@example.org', 1400000001, 1400000009, '{{}}', '{}')"
)


def rows(server: MariaDB, place: Place, query: str, name: str = "jobs") -> Sequence[object]:
    """Ask a database of a place."""
    connection = server.connect(database(place, name))
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()
    finally:
        connection.close()


def database(place: Place, name: str = "jobs") -> str:
    """Return the name of a database of a place."""
    return place.urls[name].rpartition("/")[2]


def old_table(server: MariaDB, place: Place, engine: str = "MyISAM") -> None:
    """Make the table of job requests as the Pylons program left it, with two rows."""
    server.execute(
        OLD_TABLE.format(engine=engine), JOB.format("x" * 60_000), database=database(place)
    )


def test_an_upgrade_makes_what_is_missing_once(place: Place) -> None:
    first = place.run("db", "upgrade")
    assert (first.code, first.err) == (0, "")
    made = first.out.decode().splitlines()
    assert {f"jobs: done: create table {name}" for name in JOBS} <= set(made)
    assert made[-1] == "scheduler: done: create table buildapi_markers"
    second = place.run("db", "upgrade")
    assert second.code == 0
    assert b"done:" not in second.out
    assert b"jobs: nothing to do\n" in second.out
    assert b"scheduler: table buildapi_markers exists\n" in second.out


def test_an_upgrade_is_in_the_audit_log(place: Place) -> None:
    place.run("db", "upgrade")
    place.run("db", "upgrade")
    if not place.urls["jobs"].startswith("sqlite"):
        return
    with sqlite3.connect(place.folder / place.urls["jobs"].removeprefix("sqlite:")) as db:
        rows = db.execute("SELECT action, outcome, known_by, who, detail FROM buildapi_audit")
        ((action, outcome, by, who, detail),) = rows.fetchall()
    assert (action, outcome, by) == ("upgrade_schema", "done", "command")
    assert who
    assert "jobs: create table jobrequests" in detail


def test_status_tells_whether_an_upgrade_is_needed(place: Place) -> None:
    before = place.run("db", "status")
    assert before.code == 1
    assert b"to do: create table buildapi_markers" in before.out
    assert b"an upgrade is needed" in before.out
    place.run("db", "upgrade")
    after = place.run("db", "status")
    assert (after.code, after.err) == (0, "")
    assert b"to do" not in after.out
    assert after.out.count(b"complete\n") == 2


def test_sql_changes_nothing_and_is_what_an_upgrade_runs(place: Place) -> None:
    printed = place.run("db", "upgrade", "--sql")
    assert printed.code == 0
    assert place.run("db", "status").code == 1
    text = printed.out.decode()
    for part in ("jobs", "markers"):
        dialect = "sqlite" if place.urls["jobs"].startswith("sqlite") else "mysql"
        for made in objects(dialect, part):
            assert f"{made.statement};\n" in text
    place.run("db", "upgrade")
    assert place.run("db", "upgrade", "--sql").out.count(b"-- nothing to do\n") == 2


def test_the_whole_schema_is_printed_when_asked_for(place: Place) -> None:
    place.run("db", "upgrade")
    text = place.run("db", "upgrade", "--sql", "--all").out.decode()
    dialect = "sqlite" if place.urls["jobs"].startswith("sqlite") else "mysql"
    for part in ("jobs", "markers"):
        assert schema_sql(dialect, part) in text
    assert place.run("db", "upgrade", "--all").code == 2


def test_a_process_that_is_no_agent_leaves_the_scheduler_database_alone(place: Place) -> None:
    broker = {"url": "amqp://u:p@127.0.0.1:1/"}
    place.configure(service={"roles": ["api"]}, broker=broker)
    done = place.run("db", "upgrade")
    assert done.code == 0
    assert b"scheduler" not in done.out
    place.configure(agent={"marker_table": "other_markers"})
    assert place.run("db", "upgrade").out.endswith(b"done: create table other_markers\n")


def test_upgrades_side_by_side_are_harmless(place: Place) -> None:
    command = [COMMAND, "db", "upgrade", "-c", "buildapi.toml"]
    both = [
        subprocess.Popen(command, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    ends = [(process.communicate(timeout=180), process.returncode) for process in both]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert place.run("db", "status").code == 0


@pytest.mark.mariadb
class TestOldTables:
    """What the Pylons program left."""

    @pytest.fixture
    def engine(self) -> str:
        return "mysql"

    def test_an_old_table_is_widened_and_keeps_its_rows(
        self, place: Place, mariadb: MariaDB
    ) -> None:
        old_table(mariadb, place)
        query = "SELECT id, action, who, `when`, completed_at, what, complete_data FROM jobrequests"
        before = rows(mariadb, place, query)
        shown = place.run("db", "status").out.decode()
        assert "action to VARCHAR(40) (now 20 characters)" in shown
        assert "what to LONGTEXT (now 65535 bytes)" in shown
        done = place.run("db", "upgrade")
        assert done.code == 0, done
        assert rows(mariadb, place, query) == before
        assert b"jobs: done: widen table jobrequests: " in done.out
        assert place.run("db", "status").code == 0
        mariadb.execute(
            "INSERT INTO jobrequests (action, who, `when`, what)"
            f" VALUES ('new_pgobuild_at_revision', '\U0001f600', 5000000000, '{'y' * 70_000}')",
            database=database(place),
        )

    def test_what_is_wide_already_is_not_touched(self, place: Place, mariadb: MariaDB) -> None:
        place.run("db", "upgrade")
        mariadb.execute(
            "ALTER TABLE jobrequests MODIFY action VARCHAR(100), MODIFY `when` INTEGER NOT NULL",
            database=database(place),
        )
        text = place.run("db", "upgrade", "--sql").out.decode()
        assert "MODIFY `when` BIGINT NOT NULL;" in text
        assert text.count("MODIFY") == 1
        place.run("db", "upgrade")
        (made,) = rows(mariadb, place, "SHOW CREATE TABLE jobrequests")
        assert "`action` varchar(100) DEFAULT NULL" in str(made)

    def test_the_printed_sql_upgrades_an_old_table(self, place: Place, mariadb: MariaDB) -> None:
        old_table(mariadb, place, "InnoDB")
        printed = place.run("db", "upgrade", "--sql").out.decode()
        mariadb.execute(*(s.text for s in statements(printed)))
        assert place.run("db", "status").code == 0

    def test_a_table_without_transactions_is_named(self, place: Place, mariadb: MariaDB) -> None:
        old_table(mariadb, place)
        for command in ("upgrade", "status"):
            out = place.run("db", command).out
            assert b"warning: table jobrequests is MyISAM" in out
            assert b"ALTER TABLE jobrequests ENGINE=InnoDB" in out

    def test_an_old_process_goes_on_with_the_widened_table(
        self, place: Place, mariadb: MariaDB
    ) -> None:
        old_table(mariadb, place)
        place.run("db", "upgrade")
        mariadb.execute(JOB.format("z"), database=database(place))
        assert len(rows(mariadb, place, "SELECT 1 FROM jobrequests")) == 4

    def test_an_account_that_may_only_read_sees_what_is_needed(
        self, place: Place, mariadb: MariaDB
    ) -> None:
        old_table(mariadb, place, "InnoDB")
        mariadb.execute("CREATE OR REPLACE USER looker@'127.0.0.1'")
        for name in ("jobs", "scheduler"):
            grant = f"GRANT SELECT ON `{database(place, name)}`.* TO looker@'127.0.0.1'"
            mariadb.execute(grant)
        urls = {n: url.replace("root@", "looker@") for n, url in place.urls.items()}
        looker = Place(place.folder, urls)
        looker.configure()
        printed = looker.run("db", "upgrade", "--sql")
        assert printed.code == 0
        assert b"MODIFY `action` VARCHAR(40) NOT NULL" in printed.out
        refused = looker.run("db", "upgrade")
        assert refused.code == 1
        assert "failed: create table buildapi_jobs" in refused.err
        assert "CREATE command denied" in refused.err

    def test_a_change_that_fails_is_told(self, place: Place, mariadb: MariaDB) -> None:
        mariadb.execute(
            OLD_TABLE.format(engine="InnoDB").replace(
                "KEY who (who)", "KEY who (who, action, what(600))"
            ),
            "SET GLOBAL innodb_strict_mode = ON",
            database=database(place),
        )
        done = place.run("db", "upgrade")
        assert done.code == 1
        assert "buildapi: jobs: failed: widen table jobrequests" in done.err
        assert "max key length" in done.err
