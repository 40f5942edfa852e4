"""Pushes: the changes of one revision on one branch, as change sources sent them.

All times are whole seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import msgspec

from buildapi.model.branches import Branch

SUBJECT_MAX = 200
"""Characters of a comment's first line that pages and documents show."""


class Change(msgspec.Struct, frozen=True):
    """A change; ``branch`` is as stored, ``comments`` is all that the farm kept of the message."""

    id: int
    branch: str | None
    revision: str
    author: str
    comments: str
    when: int
    revlink: str | None = None

    @property
    def subject(self) -> str:
        """Return the first line of the comments, at most ``SUBJECT_MAX`` characters."""
        return next(iter(self.comments.strip().splitlines()), "")[:SUBJECT_MAX]


class PushKey(msgspec.Struct, frozen=True, order=True):
    """A push: the name of its branch, and its revision as stored."""

    branch: str
    revision: str


@attrs.frozen
class Push:
    """The changes of one revision on one branch, the first of them first; never empty.

    Build masters send changes as well, to have tests run: whose push it is, the first one tells.
    """

    branch: Branch
    revision: str
    changes: Sequence[Change]

    @property
    def key(self) -> PushKey:
        """Return the branch's name with the revision."""
        return PushKey(self.branch.name, self.revision)

    @property
    def first(self) -> Change:
        """Return the change that began the push."""
        return self.changes[0]

    @property
    def when(self) -> int:
        """Return when it was pushed."""
        return self.first.when


@attrs.frozen
class PushPlace:
    """A place in a list of pushes, newest first; of one second, the greatest revision is first."""

    when: int
    revision: str = ""


@attrs.frozen
class PushFilter:
    """Select pushes of ``branches`` (at least one); None selects all.

    The time range is ``[since, until)``; ``after`` is the last push of the page before.
    ``revision`` is a whole one, as stored.
    """

    branches: tuple[Branch, ...]
    author: str | None = None
    revision: str | None = None
    since: int | None = None
    until: int | None = None
    after: PushPlace | None = None


@attrs.frozen
class PushPage:
    """Pushes, newest first; ``more`` is whether others follow the last one."""

    pushes: Sequence[Push]
    more: bool
