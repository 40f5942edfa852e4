"""Pushes: the changes of one revision on one branch, as change sources sent them.

All times are whole seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import msgspec

from buildapi.model.branches import Branch

SUBJECT_MAX = 200
"""Characters of a comment's first line that pages and documents show."""

COMMENTS_MAX = 10_000
"""Characters of a comment that are read: schemas of some farms have a column without a length."""


def short_author(author: str) -> str:
    """Return the name in ``Name <address>``, or what is before the ``@`` of an address.

    Any other text is returned whole.
    """
    name = author.partition(" <")[0] if author.endswith(">") else author.partition("@")[0]
    return name.strip() or author


class Change(msgspec.Struct, frozen=True):
    """A change; ``branch`` is as stored, ``comments`` has ``COMMENTS_MAX`` characters at most."""

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

    @property
    def is_cut(self) -> bool:
        """Return whether the farm may have more of the comments."""
        return len(self.comments) >= COMMENTS_MAX


def text_length(changes: Iterable[Change]) -> int:
    """Return the characters of authors and comments, each text once for the copies of it."""
    texts = {id(text): len(text) for one in changes for text in (one.author, one.comments)}
    return sum(texts.values())


class PushKey(msgspec.Struct, frozen=True, order=True):
    """A push: the name of its branch, and its revision as stored."""

    branch: str
    revision: str


@attrs.frozen(order=True)
class PushPlace:
    """A place in a list of pushes, newest first; of one second, the greatest revision is first.

    Without a revision it is before the pushes of earlier seconds.
    """

    when: int
    revision: str = ""


@attrs.frozen
class Push:
    """The changes of one revision on one branch, the first of them first; never empty.

    ``revision`` is its longest spelling: masters may send changes with an abbreviation of a hash.
    Changes without a revision, or with a blank one, are of no push.  Build masters send changes as
    well, to have tests run: whose push it is, the first one tells.
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

    @property
    def place(self) -> PushPlace:
        """Return where it is in a list."""
        return PushPlace(self.when, self.revision)


@attrs.frozen
class PushFilter:
    """Select pushes of ``branches`` (at least one); None selects all.

    The time range is ``[since, until)``; ``after`` is ``next`` of the page before.
    ``revision`` is one as stored, however spelled.
    """

    branches: tuple[Branch, ...]
    author: str | None = None
    revision: str | None = None
    since: int | None = None
    until: int | None = None
    after: PushPlace | None = None


@attrs.frozen
class PushPage:
    """Pushes, newest first; ``next`` is where the list continues, None at its end.

    A read looks at a bounded number of changes, so that there may be more pushes even where fewer
    were found than asked for, or none.
    """

    pushes: Sequence[Push]
    next: PushPlace | None = None

    @property
    def more(self) -> bool:
        """Return whether the list continues."""
        return self.next is not None


def first_page(pushes: Sequence[Push], limit: int) -> PushPage:
    """Return the first ``limit`` of these pushes.

    Those of one revision and second, on several branches, have one place: they are on one page,
    which may so have more.
    """
    end = limit
    while end < len(pushes) and pushes[end].place == pushes[end - 1].place:
        end += 1
    return PushPage(pushes[:end], pushes[end - 1].place if end < len(pushes) else None)
