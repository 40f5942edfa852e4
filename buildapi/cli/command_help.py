"""The help of commands: one example each, and the options of the connection in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import click

Record = tuple[str, str]
"""An option or command, and what it does."""

SEE_ROOT = "see buildapi --help."


class ConnectionOption(click.Option):
    """An option for the connection to the service, which every command with one has."""


class ExampleCommand(click.Command):
    """A command whose help ends with an example, a command line."""

    def __init__(
        self,
        name: str | None,
        example: str = "",
        **settings: Any,  # Any: keywords of click's own class
    ) -> None:
        super().__init__(name, **settings)
        self.example = example
        for param in self.params:
            # click would show INTEGER RANGE.
            if isinstance(param, click.Option) and isinstance(param.type, click.IntRange):
                param.metavar = param.metavar or "N"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the names of those for the connection."""
        write_records(formatter, "Options", own_options(self, ctx))
        names = connection_names(self, ctx)
        if names:
            with formatter.section("Connection options"):
                formatter.write_text(f"{names}: {SEE_ROOT}")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        super().format_epilog(ctx, formatter)
        if self.example:
            with formatter.section("Example"):
                formatter.write_text(self.example)


class CommandGroup(click.Group):
    """A group of such commands."""

    command_class = ExampleCommand
    group_class = type


class SectionedGroup(CommandGroup):
    """A group that lists its commands under headings; ``sections`` are their names by heading."""

    sections: Mapping[str, Sequence[str]] = {}

    def add_section(self, heading: str, commands: Sequence[click.Command]) -> None:
        """Add commands under a heading."""
        for one in commands:
            self.add_command(one)
        self.sections = {**self.sections, heading: [str(one.name) for one in commands]}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, the options of the connection, and the others."""
        self.format_commands(ctx, formatter)
        write_records(formatter, "Connection options", connection_options_of(self, ctx))
        write_records(formatter, "Options", own_options(self, ctx))

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002  # click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """Write a line for each command, below the heading of its section."""
        width = max((len(name) for name in self.commands), default=0)
        limit = formatter.width - width - 6
        for heading, names in self.sections.items():
            found = [(name.ljust(width), self.commands[name]) for name in names]
            lines = [(name, one.get_short_help_str(limit)) for name, one in found]
            write_records(formatter, heading, lines)


def command(
    name: str | None = None,
    *,
    example: str,
    context_settings: MutableMapping[str, object] | None = None,
) -> Callable[[Callable[..., object]], ExampleCommand]:
    """Make a command of a function, with an example of its use."""
    return click.command(
        name, cls=ExampleCommand, example=example, context_settings=context_settings
    )


def group(name: str | None = None) -> Callable[[Callable[..., object]], CommandGroup]:
    """Make a group of commands of a function."""
    return click.group(name, cls=CommandGroup)


def write_records(formatter: click.HelpFormatter, heading: str, records: Sequence[Record]) -> None:
    """Write records below a heading; nothing without any."""
    if records:
        with formatter.section(heading):
            formatter.write_dl(records)


def own_options(command: click.Command, ctx: click.Context) -> list[Record]:
    """List the options of a command but those for the connection."""
    return [record for param, record in _records(command, ctx) if not _is_connection(param)]


def connection_options_of(command: click.Command, ctx: click.Context) -> list[Record]:
    """List the options of a command for the connection."""
    return [record for param, record in _records(command, ctx) if _is_connection(param)]


def connection_names(command: click.Command, ctx: click.Context) -> str:
    """Return the names of a command's options for the connection; empty without any."""
    found = [p for p in command.get_params(ctx) if _is_connection(p)]
    return ", ".join(p.opts[-1] for p in found)


def _records(
    command: click.Command, ctx: click.Context
) -> Iterator[tuple[click.Parameter, Record]]:
    for param in command.get_params(ctx):
        # Newer versions of click have records of arguments, which the usage shows.
        record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
        if record is not None:
            yield param, record


def _is_connection(param: click.Parameter) -> bool:
    return isinstance(param, ConnectionOption)
