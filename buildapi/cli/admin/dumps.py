"""Commands that write dumps: ``dump``."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NoReturn

import click

from buildapi.cli.admin.configuration import config_option
from buildapi.cli.command_help import group
from buildapi.config import Config
from buildapi.model.ended_builds import DumpWindow
from buildapi.progress_bar import progress_bar
from buildapi.reports.dump_entries import DAY, HOUR, window

if TYPE_CHECKING:
    from buildapi.admin.dump_writer import Dumper


@group()
def dump() -> None:
    """Dump builds and requests of the farm as JSON."""


def _dump_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every dump."""
    options = (
        config_option,
        click.option(
            "-o",
            "--output",
            metavar="FILE",
            default="-",
            help="Output file, replaced once the new one is complete. Default: - for standard"
            " output.",
        ),
        click.option("-z", "--gzip", "gzipped", is_flag=True, help="Compress with gzip."),
        click.option("--compact", is_flag=True, help="Omit spaces and newlines."),
    )
    # click lists the option that was added last first.
    for option in reversed(options):
        function = option(function)
    return function


def _write_dump(config: Config, work: Callable[[Dumper], Awaitable[None]]) -> NoReturn:
    """Call a function with what writes dumps, and exit."""
    from buildapi.admin.console import run
    from buildapi.assembly.commands import write_dump

    run(lambda reactor: write_dump(config, reactor, work))


@dump.command(example="buildapi dump builds --days 1 -z -o builds.js.gz")
@_dump_options
@click.option("--hours", type=click.IntRange(1), help="Length of the period in hours.")
@click.option("--days", type=click.IntRange(1), help="Length of the period in days. Default: 1.")
@click.option("--starttime", type=click.IntRange(0), help="Start of the period in epoch seconds.")
@click.option(
    "--startdate", type=click.DateTime(["%Y-%m-%d"]), help="Start of the period, a day in UTC."
)
def builds(
    *,
    config: Config,
    output: str,
    gzipped: bool,
    compact: bool,
    hours: int | None,
    days: int | None,
    starttime: int | None,
    startdate: datetime | None,
) -> None:
    """Write the builds that ended in a period.

    It ends now unless a start is given.
    """
    # Before anything that takes long is imported: a wrong command line fails at once.
    asked = _window(hours, days, starttime, startdate)
    from buildapi.admin.dump_writer import Target

    async def work(dumper: Dumper) -> None:
        with progress_bar(sys.stderr, "builds") as progress:
            number = await dumper.builds(asked, Target(output, compact, gzipped), progress)
        click.echo(f"{number} builds from {asked.start} to {asked.end}", err=True)

    _write_dump(config, work)


def _window(
    hours: int | None, days: int | None, starttime: int | None, startdate: datetime | None
) -> DumpWindow:
    for first, second in (("hours", "days"), ("starttime", "startdate")):
        given = {"hours": hours, "days": days, "starttime": starttime, "startdate": startdate}
        if given[first] is not None and given[second] is not None:
            raise click.UsageError(f"--{first} and --{second} exclude each other")
    length = hours * HOUR if hours is not None else (days or 1) * DAY
    start = starttime
    if startdate is not None:
        # click parses a naive time, which timestamp() would take for local time.
        start = int(startdate.replace(tzinfo=UTC).timestamp())
    try:
        return window(time.time(), length, start)
    except ValueError as e:
        raise click.UsageError(f"invalid period: {e}") from e


@dump.command(example="buildapi dump pending -o pending.js")
@_dump_options
def pending(*, config: Config, output: str, gzipped: bool, compact: bool) -> None:
    """Write the pending requests.

    The format is that of GET /pending?format=json.
    """
    from buildapi.admin.dump_writer import Target

    _write_dump(config, lambda dumper: dumper.pending(Target(output, compact, gzipped)))


@dump.command(example="buildapi dump running -o running.js")
@_dump_options
def running(*, config: Config, output: str, gzipped: bool, compact: bool) -> None:
    """Write the running builds.

    The format is that of GET /running?format=json.
    """
    from buildapi.admin.dump_writer import Target

    _write_dump(config, lambda dumper: dumper.running(Target(output, compact, gzipped)))
