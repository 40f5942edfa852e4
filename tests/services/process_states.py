"""Know what the kernel says of a process that a test suspended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def suspend(pid: int) -> None:
    """Stop a process and return once none of its threads runs any more.

    A thread inside a system call goes on for a moment after the signal (signal(7)): what it
    writes then would surprise a test that deletes or replaces its files.

    :raises AssertionError: a thread still runs after three minutes.
    """
    os.kill(pid, signal.SIGSTOP)
    end = time.monotonic() + 180
    while states := {s for s in _states(pid) if s not in "TtZX"}:
        assert time.monotonic() < end, f"process {pid} has threads in states {states}"
        time.sleep(0.005)


def _states(pid: int) -> list[str]:
    """Return the state of each thread, a letter as proc(5) has it."""
    states = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            states.append((task / "stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            continue  # it ended meanwhile
    return states
