"""Read the file of groups: who belongs to which, where the proxy does not say so."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from buildapi.errors import ConfigError
from buildapi.web.http.auth import GROUP_MAX, WHO_MAX, is_group_name

SIZE_MAX = 2**20
"""Bytes of the file: it is parsed on the reactor, at start and with a reload."""

Memberships = Mapping[str, frozenset[str]]
"""The groups of each user."""


def read_memberships(path: Path | None) -> Memberships:
    """Read a file of groups; without a path, there are none.

    :raises ConfigError: with one line for each error.
    """
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
        if len(data) > SIZE_MAX:
            raise ConfigError(f"{path}: has more than {SIZE_MAX} bytes")
        return from_document(tomllib.loads(data.decode()), str(path))
    except (OSError, ValueError, RecursionError) as e:
        # ConfigError is a ValueError: its lines name the file already.
        if isinstance(e, ConfigError):
            raise
        raise ConfigError(f"{path}: {e}") from e


def from_document(document: Mapping[str, object], where: str) -> Memberships:
    """Return the groups of each user of a parsed file; errors begin with ``where``.

    :raises ConfigError: with one line for each error.
    """
    groups = document.get("groups", {})
    errors = [f"{name}: unknown section; allowed: groups" for name in document if name != "groups"]
    if not isinstance(groups, Mapping):
        groups, errors = {}, [*errors, "groups: must be a table"]
    errors += [error for name, users in groups.items() for error in _errors(name, users)]
    if errors:
        raise ConfigError("\n".join(f"{where}: {error}" for error in errors))
    found: dict[str, set[str]] = {}
    for name, users in groups.items():
        for user in users:
            found.setdefault(user, set()).add(name)
    return {user: frozenset(names) for user, names in found.items()}


def _errors(group: str, users: object) -> Iterator[str]:
    if not is_group_name(group):
        yield f"[groups] {group[:80]!a}: must be a name of up to {GROUP_MAX} printable characters"
        return
    if not isinstance(users, list):
        yield f'[groups] {group}: must be a list of users such as ["zoe@example.org"]'
        return
    for number, user in enumerate(users, 1):
        # Written as the header names them: it is stripped of blanks.
        valid = isinstance(user, str) and user.isprintable() and user == user.strip() != ""
        if not valid or len(user) > WHO_MAX:
            yield (
                f"[groups] {group}, user {number}: must be a name of up to {WHO_MAX} printable"
                " characters"
            )
        elif user in users[: number - 1]:
            yield f"[groups] {group}, user {number}: {user[:80]} is listed twice"
