"""Find whose push builds and requests are, by the branch and revision that they are stored with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from buildapi.model.pushes import Change

_Key = tuple[str | None, str | None]


@attrs.frozen
class PushIndex:
    """The changes of some revisions, the first of each first.

    ``owner`` returns the name of the branch that a stored branch belongs to, None without one.
    """

    _changes: Mapping[str, Sequence[Change]]
    _owner: Callable[[str | None], str | None]
    _found: dict[_Key, Sequence[Change]] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )
    _words: dict[_Key, tuple[str, str] | None] = attrs.field(
        factory=dict, init=False, eq=False, repr=False
    )

    def push(self, branch: str | None, revision: str | None) -> Sequence[Change]:
        """Return the changes of a revision on the branch of a stored branch; empty if unknown.

        Masters send changes to names of their own, as ``try-linux-unittest``: all of those that
        belong to one branch are one push.
        """
        key = branch, revision
        found = self._found.get(key)
        if found is None:
            ours = self._branch(branch)
            changes = self._changes.get(revision or "", ())
            found = self._found[key] = [c for c in changes if self._branch(c.branch) == ours]
        return found

    def first(self, branch: str | None, revision: str | None) -> Change | None:
        """Return the change that began a push: whose it is, and what it is about."""
        return next(iter(self.push(branch, revision)), None)

    def words(self, branch: str | None, revision: str | None) -> tuple[str, str] | None:
        """Return author and first line of a push; None if it is unknown."""
        key = branch, revision
        # Lists have thousands of rows of some hundred pushes.
        if key not in self._words:
            first = self.first(branch, revision)
            self._words[key] = None if first is None else (first.author, first.subject)
        return self._words[key]

    def _branch(self, stored: str | None) -> tuple[str | None, str | None]:
        owner = self._owner(stored)
        # What belongs to no branch of the branches file belongs to what is stored.
        return (owner, None) if owner is not None else (None, stored)


NO_PUSHES = PushIndex({}, lambda _: None)
"""The index where no changes were read."""
