"""The databases that contracts run on: those of tests of the 0.8 dialect."""

from __future__ import annotations

from tests.buildbot.conftest import (
    engine,
    make_url,
    mysql_urls,
    open_scheduler,
    replica,
    scheduler,
    sqlite_template,
)
from tests.farmwide.conftest import status, status_url

__all__ = [
    "engine",
    "make_url",
    "mysql_urls",
    "open_scheduler",
    "replica",
    "scheduler",
    "sqlite_template",
    "status",
    "status_url",
]
