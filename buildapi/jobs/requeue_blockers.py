"""Find values of a build request that stop its builder on every master of Buildbot 0.8."""

from __future__ import annotations

import json
from collections.abc import Iterator

from buildapi.model.facts import RequestFacts


def poison(facts: RequestFacts) -> str | None:
    """Return why a copy of this request would block its builder; None if it would not.

    Masters of Buildbot 0.8 read all pending requests of a builder at once and fail on non-ASCII
    branches, revisions and property names, and on properties that are not JSON pairs: no build of
    the builder starts until the request is completed or removed.
    """
    return next(_findings(facts), None)


def _findings(facts: RequestFacts) -> Iterator[str]:
    for what in ("branch", "revision"):
        if not (getattr(facts.request, what) or "").isascii():
            yield f"its {what} is not ASCII"
    for name, value in facts.properties:
        if not name.isascii():
            yield f"the name of property {name} is not ASCII"
        if not _is_pair(value):
            yield f"property {name} is not a JSON pair of value and source"


def _is_pair(text: str) -> bool:
    try:
        pair = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(pair, list) and len(pair) == 2
