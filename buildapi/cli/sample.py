"""``buildapi sample``: start a sample farm, or write one into databases."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from buildapi.cli.command_error import CommandError

TWISTD = "from twisted.scripts.twistd import run; run()"


@click.group()
def sample() -> None:
    """Start a sample farm, or write one into databases."""


@sample.command()
@click.option("--data", default="./data", show_default=True, metavar="FOLDER", help="Its data.")
@click.option(
    "--listen",
    default="tcp:8010:interface=127.0.0.1",
    show_default=True,
    metavar="ENDPOINT",
    help="Where it serves.",
)
def run(*, data: str, listen: str) -> None:
    """Start the service with a live sample farm, until it is interrupted."""
    # -P: the folder it is started in holds no modules of the program.
    twistd = ("-P", "-c", TWISTD, "-n", "--pidfile=", "buildapi")
    _become([*twistd, "--sample", "--data", data, "--listen", listen])


@sample.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def write(*, arguments: Sequence[str]) -> None:
    """Fill databases with an invented farm; buildapi sample write --help tells what it takes.

    Exit codes: 0 done, 1 failed, 2 wrong command line, 3 a database is not empty.
    """
    _become(["-m", "buildapi.sample", *arguments])


def _become(arguments: Sequence[str]) -> None:
    """Replace this process by another of the same interpreter, so that signals reach it."""
    sys.stdout.flush()
    try:
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - no shell is wanted
    except OSError as e:
        raise CommandError(f"{sys.executable}: {e.strerror}") from e
