"""Lock the data folder and the SQLite files of this process against a second process.

Two processes on one SQLite jobs database would each resend and refuse the jobs of the other, and
each would take the other's documents for its own. Operators' commands that only read need no lock,
nor does `buildapi db upgrade`, whose writes SQLite itself serializes.
"""

from __future__ import annotations

import fcntl
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from buildapi.config import Config
from buildapi.config.addresses import sqlite_file
from buildapi.errors import ConfigError

NAME = "buildapi.lock"
HOLDER_BYTES = 300


@attrs.define
class Locks:
    """Hold locks until the process ends, however it ends."""

    _files: list[int] = attrs.field(factory=list)

    def sign(self) -> None:
        """Write the holding process into each file; repeat it after a daemon has forked."""
        text = f"process {os.getpid()} on {platform.node()}\n".encode()
        for file in self._files:
            os.ftruncate(file, 0)
            os.pwrite(file, text, 0)

    def release(self) -> None:
        """Release all locks."""
        while self._files:
            os.close(self._files.pop())

    def take(self, what: str, path: Path) -> None:
        """Lock a file; :raises ConfigError: another process holds it, or it cannot be created."""
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise ConfigError(f"{what}: cannot write {path}: {e.strerror}") from e
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, HOLDER_BYTES, 0).decode(errors="replace").strip()
            os.close(file)
            raise ConfigError(f"{what} is in use by {holder or 'another process'}") from None
        except OSError as e:  # some network file systems have no locks
            os.close(file)
            sys.stderr.write(f"buildapi: warning: {what} cannot be locked: {e.strerror}\n")
        else:
            self._files.append(file)


def lock(config: Config) -> Locks:
    """Create the data folder, and lock it and the SQLite files that the process writes.

    :raises ConfigError: one of them is in use, or cannot be used.
    """
    locks = Locks()
    try:
        _usable(config.service.data)
        for what, path in _places(config):
            locks.take(what, path)
    except ConfigError:
        locks.release()
        raise
    locks.sign()
    return locks


def _usable(folder: Path) -> None:
    what = f"[service] data = {str(folder)!r}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{what}: must be a folder, and a part of it is a file") from None
    except OSError as e:
        raise ConfigError(f"{what}: the folder cannot be made: {e.strerror}") from e


def _places(config: Config) -> Iterator[tuple[str, Path]]:
    """List the lock files: beside the databases, since SQLite locks the databases themselves."""
    data, databases = config.service.data, config.databases
    yield f"the data folder {data}", data / NAME
    names = ["jobs", "scheduler"] if "agent" in config.service.roles else ["jobs"]
    found = [sqlite_file(getattr(databases, name).url) for name in names]
    for file in dict.fromkeys(os.path.realpath(file) for file in found if file):
        yield f"the database {file}", Path(f"{file}.lock")
