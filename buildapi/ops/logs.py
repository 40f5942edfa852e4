"""Choose which log events are written, in which format, and where to."""

from __future__ import annotations

import getopt
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    globalLogPublisher,
)
from zope.interface import implementer  # type: ignore[import-untyped]  # it has no types

from buildapi.ops.log_file import LogFile, Sink, StreamSink, TwistdFile
from buildapi.ops.log_format import as_json, as_text, level_of

FORMATS: Mapping[str, Callable[[LogEvent], str]] = {"text": as_text, "json": as_json}


@implementer(ILogObserver)
@attrs.define(eq=False)
class Logs:
    """Write events of at least a level; ``counted`` is called with the level of every event.

    The command line of twistd overrules the configured ``file``.
    """

    level: str
    format: str
    file: Path | None
    _counted: Callable[[str], None] = lambda _: None
    _sink: Sink | None = attrs.field(default=None, init=False)
    _default: Sink | None = attrs.field(default=None, init=False)
    _named: bool = attrs.field(default=False, init=False)
    _foreign: bool = attrs.field(default=False, init=False)

    def __call__(self, event: LogEvent) -> None:
        """Write an event."""
        if self._sink is not None and level_of(event) >= LogLevel.levelWithName(self.level):
            self._sink.write(FORMATS[self.format](event))

    def count(self, event: LogEvent) -> None:
        """Count an event of any level."""
        self._counted(level_of(event).name)

    def join(self, parent: Any) -> None:
        """Become the log of the application that our service is a child of."""
        if hasattr(parent, "setComponent"):
            self.install(parent)

    def install(self, application: Any, arguments: Sequence[str] | None = None) -> None:
        """Make twistd log to us, unless its command line names another logger.

        twistd prefers the observer of an application to its own, even to a file on its command
        line; so the command line is read here.
        """
        counter: Any = self.count  # its type does not know that functions may observe
        # On its own: events that go to another logger (--logger, --syslog) are counted, too.
        globalLogPublisher.addObserver(counter)
        wanted = twistd_options(sys.argv if arguments is None else arguments)
        self._foreign = "--logger" in wanted or "--syslog" in wanted
        if self._foreign:
            return
        self._named = "--logfile" in wanted
        self._sink = self._chosen(wanted)
        application.setComponent(ILogObserver, self)

    def _chosen(self, wanted: Mapping[str, str]) -> Sink:
        # --debug implies --nodaemon [twistd --help].
        stays = "--nodaemon" in wanted or "--debug" in wanted
        path = wanted.get("--logfile", "")
        # As twistd itself does, in the same words.
        if path == "-" and not stays:
            raise SystemExit("Daemons cannot log to stdout, exiting!")
        if path and path != "-":
            return LogFile(Path(path).absolute())
        self._default = StreamSink(sys.stdout) if stays else TwistdFile("twistd.log")
        ours = None if self._named or self.file is None else LogFile(self.file)
        return ours or self._default

    @property
    def adaptable(self) -> Sequence[str]:
        """List the settings that :meth:`adapt` can change; the command line may overrule them."""
        if self._foreign:
            return ()
        return ("level", "format") if self._named else ("level", "format", "file")

    def adapt(self, level: str, format: str, file: Path | None) -> None:
        """Switch to another level, format and file."""
        self.level, self.format = level, format
        before, self.file = self.file, file
        if self._sink is not None and not self._named and file != before:
            self._sink.close()
            self._sink = self._default if file is None else LogFile(file)

    def reopen(self) -> None:
        """Reopen the file after it was renamed."""
        if self._sink is not None:
            self._sink.reopen()

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        if self._sink is not None:
            self._sink.close()


SHORT = {"-n": "--nodaemon", "-l": "--logfile", "-b": "--debug"}


def twistd_options(arguments: Sequence[str]) -> Mapping[str, str]:
    """Return the options of twistd on its command line, whatever started it.

    The command line of another program counts as one that stays in the foreground.
    """
    from twisted.scripts import twistd

    options: Any = getattr(twistd, "ServerOptions")()  # noqa: B009  # it is not among its exports
    try:
        found, _ = getopt.getopt(list(arguments[1:]), options.shortOpt, options.longOpt)
    except getopt.GetoptError:  # twistd would have ended, so this is not its own
        return {"--nodaemon": ""}
    return {SHORT.get(name, name): value for name, value in found}
