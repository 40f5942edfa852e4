"""The click group of the root, which maps every end of a command to an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any

import click

from buildapi.cli.command_help import SectionedGroup
from buildapi.exit_codes import DONE, FAILED, INTERRUPTED, UNCLEAR


class OutputClosedError(click.ClickException):
    """Standard output is closed; click itself would exit with 1."""

    exit_code = UNCLEAR

    def show(self, file: IO[str] | None = None) -> None:  # noqa: ARG002  # nobody reads it
        """Print nothing."""
        _discard_output()


# Any: the arguments and results of click's own methods, passed on as they are.
class RootGroup(SectionedGroup):
    """A group that exits with the codes of ``buildapi.exit_codes``.

    click exits with 1 if it is interrupted or cannot write; here, 1 means that something failed.
    """

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the options of the root."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError as e:
            raise OutputClosedError("standard output is closed") from e

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as e:
            raise OutputClosedError("standard output is closed") from e

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command line and exit."""
        _escape_unencodable()
        plain: Any = super().main  # its overloads know no arguments that are passed on
        if not standalone_mode:
            return plain(*args, standalone_mode=False, **extra)
        # In its standalone mode click itself exits, with 1 for what has codes of its own here.
        sys.exit(_code(lambda: plain(*args, standalone_mode=False, **extra)))


def _escape_unencodable() -> None:
    r"""Write characters that the encoding of an output lacks as escapes such as \u0141.

    Names of users and builders can hold any character, and the encoding may be ASCII: without a
    locale, or by PYTHONIOENCODING.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _code(work: Callable[[], object]) -> int:
    try:
        given = work()
    except click.ClickException as e:
        with contextlib.suppress(OSError):
            e.show()
        return e.exit_code
    except click.Abort as e:
        with contextlib.suppress(OSError):
            click.echo("Aborted!", err=True)
        # click raises Abort for Ctrl+C and for a declined question alike; only the first has an
        # interrupt as its cause.
        return INTERRUPTED if _is_interrupt(e) else FAILED
    except OSError as e:
        return _report_write_error(e)
    except Exception:
        # Not 1, with which Python ends after a traceback: it would mean that the service refused.
        traceback.print_exc()
        return UNCLEAR
    return given if isinstance(given, int) else DONE


def _is_interrupt(error: BaseException) -> bool:
    return isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)


def _report_write_error(error: OSError) -> int:
    """Print that a file or standard output cannot be written; return the exit code."""
    where = "" if error.filename is None else f"{error.filename}: "
    with contextlib.suppress(OSError):
        click.echo(f"Error: {where}{error.strerror or error}", err=True)
    _discard_output()
    return UNCLEAR


def _discard_output() -> None:
    """Discard buffered output, which Python would try to write again at exit."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        # From the note on SIGPIPE in the documentation of Python's module signal.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
