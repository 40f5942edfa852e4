"""Twisted daemons of a farm, and the guard that sees to it that none outlives the tests."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import IO

import attrs

from tests.services import process_states
from tests.services.preloaded import Process as Forked

STOP_SECONDS = 10

# Waits until its input is closed, by Guard.end() or because the tests' own process is gone, and
# kills whatever has its working directory inside the folder: also what a killed slave left behind.
SWEEP = r"""
read -r _
for again in 1 2; do
    for process in /proc/[0-9]*; do
        case $(readlink "$process/cwd") in "$1"/*) kill -9 "${process#/proc/}" ;; esac
    done
done
"""


@attrs.define(eq=False)
class Guard:
    """Kill every process inside a folder once this object or its owner's process ends."""

    _shell: subprocess.Popen[bytes]

    @classmethod
    def over(cls, folder: Path) -> Guard:
        """Watch over a folder."""
        shell = subprocess.Popen(
            ["sh", "-c", SWEEP, "sh", str(folder.resolve())],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return cls(shell)

    def end(self) -> None:
        """Kill what is left, now; a second call does nothing."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.wait(STOP_SECONDS)


@attrs.define(eq=False)
class Daemon:
    """A master or a slave: one ``twistd`` process in its own folder."""

    folder: Path
    command: list[str]
    environment: dict[str, str]
    _process: subprocess.Popen[bytes] | Forked | None = attrs.field(default=None, init=False)

    @property
    def running(self) -> bool:
        """Return whether the process is there, suspended or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Return the process id; it has to have been started."""
        assert self._process is not None, f"{self.folder.name} was never started"
        return self._process.pid

    def start(self) -> None:
        """Start the process; it may not answer yet."""
        assert not self.running, f"{self.folder.name} runs already"
        with (self.folder / "run.out").open("ab") as out:
            self._process = self._started(out)

    def _started(self, out: IO[bytes]) -> subprocess.Popen[bytes] | Forked:
        return subprocess.Popen(
            self.command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End it in good order, by force after some seconds; nothing happens where it has ended."""
        self._end(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def ended(self, seconds: float = STOP_SECONDS) -> int:
        """Wait until it has ended by itself; give its exit code."""
        assert self._process is not None, f"{self.folder.name} was never started"
        return self._process.wait(seconds)

    def suspend(self) -> None:
        """Let it hang: its ports accept connections and nothing answers."""
        if self.running:
            process_states.suspend(self.pid)

    def resume(self) -> None:
        """Let it go on after :meth:`suspend`."""
        self._signal(signal.SIGCONT)

    def log(self) -> str:
        """Return the end of what it wrote to its logs."""
        texts = [
            path.read_text(errors="replace")[-3000:]
            for name in ("run.out", "twistd.log")
            if (path := self.folder / name).exists()
        ]
        return "\n".join(texts)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _end(self, number: int, seconds: float = STOP_SECONDS) -> None:
        if self._process is None:
            return
        self._signal(number)
        self._signal(signal.SIGCONT)  # a suspended process sees SIGTERM only when it goes on
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(STOP_SECONDS)
