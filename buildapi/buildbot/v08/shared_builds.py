"""Read which requests share a build of a 0.8 master (coalesced), and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildapi.buildbot.v08 import queries
from buildapi.buildbot.v08.build_rows import BuildRow
from buildapi.db.sql import Read, chunks
from buildapi.model.records import BuildRequest
from buildapi.model.steps import Sharer


def sharers_of(read: Read, builds: Sequence[BuildRow]) -> Mapping[int, Sequence[Sharer]]:
    """Return by id the requests that each of these running builds serves, if they are several."""
    running = [row for row in builds if row.request.claimed_by_name]
    if not running:
        return {}
    groups = _groups(read, running)
    authors = _authors(read, [r for group in groups.values() for r in group])
    named = {
        key: [Sharer(r.id, r.branch, r.revision, authors.get(r.buildsetid)) for r in group]
        for key, group in groups.items()
    }
    return {row.build.id: named[row.shared_key] for row in running if row.shared_key in named}


def _groups(read: Read, running: Sequence[BuildRow]) -> Mapping[object, Sequence[BuildRequest]]:
    """List the requests of each shared build by its key; builds of one request have none."""
    groups: dict[object, dict[int, BuildRequest]] = {r.shared_key: {} for r in running}
    for numbers in chunks(sorted({row.build.number for row in running})):
        names = sorted({row.request.claimed_by_name or "" for row in running})
        # Only open ones: a complete request loses nothing by a stop.
        query, params = queries.open_builds_of(names, numbers)
        for row in query.all_of(read, **params):
            if (group := groups.get(row.shared_key)) is not None:
                group[row.request.id] = row.request
    return {key: list(group.values()) for key, group in groups.items() if len(group) > 1}


def _authors(read: Read, requests: Sequence[BuildRequest]) -> Mapping[int, str]:
    """Return the author of the last change of each buildset that has changes."""
    authors: dict[int, str] = {}
    for some in chunks(sorted({r.buildsetid for r in requests})):
        query, params = queries.authors_of(some)
        # Rows are ordered by change, and dict() keeps the last of a buildset.
        authors |= dict(query.all_of(read, **params))
    return authors
