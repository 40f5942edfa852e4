"""Query the state of many builds at once, for several callers."""

from __future__ import annotations

import attrs
from twisted.internet import defer
from twisted.python.failure import Failure

from buildapi.buildbot.v08 import queries
from buildapi.db.sql import Database, chunks
from buildapi.reactor_time import ReactorTime


@attrs.define
class BuildPoller:
    """Collect the questions of one iteration of ``reactor`` (IReactorTime) into one query."""

    _reactor: ReactorTime
    _db: Database
    _asked: dict[int, list[defer.Deferred[bool]]] = attrs.field(factory=dict, init=False)

    async def is_over(self, build_id: int) -> bool:
        """Return whether a build has ended; a missing one has."""
        waiting: defer.Deferred[bool] = defer.Deferred(lambda _: None)
        if not self._asked:
            # The cancel of a revision waits for many builds at once, which share one query
            # [docs/design.md, "Acting on Buildbot 0.8"].
            self._reactor.callLater(0, self._look)
        self._asked.setdefault(build_id, []).append(waiting)
        return await waiting

    def _look(self) -> None:
        asked, self._asked = self._asked, {}
        looking = defer.ensureDeferred(self._unfinished(list(asked)))

        def answer(unfinished: set[int] | Failure) -> None:
            for build_id, waiting in asked.items():
                for one in waiting:
                    _fire(one, unfinished, build_id)

        looking.addBoth(answer)

    async def _unfinished(self, build_ids: list[int]) -> set[int]:
        found: set[int] = set()
        for some in chunks(build_ids):
            query, params = queries.unfinished(some)
            found.update(await query.many(self._db, **params))
        return found


def _fire(waiting: defer.Deferred[bool], unfinished: set[int] | Failure, build_id: int) -> None:
    if waiting.called:  # whoever waited has gone away
        return
    if isinstance(unfinished, set):
        # Only an unfinished row tells that a build runs: a row that is deleted will never get its
        # end.
        waiting.callback(build_id not in unfinished)
    else:
        waiting.errback(unfinished)
