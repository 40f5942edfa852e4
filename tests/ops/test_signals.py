"""Signals: caught from the first moment, done by the reactor, each once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import attrs
import pytest

from buildapi.ops.signals import CAUGHT, Signals


@attrs.define
class Turns:
    """A reactor as far as signals use it."""

    due: list[Callable[[], None]] = attrs.field(factory=list)

    def callFromThread(self, do: Callable[[], None]) -> None:
        self.due.append(do)

    def turn(self) -> None:
        due, self.due = self.due, []
        for do in due:
            do()


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in CAUGHT}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raised(number: int) -> None:
    os.kill(os.getpid(), number)


def test_what_comes_is_done_in_a_turn_of_the_reactor() -> None:
    signals, turns, done = Signals(), Turns(), list[str]()
    signals.catch()
    signals.bind(turns, {signal.SIGHUP: lambda: done.append("hup")})
    raised(signal.SIGHUP)
    assert done == []
    turns.turn()
    assert done == ["hup"]


def test_what_came_early_is_done_once_that_is_known_how() -> None:
    signals, turns, done = Signals(), Turns(), list[str]()
    signals.catch()
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGUSR1):
        raised(number)
    wanted = {signal.SIGHUP: lambda: done.append("hup"), signal.SIGUSR1: lambda: done.append("usr")}
    signals.bind(turns, wanted)
    turns.turn()
    assert done == ["hup", "usr"]


def test_what_nobody_wants_is_left() -> None:
    signals, turns = Signals(), Turns()
    signals.catch()
    signals.bind(turns, {})
    raised(signal.SIGUSR1)
    assert turns.due == []


def test_in_another_thread_nothing_is_caught_and_nothing_fails() -> None:
    before = signal.getsignal(signal.SIGHUP)
    thread = threading.Thread(target=Signals().catch)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGHUP) is before
