"""Probe regularly which masters respond."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet import defer, task
from twisted.logger import Logger

AT_ONCE = 10
"""Maximum number of concurrent probes."""

FIRST_SECONDS = 1.0
"""Seconds before the first round: the directory is read by then."""


@attrs.frozen
class Reached:
    """Hold the number of probed masters, and the reasons of those that did not respond."""

    asked: int
    silent: Mapping[str, str]


@attrs.define(slots=False)
class MasterProbe(Service):
    """Probe all masters every ``seconds``; any HTTP response counts.

    ``urls`` returns the root URL of each master's web interface by name; ``ask`` returns why a URL
    does not respond, or None, within its own deadline. ``changed`` is called when the result
    differs from the one before.
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
        """Start probing."""
        Service.startService(self)
        self._running = defer.ensureDeferred(self._run())
        self._running.addErrback(lambda f: None if f.check(defer.CancelledError) else f)

    def stopService(self) -> None:
        """Stop probing."""
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
        """Probe every master that has a web interface once."""
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
        """Keep the result, and log what has changed."""
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
