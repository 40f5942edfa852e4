"""Find texts that stop masters of Buildbot 0.8: a copy of such a request, a repository path."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from buildapi.model.records import BuildRequest

NOT_ASCII_PATH = "masters fail on the path of the repository, which is not ASCII"


def rebuild_refusal(request: BuildRequest, properties: Sequence[tuple[str, str]]) -> str | None:
    """Return why a copy of this request would block its builder; None if it would not.

    ``properties`` are pairs of name and stored text.  Masters of Buildbot 0.8 read all pending
    requests of a builder at once and fail on non-ASCII branches, revisions and property names, and
    on properties that are not JSON pairs: no build of the builder starts until the request is
    completed or removed.
    """
    found = next(_findings(request, properties), None)
    if found is None:
        return None
    return f"a copy would block its builder on all masters: {found}"


def build_refusal(path: str) -> str | None:
    """Return why masters cannot build a repository with this path; None if they can."""
    return None if path.isascii() else NOT_ASCII_PATH


def _findings(request: BuildRequest, properties: Sequence[tuple[str, str]]) -> Iterator[str]:
    for what, text in (("branch", request.branch), ("revision", request.revision)):
        if not (text or "").isascii():
            yield f"its {what} is not ASCII"
    for name, value in properties:
        if not name.isascii():
            yield f"the name of property {name} is not ASCII"
        if not _is_pair(value):
            yield f"property {name} is not a JSON pair of value and source"


def _is_pair(text: str) -> bool:
    try:
        pair = json.loads(text)
    # A stored text may be nested deeper than the stack of Python.
    except (ValueError, RecursionError):
        return False
    # 0.8.2 fails on everything but a list of two, value and source.
    return isinstance(pair, list) and len(pair) == 2
