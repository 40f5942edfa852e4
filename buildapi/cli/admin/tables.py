"""Commands for tables and accounts: ``db``."""

from __future__ import annotations

import click

from buildapi.cli.admin.configuration import config_option, exit_with_error, run_and_exit
from buildapi.cli.command_help import group
from buildapi.config import Config
from buildapi.errors import ConfigError
from buildapi.exit_codes import WRONG


@group()
def db() -> None:
    """Create, upgrade and inspect tables; print grants."""


@db.command(example="buildapi db upgrade --sql")
@config_option
@click.option("--sql", is_flag=True, help="Print the SQL of the upgrade; change nothing.")
@click.option("--all", "whole", is_flag=True, help="With --sql: print the complete schema.")
def upgrade(*, config: Config, sql: bool, whole: bool) -> None:
    """Create missing tables, and widen those of old web processes.

    This covers the jobs database and, with the role agent, the marker table in the scheduler
    database. Rows are kept. The upgrade can be repeated, and run on several hosts at once.
    """
    from buildapi.admin.own_tables import show_sql, upgrade_all
    from buildapi.assembly.commands import own_tables

    if whole and not sql:
        raise click.UsageError("--all needs --sql")
    places = own_tables(config)
    if sql:
        run_and_exit(lambda reactor: show_sql(places, reactor, click.echo, whole=whole))
    run_and_exit(lambda reactor: upgrade_all(places, reactor, click.echo))


@db.command(example="buildapi db status")
@config_option
def status(*, config: Config) -> None:
    """Show which tables exist.

    Exit codes: 0 complete, 1 an upgrade is needed, 2 wrong configuration, 6 a database is
    unavailable.
    """
    from buildapi.admin.own_tables import show_status
    from buildapi.assembly.commands import own_tables

    run_and_exit(lambda reactor: show_status(own_tables(config), reactor, click.echo))


@db.command(example="buildapi db grants --role api --host 10.0.0.%")
@config_option
@click.option("--host", default="%", show_default=True, help="Host that the accounts connect from.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["upgrade", "api", "agent", "read"]),
    help="Accounts of this role; repeatable. Default: all.",
)
@click.option("--user", help="Create one account of this name for all roles.")
def grants(*, config: Config, host: str, roles: tuple[str, ...], user: str | None) -> None:
    """Print SQL that creates the accounts and their privileges.

    Each run generates new passwords; accounts that exist keep theirs. The tables must exist:
    start with --role upgrade and `buildapi db upgrade`.
    """
    from buildapi.admin.accounts import Wanted
    from buildapi.assembly.commands import grant_statements
    from buildapi.db.grants import ROLES

    wanted = Wanted([role for role in ROLES if not roles or role in roles], host, user)
    try:
        lines = list(grant_statements(config, wanted))
    except ConfigError as e:
        exit_with_error(e, WRONG)
    if not lines:
        click.echo("buildapi: no database of this configuration has accounts", err=True)
    # Nothing was printed before all statements were made: half of the SQL must not be piped into a
    # server.
    for line in lines:
        click.echo(line)
