"""The command ``buildapi``: its root, and the commands that use the program's databases.

A command that needs no database is a module of ``buildapi.cli``, and is listed in ``COMMANDS``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import click

from buildapi.cli import queries
from buildapi.cli.admin import check_config, config_option, db, queue
from buildapi.cli.api_tokens import token, whoami
from buildapi.cli.completion import completion
from buildapi.cli.connection_options import connection_options
from buildapi.cli.group import RootGroup
from buildapi.cli.job_requests import cancel, cancel_rev, new, prioritize, rebuild
from buildapi.cli.jobs import job, jobs
from buildapi.cli.l10n import l10n_report
from buildapi.cli.mail_waittimes import mail_waittimes
from buildapi.cli.man import man
from buildapi.cli.names import names
from buildapi.cli.sample import sample
from buildapi.cli.status import status
from buildapi.config import Config
from buildapi.model.ended_builds import DumpWindow
from buildapi.progress_bar import progress_bar
from buildapi.reports.dump_entries import DAY, HOUR, window

ASKING = (queries.branches, queries.builds, queries.rev, queries.is_done, queries.pending)
MORE = (queries.running, queries.waittimes, jobs, job, names, status)
ACTING = (rebuild, cancel, cancel_rev, prioritize, new, token, whoami)
COMMANDS: Sequence[click.Command] = (
    *(*ASKING, *MORE, *ACTING),
    *(l10n_report, mail_waittimes, completion, man, sample),
)
"""The commands that need no database."""

HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=RootGroup, context_settings=HELP)
@connection_options
@click.version_option(package_name="buildapi", prog_name="buildapi")
def root() -> None:
    """See what a Buildbot farm does and act on it; dump it, report on it.

    Options of the connection stand before or after the name of a command.

    Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 not finished, 4 not
    allowed, 5 not found, 6 service unavailable, 7 could not be told, 130 interrupted.
    """


for command in (*COMMANDS, db, queue, check_config):
    root.add_command(command)


# --- dumps


@root.group()
def dump() -> None:
    """Write what the farm's databases tell as JSON."""


def _dump_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options that every dump has."""
    options = (
        config_option,
        click.option(
            "-o",
            "--output",
            metavar="FILE",
            default="-",
            help="Where it goes; a file is replaced once the new one is whole. Default: - for"
            " standard output.",
        ),
        click.option("-z", "--gzip", "gzipped", is_flag=True, help="Compress it."),
        click.option("--compact", is_flag=True, help="Leave out blanks and line feeds."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@dump.command()
@_dump_options
@click.option("--hours", type=click.IntRange(1), help="Length of the time in hours.")
@click.option("--days", type=click.IntRange(1), help="Length of the time in days. Default: 1.")
@click.option("--starttime", type=click.IntRange(0), help="Its beginning, in epoch seconds.")
@click.option("--startdate", type=click.DateTime(["%Y-%m-%d"]), help="Its beginning, a day in UTC.")
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
    """Write the builds that ended within a time, up to now unless a beginning is given."""
    asked = _window(hours, days, starttime, startdate)
    from buildapi.assembly.console import run_dump
    from buildapi.assembly.dumping import Dumper, Target

    async def work(dumper: Dumper) -> None:
        with progress_bar(sys.stderr, "builds") as progress:
            number = await dumper.builds(asked, Target(output, compact, gzipped), progress)
        click.echo(f"{number} builds from {asked.start} to {asked.end}", err=True)

    run_dump(config, work)


def _window(
    hours: int | None, days: int | None, starttime: int | None, startdate: datetime | None
) -> DumpWindow:
    for first, second in (("hours", "days"), ("starttime", "startdate")):
        given = {"hours": hours, "days": days, "starttime": starttime, "startdate": startdate}
        if given[first] is not None and given[second] is not None:
            raise click.UsageError(f"--{first} and --{second} do not go together")
    length = hours * HOUR if hours is not None else (days or 1) * DAY
    start = starttime
    if startdate is not None:
        start = int(startdate.replace(tzinfo=UTC).timestamp())
    try:
        return window(time.time(), length, start)
    except ValueError as e:
        raise click.UsageError(f"there is no such time: {e}") from e


@dump.command()
@_dump_options
def pending(*, config: Config, output: str, gzipped: bool, compact: bool) -> None:
    """Write the requests that wait, as GET /pending?format=json answers."""
    from buildapi.assembly.console import run_dump
    from buildapi.assembly.dumping import Target

    run_dump(config, lambda dumper: dumper.pending(Target(output, compact, gzipped)))


@dump.command()
@_dump_options
def running(*, config: Config, output: str, gzipped: bool, compact: bool) -> None:
    """Write the builds that run, as GET /running?format=json answers."""
    from buildapi.assembly.console import run_dump
    from buildapi.assembly.dumping import Target

    run_dump(config, lambda dumper: dumper.running(Target(output, compact, gzipped)))
