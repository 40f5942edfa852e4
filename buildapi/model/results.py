"""The result codes of Buildbot, and the word for each."""

from __future__ import annotations

from collections.abc import Mapping

# The numbers of Buildbot; 0.8.2 itself writes no CANCELLED [docs/design.md, "Acting on Buildbot
# 0.8"].
SUCCESS, WARNINGS, FAILURE, SKIPPED, EXCEPTION, RETRY, CANCELLED = range(7)

RESULT_WORDS: Mapping[int, str] = {
    SUCCESS: "success",
    WARNINGS: "warnings",
    FAILURE: "failure",
    SKIPPED: "skipped",
    EXCEPTION: "exception",
    RETRY: "retry",
    CANCELLED: "cancelled",
}

FAILURES = FAILURE, EXCEPTION
"""Results that are a failure to somebody who looks for one."""

NO_RESULT = -1
"""What Buildbot stores from 0.8.4 on, and reports count, for a build without a result yet."""


def known_result(stored: int | None) -> int | None:
    """Return a stored result; None if it is NULL or :data:`NO_RESULT`."""
    return None if stored == NO_RESULT else stored


def result_word(result: int | None, none: str = "-") -> str:
    """Return the word of a result: ``none`` if there is no result yet, ``-`` if it is unknown."""
    known = known_result(result)
    return none if known is None else RESULT_WORDS.get(known, "-")
