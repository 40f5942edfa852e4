"""Commands with the service's configuration: ``db``, ``queue``, ``dump``, ``check-config``.

Modules that import Twisted are imported when a command runs.
"""

from __future__ import annotations

import difflib
import functools
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import attrs
import click

from buildapi.config import Config, load
from buildapi.errors import ConfigError, Unavailable
from buildapi.exit_codes import DONE, FAILED, FORBIDDEN, WRONG
from buildapi.model.access import ADMINISTRATION, NAMES, Question
from buildapi.model.ended_builds import DumpWindow
from buildapi.progress_bar import progress_bar
from buildapi.reactor_time import Reactor
from buildapi.reports.dump_entries import DAY, HOUR, window

if TYPE_CHECKING:
    from buildapi.admin.dump_writer import Dumper


def exit_with_error(error: ConfigError, code: int) -> NoReturn:
    """Print each error of a configuration, and exit."""
    for line in str(error).splitlines():
        click.echo(f"buildapi: {line}", err=True)
    raise SystemExit(code) from None


def config_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add the option for the configuration file, and pass a command its ``config``."""

    @click.option(
        "-c",
        "--config",
        "path",
        type=click.Path(path_type=Path),
        envvar="BUILDAPI_CONFIG",
        default="buildapi.toml",
        show_default=True,
        show_envvar=True,
        help="Configuration file of the service.",
    )
    @click.pass_context
    @functools.wraps(function)
    def wrapped(context: click.Context, /, *, path: Path, **given: object) -> None:
        # Not in a callback of the option, which click calls before it looks at the other arguments:
        # a wrong command line comes first.
        try:
            config = load(path)
        except ConfigError as e:
            # For check-config a wrong file is the result, not a wrong call (docs/commands.md,
            # "`buildapi check-config`").
            exit_with_error(e, FAILED if context.command is check_config else WRONG)
        function(config=config, **given)

    return wrapped


def _run_and_exit(work: Callable[[Reactor], Awaitable[int]]) -> NoReturn:
    """Run a task in the reactor, and exit with the code it returns."""
    from buildapi.admin.console import run

    async def main(reactor: Reactor) -> None:
        code = await work(reactor)
        if code:
            raise SystemExit(code)

    run(main)


@click.group()
def db() -> None:
    """Create, upgrade and inspect tables; print grants."""


@db.command()
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
        _run_and_exit(lambda reactor: show_sql(places, reactor, click.echo, whole=whole))
    _run_and_exit(lambda reactor: upgrade_all(places, reactor, click.echo))


@db.command()
@config_option
def status(*, config: Config) -> None:
    """Show which tables exist.

    Exit codes: 0 complete, 1 an upgrade is needed, 2 wrong configuration, 6 a database is
    unavailable.
    """
    from buildapi.admin.own_tables import show_status
    from buildapi.assembly.commands import own_tables

    _run_and_exit(lambda reactor: show_status(own_tables(config), reactor, click.echo))


@db.command()
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
    """Print SQL that creates the accounts with the privileges they need.

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


@click.command()
@config_option
@click.option("--connect", is_flag=True, help="Also try to reach everything that it names.")
@click.option("--as", "who", metavar="USER", help="Explain whether a user may do ACTION on BRANCH.")
@click.option(
    "--groups",
    default="",
    metavar="G1,G2",
    help="The user's groups, as the proxy's header lists them, beside those of the groups file.",
)
@click.option("--token", "label", metavar="LABEL", help="Label of the user's token that is used.")
@click.option(
    "--access", metavar="LEVEL", help="Access level of BRANCH.  [default: by the branches file]"
)
@click.option(
    "--builder",
    "builders",
    multiple=True,
    metavar="NAME",
    help="A builder it is about; repeatable.",
)
@click.option("--priority", type=int, help="The priority that is asked for.")
@click.option("--count", type=click.IntRange(1), default=1, help="Number of builds.")
@click.argument("action", required=False)
@click.argument("branch", required=False)
def check_config(
    *,
    config: Config,
    connect: bool,
    who: str | None,
    groups: str,
    label: str | None,
    action: str | None,
    branch: str | None,
    access: str | None,
    **amounts: Any,  # builders, priority and count, of their own types
) -> None:
    """Check the configuration file.

    With --connect, also try every database, the broker, the directory and the masters, each for a
    few seconds, and print a line for each.

    With --as, explain whether a user may do ACTION, such as rebuild_build, on BRANCH: what each
    rule of [access] makes of it, and which decides. The scope of a token, which only narrows, is
    not looked at.

    Exit codes: 0 the configuration is valid, and it is permitted; 1 the configuration is not valid,
    or a connection failed; 4 it is not permitted.
    """
    from buildapi.assembly.commands import check_connections, check_files, file_warnings

    question = None if action is None else Question(action, branch, access, **amounts)
    asked = Question("", None, access, **amounts) != Question("") or groups or label
    if question is None and (who is not None or asked):
        raise click.UsageError("--as and its options need an ACTION")
    if question is not None:
        _check_question(question, who, connect=connect)
    for warning in config.warnings:
        click.echo(f"warning: {warning}")
    try:
        check_files(config)
    except ConfigError as e:
        exit_with_error(e, FAILED)
    for warning in () if connect else file_warnings(config):  # --connect reads them itself
        click.echo(f"warning: {warning}")
    click.echo(f"ok: {config.file}")
    if who is not None and question is not None:
        _explain(config, who, groups, label, question)
    if not connect:
        return

    async def trying(reactor: Reactor) -> int:
        return DONE if await check_connections(config, reactor, click.echo) else FAILED

    sys.stdout.flush()
    _run_and_exit(trying)


