"""Spell the accounts of a MySQL or MariaDB server, and what each may do, as SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from buildapi.errors import ConfigError

ROLES = ("upgrade", "api", "agent", "read")
"""Whose accounts there are: ``read`` is for dumps and reports by hand."""

READ = "SELECT"
_ALL = "SELECT, INSERT, UPDATE, DELETE"
_MAKE = "SELECT, INSERT, CREATE, ALTER, INDEX"  # INSERT: MySQL wants it for ALTER TABLE

Rights = Mapping[str, str]
"""What may be done to each table."""

JOBS: Mapping[str, Rights] = {
    "upgrade": {
        "jobrequests": _MAKE,
        "buildapi_jobs": _MAKE,
        "buildapi_keys": _MAKE,
        "buildapi_progress": _MAKE,
        "buildapi_branches": _MAKE,
        "buildapi_processes": _MAKE,
        "buildapi_trail": _MAKE,
        "buildapi_tokens": _MAKE,
    },
    "api": {
        "jobrequests": "SELECT, INSERT, UPDATE",
        "buildapi_jobs": _ALL,
        "buildapi_keys": "SELECT, INSERT, DELETE",
        "buildapi_progress": "SELECT, DELETE",
        "buildapi_branches": "SELECT, INSERT, DELETE",
        "buildapi_processes": _ALL,
        "buildapi_trail": "SELECT, INSERT, DELETE",
        "buildapi_tokens": _ALL,
    },
    "agent": {
        "jobrequests": "SELECT, UPDATE",
        "buildapi_jobs": "SELECT, INSERT, UPDATE",
        "buildapi_keys": "SELECT (created_at)",  # enough to see that the table is there
        "buildapi_progress": "SELECT, INSERT, DELETE",
        "buildapi_branches": READ,
        "buildapi_processes": _ALL,
        "buildapi_trail": "SELECT, INSERT, DELETE",
        "buildapi_tokens": "SELECT (id)",  # likewise
    },
    "read": {},
}
"""Of the jobs database."""

MARKER: Mapping[str, str] = {
    "upgrade": "SELECT, INSERT, CREATE, ALTER, INDEX",
    "api": READ,
    "agent": _ALL,
    "read": "",
}
"""Of the table of markers in the scheduler database."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_HOST = re.compile(r"[A-Za-z0-9_.:%/-]{1,255}")


def account(user: str, host: str) -> str:
    """Spell an account; :raises ConfigError: a part of it is not allowed."""
    if not _ACCOUNT.fullmatch(user):
        raise ConfigError(f"{user!r} is no name for an account; allowed: {_ACCOUNT.pattern}")
    if not _HOST.fullmatch(host):
        raise ConfigError(f"{host!r} is no host of an account; allowed: {_HOST.pattern}")
    return f"'{user}'@'{host}'"


@attrs.frozen
class Grant:
    """What one account may do to one table."""

    database: str
    table: str
    rights: str

    def sql(self, account: str) -> str:
        """Spell it."""
        where = f"{_quoted(self.database)}.{_quoted(self.table)}"
        return f"GRANT {self.rights} ON {where} TO {account};"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def together(rights: Iterable[Grant]) -> list[Grant]:
    """Leave out what is there twice, keeping the order."""
    return list(dict.fromkeys(grant for grant in rights if grant.rights))


def spelled(account: str, password: str, grants: Iterable[Grant]) -> list[str]:
    """Give the statements for one account; one that exists keeps its password."""
    made = f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';"
    return [made, *(grant.sql(account) for grant in together(grants))]
