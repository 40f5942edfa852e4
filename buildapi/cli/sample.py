"""``buildapi sample``: run a sample farm, or write one to databases."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from buildapi.cli.command_error import CommandError
from buildapi.cli.command_help import group

TWISTD = "from twisted.scripts.twistd import run; run()"


@group()
def sample() -> None:
    """Run a sample farm, or write one to databases."""


@sample.command(example="buildapi sample run --data ./data")
@click.option("--data", default="./data", show_default=True, metavar="FOLDER", help="Data folder.")
@click.option(
    "--listen",
    default="tcp:8010:interface=127.0.0.1",
    show_default=True,
    metavar="ENDPOINT",
    help="Endpoint of the web server.",
)
def run(*, data: str, listen: str) -> None:
    """Run the service with a live sample farm until interrupted."""
    # -P: modules in the current folder must not replace those of the program.
    twistd = ("-P", "-c", TWISTD, "-n", "--pidfile=", "buildapi")
    _become([*twistd, "--sample", "--data", data, "--listen", listen])


@sample.command(
    example="buildapi sample write --scheduler sqlite:sample.db --builds 1000",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def write(*, arguments: Sequence[str]) -> None:
    """Write a generated farm to databases.

    Its options: buildapi sample write --help.

    Exit codes: 0 done, 1 failed, 2 wrong command line, 3 a database is not empty.
    """
    _become(["-m", "buildapi.sample", *arguments])


def _become(arguments: Sequence[str]) -> None:
    """Replace this process by a new interpreter, which then gets the signals."""
    sys.stdout.flush()
    try:
        os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606  # no shell is wanted
    except OSError as e:
        raise CommandError(f"{sys.executable}: {e.strerror}") from e
