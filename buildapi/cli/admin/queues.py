"""Commands for the queues of the broker: ``queue``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

import click

from buildapi.cli.admin.configuration import config_option, exit_with_error, run_and_exit
from buildapi.cli.command_help import group
from buildapi.config import Config
from buildapi.errors import ConfigError
from buildapi.exit_codes import WRONG


@group()
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
    run_and_exit(lambda reactor: work(connect(reactor), service_queues(config)))


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


@queue.command("list", example="buildapi queue list")
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
    """List, retry or drop dead letters.

    They are messages that could not be processed. The service retries what it can; a person
    decides about the rest.
    """


@dead.command("list", example="buildapi queue dead list")
@config_option
@JSON_OPTION
def list_dead(*, config: Config, as_json: bool) -> None:
    """List dead letters with their jobs and reasons, oldest first.

    With --json, also print their bodies. Exit codes: as of buildapi queue list.
    """
    from buildapi.admin import queues

    _with_queues(config, partial(queues.list_dead, say=click.echo, as_json=as_json))


@dead.command(example="buildapi queue dead retry --job 17")
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


@dead.command(example="buildapi queue dead drop --job 17")
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
