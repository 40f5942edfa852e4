"""Choose the failed builds of a revision that are worth building again."""

from __future__ import annotations

from collections.abc import Iterable

from buildapi.jobs.build_states import ABANDONED, FAILED, OPEN, RETRIED


def last_failures(jobs: Iterable[tuple[str, str, int | None]]) -> list[int]:
    """Return the newest build of each builder that failed, the lowest id first.

    ``jobs`` are builder, state and id of builds, in any order, and of requests without a build,
    whose id is None.  Left out are builders with something open, which may pass, and builds that
    were retried or abandoned: a newer build of their request tells how it went.
    """
    newest: dict[str, tuple[int, str]] = {}
    busy: set[str] = set()
    for builder, state, build_id in jobs:
        if state in OPEN:
            busy.add(builder)
        elif build_id is not None and state not in (RETRIED, ABANDONED):
            newest[builder] = max(newest.get(builder, (0, "")), (build_id, state))
    return sorted(
        id_ for builder, (id_, state) in newest.items() if state in FAILED and builder not in busy
    )
