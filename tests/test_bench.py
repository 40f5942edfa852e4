"""The benchmarks run, on little data; their figures are for people to read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.chromium import NAMES
from tests.services.mariadb import MariaDB
from tests.services.policy import program

ROOT = Path(__file__).parent.parent


SECTIONS = (
    *("hot", "HTML, first", "HTML, again", "reports", "memory", "cold", "growth"),
    *("writes", "drain", "mix", "start", "pushes", "pushes, again"),
)


def run(module: str, *options: str, timeout: float = 300) -> str:
    """Run a benchmark; give what it prints."""
    command = [sys.executable, "-W", "error::DeprecationWarning:bench", "-m", module, *options]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.mariadb
def test_the_cancel_of_a_revision_is_measured(mariadb: MariaDB) -> None:
    assert mariadb.port, "a server can be started here"
    printed = run("bench.cancel_revision", "--requests", "20", "--masters", "2")
    assert "'done': 15, 'failed': 5" in printed


@pytest.mark.chromium
def test_pages_in_a_browser_are_measured() -> None:
    assert program(*NAMES)
    printed = run("bench.pages", "--builds", "300", "--listeners", "5")
    assert "300 builds, 5 listeners" in printed
    assert "all told" in printed


@pytest.mark.mariadb
def test_reports_of_a_farm_are_measured() -> None:
    assert program("mariadbd", "mysqld")
    printed = run("bench.reports", "--builds", "300", "--days", "1")
    assert "300 builds in 1 days" in printed
    assert "status 200" in printed
    assert "status 500" not in printed


@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_restarts_under_load_are_measured() -> None:
    assert program("mariadbd", "mysqld")
    assert program("rabbitmq-server")
    printed = run("bench.restart", "--restarts", "1", "--clients", "2")
    assert "1 restarts in" in printed
    assert " 0 failed" in printed
    assert " 0 lost or done twice" in printed


def test_the_way_of_a_rebuild_is_counted() -> None:
    printed = run("bench.trace", "--rounds", "1")
    assert "one rebuild, embedded defaults, 1 rounds" in printed
    assert "SELECTs          0" not in printed


@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_the_drain_of_a_queue_is_measured() -> None:
    assert program("mariadbd", "mysqld")
    assert program("rabbitmq-server")
    printed = run("bench.drain", "--jobs", "10", "--rounds", "1")
    assert "distinct, this:" in printed
    assert "10 jobs a round, 1 rounds, every job executed once" in printed


@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_everything_is_measured_beside_its_references(tmp_path: Path) -> None:
    assert program("mariadbd", "mysqld")
    assert program("rabbitmq-server")
    file = tmp_path / "figures.json"
    printed = run("bench", "--size", "10000", "--quick", "--json", str(file), timeout=1200)
    assert "goals reached" in printed
    found = json.loads(file.read_text())
    assert found["builds"] == 10_000
    assert tuple(dict.fromkeys(row["section"] for row in found["rows"])) == SECTIONS
    for row in found["rows"]:
        assert row["ours"]["value"] > 0 or row["unit"] in ("", "ms"), row
        alone = row["section"] in ("HTML, first", "memory") or row["goal"] in (
            "≤ 0",
            "≤ 20 ms",
            "≤ 150 MB",
        )
        assert (row["reference"] is None) == alone, row
