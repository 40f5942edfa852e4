"""The configuration of the service as an option of commands, and the reactor they run in."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import click

from buildapi.config import load
from buildapi.errors import ConfigError
from buildapi.exit_codes import FAILED, WRONG
from buildapi.reactor_time import Reactor

CHECK = "check-config"


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
            exit_with_error(e, FAILED if context.command.name == CHECK else WRONG)
        function(config=config, **given)

    return wrapped


def run_and_exit(work: Callable[[Reactor], Awaitable[int]]) -> NoReturn:
    """Run a task in the reactor, and exit with the code it returns."""
    from buildapi.admin.console import run

    async def main(reactor: Reactor) -> None:
        code = await work(reactor)
        if code:
            raise SystemExit(code)

    run(main)
