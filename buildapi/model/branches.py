"""Map stored branch names to configured branches [docs/compatibility.md, "Branches"]."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

import attrs


@attrs.frozen
class Branch:
    """A branch of the branches file.

    ``names`` are the names its stored branches equal or begin with: the key, the repository path,
    and those the configuration adds.  ``rivals`` are names of other branches that begin with one
    of ``names``.  ``definition`` is the entry in the file, unchanged.
    """

    name: str
    names: tuple[str, ...]
    definition: Mapping[str, object]
    rivals: tuple[str, ...] = ()

    @property
    def repository(self) -> str | None:
        """Return the repository URL without a trailing slash; None if the file has no URL."""
        repo = self.definition.get("repo")
        # Older branches files have the path here.
        return repo.rstrip("/") if isinstance(repo, str) and "://" in repo else None

    @property
    def access(self) -> str | None:
        """Return the access level that the file gives the branch, as ``scm_level_3``, or None."""
        access = self.definition.get("access")
        return access if isinstance(access, str) and access else None

    @property
    def path(self) -> str:
        """Return the repository path, which new source stamps carry; else the name."""
        return repository_path(self.definition) or self.name

    def owns(self, stored: str | None) -> bool:
        """Return whether a stored branch belongs to this branch: the longest match wins.

        ``mozilla-central-linux`` belongs to ``mozilla-central``; ``try-comm-central`` does not
        belong to ``try`` where ``try-comm-central`` is a branch of its own.
        """
        if not stored:
            return False
        ours = [len(t) for t in self.names if begins(stored, t)]
        theirs = [len(t) for t in self.rivals if begins(stored, t)]
        return bool(ours) and max(ours) > max(theirs, default=0)


def begins(stored: str, text: str) -> bool:
    """Return whether a stored branch equals a name, or begins with the name and a hyphen."""
    # The original accepted any beginning or end [docs/compatibility.md, "Branches"].
    return stored == text or stored.startswith(text + "-")


def repository_path(definition: Mapping[str, object]) -> str | None:
    """Return ``projects/cedar`` for a ``repo`` of ``https://hg.example.org/projects/cedar``.

    Older branches files hold the path itself, as ``repo_path`` or as ``repo``.
    """
    repo = definition.get("repo", definition.get("repo_path"))
    if not isinstance(repo, str):
        return None
    return urlsplit(repo).path.strip("/") or None


STORED_MAX = 10_000
"""Maximum number of stored branches whose owner is cached."""


@attrs.frozen
class Branches:
    """The branches file, and the owner of each stored branch."""

    by_name: Mapping[str, Branch]
    _owners: dict[str | None, str | None] = attrs.field(
        factory=dict, init=False, repr=False, eq=False
    )

    @classmethod
    def from_definitions(
        cls,
        definitions: Mapping[str, Mapping[str, object]],
        stored: Mapping[str, Sequence[str]] | None = None,
    ) -> Branches:
        """Build the branches from the file; ``stored`` adds names per branch."""
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
        """Return the branch of this exact name; None if there is none."""
        return self.by_name.get(name)

    def owner(self, stored: str | None) -> str | None:
        """Return the name of the branch that a stored branch belongs to; None if there is none."""
        # "" stands for "not cached": None is an answer.
        found = self._owners.get(stored, "")
        if found == "":
            found = next((b.name for b in self.by_name.values() if b.owns(stored)), None)
            if len(self._owners) < STORED_MAX:
                self._owners[stored] = found
        return found

    def definitions(self) -> dict[str, object]:
        """Return the branches file as it was read."""
        return {name: dict(b.definition) for name, b in self.by_name.items()}


def _names(name: str, definition: Mapping[str, object], more: Iterable[str]) -> tuple[str, ...]:
    path = repository_path(definition)
    return tuple(dict.fromkeys([name, *([path] if path else []), *more]))


def _rivals(name: str, names: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    own = names[name]
    others = (t for other, texts in names.items() if other != name for t in texts)
    return tuple(t for t in others if t not in own and any(begins(t, o) for o in own))
