"""What every test gets: a clean reactor and no swallowed errors."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from hypothesis import settings
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, globalLogPublisher

from buildapi.ops.monotonic_clock import use_monotonic_clock
from tests.services.mariadb import MariaDB, start_mariadb
from tests.services.rabbitmq import RabbitMQ, rabbitmq_server

# It is no test module, so its assertions would not show their values; before anything imports it.
pytest.register_assert_rewrite("buildapi.testing")

# Shells let what they run in the background ignore SIGINT, and nohup SIGHUP: so would all that the
# tests start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_sessionstart() -> None:
    """Run the tests' reactor on the program's clock: whoever takes it for the time of day fails."""
    from twisted.internet import reactor

    use_monotonic_clock(reactor)


WAITING = (
    "tests/browser/test_pages.py",
    "tests/browser/test_hostile.py",
    "tests/openapi",
    "tests/e2e/test_restarts.py",
    "tests/docs/test_blocks.py",
    "tests/golden/test_jobs.py",
    "tests/e2e",
    "tests/farm",
    "tests/browser",
    "tests/operating",
    "tests/plugins",
    "tests/cli",
    "tests/mq",
    "tests/db",
    "tests/deploy",
)
"""What starts servers, processes or many programs of ours, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no worker is left alone with it in the end."""
    ranks = {path: rank for rank, path in enumerate(WAITING)}

    def rank(item: pytest.Item) -> int:
        file = item.nodeid.partition("::")[0]
        return ranks.get(file, ranks.get("/".join(file.split("/")[:2]), len(ranks)))

    items.sort(key=rank)


def pytest_collection_finish() -> None:
    """Take what is loaded by now out of the collections that follow every test."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def logged_errors() -> Iterator[list[dict[str, Any]]]:
    """Fail a test that leaves delayed calls or logs errors (one that means to clears the list)."""
    from twisted.internet import reactor

    before = set(reactor.getDelayedCalls())  # type: ignore[attr-defined]  # the module
    errors: list[dict[str, Any]] = []

    def observe(event: dict[str, Any]) -> None:
        if event.get("log_level", LogLevel.info) >= LogLevel.error or event.get("isError"):
            errors.append(event)

    globalLogPublisher.addObserver(observe)
    yield errors
    gc.collect()  # reports "Unhandled error in Deferred"
    gc.freeze()  # what outlives this test need not be looked at after every other
    globalLogPublisher.removeObserver(observe)
    left = _delayed(before)
    if left:  # what is due already only lacks a turn: a connection of an earlier test that closes
        pytest_twisted.blockon(deferLater(reactor, 0))
        left = _delayed(before)
    described = [str(call) for call in left]  # before cancel() forgets what was to be called
    for call in left:
        call.cancel()
    assert not left, f"delayed calls left: {described}"
    texts = [str(e.get("log_failure") or e.get("log_format"))[:300] for e in errors]
    assert not errors, f"logged errors: {texts}"


def _delayed(before: set[Any]) -> list[Any]:
    from twisted.internet import reactor

    calls = reactor.getDelayedCalls()  # type: ignore[attr-defined]  # the module
    return [call for call in calls if call not in before and call.active()]


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """Run a MariaDB server; each test takes databases of its own."""
    server = start_mariadb()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """Run a RabbitMQ node; each test takes names of its own."""
    yield from rabbitmq_server()
