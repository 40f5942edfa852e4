"""Read which requests share a build of a 0.8 master (coalesced), and whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from buildapi.buildbot.v08 import queries
from buildapi.buildbot.v08.queries import TryRow
from buildapi.db.sql import Read, chunks
from buildapi.model.facts import RequestFacts
from buildapi.model.records import BuildRequest
from buildapi.model.steps import Sharer


def with_sharers(read: Read, found: Sequence[RequestFacts]) -> Sequence[RequestFacts]:
    """Add to each request the others that lose its running builds when those are stopped."""
    running = [TryRow(t, f.request) for f in found for t in f.running if f.request.claimed_by_name]
    if not running:
        return found
    groups = _groups(read, running)
    authors = _authors(read, [r for group in groups.values() for r in group])
    named = {
        key: [Sharer(r.id, r.branch, r.revision, authors.get(r.buildsetid)) for r in group]
        for key, group in groups.items()
    }
    by_build = {row.build.id: named.get(queries.shared_key(row)) for row in running}
    return [
        attrs.evolve(f, sharers={t.id: some for t in f.tries if (some := by_build.get(t.id))})
        for f in found
    ]


def _groups(read: Read, running: Sequence[TryRow]) -> Mapping[object, Sequence[BuildRequest]]:
    """List the requests of each shared build by its key; builds of one request have none."""
    groups: dict[object, dict[int, BuildRequest]] = {queries.shared_key(r): {} for r in running}
    for numbers in chunks(sorted({row.build.number for row in running})):
        names = sorted({row.request.claimed_by_name or "" for row in running})
        query, params = queries.open_builds_of(names, numbers)
        for row in query.all_of(read, **params):
            if (group := groups.get(queries.shared_key(row))) is not None:
                group[row.request.id] = row.request
    return {key: list(group.values()) for key, group in groups.items() if len(group) > 1}


def _authors(read: Read, requests: Sequence[BuildRequest]) -> Mapping[int, str]:
    """Return the author of the last change of each buildset that has changes."""
    authors: dict[int, str] = {}
    for some in chunks(sorted({r.buildsetid for r in requests})):
        query, params = queries.authors_of(some)
        authors |= dict(query.all_of(read, **params))
    return authors
