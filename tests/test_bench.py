"""The benchmarks run, on little data; their figures are for people to read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services.mariadb import MariaDB

ROOT = Path(__file__).parent.parent


@pytest.mark.mariadb
@pytest.mark.parametrize(
    ("module", "options", "figures"),
    [("bench.cancel_revision", ("--requests", "20", "--masters", "2"), "'done': 15, 'failed': 5")],
)
def test_a_benchmark_runs(
    mariadb: MariaDB, module: str, options: tuple[str, ...], figures: str
) -> None:
    assert mariadb.port, "a server can be started here"
    command = [sys.executable, "-W", "error::DeprecationWarning:bench", "-m", module, *options]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert figures in done.stdout
