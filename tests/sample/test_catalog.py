"""The files in which the sample farm describes itself."""

from __future__ import annotations

from buildapi.buildbot.directory import parse_branches, parse_builders, parse_masters
from buildapi.model.branches import Branches
from buildapi.sample.catalog import (
    BRANCHES,
    DEFAULT_BRANCHES,
    IDLE,
    MASTERS,
    branches_document,
    builders,
    builders_document,
    masters_document,
)

DOCUMENT = builders_document(DEFAULT_BRANCHES)


def test_the_builders_file_can_be_read_and_has_all_builders_but_the_idle_ones() -> None:
    read = parse_builders(DOCUMENT).value
    idle = {b.name for b in IDLE}
    assert set(read.by_name) == {b.name for b in builders(DEFAULT_BRANCHES)} - idle


def test_each_branch_has_its_builders() -> None:
    read = parse_builders(DOCUMENT).value
    table = Branches.from_definitions(parse_branches(branches_document(DEFAULT_BRANCHES)).value)
    for name in DEFAULT_BRANCHES:
        listed = set(read.of(table.by_name[name]))
        assert listed == {b.name for b in builders([name]) if b.branch == name}


def test_a_builder_tells_its_branch_platform_product_and_where_it_runs() -> None:
    assert DOCUMENT["builders"]["Linux x86-64 mozilla-inbound pgo-build"] == {
        "properties": {
            "branch": "mozilla-inbound",
            "platform": "linux64",
            "product": "firefox",
            "repo_path": "integration/mozilla-inbound",
        },
        "shortname": "linux-x86-64-mozilla-inbound-pgo-build",
        "slavebuilddir": "linux-x86-64-mozilla-inbound-pgo-build",
        "slavepool": "bld-linux64-ec2",
    }
    android = DOCUMENT["builders"]["Android armv7 API 15+ try build"]
    assert android["properties"]["product"] == "mobile"
    test = DOCUMENT["builders"]["Windows 7 32-bit try debug test mochitest-1"]
    assert test["slavebuilddir"] == "test"


def test_every_builder_has_one_master_and_a_pool_of_slaves() -> None:
    had = [name for names in DOCUMENT["master_builders"].values() for name in names]
    assert sorted(had) == sorted(DOCUMENT["builders"])
    assert set(DOCUMENT["master_builders"]) == {m.name for m in MASTERS}
    assert DOCUMENT["master_builders"]["bm00-scheduler"] == []
    pools = {entry["slavepool"] for entry in DOCUMENT["builders"].values()}
    assert pools == set(DOCUMENT["slavepools"])
    assert DOCUMENT["slavepools"]["bld-lion-r5"][0] == "bld-lion-r5-001"


def test_short_names_are_distinct() -> None:
    listed = builders_document(tuple(BRANCHES))["builders"].values()
    assert len({entry["shortname"] for entry in listed}) == len(listed)


def test_the_first_master_takes_changes_and_no_other() -> None:
    masters = parse_masters(masters_document((1, 2, 3, 4), 5)).value
    taking = [(m.role, m.name, m.pb_port) for m in masters.values() if m.pb_port is not None]
    assert taking == [("scheduler", "bm00-scheduler", 5)]
    assert [m.http_port for m in masters.values()] == [1, 2, 3, 4]
    assert next(iter(masters)) == "master0.example.org:/builds/buildbot/scheduler/master"


def test_a_port_of_0_stands_for_none() -> None:
    masters = parse_masters(masters_document((1, 2, 3, 4), 0)).value
    assert {m.pb_port for m in masters.values()} == {None}
