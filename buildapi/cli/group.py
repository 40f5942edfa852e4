"""The root of all commands: however one ends, its exit code says how."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click

from buildapi.exit_codes import DONE, FAILED, INTERRUPTED, UNCLEAR


class OutputClosedError(click.ClickException):
    """Nobody reads on: click would end with 1 before anybody else could say something of it."""

    exit_code = UNCLEAR

    def show(self, file: Any = None) -> None:  # noqa: ARG002  # there is nobody to show it to
        """Say nothing."""
        _discard_output()


class RootGroup(click.Group):
    """A group that ends the process as the list of exit codes has it.

    click itself would end with 1, which means something else here, where it is interrupted and
    where the output cannot be written.
    """

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the options of the root."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError as e:
            raise OutputClosedError("nobody reads the help") from e

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as e:
            raise OutputClosedError("nobody reads the output") from e

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run a command line and exit."""
        _escape_unencodable()
        plain: Any = super().main  # its overloads know no arguments that are passed on
        if not standalone_mode:
            return plain(*args, standalone_mode=False, **extra)
        sys.exit(_code(lambda: plain(*args, standalone_mode=False, **extra)))


def _escape_unencodable() -> None:
    r"""Have characters that the encoding of an output lacks written as \u0141, not fail.

    Names of people and builders are anybody's; where there is no locale, or with
    PYTHONIOENCODING, the encoding is narrow.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _code(work: Callable[[], Any]) -> int:
    try:
        given = work()
    except click.ClickException as e:
        with contextlib.suppress(OSError):
            e.show()
        return e.exit_code
    except click.Abort as e:
        with contextlib.suppress(OSError):
            click.echo("Aborted!", err=True)
        return INTERRUPTED if _is_interrupt(e) else FAILED
    except OSError as e:
        return _report_write_error(e)
    except Exception:
        traceback.print_exc()
        return UNCLEAR
    return given if isinstance(given, int) else DONE


def _is_interrupt(error: BaseException) -> bool:
    return isinstance(error.__cause__ or error.__context__, KeyboardInterrupt)


def _report_write_error(error: OSError) -> int:
    """Say that something cannot be written."""
    where = "" if error.filename is None else f"{error.filename}: "
    with contextlib.suppress(OSError):
        click.echo(f"Error: {where}{error.strerror or error}", err=True)
    _discard_output()
    return UNCLEAR


def _discard_output() -> None:
    """Give up what is still to be written: it would fail again at the very end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
