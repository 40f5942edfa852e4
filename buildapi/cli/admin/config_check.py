"""``buildapi check-config``: check the configuration, and explain its rules."""

from __future__ import annotations

import difflib
import sys
from typing import Any, NoReturn

import attrs
import click

from buildapi.cli.admin.configuration import config_option, exit_with_error, run_and_exit
from buildapi.cli.command_help import command
from buildapi.config import Config
from buildapi.errors import ConfigError, Unavailable
from buildapi.exit_codes import DONE, FAILED, FORBIDDEN, WRONG
from buildapi.model.access import ADMINISTRATION, NAMES, Question
from buildapi.reactor_time import Reactor


@command(example="buildapi check-config --as ann@example.org cancel_build try")
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
    run_and_exit(trying)


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
    run_and_exit(explaining)