def _check_question(question: Question, who: str | None, *, connect: bool) -> None:
    """Check that the arguments make a question; :raises UsageError: they do not."""
    action = question.action
    if who is None:
        raise click.UsageError(f"{action} needs --as USER")
    if connect:
        raise click.UsageError("--as and --connect are two different checks")
    if action not in NAMES:
        near = difflib.get_close_matches(action[:80], NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(NAMES)}"
        raise click.BadParameter(f"{action!r} is not an action; {hint}", param_hint="ACTION")
    if question.branch is None and action not in ADMINISTRATION:
        raise click.UsageError(f"{action} needs a BRANCH")


def _explain(
    config: Config, who: str, groups: str, label: str | None, question: Question
) -> NoReturn:
    """Print what the rules make of a question, and exit."""
    from buildapi.admin.access_explanation import access_of_branch, actor_named, explain

    try:
        actor = actor_named(config, who, groups, label)
    except ConfigError as e:
        exit_with_error(e, WRONG)

    async def explaining(reactor: Reactor) -> int:
        asked = question
        if asked.branch is not None and asked.access is None:
            try:
                level = await access_of_branch(config, reactor, asked.branch)
                asked = attrs.evolve(asked, access=level)
            except Unavailable as e:
                click.echo(f"warning: the access level of {asked.branch} is not known: {e.msg}")
        explained = explain(config.access.policy, actor, asked)
        for line in explained.lines:
            click.echo(line)
        return DONE if explained.allowed else FORBIDDEN

    sys.stdout.flush()
    _run_and_exit(explaining)


# --- tokens of users


@click.group()
def admin() -> None:
    """Manage the tokens of users, and search the audit log, in the jobs database."""


@admin.group("tokens")
def user_tokens() -> None:
    """List and revoke the tokens of a user."""


USER_OPTION = click.option("--user", "who", required=True, help="The user, as the proxy names it.")


@user_tokens.command("list")
@config_option
@USER_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_tokens(*, config: Config, who: str, as_json: bool) -> None:
    """List the tokens of a user with limits and last use, newest first; times are UTC.

    Exit codes: 0 done, 2 wrong configuration, 6 the database is unavailable.
    """
    from buildapi.admin import user_tokens
    from buildapi.assembly.commands import own_tables

    place = own_tables(config)[0]
    _run_and_exit(
        lambda reactor: user_tokens.list_tokens(place, reactor, who, click.echo, as_json=as_json)
    )


@user_tokens.command("revoke")
@config_option
@USER_OPTION
@click.option("--id", "ids", type=click.IntRange(1), multiple=True, help="A token; repeatable.")
@click.option("--all", "whole", is_flag=True, help="All tokens of the user.")
def revoke_tokens(*, config: Config, who: str, ids: tuple[int, ...], whole: bool) -> None:
    """Revoke tokens of a user: processes refuse them within five seconds.

    Exit codes: 0 done, 2 wrong command line or configuration, 5 no such token, 6 the database is
    unavailable.
    """
    from buildapi.admin import user_tokens
    from buildapi.assembly.commands import own_tables

    # One of them must be chosen: without a choice nothing is revoked.
    if bool(ids) == whole:
        raise click.UsageError("--id or --all is required, and not both")
    place, chosen = own_tables(config)[0], None if whole else ids
    _run_and_exit(
        lambda reactor: user_tokens.revoke_tokens(place, reactor, who, chosen, click.echo)
    )


