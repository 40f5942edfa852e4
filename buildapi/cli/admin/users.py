"""Commands about users: ``admin tokens`` and ``admin audit``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from buildapi.cli.admin.configuration import config_option, run_and_exit
from buildapi.cli.command_help import group
from buildapi.config import Config


@group()
def admin() -> None:
    """Manage tokens of users; search the audit log."""


@admin.group("tokens")
def user_tokens() -> None:
    """List and revoke the tokens of a user."""


USER_OPTION = click.option("--user", "who", required=True, help="The user, as the proxy names it.")


@user_tokens.command("list", example="buildapi admin tokens list --user ann@example.org")
@config_option
@USER_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_tokens(*, config: Config, who: str, as_json: bool) -> None:
    """List the tokens of a user, newest first.

    With limits and last use; times are UTC. Exit codes: 0 done, 2 wrong configuration, 6 the
    database is unavailable.
    """
    from buildapi.admin import user_tokens
    from buildapi.assembly.commands import own_tables

    place = own_tables(config)[0]
    run_and_exit(
        lambda reactor: user_tokens.list_tokens(place, reactor, who, click.echo, as_json=as_json)
    )


@user_tokens.command("revoke", example="buildapi admin tokens revoke --user ann@example.org --all")
@config_option
@USER_OPTION
@click.option("--id", "ids", type=click.IntRange(1), multiple=True, help="A token; repeatable.")
@click.option("--all", "whole", is_flag=True, help="All tokens of the user.")
def revoke_tokens(*, config: Config, who: str, ids: tuple[int, ...], whole: bool) -> None:
    """Revoke tokens of a user.

    Processes refuse them within five seconds. Exit codes: 0 done, 2 wrong command line or
    configuration, 5 no such token, 6 the database is unavailable.
    """
    from buildapi.admin import user_tokens
    from buildapi.assembly.commands import own_tables

    # One of them must be chosen: without a choice nothing is revoked.
    if bool(ids) == whole:
        raise click.UsageError("--id or --all is required, and not both")
    place, chosen = own_tables(config)[0], None if whole else ids
    run_and_exit(lambda reactor: user_tokens.revoke_tokens(place, reactor, who, chosen, click.echo))


# --- the audit log


def _seconds(moment: datetime | None) -> float | None:
    # click parses a naive time, which timestamp() would take for local time.
    return None if moment is None else moment.replace(tzinfo=UTC).timestamp()


TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
ID = click.IntRange(0)


@admin.command(example="buildapi admin audit --outcome refused --since 2026-11-01")
@config_option
@click.option("--user", "who", help="What this user did, or was refused.")
@click.option("--action", help="This action, such as cancel_build or create_token.")
@click.option(
    "--outcome",
    type=click.Choice(["accepted", "done", "refused", "failed"]),
    help="What ended so.",
)
@click.option("--branch", help="What was about this branch.")
@click.option("--build", "build_id", type=ID, help="What was about this build.")
@click.option("--request", "request_id", type=ID, help="What was about this build request.")
@click.option("--revision", help="What was about this revision.")
@click.option("--job", "job_id", type=ID, help="The records of this job request.")
@click.option("--token", "token_id", type=ID, help="What was done with this token, or to it.")
@click.option("--address", help="Requests from this address.")
@click.option("--since", type=click.DateTime(TIMES), help="Not before this time, in UTC.")
@click.option("--until", type=click.DateTime(TIMES), help="Before this time, in UTC.")
@click.option("--before", type=click.IntRange(1), help="Records before the one with this id.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="Maximum number of records.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit(
    *,
    config: Config,
    outcome: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
    **equal: Any,
) -> None:
    """Print records of the audit log, newest first.

    They are read from the jobs database; all conditions hold together. Exit codes: 0 done, 2 wrong
    command line or configuration, 6 the database is unavailable.
    """
    from buildapi.admin.audit_records import print_records
    from buildapi.assembly.commands import own_tables
    from buildapi.model.audit import AuditFilter, AuditOutcome

    sought = AuditFilter(
        **equal,
        outcome=None if outcome is None else AuditOutcome(outcome),
        since=_seconds(since),
        until=_seconds(until),
    )
    place = own_tables(config)[0]
    run_and_exit(
        lambda reactor: print_records(place, reactor, sought, limit, click.echo, as_json=as_json)
    )
