"""Stand for a program of ours on ``PATH``: have a process that has loaded it run it.

Run as ``python -IS preloaded_client.py PROGRAM ARGUMENTS`` by whoever has the socket of that
process as the descriptor ``$PRELOADED``; without it the program itself is run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import NoReturn


def main(command: list[str]) -> NoReturn:
    """Run a command, as if it were this process."""
    environment = dict(os.environ)
    try:
        server = socket.socket(fileno=int(environment.pop("PRELOADED", "-1")))
    except (OSError, ValueError):  # a program between us has closed it
        os.execv(command[0], command)
    asked = {"command": command, "folder": os.getcwd(), "environment": environment}
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        socket.send_fds(server, [json.dumps(asked).encode()], [0, 1, 2, theirs.fileno()])
    process = int(ours.recv(100))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: os.kill(process, n))
    code = int(ours.recv(100))
    server.detach()
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main(sys.argv[1:])
