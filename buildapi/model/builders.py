"""The builders file: branch, repository path and pool of each builder of the farm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from buildapi.model.branches import Branch


@attrs.frozen
class Builder:
    """An entry of the builders file; None for what the entry leaves out."""

    name: str
    branch: str | None = None
    path: str | None = None
    pool: str | None = None

    def serves(self, branch: Branch) -> bool:
        """Return whether it builds a branch: by the builders file, else by a word of its name."""
        if self.branch is not None:
            return self.branch == branch.name
        if self.path is not None:
            return self.path == branch.path
        return branch.name in self.name.split(" ")


@attrs.frozen
class Builders:
    """The builders file, in its order."""

    by_name: Mapping[str, Builder]

    def __contains__(self, name: str) -> bool:
        return name in self.by_name

    def of(self, branch: Branch) -> Sequence[str]:
        """List the builder names of a branch, in the order of the file."""
        return [b.name for b in self.by_name.values() if b.serves(branch)]
