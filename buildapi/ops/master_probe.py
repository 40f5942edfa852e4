"""Probe regularly which masters respond."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import attrs
from twisted.internet import defer

from buildapi.periodic import PeriodicService

AT_ONCE = 10
"""Maximum number of concurrent probes."""

FIRST_SECONDS = 1.0
"""Seconds before the first round: the directory is read by then."""


@attrs.frozen
class Reached:
    """Hold the number of probed masters, and the reasons of those that did not respond."""

    asked: int
    silent: Mapping[str, str]


@attrs.define(slots=False, eq=False)
class MasterProbe(PeriodicService):
    """Probe all masters every ``interval`` seconds; any HTTP response counts.

    ``urls`` returns the root URL of each master's web interface by name; ``ask`` returns why a URL
    does not respond, or None, within its own deadline. ``changed`` is called when the result
    differs from the one before.
    """

    trouble = "cannot probe the masters"
    first_pause = FIRST_SECONDS

    _urls: Callable[[], Mapping[str, str | None]]
    _ask: Callable[[str], Awaitable[str | None]]
    interval: float
    _changed: Callable[[], None] = lambda: None

    def __attrs_post_init__(self) -> None:
        self.name = "master probe"
        self.seen: Reached | None = None

    async def run_once(self) -> None:
        """Probe every master, and keep the result."""
        self._note(await self.probe())

    async def probe(self) -> Reached:
        """Probe every master that has a web interface once."""
        urls = {name: url for name, url in self._urls().items() if url is not None}
        # One iterator for all: each worker goes on with the next master that none has taken.
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
            # After the failure of one the others would go on.
            for one in working:
                one.cancel()
        return Reached(len(urls), dict(sorted(silent.items())))

    def _note(self, seen: Reached) -> None:
        """Keep the result, and log what has changed."""
        earlier, self.seen = self.seen, seen
        before = earlier.silent if earlier else {}
        for name in seen.silent.keys() - before.keys():
            self._log.warn("master {name} is unreachable: {why}", name=name, why=seen.silent[name])
        asked = self._urls()
        for name in before.keys() - seen.silent.keys():
            words = "answers again" if name in asked else "is no longer probed"
            self._log.info("master {name} {words}", name=name, words=words)
        if seen != earlier:
            self._changed()
