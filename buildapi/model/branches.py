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
    path, and what the configuration adds. ``definition`` is its entry, unchanged.
    """

    name: str
    names: tuple[str, ...]
    definition: Mapping[str, Any]


def repository_path(definition: Mapping[str, Any]) -> str | None:
    """Give ``projects/cedar`` for a ``repo`` of ``https://hg.example.org/projects/cedar``."""
    repo = definition.get("repo")
    if not isinstance(repo, str):
        return None
    return urlsplit(repo).path.strip("/") or None


@attrs.frozen
class Branches:
    """The branches file and what it says about stored names."""

    by_name: Mapping[str, Branch]

    @classmethod
    def from_definitions(
        cls,
        definitions: Mapping[str, Mapping[str, Any]],
        stored: Mapping[str, Sequence[str]] | None = None,
    ) -> Branches:
        """Build the table; ``stored`` adds stored names per branch."""
        extra = stored or {}

        def branch(name: str, definition: Mapping[str, Any]) -> Branch:
            path = repository_path(definition)
            names = dict.fromkeys([name, *([path] if path else []), *extra.get(name, ())])
            return Branch(name, tuple(names), definition)

        return cls({name: branch(name, d) for name, d in definitions.items()})

    def get(self, name: str) -> Branch | None:
        """Find a branch by its exact key."""
        return self.by_name.get(name)

    def owner(self, stored: str | None) -> str | None:
        """Tell the key of the branch a stored value belongs to: the longest match wins.

        ``mozilla-central-linux`` belongs to ``mozilla-central``; ``try-comm-central`` does not
        belong to ``try`` where ``try-comm-central`` is a branch of its own.
        """
        if not stored:
            return None
        best = max(
            ((len(text), b.name) for b in self.by_name.values() for text in _matching(b, stored)),
            default=None,
        )
        return best[1] if best else None

    def definitions(self) -> dict[str, Any]:
        """Give the branches file back as it is."""
        return {name: dict(b.definition) for name, b in self.by_name.items()}


def _matching(branch: Branch, stored: str) -> Iterable[str]:
    return (t for t in branch.names if stored == t or stored.startswith(t + "-"))
