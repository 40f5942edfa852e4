"""``buildapi completion``: the script that lets a shell complete commands, options and branches."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL, such as for: eval "$(buildapi completion bash)"."""
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"click has no completion for {shell}")
    made = kind(context.find_root().command, {}, "buildapi", "_BUILDAPI_COMPLETE")
    click.echo(made.source_template % made.source_vars())
