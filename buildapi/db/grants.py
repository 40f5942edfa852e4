"""Generate the SQL that creates MySQL or MariaDB accounts and grants their privileges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import attrs

from buildapi.errors import ConfigError

ROLES = ("upgrade", "api", "agent", "read")
"""Roles that get an account; ``read`` is for dumps and manual reports."""

READ = "SELECT"
_ALL = "SELECT, INSERT, UPDATE, DELETE"
_MAKE = "SELECT, INSERT, CREATE, ALTER, INDEX"  # INSERT: MySQL wants it for ALTER TABLE

Rights = Mapping[str, str]
"""Privileges by table."""

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
        "buildapi_token_scopes": _MAKE,
        "buildapi_token_uses": _MAKE,
        "buildapi_user_groups": _MAKE,
        "buildapi_audit": _MAKE,  # its INSERT also records the upgrade
        "buildapi_rebuilds": _MAKE,
        "buildapi_load": _MAKE,
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
        "buildapi_token_scopes": "SELECT, INSERT, DELETE",
        "buildapi_token_uses": _ALL,
        "buildapi_user_groups": _ALL,
        "buildapi_audit": "SELECT, INSERT, DELETE",  # nobody changes a record; DELETE: old ones
        "buildapi_rebuilds": "SELECT, INSERT, DELETE",  # both for REPLACE [MySQL]
        "buildapi_load": "SELECT, INSERT, DELETE",
    },
    "agent": {
        "jobrequests": "SELECT, UPDATE",
        "buildapi_jobs": "SELECT, INSERT, UPDATE",  # INSERT: adopts jobs of old web processes
        "buildapi_keys": "SELECT (created_at)",  # enough to see that the table is there
        "buildapi_progress": "SELECT, INSERT, DELETE",  # both for REPLACE [MySQL]
        "buildapi_branches": READ,
        "buildapi_processes": _ALL,
        "buildapi_trail": "SELECT, INSERT, DELETE",
        "buildapi_tokens": "SELECT (id)",  # likewise
        "buildapi_token_scopes": "SELECT (token_id)",  # likewise
        "buildapi_token_uses": "SELECT (token_id)",  # likewise
        "buildapi_user_groups": "SELECT (seen_at)",  # likewise
        "buildapi_audit": "SELECT (identity), INSERT",  # to see which records it has written
        "buildapi_rebuilds": "SELECT (request_id)",  # enough to see that the table is there
        "buildapi_load": "SELECT (at)",  # enough to see that the table is there
    },
    "read": {},
}
"""Privileges in the jobs database, by role."""

MARKER: Mapping[str, str] = {
    "upgrade": "SELECT, INSERT, CREATE, ALTER, INDEX",
    "api": READ,
    "agent": _ALL,
    "read": "",
}
"""Privileges on the marker table in the scheduler database, by role."""

_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_HOST = re.compile(r"[A-Za-z0-9_.:%/-]{1,255}")


def account(user: str, host: str) -> str:
    """Return an account as SQL; :raises ConfigError: a part has characters not allowed."""
    if not _ACCOUNT.fullmatch(user):
        raise ConfigError(f"{user!r} is not the name of an account; allowed: {_ACCOUNT.pattern}")
    if not _HOST.fullmatch(host):
        raise ConfigError(f"{host!r} is not the host of an account; allowed: {_HOST.pattern}")
    return f"'{user}'@'{host}'"


@attrs.frozen
class Grant:
    """Hold the privileges of one account on one table."""

    database: str
    table: str
    rights: str

    def sql(self, account: str) -> str:
        """Return the GRANT statement."""
        where = f"{_quoted(self.database)}.{_quoted(self.table)}"
        return f"GRANT {self.rights} ON {where} TO {account};"


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def together(rights: Iterable[Grant]) -> list[Grant]:
    """Remove duplicates and grants without privileges, keeping the order."""
    return list(dict.fromkeys(grant for grant in rights if grant.rights))


def spelled(account: str, password: str, grants: Iterable[Grant]) -> list[str]:
    """Return the statements for one account; an existing account keeps its password."""
    made = f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{password}';"
    return [made, *(grant.sql(account) for grant in together(grants))]
