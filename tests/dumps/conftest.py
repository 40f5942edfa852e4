"""Databases on each engine to dump from."""

from tests.farmwide.conftest import (
    engine,
    make_url,
    mysql_urls,
    open_scheduler,
    replica,
    scheduler,
    sqlite_template,
    status,
    status_url,
)

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
