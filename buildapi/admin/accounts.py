"""List the accounts that the configured databases need, with their privileges."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

import attrs

from buildapi.admin.own_tables import database_name
from buildapi.assembly.dialects import DIALECTS
from buildapi.buildbot.dialect import TablePrivileges
from buildapi.config import Config
from buildapi.db.grants import JOBS, MARKER, Grant, account, spelled, together

PREFIX = "buildapi_"


@attrs.frozen
class Wanted:
    """Specify the accounts: one for each of ``roles``, or one named ``user`` for all of them."""

    roles: Sequence[str]
    host: str
    user: str | None = None

    def accounts(self) -> Mapping[str, Sequence[str]]:
        """Return the roles of each account by its name."""
        if self.user is not None:
            return {self.user: self.roles}
        return {PREFIX + role: [role] for role in self.roles}


def _server(url: str) -> str:
    """Return an identifier of the server in a URL."""
    parts = urlsplit(url)
    path = dict(parse_qsl(parts.query)).get("unix_socket")
    return path or f"{parts.hostname or '127.0.0.1'}:{parts.port or 3306}"


def grants(config: Config, role: str) -> Iterator[tuple[str, Grant]]:
    """List the privileges of a role, each with its server."""
    databases, farm = config.databases, DIALECTS[config.farm.dialect].privileges
    for name, rights in _rights(role, config.agent.marker_table, farm):
        url = getattr(databases, name).url
        if not url.startswith("sqlite:"):
            for table, may in rights.items():
                yield _server(url), Grant(database_name(url), table, may)


def _rights(
    role: str, marker: str, farm: TablePrivileges
) -> Iterable[tuple[str, Mapping[str, str]]]:
    yield "jobs", JOBS[role]
    yield "scheduler", {marker: MARKER[role]}
    if role == "upgrade":
        return
    yield "scheduler", farm.scheduler_read
    if role == "agent":
        yield "scheduler", farm.scheduler_written
        return
    if role == "api":
        yield "scheduler_replica", {marker: MARKER[role]}
    yield "scheduler_replica", farm.scheduler_read
    yield "status", farm.status_read


def statements(
    config: Config, wanted: Wanted, password: Callable[[], str] = lambda: secrets.token_urlsafe(24)
) -> Iterator[str]:
    """Return the SQL lines, server by server; ``password`` generates one for each account.

    :raises ConfigError: a name is not allowed.
    """
    needed = {
        name: together_on(pair for role in roles for pair in grants(config, role))
        for name, roles in wanted.accounts().items()
    }
    passwords = {name: password() for name in needed}
    for server in dict.fromkeys(server for of in needed.values() for server in of):
        yield f"-- server {server}"
        for name, of in needed.items():
            if server in of:
                yield from spelled(account(name, wanted.host), passwords[name], of[server])


def together_on(pairs: Iterable[tuple[str, Grant]]) -> Mapping[str, Sequence[Grant]]:
    """Group grants by server."""
    found: dict[str, list[Grant]] = {}
    for server, grant in pairs:
        found.setdefault(server, []).append(grant)
    return {server: of for server, given in found.items() if (of := together(given))}
