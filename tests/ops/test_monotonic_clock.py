"""Delays and deadlines run on a clock that nobody can set."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from twisted.internet import task
from twisted.internet.selectreactor import SelectReactor

from buildapi.ops.monotonic_clock import use_monotonic_clock


def test_delays_of_the_reactor_do_not_read_the_wall_clock() -> None:
    """A clock set back by an hour stops no heartbeat, sweep or patience."""
    reactor = SelectReactor()
    use_monotonic_clock(reactor)
    call = reactor.callLater(5, lambda: None)
    assert call.getTime() == pytest.approx(time.monotonic() + 5, abs=1)
    call.reset(7)
    assert call.getTime() == pytest.approx(time.monotonic() + 7, abs=1)
    assert reactor.timeout() == pytest.approx(7, abs=1)
    call.cancel()


def test_a_clock_that_something_waits_by_is_not_replaced() -> None:
    clock = task.Clock()
    clock.callLater(5, lambda: None)
    with pytest.raises(RuntimeError, match="scheduled before"):
        use_monotonic_clock(clock)


def test_replacing_it_twice_changes_nothing_of_what_is_scheduled() -> None:
    reactor = SelectReactor()
    use_monotonic_clock(reactor)
    call = reactor.callLater(5, lambda: None)
    use_monotonic_clock(reactor)
    assert reactor.getDelayedCalls() == [call]
    call.cancel()


STARTED = """
import sys, time
from buildapi.tap import Options, makeService
options = Options()
options.parseOptions(["--sample", "--data", sys.argv[1]])
makeService(options)
from twisted.internet import reactor
assert abs(reactor.seconds() - time.monotonic()) < 60, reactor.seconds()
"""


def test_the_program_under_twistd_runs_on_it(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", STARTED, str(tmp_path / "data")], check=True, timeout=180)
