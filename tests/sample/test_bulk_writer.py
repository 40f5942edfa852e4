"""Filling databases, from Python and from the command line."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildapi.sample.__main__ import main
from buildapi.sample.bulk_writer import (
    BadURLError,
    NotEmptyError,
    fill,
    ids_in_use,
    is_filled,
    scheduler_writer,
    status_writer,
)
from buildapi.sample.farm_schema import scheduler_schema, status_schema
from buildapi.sample.history import FarmSize, generate
from buildapi.sample.sample_rows import RowBatch, SampleTable
from tests.services.mariadb import MariaDB

NOW = 1_700_000_000
SMALL = FarmSize(builds=150, days=1, pending=5, running=4)


def small(ids: Any, seed: int = 1) -> Iterator[RowBatch]:
    return generate(seed=seed, now=NOW, size=SMALL, ids=ids)


def count(url: str, table: str) -> int:
    opened = status_writer if "status" in url else scheduler_writer
    with opened(url) as target:
        [[number]] = target.run(f"SELECT COUNT(*) FROM {table}")
    return int(number)


def test_both_databases_are_filled(urls: tuple[str, str]) -> None:
    scheduler, status = urls
    assert not is_filled(scheduler)
    fill(scheduler, status, small)
    assert is_filled(scheduler)
    assert count(scheduler, "builds") == SMALL.builds + SMALL.running
    assert count(status, "schedulerdb_requests") == SMALL.builds + SMALL.running
    assert count(scheduler, "version") == 1


def test_what_is_written_is_what_was_invented(urls: tuple[str, str]) -> None:
    scheduler, status = urls
    fill(scheduler, status, small)
    expected: dict[SampleTable, list[Any]] = {}
    for batch in small(None):
        expected.setdefault(batch.table, []).extend(batch.rows)
    for table, opened, url in (
        (SampleTable.REQUESTS, scheduler_writer, scheduler),
        (SampleTable.CHANGES, scheduler_writer, scheduler),
        (SampleTable.STATUS_SLAVES, status_writer, status),
    ):
        with opened(url) as target:
            columns = ", ".join(table.all_columns)
            rows = target.run(f"SELECT {columns} FROM {table.title} ORDER BY {table.id}")
        assert [tuple(row) for row in rows] == expected[table]


def test_a_database_with_builds_is_left_alone(urls: tuple[str, str]) -> None:
    fill(*urls, small)
    with pytest.raises(NotEmptyError, match="scheduler"):
        fill(*urls, small)
    assert count(urls[0], "builds") == SMALL.builds + SMALL.running


def test_more_can_be_added_on_purpose_with_new_ids_and_numbers(urls: tuple[str, str]) -> None:
    scheduler, status = urls
    fill(scheduler, status, small)
    masters = count(status, "masters")
    fill(scheduler, status, lambda ids: small(ids, seed=2), force=True)
    assert count(scheduler, "builds") == 2 * (SMALL.builds + SMALL.running)
    assert count(status, "masters") == masters
    with status_writer(status) as target:
        doubled = target.run(
            "SELECT 1 FROM builds GROUP BY master_id, builder_id, buildnumber HAVING COUNT(*) > 1"
        )
    assert not doubled


def test_a_failure_on_the_way_leaves_no_rows(urls: tuple[str, str]) -> None:
    def breaking(ids: Any) -> Iterator[RowBatch]:
        yield next(small(ids))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fill(*urls, breaking)
    assert not is_filled(urls[0])


def test_without_a_status_database_the_scheduler_database_is_filled(tmp_path: Path) -> None:
    url = f"sqlite:{tmp_path}/scheduler.sqlite"
    fill(url, None, small)
    assert is_filled(url)


def test_ids_of_an_empty_database_begin_at_one(tmp_path: Path) -> None:
    with scheduler_writer(f"sqlite:{tmp_path}/scheduler.sqlite") as target:
        target.prepare()
        ids = ids_in_use({"scheduler": target})
    assert (ids.next(SampleTable.BUILDS), ids.number) == (1, 0)


@pytest.mark.parametrize("url", ["", "sqlite:", "postgres://x/y", "scheduler.sqlite"])
def test_urls_of_other_kinds_are_refused(url: str) -> None:
    with pytest.raises(BadURLError):
        is_filled(url)


# --- schemas --------------------------------------------------------------------------------

INDEXED = {
    "builds": {"number", "brid", "start_time", "finish_time"},
    "buildsets": {"complete", "submitted_at", "sourcestampid"},
    "sourcestamps": {"branch", "revision"},
    "sourcestamp_changes": {"sourcestampid", "changeid"},
    "buildrequests": {
        "buildsetid",
        "buildername",
        "complete",
        "claimed_at",
        "claimed_by_name",
    },
}


def test_the_sqlite_schema_has_the_indexes_of_the_mysql_farm() -> None:
    db = sqlite3.connect(":memory:")
    for statement in scheduler_schema("sqlite"):
        db.execute(statement)
    for table, expected in INDEXED.items():
        names = [row[1] for row in db.execute(f"PRAGMA index_list({table})")]
        columns = {row[2] for name in names for row in db.execute(f"PRAGMA index_info({name})")}
        assert columns == expected
    assert db.execute("SELECT version FROM version").fetchall() == [(6,)]
    db.close()


@pytest.mark.mariadb
def test_the_mysql_schema_has_them_too(mariadb: MariaDB) -> None:
    url = mariadb.database("indexes", "utf8")
    with scheduler_writer(url) as target:
        target.prepare()
        for table, expected in INDEXED.items():
            keys = target.run(f"SHOW INDEX FROM {table}")
            assert {row[4] for row in keys} == expected | ({"id"} & {row[4] for row in keys})


def shape(statements: list[str]) -> dict[str, list[str]]:
    """Return the columns of each table."""
    return {
        match[1]: re.findall(r"^    `(\w+)`", statement, re.MULTILINE)
        for statement in statements
        if (match := re.match(r"CREATE TABLE `(\w+)`", statement))
    }


@pytest.mark.parametrize("schema", [scheduler_schema, status_schema])
def test_both_dialects_have_the_same_tables_and_columns(schema: Any) -> None:
    assert shape(schema("sqlite")) == shape(schema("mysql"))
    assert len(shape(schema("sqlite"))) > 14


def test_other_dialects_are_refused() -> None:
    with pytest.raises(ValueError, match="sqlite, mysql"):
        scheduler_schema("oracle")


# --- command line ---------------------------------------------------------------------------


def options(folder: Path, *more: str) -> list[str]:
    base = ["--scheduler", f"sqlite:{folder}/scheduler.sqlite", "--now", str(NOW)]
    return [*base, "--builds", "150", "--days", "1", "--pending", "5", "--running", "4", *more]


def test_the_command_fills_and_then_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = ["--status", f"sqlite:{tmp_path}/status.sqlite"]
    assert main(options(tmp_path, *status, "--quiet")) == 0
    assert capsys.readouterr().err == ""
    assert count(f"sqlite:{tmp_path}/status.sqlite", "builds") > 100
    assert main(options(tmp_path, "--quiet")) == 3
    assert "--force" in capsys.readouterr().err
    assert main(options(tmp_path, "--quiet", "--force")) == 0
    assert count(f"sqlite:{tmp_path}/scheduler.sqlite", "builds") == 2 * 154


def test_progress_is_plain_lines_where_there_is_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(tmp_path)) == 0
    assert capsys.readouterr().err.endswith("154 of 154 builds\n")


@pytest.mark.parametrize(
    "more",
    [
        ["--builds", "-1"],
        ["--days", "0"],
        ["--branch", "no-such-branch"],
        ["--seed", "x"],
    ],
)
def test_wrong_options_end_with_2(tmp_path: Path, more: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options(tmp_path, *more))
    assert ended.value.code == 2


def test_a_wrong_url_ends_with_2_and_an_impossible_one_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--scheduler", "nonsense"]) == 2
    assert main(["--scheduler", f"sqlite:{tmp_path}/no/such/folder/x.sqlite"]) == 1
    assert "nothing was written" in capsys.readouterr().err


def test_the_module_can_be_run() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "buildapi.sample", "--help"],
        check=False,
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0
    assert b"--scheduler" in done.stdout
