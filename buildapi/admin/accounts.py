"""List the accounts that the configured databases need, with their privileges."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

from buildapi.buildbot.dialect_definition import TablePrivileges
from buildapi.config import DatabasesSection
from buildapi.db.grants import JOBS, MARKER, Grant, account, spelled, together
from buildapi.db.pool import driver_of

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


def grants(
    databases: DatabasesSection, marker_table: str, farm: TablePrivileges, role: str
) -> Iterator[tuple[str, Grant]]:
    """List the privileges of a role, each with its server; ``farm`` are those that its dialect
    needs.
    """
    for name, rights in _rights(role, marker_table, farm):
        url = getattr(databases, name).url
        if locate := driver_of(url).locate:
            place = locate(url)
            for table, may in rights.items():
                yield place.server, Grant(place.database, table, may)


def _rights(
    role: str, marker: str, farm: TablePrivileges
) -> Iterable[tuple[str, Mapping[str, str]]]:
    yield "jobs", JOBS[role]
    yield "scheduler", {marker: MARKER[role]}
    # An upgrade changes our own tables only, and needs no privilege on those of the farm.
    if role == "upgrade":
        return
    yield "scheduler", farm.scheduler_read
    if role == "agent":
        yield "scheduler", farm.scheduler_written
        return
    # The lag of the replica is read off a row of the marker table [docs/design.md, Who is there,
    # and how it is].
    if role == "api":
        yield "scheduler_replica", {marker: MARKER[role]}
    yield "scheduler_replica", farm.scheduler_read
    yield "status", farm.status_read


def statements(
    databases: DatabasesSection,
    marker_table: str,
    farm: TablePrivileges,
    wanted: Wanted,
    password: Callable[[], str] = lambda: secrets.token_urlsafe(24),
) -> Iterator[str]:
    """Return the SQL lines, server by server; ``password`` generates one for each account.

    ``farm`` are the privileges that the dialect of the farm needs.

    :raises ConfigError: a name is not allowed.
    """
    needed = {
        name: together_on(
            pair for role in roles for pair in grants(databases, marker_table, farm, role)
        )
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
