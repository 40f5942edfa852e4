"""Commands for operators: the tables and accounts of the databases, and the configuration."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from buildapi.config import Config, load
from buildapi.errors import ConfigError
from buildapi.exit_codes import DONE, FAILED, WRONG
from buildapi.model.ended_builds import DumpWindow
from buildapi.progress_bar import progress_bar
from buildapi.reports.dump_entries import DAY, HOUR, window


def _load_config(context: click.Context, _option: Any, path: Path) -> Config:
    try:
        return load(path)
    except ConfigError as e:
        exit_with_error(e, FAILED if context.command is check_config else WRONG)


def exit_with_error(error: ConfigError, code: int) -> NoReturn:
    """Say each error of a configuration and exit."""
    for line in str(error).splitlines():
        click.echo(f"buildapi: {line}", err=True)
    raise SystemExit(code) from None


config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    envvar="BUILDAPI_CONFIG",
    default="buildapi.toml",
    show_default=True,
    show_envvar=True,
    callback=_load_config,
    help="The configuration file of the service.",
)


def _run_and_exit(work: Callable[[Any], Awaitable[int]]) -> NoReturn:
    """Run a task; exit with the code it gives."""
    from buildapi.assembly.console import run

    async def main(reactor: Any) -> None:
        code = await work(reactor)
        if code:
            raise SystemExit(code)

    run(main)


@click.group()
def db() -> None:
    """Make, upgrade and look at the tables the service keeps, and its accounts."""


@db.command()
@config_option
@click.option("--sql", is_flag=True, help="Print the SQL that is needed, and change nothing.")
@click.option("--all", "whole", is_flag=True, help="With --sql: print the whole schema.")
def upgrade(*, config: Config, sql: bool, whole: bool) -> None:
    """Make the tables that are missing, and widen those of old web processes.

    The jobs database, and where the service has the role agent the table of markers in the
    scheduler database. Rows are kept; it may run again, and on several hosts at once.
    """
    from buildapi.assembly.tables import show_sql, upgrade_all

    if whole and not sql:
        raise click.UsageError("--all goes with --sql")
    if sql:
        _run_and_exit(lambda reactor: show_sql(config, reactor, click.echo, whole=whole))
    _run_and_exit(lambda reactor: upgrade_all(config, reactor, click.echo))


@db.command()
@config_option
def status(*, config: Config) -> None:
    """Tell which tables are there.

    Exit codes: 0 all are, 1 an upgrade is needed, 2 wrong configuration, 6 a database is
    unavailable.
    """
    from buildapi.assembly.tables import show_status

    _run_and_exit(lambda reactor: show_status(config, reactor, click.echo))


@db.command()
@config_option
@click.option("--host", default="%", show_default=True, help="Where the accounts come from.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["upgrade", "api", "agent", "read"]),
    help="Whose accounts; may be given again. Default: all.",
)
@click.option("--user", help="Make one account with this name for all the roles.")
def grants(*, config: Config, host: str, roles: tuple[str, ...], user: str | None) -> None:
    """Print SQL that makes the accounts, and grants each what it needs and no more.

    Passwords are made up anew each time; accounts that exist keep theirs. The tables must be
    there, so begin with --role upgrade and `buildapi db upgrade`.
    """
    from buildapi.assembly.accounts import Wanted, statements
    from buildapi.db.grants import ROLES

    wanted = Wanted([role for role in ROLES if not roles or role in roles], host, user)
    try:
        lines = list(statements(config, wanted))
    except ConfigError as e:
        exit_with_error(e, WRONG)
    if not lines:
        click.echo("buildapi: no database of this configuration has accounts", err=True)
    for line in lines:
        click.echo(line)


@click.command()
@config_option
@click.option("--connect", is_flag=True, help="Also try everything that it names.")
def check_config(*, config: Config, connect: bool) -> None:
    """Check the configuration file.

    With --connect also every database, the broker, the directory and the masters are tried, each
    for some seconds at most, and a line says how each is.

    Exit codes: 0 the service would take it, 1 it would not, or something that was tried failed.
    """
    from buildapi.assembly.checking import check, try_all, warnings_of_files

    for warning in config.warnings:
        click.echo(f"warning: {warning}")
    try:
        check(config)
    except ConfigError as e:
        exit_with_error(e, FAILED)
    for warning in () if connect else warnings_of_files(config):  # --connect reads them itself
        click.echo(f"warning: {warning}")
    click.echo(f"ok: {config.file}")
    if not connect:
        return

    async def trying(reactor: Any) -> int:
        return DONE if await try_all(config, reactor, click.echo) else FAILED

    sys.stdout.flush()
    _run_and_exit(trying)


# --- queues


@click.group()
def queue() -> None:
    """Look at the queues of the broker, and settle their dead letters."""


def _require_amqp(config: Config) -> None:
    if config.broker.scheme == "embedded":
        error = "[broker] url = 'embedded:': its queues are in the process of the service; see"
        exit_with_error(ConfigError(f"{error} /status"), WRONG)


JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
JOBS_OPTION = click.option(
    "--job", "jobs", type=click.IntRange(1), multiple=True, help="Of this job; may be given again."
)
ALL_OPTION = click.option("--all", "whole", is_flag=True, help="Of all jobs, and what is of none.")


@queue.command("list")
@config_option
@JSON_OPTION
def list_queues(*, config: Config, as_json: bool) -> None:
    """List the queues: messages that wait, consumers, dead letters.

    Exit codes: 0 done, 2 wrong configuration, 6 the broker is unavailable.
    """
    from buildapi.assembly import queues

    _require_amqp(config)
    _run_and_exit(lambda reactor: queues.list_queues(config, reactor, click.echo, as_json=as_json))


@queue.group()
def dead() -> None:
    """List, retry or drop dead letters: messages that were put aside.

    The service itself takes up what it can; what stays here is for a person to look at.
    """


@dead.command("list")
@config_option
@JSON_OPTION
def list_dead(*, config: Config, as_json: bool) -> None:
    """List the dead letters, oldest first, with their job and why they are there.

    With --json their bodies as well. Exit codes as those of buildapi queue list.
    """
    from buildapi.assembly import queues

    _require_amqp(config)
    _run_and_exit(lambda reactor: queues.list_dead(config, reactor, click.echo, as_json=as_json))


@dead.command()
@config_option
@JOBS_OPTION
@ALL_OPTION
def retry(*, config: Config, jobs: tuple[int, ...], whole: bool) -> None:
    """Put dead letters back into their queue, as if they were new.

    What is done is not done twice, and a job that is finished is not begun. Exit codes: 0 done,
    2 wrong command line or configuration, 5 there is no such letter, 6 the broker is unavailable.
    """
    _settle_dead(config, jobs, whole=whole, again=True)


@dead.command()
@config_option
@JOBS_OPTION
@ALL_OPTION
def drop(*, config: Config, jobs: tuple[int, ...], whole: bool) -> None:
    """Delete dead letters; their jobs stay as they are. Exit codes as those of retry."""
    _settle_dead(config, jobs, whole=whole, again=False)


def _settle_dead(config: Config, jobs: tuple[int, ...], *, whole: bool, again: bool) -> None:
    from buildapi.assembly import queues

    if bool(jobs) == whole:
        raise click.UsageError("give either --job, once or more, or --all")
    _require_amqp(config)
    chosen = None if whole else jobs
    _run_and_exit(lambda r: queues.settle_dead(config, r, click.echo, chosen, again=again))


# --- dumps


@click.group()
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
