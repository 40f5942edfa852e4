"""Read what a process of this machine has used: processor time and memory."""

from __future__ import annotations

import time
from pathlib import Path


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process until now, of all its threads.

    /proc/PID/stat has the same in hundredths of a second, too coarse for one request.
    """
    # The clock of another process has this id (Linux, MAKE_PROCESS_CPUCLOCK with CPUCLOCK_SCHED).
    return time.clock_gettime((~pid << 3) | 2)


def resident_megabytes(pid: int) -> float:
    """Return how much memory of a process is resident."""
    return _megabytes(pid, "VmRSS")


def peak_megabytes(pid: int) -> float:
    """Return the most memory of a process that was resident until now."""
    return _megabytes(pid, "VmHWM")


def _megabytes(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"process {pid} is gone")
