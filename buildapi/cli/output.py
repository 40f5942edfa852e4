"""What a command prints: tables for people, the JSON of the service for programs."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import click

from buildapi.cli.command_error import CommandError
from buildapi.cli.terminal import format_table, format_time, printable
from buildapi.exit_codes import UNCLEAR

T = TypeVar("T")


@attrs.frozen
class Output:
    """Print to standard output; ``as_json``: what the service said, and nothing else."""

    as_json: bool
    utc: bool

    @property
    def colour(self) -> bool:
        """Tell whether colours are wanted: on a terminal, unless NO_COLOR is set."""
        return self._on_terminal and not os.environ.get("NO_COLOR")

    @property
    def _on_terminal(self) -> bool:
        return sys.stdout is not None and sys.stdout.isatty()

    def time(self, seconds: Any) -> str:
        """Write a time of the service."""
        return format_time(seconds, utc=self.utc)

    def json(self, document: Any) -> None:
        """Print a document; control characters in it are escaped."""
        click.echo(json.dumps(document, indent=2))

    def line(self, text: str) -> None:
        """Print one line."""
        click.echo(printable(text))

    def rows(self, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print a table."""
        width = shutil.get_terminal_size().columns if self._on_terminal else None
        click.echo(format_table(head, rows, colour=self.colour, width=width), color=self.colour)


def unpack(shape: Callable[..., T], *given: Any) -> T:
    """Shape an answer; :raises CommandError: it is not what BuildAPI answers."""
    try:
        return shape(*given)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as e:
        raise unexpected_response() from e


def unexpected_response() -> CommandError:
    """Make the failure of an answer that BuildAPI does not give."""
    return CommandError("the answer is not what BuildAPI answers: is the address right?", UNCLEAR)


def require_list(document: Any) -> list[Any]:
    """Take an answer that is a list; :raises CommandError: it is none."""
    if not isinstance(document, list):
        raise unexpected_response()
    return document


def output_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json`` and ``--utc``, and hand the command its ``out``."""

    @click.option("--json", "as_json", is_flag=True, help="Print the JSON of the service.")
    @click.option("--utc", is_flag=True, help="Show times in UTC. Default: local time.")
    @functools.wraps(function)
    def wrapped(*args: Any, as_json: bool, utc: bool, **given: Any) -> None:
        function(*args, out=Output(as_json, utc), **given)

    return wrapped
