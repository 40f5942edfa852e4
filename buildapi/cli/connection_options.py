"""Options for the connection to the service, for all commands that use it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import attrs
import click

from buildapi.cli import param_types
from buildapi.cli.client_settings import ClientSettings, locate_service, read_settings
from buildapi.cli.command_help import ConnectionOption
from buildapi.cli.service_client import ServiceClient

F = TypeVar("F", bound=Callable[..., object])
OPTIONS_KEY = "buildapi.connection"
COMPLETION_SECONDS = 1.0


def _remember_option(context: click.Context, option: click.Parameter, value: object) -> None:
    """Store an option in the context; one after the sub-command overrides one before it."""
    # click shares "meta" between the contexts of a group and its commands (Context.meta).
    given = context.meta.setdefault(OPTIONS_KEY, {})
    # The default of the sub-command's option must not replace what was set before its name.
    if value not in (None, False):
        given[option.name] = value


def _option(*names: str, **settings: Any) -> Callable[[F], F]:  # Any: keywords of click.option
    return click.option(
        *names, cls=ConnectionOption, expose_value=False, callback=_remember_option, **settings
    )


OPTIONS = (
    _option(
        "-u",
        "--url",
        type=param_types.service_url,
        metavar="URL",
        help="URL of the service. Default: BUILDAPI_URL, else http://localhost:8010.",
    ),
    _option(
        "--client-config",
        metavar="FILE",
        help="File that sets these options. Default: BUILDAPI_CLIENT_CONFIG, else"
        " ~/.config/buildapi/client.toml, else /etc/buildapi/client.toml.",
    ),
    _option("--token-file", metavar="FILE", help="File with an API token; - for standard input."),
    _option("--user", metavar="NAME", help="User of Basic authentication at the proxy."),
    _option(
        "--password-file",
        metavar="FILE",
        help="File with the password of --user; - for standard input.",
    ),
    _option(
        "--cookie", metavar="NAME", help="Name of the proxy's cookie, if the file has several."
    ),
    _option(
        "--cookie-file", metavar="FILE", help="Netscape cookie jar, or a file with name=value."
    ),
    _option("--ca", metavar="FILE", help="File of certificates to trust instead of the system's."),
    _option(
        "--timeout",
        type=param_types.Seconds(0.1, 3600),
        metavar="SECONDS",
        help="Maximum wait for an answer.",
    ),
    _option("--insecure-http", is_flag=True, help="Allow secrets over plain http."),
)


def connection_options(function: F) -> F:
    """Add the connection options to a command."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def make_client(
    context: click.Context,
    **changes: Any,  # Any: of ClientSettings, see attrs.evolve
) -> ServiceClient:
    """Return a client with the options of a context; ``changes`` replace some of its settings."""
    settings = read_settings(context.meta.get(OPTIONS_KEY, {}))
    client = ServiceClient(attrs.evolve(settings, **changes))
    context.call_on_close(client.close)
    return client


def with_client(function: Callable[..., None]) -> Callable[..., None]:
    """Add the connection options to a command, and pass it its ``client``."""

    @connection_options
    @click.pass_context
    @functools.wraps(function)
    def wrapped(context: click.Context, /, **given: object) -> None:
        function(client=make_client(context), **given)

    result: Callable[..., None] = wrapped
    return result


def complete_branch(context: click.Context, _param: click.Parameter, begun: str) -> Sequence[str]:
    """Complete the name of a branch; return nothing on failures, as a shell must not fail."""
    try:
        # Without secrets: completion must not prompt for a password (docs/commands.md,
        # "Completion").
        url, _ = locate_service(context.meta.get(OPTIONS_KEY, {}))
        client = ServiceClient(ClientSettings(url, timeout=COMPLETION_SECONDS))
        context.call_on_close(client.close)
        return [name for name in client.get("self-serve", "branches") if name.startswith(begun)]
    except Exception:
        return []


branch_argument = click.argument("branch", type=param_types.name, shell_complete=complete_branch)
"""The BRANCH argument, completed from the service."""

revision_argument = click.argument("revision", type=param_types.name)
"""The REVISION argument."""
