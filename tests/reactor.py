"""Time limits for tests that need the reactor.

pytest-timeout does not interrupt a hanging pytest-twisted test, so each has its own limit.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import pytest_twisted
from twisted.internet import defer, task

from tests.patience import PATIENCE


def twisted_test(
    seconds: float = PATIENCE,
) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Any]:
    """Run an ``async def`` test in the reactor; fail it after ``seconds``, at least PATIENCE."""

    def decorate(test: Callable[..., Coroutine[Any, Any, None]]) -> Any:
        @functools.wraps(test)
        def started(*args: Any, **kwargs: Any) -> Generator[Any, Any, None]:
            from twisted.internet import reactor

            running = defer.ensureDeferred(test(*args, **kwargs))
            yield running.addTimeout(max(seconds, PATIENCE), reactor)  # type: ignore[arg-type]  # the module

        return pytest_twisted.inlineCallbacks(started)

    return decorate


async def sleep(seconds: float) -> None:
    """Let the reactor run for a while."""
    from twisted.internet import reactor

    await task.deferLater(reactor, seconds)  # type: ignore[arg-type]  # the module


async def until(
    condition: Callable[[], Awaitable[bool]] | Callable[[], bool], seconds: float = PATIENCE
) -> None:
    """Wait for a condition, asking every 20 ms.

    :raises AssertionError: it does not come in ``seconds``, which are at least PATIENCE.
    """
    from twisted.internet import reactor

    end = reactor.seconds() + max(seconds, PATIENCE)  # type: ignore[attr-defined]  # the module
    while True:
        answer = condition()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert reactor.seconds() < end, "not so in time"  # type: ignore[attr-defined]  # the module
        await sleep(0.02)
