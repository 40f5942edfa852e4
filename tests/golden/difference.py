"""Describe recorded cases that differ on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from fnmatch import fnmatchcase
from typing import Any

import attrs

EFFECTS = frozenset(
    ("message", "row", "report", "final row", "scheduler", "stops", "clobbers", "changes")
)
"""Respects in which a job request that is refused now differs from one that was carried out."""

FIXED, ADDED = "fix", "addition"
"""Why: the original behaved wrongly; or there is something new."""


@attrs.frozen
class Difference:
    """Cases that differ: ``respects`` says in what, exactly.

    ``status`` is the present one, ``msg`` is in the present answer's text, and ``agree`` tells,
    of the recorded case and of what is there now, whether nothing but the difference differs.
    """

    cases: Sequence[str]
    why: str
    respects: Set[str]
    status: int | None = None
    msg: str = ""
    kind: str = FIXED
    agree: Callable[[Mapping[str, Any], Any], bool] | None = None

    def covers(self, name: str) -> bool:
        """Return whether a case is one of these."""
        return any(fnmatchcase(name, pattern) for pattern in self.cases)


def refused(cases: Sequence[str], status: int, why: str, msg: str, *more: str) -> Difference:
    """List cases that are refused now: with ``msg`` in the answer, which differs in ``more``."""
    return Difference(cases, why, {"status", *more}, status, msg)
