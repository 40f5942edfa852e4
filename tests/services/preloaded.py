"""Run our programs in processes that need not load them: they are forked from one that has.

To start Python and import all of a program takes longer than most commands do, and most of what a
service needs until it is ready. What a process takes from its parent is replaced before the
program begins: arguments, folder, environment, session, and the three streams.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Iterator, Mapping, Sequence

MESSAGE_BYTES = 2**17
SECONDS = 180
"""A command may take so long."""

PROGRAMS = {
    "buildapi": ("buildapi.cli.main", "root", ()),
    "twistd": (
        "twisted.scripts.twistd",
        "run",
        # The program loads these two only when it begins.
        ("buildapi.tap", "buildapi.assembly", "buildapi.sample.sample_farm"),
    ),
}
"""The module and the function of each program, and what else is loaded before it begins."""

READ_AT_START = ("PYTHON", "LC_", "LANG")
"""What Python reads when it starts; in a process that is forked it would come too late."""


def can_run(environment: Mapping[str, str]) -> bool:
    """Return whether a forked process is as good as one that starts in this environment."""
    names = {name for name in {*environment, *os.environ} if name.startswith(READ_AT_START)}
    return all(
        environment.get(name) == os.environ.get(name) for name in names - {"PYTHONUNBUFFERED"}
    )


class Process:
    """A process of a program; it has those methods of ``subprocess.Popen`` that tests use.

    It is killed when this object, or the process that has it, is gone.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: str,
        streams: Sequence[int],
        environment: Mapping[str, str],
    ) -> None:
        """Start it; ``streams`` are the descriptors of its input, output and error output."""
        self.args, self.returncode = command, None
        asked = {"command": command, "folder": folder, "environment": dict(environment)}
        self._control, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            files = [*streams, theirs.fileno()]
            server = loaded(os.path.basename(command[0]))
            socket.send_fds(server, [json.dumps(asked).encode()], files)
        self.pid = int(self._told(SECONDS))

    returncode: int | None

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit code; :raises subprocess.TimeoutExpired: it does not end in time."""
        if self.returncode is None:
            self.returncode = int(self._told(timeout))
            self._control.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            # It may end now, and is waited for by the process that started it, not by this one.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it by force."""
        self.send_signal(signal.SIGKILL)

    def _told(self, timeout: float | None) -> bytes:
        if not select.select([self._control], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(list(self.args), timeout or 0)
        told = self._control.recv(100)
        assert told, "the process that runs the program is gone"
        return told


def run(
    command: Sequence[str], folder: str, given: bytes, environment: Mapping[str, str]
) -> tuple[int, bytes, bytes]:
    """Run a command to its end; return its exit code and what it printed.

    :raises subprocess.TimeoutExpired: it takes too long.
    """
    with (
        tempfile.TemporaryFile() as given_file,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given_file.write(given)
        given_file.seek(0)
        streams = [given_file.fileno(), out.fileno(), err.fileno()]
        process = Process(command, folder, streams, environment)
        try:
            code = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(SECONDS)
            raise
        out.seek(0)
        err.seek(0)
        return code, out.read(), err.read()


@functools.cache
def loaded(program: str) -> socket.socket:
    """Start the process that has loaded a program; it ends with this one.

    ``preloaded_client.py`` speaks to it for processes that have inherited the socket.
    """
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, program, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            cwd="/",
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def next_command(control: socket.socket) -> None:
    """Wait for commands and fork for each; return in the processes that are to run one."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever waits is a process of its own
    while True:
        message, files, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 4)
        if not message:
            os._exit(0)
        if not os.fork():
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if child := os.fork():
                _report(child, files)
            return _become(files, **json.loads(message))
        for file in files:
            os.close(file)


def _report(child: int, files: Sequence[int]) -> None:
    """Return the number of a process and how it ended, and end; kill it if nobody listens."""
    asker = files[3]
    for file in {*files} - {asker}:
        os.close(file)
    ends = os.pidfd_open(child)
    try:
        os.write(asker, str(child).encode())
        if ends not in select.select([ends, asker], [], [])[0]:
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.write(asker, str(code).encode())
    finally:
        os._exit(0)


def _become(
    files: Sequence[int], command: Sequence[str], folder: str, environment: Mapping[str, str]
) -> None:
    os.setsid()
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    at_once = bool(environment.get("PYTHONUNBUFFERED"))
    for stream, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        old = getattr(sys, stream)
        opened = open(number, mode, encoding=old.encoding, errors=old.errors)  # noqa: SIM115  # kept
        if mode == "w" and at_once:
            opened.reconfigure(write_through=True)  # type: ignore[attr-defined]  # of a text file
        setattr(sys, stream, opened)
        setattr(sys, f"__{stream}__", opened)
    sys.argv[:] = command
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


def main(program: str, control: int) -> None:
    """Load a program, and run it in the processes that are forked for it."""
    name, function, more = PROGRAMS[program]
    with _no_reactor():
        module = importlib.import_module(name)
        for other in more:
            importlib.import_module(other)
    gc.collect()
    gc.freeze()  # else each process would look at, and so copy, all that was loaded
    next_command(socket.socket(fileno=control))
    sys.exit(getattr(module, function)())


@contextlib.contextmanager
def _no_reactor() -> Iterator[None]:
    """Keep modules from making a reactor: processes must not share its descriptors.

    Klein imports it for its own ``run``, which we do not use.
    """
    stand_in = types.ModuleType("twisted.internet.reactor")
    assert stand_in.__name__ not in sys.modules
    sys.modules[stand_in.__name__] = stand_in
    yield
    assert sys.modules.pop(stand_in.__name__) is stand_in
    holders = {n for n, m in sys.modules.items() if getattr(m, "reactor", None) is stand_in}
    assert holders <= {"klein._app"}, f"{holders} import the reactor when they are loaded"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
