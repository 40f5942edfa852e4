"""Which stored branch belongs to which configured branch [docs/compatibility.md, "Branches"]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs


@attrs.frozen
class Branch:
    """A key of the branches file.

    ``names`` are the texts its stored branches equal or begin with: the key, the repository
    path, and what the configuration adds.  ``rivals`` are such texts of other branches that
    begin with one of ours.  ``definition`` is its entry in the file, unchanged.
    """

    name: str
    names: tuple[str, ...]
    definition: Mapping[str, Any]
    rivals: tuple[str, ...] = ()

    @property
    def repository(self) -> str | None:
        """Give the URL of its repository, without a slash at the end; None where there is none."""
        repo = self.definition.get("repo")
        return repo.rstrip("/") if isinstance(repo, str) and "://" in repo else None

    @property
    def path(self) -> str:
        """Give the path of its repository, which new source stamps carry; else its name."""
        return repository_path(self.definition) or self.name

    def owns(self, stored: str | None) -> bool:
        """Tell whether a stored value belongs to this branch: the longest match wins.

        ``mozilla-central-linux`` belongs to ``mozilla-central``; ``try-comm-central`` does not
        belong to ``try`` where ``try-comm-central`` is a branch of its own.
        """
        if not stored:
            return False
        ours = [len(t) for t in self.names if begins(stored, t)]
        theirs = [len(t) for t in self.rivals if begins(stored, t)]
        return bool(ours) and max(ours) > max(theirs, default=0)


def begins(stored: str, text: str) -> bool:
    """Tell whether a stored branch is this text, or this text, a hyphen and more."""
    return stored == text or stored.startswith(text + "-")


def repository_path(definition: Mapping[str, Any]) -> str | None:
    """Give ``projects/cedar`` for a ``repo`` of ``https://hg.example.org/projects/cedar``.

    Older files give the path itself, as ``repo_path`` or as ``repo``.
    """
    repo = definition.get("repo", definition.get("repo_path"))
    if not isinstance(repo, str):
        return None
    return urlsplit(repo).path.strip("/") or None


STORED_MAX = 10_000
"""Stored branches whose owners are remembered."""


@attrs.frozen
class Branches:
    """The branches file and what it says about stored names."""

    by_name: Mapping[str, Branch]
    _owners: dict[str | None, str | None] = attrs.field(
        factory=dict, init=False, repr=False, eq=False
    )

    @classmethod
    def from_definitions(
        cls,
        definitions: Mapping[str, Mapping[str, Any]],
        stored: Mapping[str, Sequence[str]] | None = None,
    ) -> Branches:
        """Build the table; ``stored`` adds stored names per branch."""
        names = {
            name: _names(name, definition, (stored or {}).get(name, ()))
            for name, definition in definitions.items()
        }
        return cls(
            {
                name: Branch(name, own, definitions[name], _rivals(name, names))
                for name, own in names.items()
            }
        )

    def get(self, name: str) -> Branch | None:
        """Find a branch by its exact key."""
        return self.by_name.get(name)

    def owner(self, stored: str | None) -> str | None:
        """Name the branch a stored value belongs to, None where it belongs to none."""
        found = self._owners.get(stored, "")
        if found == "":
            found = next((b.name for b in self.by_name.values() if b.owns(stored)), None)
            if len(self._owners) < STORED_MAX:
                self._owners[stored] = found
        return found

    def definitions(self) -> dict[str, Any]:
        """Give the branches file back as it is."""
        return {name: dict(b.definition) for name, b in self.by_name.items()}


def _names(name: str, definition: Mapping[str, Any], more: Iterable[str]) -> tuple[str, ...]:
    path = repository_path(definition)
    return tuple(dict.fromkeys([name, *([path] if path else []), *more]))


def _rivals(name: str, names: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    own = names[name]
    others = (t for other, texts in names.items() if other != name for t in texts)
    return tuple(t for t in others if t not in own and any(begins(t, o) for o in own))
