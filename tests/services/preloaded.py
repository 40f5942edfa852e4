"""Run the command in processes that need not load it: they are forked from one that has.

To start Python and import all of the command takes longer than most commands do. What a process
takes from its parent is replaced before the command begins: arguments, folder, environment, and
the three streams.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

MESSAGE_BYTES = 2**17
SECONDS = 60
"""A command may take so long."""


def run(
    command: Sequence[str], folder: str, given: bytes, environment: Mapping[str, str]
) -> tuple[int, bytes, bytes]:
    """Run a command to its end; give its exit code and what it printed.

    :raises TimeoutError: it takes too long.
    """
    asked = {"command": command, "folder": folder, "environment": dict(environment)}
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        tempfile.TemporaryFile() as given_file,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given_file.write(given)
        given_file.seek(0)
        files = [given_file.fileno(), out.fileno(), err.fileno(), theirs.fileno()]
        socket.send_fds(_server(), [json.dumps(asked).encode()], files)
        theirs.close()
        ours.settimeout(SECONDS)
        code = ours.recv(100)
        assert code, "the process that runs the command is gone"
        out.seek(0)
        err.seek(0)
        return int(code), out.read(), err.read()


@functools.cache
def _server() -> socket.socket:
    """Start the process that has loaded the command; it ends with this one."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(theirs.fileno())],
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
    """Tell how a process ended, and end."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.write(files[3], str(code).encode())
    os._exit(0)


def _become(
    files: Sequence[int], command: Sequence[str], folder: str, environment: Mapping[str, str]
) -> None:
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    for stream, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        old = getattr(sys, stream)
        opened = open(number, mode, encoding=old.encoding, errors=old.errors)  # noqa: SIM115  # kept
        setattr(sys, stream, opened)
        setattr(sys, f"__{stream}__", opened)
    sys.argv[:] = command
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()


if __name__ == "__main__":
    from buildapi.cli.main import root

    gc.collect()
    gc.freeze()  # else each process would look at, and so copy, all that was loaded
    next_command(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(root())
