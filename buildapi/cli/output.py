"""Print results: tables for people, the JSON of the service for programs."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs
import click

from buildapi.cli.command_error import CommandError
from buildapi.cli.service_client import JSON
from buildapi.cli.terminal import format_table, format_time, printable
from buildapi.exit_codes import UNCLEAR

T = TypeVar("T")


@attrs.frozen
class Output:
    """Print to standard output; with ``as_json`` only the JSON of the service."""

    as_json: bool
    utc: bool

    @property
    def colour(self) -> bool:
        """Return whether to use colours: on a terminal, unless NO_COLOR is set."""
        # Any text but an empty one, as no-color.org defines it.
        return self._on_terminal and not os.environ.get("NO_COLOR")

    @property
    def _on_terminal(self) -> bool:
        # Python has no sys.stdout if the descriptor was closed at its start.
        return sys.stdout is not None and sys.stdout.isatty()

    def time(self, seconds: object) -> str:
        """Format a time of the service, in epoch seconds."""
        return format_time(seconds, utc=self.utc)

    def json(self, document: JSON) -> None:
        """Print a document; JSON escapes its control characters."""
        click.echo(json.dumps(document, indent=2))

    def line(self, text: str) -> None:
        """Print one line."""
        click.echo(printable(text))

    def items(self, head: Sequence[str], rows: Sequence[Sequence[object]], none: str) -> None:
        """Print a list as a table; if it is empty, say to standard error what there is none of."""
        # Not to standard output: a pipe would take it for an item.
        return self.rows(head, rows) if rows else self.note(f"No {none}.")

    def note(self, text: str) -> None:
        """Print one line to standard error."""
        click.echo(printable(text), err=True)

    def may_go_on(self, shown: int, limit: int | None, what: str) -> None:
        """Print to standard error that a list is as long as its limit: there may be more."""
        if limit is not None and shown >= limit:
            self.note(f"The newest {limit} {what}; there may be more (--limit).")

    def rows(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table."""
        # In a pipe nothing is truncated: programs read whole names.
        width = shutil.get_terminal_size().columns if self._on_terminal else None
        click.echo(format_table(head, rows, colour=self.colour, width=width), color=self.colour)


def unpack(shape: Callable[..., T], *given: object) -> T:
    """Apply a function to a response; :raises CommandError: the response has another structure."""
    try:
        return shape(*given)
    # Anything may answer at a wrong URL, with 200 and some other JSON.
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as e:
        raise unexpected_response() from e


def unexpected_response() -> CommandError:
    """Return the error for a response that is not BuildAPI's."""
    return CommandError("unexpected answer (not from BuildAPI): check the URL", UNCLEAR)


def require_list(document: JSON) -> list[JSON]:
    """Return a response that is a list; :raises CommandError: it is not one."""
    if not isinstance(document, list):
        raise unexpected_response()
    return document


def output_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json`` and ``--utc`` to a command, and pass it its ``out``."""

    @click.option("--json", "as_json", is_flag=True, help="Print the JSON of the service.")
    @click.option("--utc", is_flag=True, help="Show times in UTC. Default: local time.")
    @functools.wraps(function)
    def wrapped(*args: object, as_json: bool, utc: bool, **given: object) -> None:
        function(*args, out=Output(as_json, utc), **given)

    return wrapped
