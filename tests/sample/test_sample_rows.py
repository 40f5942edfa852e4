"""The rows of the sample farm: the same whether they are written in bulk or in a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import defer

from buildapi.sample.bulk_writer import fill
from buildapi.sample.catalog import MASTERS, SampleBuilder, builders
from buildapi.sample.sample_rows import (
    MasterProcess,
    RowBatches,
    RowIds,
    RowStatements,
    RowWriter,
    SampleChange,
    SampleTable,
    insert_build,
    insert_change,
    insert_request,
    insert_submission,
)
from buildapi.sample.status_builds import (
    SampleBuild,
    StatusRecorder,
    insert_status_build,
    insert_status_source,
)
from tests.sample.direct import DirectDatabase, scheduler_database, status_database

NOW = 1_700_000_000
LINUX, MAC = (
    next(b for b in builders(["try"]) if b.name == f"{name} try build")
    for name in ("Linux x86-64", "OS X 10.7")
)
CHANGE = SampleChange(
    author="ada@example.org",
    comments="n\u00e4mlich",
    files=["a.txt", "b.txt"],
    branch="try",
    revision="a" * 40,
    revlink=None,
    category=None,
    repository="r",
    project="",
    properties=[("x", '[1, "Change"]')],
)


class RowWriterContract:
    """Tests of a RowWriter; a subclass writes to a scheduler database what it collects."""

    rows: RowWriter[Any]

    def stored(self, text: str) -> list[Any]:
        """Write what was collected; return the rows of a SELECT."""
        raise NotImplementedError

    def test_a_change_has_its_files_and_properties(self) -> None:
        insert_change(self.rows, CHANGE, NOW)
        text = """SELECT c.author, c.comments, c.when_timestamp, f.filename, p.property_value
            FROM changes c JOIN change_files f ON f.changeid = c.changeid
            JOIN change_properties p ON p.changeid = c.changeid ORDER BY f.filename"""
        assert self.stored(text) == [
            ("ada@example.org", "n\u00e4mlich", NOW, name, '[1, "Change"]')
            for name in ("a.txt", "b.txt")
        ]

    def test_a_submission_leads_from_its_requests_to_its_changes(self) -> None:
        changes = [insert_change(self.rows, CHANGE, NOW) for _ in range(2)]
        insert_submission(self.rows, changes, CHANGE.revision, [LINUX, MAC], NOW)
        text = """SELECT r.buildername, r.claimed_at, r.complete, b.reason, b.complete, s.branch,
            s.revision, sc.changeid FROM buildrequests r JOIN buildsets b ON b.id = r.buildsetid
            JOIN sourcestamps s ON s.id = b.sourcestampid
            JOIN sourcestamp_changes sc ON sc.sourcestampid = s.id ORDER BY r.id, sc.changeid"""
        assert self.stored(text) == [
            (builder.name, 0, 0, "scheduler", 0, LINUX.stored, CHANGE.revision, change)
            for builder in (LINUX, MAC)
            for change in (1, 2)
        ]

    def test_a_buildset_has_the_properties_of_its_scheduler(self) -> None:
        insert_submission(self.rows, [], CHANGE.revision, [LINUX], NOW)
        found = self.stored("SELECT property_name, property_value FROM buildset_properties")
        assert {name: json.loads(text) for name, text in found} == {
            "branch": ["try", "Scheduler"],
            "revision": ["a" * 40, "Scheduler"],
            "buildid": ["20231114221320", "Scheduler"],
            "builduid": ["a" * 32, "Scheduler"],
        }

    def test_a_request_may_be_claimed_or_complete(self) -> None:
        by = MasterProcess("host:/base", "pid1-boot2")
        insert_request(self.rows, 1, "b", NOW, claimed_at=NOW + 1, claimed_by=by)
        insert_request(self.rows, 1, "b", NOW, complete_at=NOW + 2, results=2)
        text = """SELECT claimed_at, claimed_by_name, claimed_by_incarnation, complete, complete_at,
            results FROM buildrequests ORDER BY id"""
        assert self.stored(text) == [
            (NOW + 1, "host:/base", "pid1-boot2", 0, None, None),
            (0, None, None, 1, NOW + 2, 2),
        ]

    def test_a_build_runs_until_it_has_a_finish(self) -> None:
        insert_build(self.rows, 7, 3, NOW)
        insert_build(self.rows, 8, 4, NOW, NOW + 5)
        text = "SELECT number, brid, start_time, finish_time FROM builds ORDER BY id"
        assert self.stored(text) == [(7, 3, NOW, None), (8, 4, NOW, NOW + 5)]

    def test_rows_that_are_stored_once_have_one_id(self) -> None:
        slave = (SampleTable.STATUS_SLAVES, "slave-001")
        assert self.rows.named(*slave) == self.rows.named(*slave) == 1


class TestRowBatches(RowWriterContract):
    @pytest.fixture(autouse=True)
    def collected(self, tmp_path: Path) -> None:
        self.rows: RowBatches = RowBatches(RowIds())
        self.folder = tmp_path

    def stored(self, text: str) -> list[Any]:
        fill(f"sqlite:{self.folder}/scheduler.sqlite", None, lambda _: self.rows.drain())
        connection = sqlite3.connect(self.folder / "scheduler.sqlite")
        try:
            return connection.execute(text).fetchall()
        finally:
            connection.close()


class TestRowStatements(RowWriterContract):
    @pytest.fixture(autouse=True)
    def collected(self) -> Iterator[None]:
        self.rows: RowStatements = RowStatements({(SampleTable.STATUS_SLAVES, "slave-001"): 1})
        self.db = scheduler_database()
        yield
        self.db.connection.close()

    def stored(self, text: str) -> list[Any]:
        result(self.db.transact(self.rows.statements))
        return self.db.rows(text)

    def test_a_row_that_was_not_looked_up_is_a_fault(self) -> None:
        with pytest.raises(KeyError):
            self.rows.named(SampleTable.STATUS_SLAVES, "slave-002")


def result(work: Any) -> Any:
    """Return the result of a coroutine that waits for nothing."""
    found: list[Any] = []
    defer.ensureDeferred(work).addCallback(found.append)
    return found[0]


# --- the status database ---------------------------------------------------------------------


def build(number: int, builder: SampleBuilder) -> SampleBuild:
    return SampleBuild(
        master=MASTERS[1],
        name=builder.name,
        builder=builder,
        number=number,
        slave=f"{builder.pool}-00{number}",
        start=NOW,
        finish=NOW + 60 * number,
        result=0,
        reason="scheduler",
        branch=builder.stored,
        revision="a" * 40,
        submitted={"buildid": ("20231114221320", "Scheduler"), "own": (number, "Change")},
        links=[(number, NOW - 5, 10 + number)],
    )


BUILDS = [build(1, LINUX), build(2, LINUX), build(3, MAC)]
SHOWN = """SELECT b.*, m.*, bu.*, sl.*, s.*, l.*, p.name, p.source, p.value
    FROM builds b JOIN masters m ON m.id = b.master_id JOIN builders bu ON bu.id = b.builder_id
    JOIN slaves sl ON sl.id = b.slave_id JOIN sourcestamps s ON s.id = b.source_id
    JOIN schedulerdb_requests l ON l.status_build_id = b.id
    JOIN build_properties bp ON bp.build_id = b.id JOIN properties p ON p.id = bp.property_id
    ORDER BY b.id, p.name"""


def recorded() -> DirectDatabase:
    db = status_database()
    recorder = StatusRecorder(db)
    for one in BUILDS:
        result(recorder.record(one))
    return db


def test_a_master_records_the_builds_that_a_history_would(tmp_path: Path) -> None:
    rows = RowBatches(RowIds())
    for one in BUILDS:
        insert_status_build(rows, one, insert_status_source(rows, one))
    fill(f"sqlite:{tmp_path}/a.sqlite", f"sqlite:{tmp_path}/b.sqlite", lambda _: rows.drain())
    written = sqlite3.connect(tmp_path / "b.sqlite")
    db = recorded()
    assert db.rows(SHOWN) == written.execute(SHOWN).fetchall()
    for table in ("properties", "build_properties", "builders", "masters", "slaves"):
        counted = f"SELECT COUNT(*) FROM {table}"
        assert db.rows(counted) == written.execute(counted).fetchall()
    written.close()
    db.connection.close()


def test_a_builder_that_is_not_in_the_catalogue_is_recorded_by_its_name() -> None:
    other = SampleBuild(
        master=MASTERS[1],
        name="other",
        builder=None,
        number=1,
        slave="s",
        start=NOW,
        finish=NOW,
        result=0,
        reason="x" * 600,
        branch="b" * 60,
        revision=None,
        submitted={"buildid": ("1", "Scheduler")},
        links=[],
    )
    db = status_database()
    result(StatusRecorder(db).record(other))
    assert db.rows("SELECT name, source, value FROM properties") == [
        ("buildername", "Builder", '"other"')
    ]
    assert db.one("SELECT LENGTH(reason) FROM builds") == 500, "as long as the column"
    assert db.one("SELECT branch FROM sourcestamps") == "b" * 50
    db.connection.close()
