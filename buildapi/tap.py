"""Run the program under twistd: its options, and what a .tac file needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.python import usage

from buildapi.config import Config, for_worker, load, sample_config
from buildapi.errors import ConfigError
from buildapi.lifecycle import Program
from buildapi.ops.file_locks import lock_files, watch
from buildapi.ops.garbage import permanent_objects
from buildapi.ops.monotonic_clock import use_monotonic_clock
from buildapi.ops.shutdown import end_once, fail_at_exit
from buildapi.ops.signals import Signals
from buildapi.reactor_time import Reactor


class Options(usage.Options):
    """The options of ``twistd buildapi``."""

    optFlags = [  # noqa: RUF012  # twisted.python.usage reads it off the class
        ["sample", None, "Run the built-in sample farm instead of reading a configuration"],
    ]
    optParameters = [  # noqa: RUF012  # twisted.python.usage reads it off the class
        ["config", "c", None, "The configuration file (TOML)"],
        ["data", "d", "data", "With --sample: the folder that keeps everything"],
        ["listen", "l", None, "With --sample: the endpoint to listen on, such as tcp:8010"],
        ["worker", "w", None, "The number of this process, from 1 to [service] workers"],
    ]

    def postOptions(self) -> None:
        """Read the configuration; a wrong one ends the program with a line for each error."""
        # First of all, since SIGHUP and SIGUSR1 end a process that does not catch them [signal(7)].
        self["signals"] = Signals()
        self["signals"].catch()
        try:
            self["loaded"] = _configured(self)
        except ConfigError as e:
            for line in str(e).splitlines():
                sys.stderr.write(f"buildapi: {line}\n")
            raise SystemExit(1) from None


def _configured(options: Any) -> Config:
    if options["sample"]:
        return sample_config(Path(options["data"]), options["listen"])
    if options["config"] is None:
        raise ConfigError("--config FILE is needed (or --sample for the sample farm)")
    return for_worker(load(options["config"]), _worker(options["worker"]))


def _worker(text: str | None) -> int | None:
    """Parse the number of a worker; :raises ConfigError: it is none."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 4):
        raise ConfigError(f"--worker {text[:20]!r} is not a number (expected one such as 1)")
    return int(text)


def makeService(options: Any) -> Program:  # the name twistd looks for
    """Build the program for ``twistd buildapi``."""
    # Not at the top: the import installs the default reactor, and nobody could choose another one.
    from twisted.internet import reactor

    return _assembled(options, reactor)


def _assembled(options: Any, reactor: Reactor) -> Program:
    with permanent_objects():
        return _assembled_once(options, reactor)


def _assembled_once(options: Any, reactor: Reactor) -> Program:
    # Not at the top: here no collection searches what they load, for a seventh of the start.
    from buildapi.assembly import Again, assemble
    from buildapi.assembly.databases import files_to_lock

    config: Config = options["loaded"]
    # Before anything below schedules a call, at a time of the old clock.
    use_monotonic_clock(reactor)
    try:
        # twistd forks later; a flock belongs to the open file, which the daemon inherits
        # [flock(2)].
        locks = lock_files(config.service.data, files_to_lock(config))
    except ConfigError as e:
        sys.stderr.write(f"buildapi: {e}\n")
        raise SystemExit(1) from None
    reactor.callWhenRunning(locks.sign)  # twistd has become a daemon by then, with another pid
    watch(locks, reactor, fail_at_exit)
    end_once(reactor)
    again = Again(options["signals"], lambda: _configured(options))
    program = assemble(config, reactor, again=again).program
    program.failing = fail_at_exit
    return program


def from_file(path: str | None = None) -> Program:
    """Build the program for a ``.tac`` file: from ``path``, ``BUILDAPI_CONFIG`` or the default.

    ``BUILDAPI_WORKER`` is the number of this worker, if there are several.

    :raises SystemExit: the configuration is wrong; a line for each error is printed.
    """
    options = Options()  # type: ignore[no-untyped-call]  # twisted.python.usage is not typed
    options["config"] = path or os.environ.get("BUILDAPI_CONFIG", "buildapi.toml")
    options["worker"] = os.environ.get("BUILDAPI_WORKER") or None
    options.postOptions()
    from twisted.internet import reactor

    return _assembled(options, reactor)
