"""Lock the data folder and the SQLite files of this process against a second process.

Two processes on one SQLite jobs database would each resend and refuse the jobs of the other, and
each would take the other's documents for its own. Operators' commands that only read need no lock,
nor does `buildapi db upgrade`, whose writes SQLite itself serializes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs
from twisted.internet.error import ReactorNotRunning
from twisted.logger import Logger

from buildapi.errors import ConfigError
from buildapi.reactor_time import Reactor, repeated

HOLDER_BYTES = 300

LOOK_SECONDS = 2.0
"""Seconds between two checks that the locked files are still those that others would lock."""

log = Logger()


class InUseError(ConfigError):
    """Raised for a lock that another process holds."""


@attrs.frozen
class FileLock:
    """A lock that this process holds; ``file`` is its descriptor."""

    what: str
    path: Path
    file: int

    def is_there(self) -> bool:
        """Return whether whoever opens the path finds this lock."""
        try:
            return os.path.samestat(os.fstat(self.file), self.path.stat())
        except OSError:
            return False


@attrs.define
class FileLocks:
    """Hold locks until the process ends, however it ends."""

    _held: list[FileLock] = attrs.field(factory=list)

    def sign(self) -> None:
        """Write the holding process into each file; repeat it after a daemon has forked."""
        text = f"process {os.getpid()} on {platform.node()}\n".encode()
        for held in self._held:
            os.pwrite(held.file, text, 0)  # first, so that whoever reads in between finds a name
            os.ftruncate(held.file, len(text))

    def release(self) -> None:
        """Release all locks."""
        while self._held:
            os.close(self._held.pop().file)

    def take(self, what: str, path: Path) -> None:
        """Lock a file.

        :raises InUseError: another process holds it.
        :raises ConfigError: it cannot be created.
        """
        try:
            # Without O_TRUNC: as long as another process has the lock, the file holds its name.
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as e:
            raise ConfigError(f"{what}: cannot write {path}: {e.strerror}") from e
        try:
            # Not a POSIX lock [fcntl(2)]: that would not survive the fork of a daemon.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, HOLDER_BYTES, 0).decode(errors="replace").strip()
            os.close(file)
            raise InUseError(f"{what} is in use by {holder or 'another process'}") from None
        except OSError as e:  # some network file systems have no locks
            os.close(file)
            sys.stderr.write(f"buildapi: warning: cannot lock {what}: {e.strerror}\n")
        else:
            self._held.append(FileLock(what, path, file))
            self.sign()

    def renew(self) -> None:
        """Lock again what was deleted or replaced.

        Where its folder is missing, nobody can use what is in it; the next call tries again.

        :raises InUseError: another process holds it now.
        """
        for held in [held for held in self._held if not held.is_there()]:
            try:
                self.take(held.what, held.path)
            except InUseError:
                raise
            except ConfigError:
                continue
            self._held.remove(held)
            os.close(held.file)


def watch(locks: FileLocks, reactor: Reactor, failing: Callable[[], None]) -> None:
    """Renew the locks while the reactor runs; stop it where another process holds one.

    A data folder that is deleted under a process takes its lock along, and the next process that is
    started makes another one.  ``failing`` is called before the reactor is stopped.
    """

    def look() -> None:
        try:
            locks.renew()
        except InUseError as e:
            log.critical(
                "{msg}: its lock file was deleted while this process ran; stopping", msg=str(e)
            )
            looking.stop()
            failing()
            with contextlib.suppress(ReactorNotRunning):
                reactor.stop()

    looking = repeated(reactor, look)
    reactor.callWhenRunning(looking.start, LOOK_SECONDS, now=False)


def lock_files(folder: Path, files: Iterable[tuple[str, Path]]) -> FileLocks:
    """Create the data folder, and lock files, each with what it stands for.

    :raises ConfigError: one of them is in use, or cannot be used.
    """
    locks = FileLocks()
    try:
        _make_usable(folder)
        for what, path in files:
            locks.take(what, path)
    except ConfigError:
        locks.release()
        raise
    return locks


def _make_usable(folder: Path) -> None:
    what = f"[service] data = {str(folder)!r}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ConfigError(f"{what}: must be a folder, but part of the path is a file") from None
    except OSError as e:
        raise ConfigError(f"{what}: cannot create the folder: {e.strerror}") from e
