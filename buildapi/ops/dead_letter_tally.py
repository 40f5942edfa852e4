"""Count the dead letters that this process settled, for the status and the check."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import attrs

from buildapi.model.messages import SettledAs, SettledLetter

RECENT_SECONDS = 3600
"""Seconds for which a letter counts as recent; check_buildapi warns for as long."""

RECENT_MOST = 10_000
"""Maximum number of recent letters counted of each end."""


@attrs.frozen
class Settlements:
    """Count the letters that came to one end, since the process began and recently.

    ``last_at`` is in epoch seconds, None if there was none.
    """

    count: int = 0
    recent: int = 0
    last_at: float | None = None


@attrs.frozen
class SettledDeadLetters:
    """Hold the settlements of each end, and the last letter of all."""

    ends: Mapping[SettledAs, Settlements]
    last: SettledLetter | None = None


@attrs.define
class DeadLetterTally:
    """Count letters by their end; ``now`` returns epoch seconds."""

    _now: Callable[[], float]
    _counts: dict[SettledAs, int] = attrs.field(factory=dict, init=False)
    _times: dict[SettledAs, deque[float]] = attrs.field(factory=dict, init=False)
    _last: SettledLetter | None = attrs.field(default=None, init=False)

    def note(self, letter: SettledLetter) -> None:
        """Count a letter."""
        self._counts[letter.end] = self._counts.get(letter.end, 0) + 1
        self._times.setdefault(letter.end, deque(maxlen=RECENT_MOST)).append(letter.at)
        self._last = letter

    def read(self) -> SettledDeadLetters:
        """Return the counts so far."""
        return SettledDeadLetters({end: self._of(end) for end in SettledAs}, self._last)

    def _of(self, end: SettledAs) -> Settlements:
        times, since = self._times.get(end, ()), self._now() - RECENT_SECONDS
        recent = sum(at > since for at in times)
        return Settlements(self._counts.get(end, 0), recent, times[-1] if times else None)
