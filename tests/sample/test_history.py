"""The invented history: the same each time, of the size asked for, and consistent."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from buildapi.model.branches import Branches
from buildapi.sample.bulk_writer import fill
from buildapi.sample.catalog import (
    BRANCHES,
    DEFAULT_BRANCHES,
    MASTERS,
    SCHEDULER_ROLE,
    builders,
)
from buildapi.sample.history import FarmSize, generate
from buildapi.sample.outcomes import farm_load
from buildapi.sample.sample_rows import BATCH_ROWS

NOW = 1_700_000_000
SIZE = FarmSize(builds=1200, days=3, pending=40, running=25)


class Farm:
    """Both databases on one connection; the status database is named ``st``."""

    def __init__(self, folder: Path) -> None:
        self.db = sqlite3.connect(folder / "scheduler.sqlite")
        self.db.execute("ATTACH ? AS st", (str(folder / "status.sqlite"),))

    def rows(self, text: str, **params: Any) -> list[Any]:
        return self.db.execute(text, params).fetchall()

    def one(self, text: str, **params: Any) -> Any:
        [[value]] = self.rows(text, **params)
        return value


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("farm")
    fill(
        f"sqlite:{folder}/scheduler.sqlite",
        f"sqlite:{folder}/status.sqlite",
        lambda ids: generate(seed=7, now=NOW, size=SIZE, ids=ids),
    )
    opened = Farm(folder)
    yield opened
    opened.db.close()


def everything(seed: int, now: int = NOW) -> list[Any]:
    size = FarmSize(builds=200, days=2, pending=9, running=5)
    return [(b.table, b.rows) for b in generate(seed=seed, now=now, size=size)]


def test_the_same_seed_and_time_give_the_same_rows() -> None:
    assert everything(3) == everything(3)


def test_another_seed_or_time_gives_other_rows() -> None:
    assert everything(3) != everything(4)
    assert everything(3) != everything(3, NOW + 60)


def test_sizes_are_kept_exactly(farm: Farm) -> None:
    assert farm.one("SELECT COUNT(*) FROM builds WHERE finish_time IS NOT NULL") == SIZE.builds
    assert farm.one("SELECT COUNT(*) FROM builds WHERE finish_time IS NULL") == SIZE.running
    pending = "SELECT COUNT(*) FROM buildrequests WHERE claimed_at = 0 AND complete = 0"
    assert farm.one(pending) == SIZE.pending


@pytest.mark.parametrize(
    "size",
    [
        FarmSize(builds=0, pending=0, running=0),
        FarmSize(builds=0, pending=3, running=0),
        FarmSize(builds=1, pending=0, running=0, days=1),
        FarmSize(builds=30, pending=200, running=100, branches=("try",)),
        FarmSize(builds=300, branches=tuple(BRANCHES)),
    ],
    ids=str,
)
def test_odd_sizes_are_kept_too(size: FarmSize, tmp_path: Path) -> None:
    fill(
        f"sqlite:{tmp_path}/scheduler.sqlite",
        f"sqlite:{tmp_path}/status.sqlite",
        lambda ids: generate(seed=1, now=NOW, size=size, ids=ids),
    )
    farm = Farm(tmp_path)
    counts = farm.rows("SELECT COUNT(*) - COUNT(finish_time), COUNT(finish_time) FROM builds")
    assert counts == [(size.running, size.builds)]
    farm.db.close()


def test_batches_are_small() -> None:
    largest = max(len(b.rows) for b in generate(seed=1, now=NOW, size=SIZE))
    assert largest < 2 * BATCH_ROWS


@pytest.mark.parametrize(
    ("table", "column", "target", "key"),
    [
        ("buildrequests", "buildsetid", "buildsets", "id"),
        ("buildsets", "sourcestampid", "sourcestamps", "id"),
        ("buildset_properties", "buildsetid", "buildsets", "id"),
        ("builds", "brid", "buildrequests", "id"),
        ("sourcestamp_changes", "sourcestampid", "sourcestamps", "id"),
        ("sourcestamp_changes", "changeid", "changes", "changeid"),
        ("change_files", "changeid", "changes", "changeid"),
        ("st.builds", "builder_id", "st.builders", "id"),
        ("st.builds", "slave_id", "st.slaves", "id"),
        ("st.builds", "master_id", "st.masters", "id"),
        ("st.builds", "source_id", "st.sourcestamps", "id"),
        ("st.builders", "master_id", "st.masters", "id"),
        ("st.steps", "build_id", "st.builds", "id"),
        ("st.build_properties", "build_id", "st.builds", "id"),
        ("st.build_properties", "property_id", "st.properties", "id"),
        ("st.schedulerdb_requests", "status_build_id", "st.builds", "id"),
        ("st.schedulerdb_requests", "scheduler_request_id", "buildrequests", "id"),
        ("st.schedulerdb_requests", "scheduler_build_id", "builds", "id"),
    ],
)
def test_what_is_referred_to_exists(
    farm: Farm, table: str, column: str, target: str, key: str
) -> None:
    assert farm.one(f"SELECT COUNT(*) FROM {table}") > 0
    orphans = f"SELECT COUNT(*) FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {target})"
    assert farm.one(orphans) == 0


def test_every_buildset_has_a_request_and_every_complete_request_an_end(farm: Farm) -> None:
    empty = "SELECT COUNT(*) FROM buildsets WHERE id NOT IN (SELECT buildsetid FROM buildrequests)"
    assert farm.one(empty) == 0
    endless = "SELECT COUNT(*) FROM buildrequests WHERE complete = 1 AND complete_at IS NULL"
    assert farm.one(endless) == 0


def test_buildsets_are_complete_when_their_requests_are(farm: Farm) -> None:
    wrong = """SELECT COUNT(*) FROM buildsets s WHERE complete !=
        (SELECT MIN(complete) FROM buildrequests WHERE buildsetid = s.id)"""
    assert farm.one(wrong) == 0
    open_results = "SELECT COUNT(*) FROM buildsets WHERE (results IS NULL) != (complete = 0)"
    assert farm.one(open_results) == 0
    late = """SELECT COUNT(*) FROM buildsets s WHERE complete = 1 AND complete_at !=
        (SELECT MAX(complete_at) FROM buildrequests WHERE buildsetid = s.id)"""
    assert farm.one(late) == 0


def test_times_are_in_order_and_not_in_the_future(farm: Farm) -> None:
    wrong = """SELECT COUNT(*) FROM builds b JOIN buildrequests r ON r.id = b.brid
        WHERE b.start_time < r.submitted_at OR b.finish_time < b.start_time
        OR b.start_time > :now OR b.finish_time >= :now OR r.complete_at >= :now"""
    assert farm.one(wrong, now=NOW) == 0
    [(first, last)] = farm.rows("SELECT MIN(when_timestamp), MAX(when_timestamp) FROM changes")
    assert NOW - SIZE.days * 86400 <= first
    assert NOW - 3600 < last < NOW


def test_ids_grow_with_time(farm: Farm) -> None:
    starts = [row[0] for row in farm.rows("SELECT start_time FROM builds ORDER BY id")]
    assert starts == sorted(starts)
    submitted = [row[0] for row in farm.rows("SELECT submitted_at FROM buildrequests ORDER BY id")]
    assert submitted == sorted(submitted)


def test_results_are_mostly_good_and_of_every_kind(farm: Farm) -> None:
    found = dict(farm.rows("SELECT results, COUNT(*) FROM buildrequests GROUP BY results"))
    assert set(found) == {None, 0, 1, 2, 4}
    assert found[0] > 0.6 * SIZE.builds
    assert farm.one("SELECT COUNT(*) FROM st.builds WHERE result = 5") > 0


def test_retried_requests_have_two_builds_with_numbers_of_their_own(farm: Farm) -> None:
    retried = farm.rows(
        "SELECT COUNT(*), COUNT(DISTINCT number) FROM builds GROUP BY brid HAVING COUNT(*) > 1"
    )
    assert retried
    assert set(retried) == {(2, 2)}


def test_coalesced_requests_share_number_start_and_claim(farm: Farm) -> None:
    groups = farm.rows(
        """SELECT COUNT(*), COUNT(DISTINCT r.claimed_at), COUNT(DISTINCT b.start_time),
            COUNT(DISTINCT s.sourcestampid), COUNT(DISTINCT s.id)
            FROM builds b JOIN buildrequests r ON r.id = b.brid
            JOIN buildsets s ON s.id = r.buildsetid
            GROUP BY r.buildername, b.number HAVING COUNT(*) > 1"""
    )
    assert groups
    assert all(n == sets and rest == [1, 1, 1] for n, *rest, sets in groups)


def test_a_build_number_is_used_once_per_master_and_builder(farm: Farm) -> None:
    doubled = """SELECT COUNT(*) FROM (SELECT 1 FROM st.builds
        GROUP BY master_id, builder_id, buildnumber HAVING COUNT(*) > 1)"""
    assert farm.one(doubled) == 0


def test_a_machine_builds_one_thing_at_a_time(farm: Farm) -> None:
    overlaps = """SELECT COUNT(*) FROM st.builds a JOIN st.builds b
        ON a.slave_id = b.slave_id AND a.id < b.id
        WHERE a.starttime < COALESCE(b.endtime, '9') AND b.starttime < COALESCE(a.endtime, '9')"""
    assert farm.one(overlaps) == 0


def test_claimed_requests_name_the_master_that_has_the_builder(farm: Farm) -> None:
    role_of = {b.name: b.role for b in builders(SIZE.branches)}
    role_by_claim = {m.db_name: m.role for m in MASTERS}
    claims = farm.rows(
        "SELECT DISTINCT buildername, claimed_by_name FROM buildrequests WHERE claimed_at > 0"
    )
    assert claims
    assert all(role_of[builder] == role_by_claim[claim] for builder, claim in claims)
    unclaimed = "SELECT COUNT(claimed_by_name) FROM buildrequests WHERE claimed_at = 0"
    assert farm.one(unclaimed) == 0


def test_stored_branches_are_keys_paths_and_names_with_suffixes(farm: Farm) -> None:
    table = Branches.from_definitions({b: BRANCHES[b].definition for b in DEFAULT_BRANCHES})
    stored = {row[0] for row in farm.rows("SELECT DISTINCT branch FROM sourcestamps")}
    assert {"mozilla-inbound", "integration/mozilla-inbound", "try"} <= stored
    assert "mozilla-inbound-linux64-opt-unittest" in stored
    owners = {s: [b for b in table.by_name.values() if b.owns(s)] for s in stored}
    assert {s for s, found in owners.items() if not found} == {"idle"}
    assert all(len(found) <= 1 for found in owners.values())


def test_properties_are_json_pairs_with_a_source(farm: Farm) -> None:
    names = dict(
        farm.rows(
            """SELECT property_name, COUNT(*) FROM buildset_properties
            WHERE json_array_length(property_value) = 2
            AND json_extract(property_value, '$[1]') = 'Scheduler' GROUP BY property_name"""
        )
    )
    sets = farm.one("SELECT COUNT(*) FROM buildsets")
    assert names == {"branch": sets, "revision": sets, "buildid": sets, "builduid": sets}


def test_both_databases_tell_the_same_of_a_build(farm: Farm) -> None:
    different = """SELECT COUNT(*) FROM st.schedulerdb_requests l
        JOIN st.builds s ON s.id = l.status_build_id JOIN builds b ON b.id = l.scheduler_build_id
        JOIN st.builders n ON n.id = s.builder_id
        JOIN buildrequests r ON r.id = l.scheduler_request_id
        WHERE s.buildnumber != b.number OR n.name != r.buildername OR b.brid != r.id
        OR strftime('%s', s.starttime) != CAST(b.start_time AS TEXT)
        OR (s.endtime IS NULL) != (b.finish_time IS NULL)"""
    assert farm.one(different) == 0
    linked = farm.one("SELECT COUNT(*) FROM st.schedulerdb_requests")
    assert linked == farm.one("SELECT COUNT(*) FROM builds")


def test_self_serve_rebuilds_are_among_the_requests(farm: Farm) -> None:
    reasons = farm.one("SELECT COUNT(*) FROM buildsets WHERE reason LIKE 'Self-serve: %'")
    assert 0 < reasons < SIZE.builds / 10


def test_days_are_busier_than_nights() -> None:
    noon_to_night = [farm_load(NOW - NOW % 86400 + hour * 3600) for hour in (19, 12, 7)]
    assert noon_to_night == sorted(noon_to_night, reverse=True)
    assert noon_to_night[0] > 3 * noon_to_night[-1]


def test_names_are_what_people_on_such_farms_expect() -> None:
    names = {b.name for b in builders(DEFAULT_BRANCHES)}
    assert {
        "Linux x86-64 mozilla-central build",
        "Linux x86-64 mozilla-central leak test build",
        "Linux x86-64 mozilla-inbound pgo-build",
        "Windows 7 32-bit try debug test mochitest-1",
        "Android armv7 API 15+ mozilla-central build",
        "Linux mozilla-central nightly",
    } <= names


def test_every_builder_belongs_to_exactly_one_master() -> None:
    scheduler, *roles = [m.role for m in MASTERS]
    assert len(set(roles)) == len(roles)
    assert {b.role for b in builders(tuple(BRANCHES))} == set(roles)
    assert scheduler == SCHEDULER_ROLE
