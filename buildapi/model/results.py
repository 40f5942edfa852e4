"""The results of builds: Buildbot's numbers, and the one word that each has everywhere."""

from __future__ import annotations

from collections.abc import Mapping

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

NO_RESULT = -1
"""What Buildbot 0.8.4 stores, and reports count, for a build that has no result yet."""


def known_result(stored: int | None) -> int | None:
    """Return a stored result; None where there is none yet, NULL or :data:`NO_RESULT`."""
    return None if stored == NO_RESULT else stored


def result_word(result: int | None, none: str = "-") -> str:
    """Return the word of a result: ``none`` where there is none yet, ``-`` for a foreign number."""
    known = known_result(result)
    return none if known is None else RESULT_WORDS.get(known, "-")
