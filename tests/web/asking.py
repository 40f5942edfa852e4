"""Look into a Deferred that must have fired."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure


def outcome(deferred: Deferred[Any]) -> Any:
    """Return the result, or the Failure."""
    seen: list[Any] = []
    deferred.addBoth(seen.append)
    assert seen, "still waiting"
    return seen[0]


def result(deferred: Deferred[Any]) -> Any:
    """Return the result it must have."""
    seen = outcome(deferred)
    if isinstance(seen, Failure):
        seen.raiseException()
    return seen


def failed(deferred: Deferred[Any]) -> BaseException:
    """Return the error it must have."""
    seen = outcome(deferred)
    assert isinstance(seen, Failure), seen
    assert seen.value is not None
    return seen.value
