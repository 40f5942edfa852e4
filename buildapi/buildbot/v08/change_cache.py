"""Keep the changes of revisions that were read lately: every list asks for those of its rows.

A change never changes, but others of its revision may follow: masters send some while they build,
and the revision may be pushed to another branch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

import attrs
from msgspec.structs import replace

from buildapi.db.call_groups import CallGroups
from buildapi.model.pushes import Change, text_length
from buildapi.reactor_time import ReactorTime

CHANGES_MAX = 50_000
"""Maximum number of changes that are kept; a revision without any counts as one."""

TEXT_MAX = 20_000_000
"""Maximum number of characters of authors and comments that are kept."""

FOUND_SECONDS = 60
"""Seconds for which the changes of a revision are kept."""

MISSING_SECONDS = 5
"""Seconds for which it is kept that a revision has no change."""

ReadChanges = Callable[[Collection[str]], Awaitable[Mapping[str, Sequence[Change]]]]


@attrs.frozen
class _Kept:
    """The changes of a revision, kept until a time of the clock."""

    changes: Sequence[Change]
    until: float
    weight: int = attrs.field(init=False)
    text: int = attrs.field(init=False)

    @weight.default
    def _weight(self) -> int:
        return max(1, len(self.changes))

    @text.default
    def _text(self) -> int:
        return text_length(self.changes)


@attrs.define
class ChangeCache:
    """Read the changes of revisions that are not kept; drop the least recently used.

    ``read`` returns the changes of revisions, without those that have none.  Calls that come while
    it reads share the next read.
    """

    _read: ReadChanges
    _clock: ReactorTime
    _changes_max: int = CHANGES_MAX
    _text_max: int = TEXT_MAX
    _kept: OrderedDict[str, _Kept] = attrs.field(factory=OrderedDict, init=False)
    _weight: int = attrs.field(default=0, init=False)
    _text: int = attrs.field(default=0, init=False)
    _groups: CallGroups[Collection[str], Mapping[str, Sequence[Change]]] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._groups = CallGroups(self._read_together, clock=self._clock)

    async def changes(self, revisions: Collection[str]) -> Mapping[str, Sequence[Change]]:
        """Return the changes of revisions; one without changes is left out."""
        found, missing = {}, []
        now = self._clock.seconds()
        for revision in revisions:
            kept = self._kept.get(revision)
            if kept is None or kept.until <= now:
                missing.append(revision)
            else:
                self._kept.move_to_end(revision)
                found[revision] = kept.changes
        if missing:
            read = await self._groups.call(missing)
            found |= {revision: read.get(revision, ()) for revision in missing}
        return {revision: found[revision] for revision in revisions if found[revision]}

    async def _read_together(
        self, calls: Sequence[Collection[str]]
    ) -> Sequence[Mapping[str, Sequence[Change]]]:
        revisions = {revision for call in calls for revision in call}
        found = await self._read(revisions)
        for revision in revisions:
            self._keep(revision, found.get(revision, ()))
        return [found] * len(calls)

    def _keep(self, revision: str, changes: Sequence[Change]) -> None:
        seconds = FOUND_SECONDS if changes else MISSING_SECONDS
        kept = _Kept(_sharing_texts(changes), self._clock.seconds() + seconds)
        self._drop(revision)
        self._kept[revision] = kept
        self._weight += kept.weight
        self._text += kept.text
        while self._weight > self._changes_max or self._text > self._text_max:
            self._drop(next(iter(self._kept)))

    def _drop(self, revision: str) -> None:
        kept = self._kept.pop(revision, None)
        if kept is not None:
            self._weight -= kept.weight
            self._text -= kept.text


def _sharing_texts(changes: Iterable[Change]) -> Sequence[Change]:
    """Return the changes with one copy of each text: masters repeat the comments of the first."""
    texts: dict[str, str] = {}
    return [
        replace(
            change,
            revision=texts.setdefault(change.revision, change.revision),
            author=texts.setdefault(change.author, change.author),
            comments=texts.setdefault(change.comments, change.comments),
        )
        for change in changes
    ]