# --- the audit log


def _seconds(moment: datetime | None) -> float | None:
    # click parses a naive time, which timestamp() would take for local time.
    return None if moment is None else moment.replace(tzinfo=UTC).timestamp()


TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
ID = click.IntRange(0)


@admin.command()
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
    """Print records of the audit log from the jobs database, newest first.

    All conditions hold together. Exit codes: 0 done, 2 wrong command line or configuration, 6 the
    database is unavailable.
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
    _run_and_exit(
        lambda reactor: print_records(place, reactor, sought, limit, click.echo, as_json=as_json)
    )


# --- queues


@click.group()
def queue() -> None:
    """Inspect the queues of the broker and their dead letters."""


def _with_queues(config: Config, work: Callable[..., Awaitable[int]]) -> NoReturn:
    """Call a function with the broker and its queues, and exit with the code it returns."""
    from buildapi.assembly.commands import service_queues, shared_broker

    try:
        # The queues of the embedded broker are inside the process of the service: no command can
        # reach them.
        connect = shared_broker(config)
    except ConfigError as e:
        exit_with_error(e, WRONG)
    _run_and_exit(lambda reactor: work(connect(reactor), service_queues(config)))


JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
JOBS_OPTION = click.option(
    "--job",
    "jobs",
    type=click.IntRange(1),
    multiple=True,
    help="Dead letters of this job; repeatable.",
)
ALL_OPTION = click.option(
    "--all", "whole", is_flag=True, help="All dead letters, also those of no job."
)


@queue.command("list")
@config_option
@JSON_OPTION
def list_queues(*, config: Config, as_json: bool) -> None:
    """List the queues: ready messages, consumers, dead letters.

    Exit codes: 0 done, 2 wrong configuration, 6 the broker is unavailable.
    """
    from buildapi.admin import queues

    _with_queues(config, partial(queues.list_queues, say=click.echo, as_json=as_json))


@queue.group()
def dead() -> None:
    """List, retry or drop dead letters: messages that could not be processed.

    The service retries what it can; a person decides about the rest.
    """


@dead.command("list")
@config_option
@JSON_OPTION
def list_dead(*, config: Config, as_json: bool) -> None:
    """List the dead letters with their jobs and reasons, oldest first.

    With --json, also print their bodies. Exit codes: as of buildapi queue list.
    """
    from buildapi.admin import queues

    _with_queues(config, partial(queues.list_dead, say=click.echo, as_json=as_json))


@dead.command()
@config_option
@JOBS_OPTION
@ALL_OPTION
def retry(*, config: Config, jobs: tuple[int, ...], whole: bool) -> None:
    """Move dead letters back to their queue, as new messages.

    Changes that were made are not made twice, and finished jobs are not executed again. Exit
    codes: 0 done, 2 wrong command line or configuration, 5 no such dead letter, 6 the broker is
    unavailable.
    """
    _settle_dead(config, jobs, whole=whole, again=True)


@dead.command()
@config_option
@JOBS_OPTION
@ALL_OPTION
def drop(*, config: Config, jobs: tuple[int, ...], whole: bool) -> None:
    """Delete dead letters; their jobs stay unchanged. Exit codes: as of retry."""
    _settle_dead(config, jobs, whole=whole, again=False)


def _settle_dead(config: Config, jobs: tuple[int, ...], *, whole: bool, again: bool) -> None:
    from buildapi.admin import queues

    # One of them must be chosen: without a choice nothing is retried or dropped.
    if bool(jobs) == whole:
        raise click.UsageError("--job or --all is required, and not both")
    chosen = None if whole else jobs
    _with_queues(config, partial(queues.settle_dead, say=click.echo, jobs=chosen, again=again))


# --- dumps


@click.group()
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


@dump.command()
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
    """Write the builds that ended in a period, which ends now unless a start is given."""
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


@dump.command()
@_dump_options
def pending(*, config: Config, output: str, gzipped: bool, compact: bool) -> None:
    """Write the pending requests, in the format of GET /pending?format=json."""
    from buildapi.admin.dump_writer import Target

    _write_dump(config, lambda dumper: dumper.pending(Target(output, compact, gzipped)))


@dump.command()
@_dump_options
def running(*, config: Config, output: str, gzipped: bool, compact: bool) -> None:
    """Write the running builds, in the format of GET /running?format=json."""
    from buildapi.admin.dump_writer import Target

    _write_dump(config, lambda dumper: dumper.running(Target(output, compact, gzipped)))
