"""Look regularly which masters answer at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import defer, task
from twisted.logger import Logger

AT_ONCE = 10
"""Masters that are asked at the same time."""

FIRST_SECONDS = 1.0
"""After which the first look is taken: the directory is read by then."""


@attrs.frozen
class Reached:
    """Which of the masters that were asked gave no answer, by why."""

    asked: int
    silent: Mapping[str, str]


@attrs.define(slots=False)
class MasterProbe(Service):
    """Ask all masters every ``seconds``; any HTTP answer counts.

    ``urls`` gives the root of each master's web interface by its name; ``ask`` gives why a URL
    does not answer, or None, within a deadline of its own.  ``changed`` is called when a look gives
    another result than the one before.
    """

    _reactor: Any
    _urls: Callable[[], Mapping[str, str | None]]
    _ask: Callable[[str], Awaitable[str | None]]
    _seconds: float
    _changed: Callable[[], None] = lambda: None
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.name = "master probe"
        self.seen: Reached | None = None
        self._running: defer.Deferred[None] | None = None

    def startService(self) -> None:
        """Begin to look."""
        Service.startService(self)
        self._running = defer.ensureDeferred(self._run())
        self._running.addErrback(lambda f: None if f.check(defer.CancelledError) else f)

    def stopService(self) -> None:
        """Look no more."""
        Service.stopService(self)
        if self._running is not None:
            self._running.cancel()

    async def _run(self) -> None:
        await task.deferLater(self._reactor, FIRST_SECONDS)
        while self.running:
            try:
                self._note(await self.look())
            except defer.CancelledError:
                raise
            except Exception:
                self._log.failure("the masters could not be looked at")
            await task.deferLater(self._reactor, self._seconds)

    async def look(self) -> Reached:
        """Ask every master that has a web interface once."""
        urls = {name: url for name, url in self._urls().items() if url is not None}
        left, silent = iter(urls.items()), dict[str, str]()

        async def work() -> None:
            for name, url in left:
                why = await self._ask(url)
                if why is not None:
                    silent[name] = why

        working = [defer.ensureDeferred(work()) for _ in range(AT_ONCE)]
        try:
            await defer.gatherResults(working, consumeErrors=True)
        except defer.FirstError as e:
            e.subFailure.raiseException()
        finally:
            for one in working:
                one.cancel()
        return Reached(len(urls), dict(sorted(silent.items())))

    def _note(self, seen: Reached) -> None:
        """Keep what was seen, and log what has changed."""
        earlier, self.seen = self.seen, seen
        before = earlier.silent if earlier else {}
        for name in seen.silent.keys() - before.keys():
            self._log.warn("master {name} is silent: {why}", name=name, why=seen.silent[name])
        asked = self._urls()
        for name in before.keys() - seen.silent.keys():
            words = "answers again" if name in asked else "is not asked any more"
            self._log.info("master {name} {words}", name=name, words=words)
        if seen != earlier:
            self._changed()
