"""The command ``buildapi``: its root and all its commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click
from click.shell_completion import get_completion_class

from buildapi.cli import api_tokens, job_requests, queries, report_commands
from buildapi.cli.admin.config_check import check_config
from buildapi.cli.admin.dumps import dump
from buildapi.cli.admin.queues import queue
from buildapi.cli.admin.tables import db
from buildapi.cli.admin.users import admin
from buildapi.cli.command_help import command
from buildapi.cli.connection_options import connection_options
from buildapi.cli.event_watch import watch
from buildapi.cli.group import RootGroup
from buildapi.cli.mail_waittimes import mail_waittimes
from buildapi.cli.man import man
from buildapi.cli.pushes import pushes, user
from buildapi.cli.sample import sample
from buildapi.cli.status import status

SHELLS = ("bash", "zsh", "fish")
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=RootGroup, context_settings=HELP)
@connection_options
@click.version_option(package_name="buildapi", prog_name="buildapi")
def root() -> None:
    """Show and change a Buildbot farm; write dumps and reports.

    Connection options may precede or follow the name of a command. Set them once in the client
    file, ~/.config/buildapi/client.toml, as url = "https://buildapi.example.org".

    Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 not finished, 4 not
    allowed, 5 not found, 6 service unavailable, 7 unknown result, 130 interrupted.
    """


@command(example='eval "$(buildapi completion bash)"')
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    Use it as: eval "$(buildapi completion bash)"
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"click has no completion for {shell}")
    made = kind(context.find_root().command, {}, "buildapi", "_BUILDAPI_COMPLETE")
    click.echo(made.source_template % made.source_vars())


SECTIONS: Mapping[str, Sequence[click.Command]] = {
    "Farm": (
        *(queries.branches, pushes, user, queries.builds, queries.rev, queries.is_done),
        *(queries.pending, queries.running, queries.recent, queries.lookup, watch),
        report_commands.waittimes,
    ),
    "Job requests": (
        *(job_requests.rebuild, job_requests.cancel, job_requests.cancel_rev),
        *(job_requests.prioritize, job_requests.new, queries.jobs, queries.job),
    ),
    "Login": (api_tokens.whoami, api_tokens.token),
    "Service": (status, report_commands.names, mail_waittimes, report_commands.l10n_report, sample),
    "Operators, with the configuration": (check_config, db, queue, dump, admin),
    "This command": (completion, man),
}
for heading, commands in SECTIONS.items():
    root.add_section(heading, commands)
