"""``buildapi man``: manual pages, generated from the commands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from buildapi.cli.command_error import CommandError
from buildapi.cli.command_help import (
    ExampleCommand,
    Record,
    command,
    connection_names,
    connection_options_of,
    own_options,
)
from buildapi.exit_codes import CODES

HELP = ("-h, --help", "Show this message and exit.")
"""The help option as the root sets it, which a context without a parent does not know."""


@command("man", example="buildapi man is-done | man -l -")
@click.argument("command", nargs=-1)
@click.option(
    "--write", "folder", type=click.Path(path_type=Path), help="Write all pages to a folder."
)
@click.pass_context
def man(context: click.Context, command: Sequence[str], folder: Path | None) -> None:
    """Print the manual page of COMMAND, or of buildapi.

    The output is roff: buildapi man job | man -l -
    """
    root = context.find_root().command
    found = dict(pages(root))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in found.items():
            (folder / f"{name}.1").write_text(text, encoding="utf-8")
        return
    name = "-".join(("buildapi", *command))
    if name not in found:
        raise CommandError(f"no such command: {' '.join(command)}", 2)
    click.echo(found[name], nl=False)


def pages(command: click.Command, path: Sequence[str] = ("buildapi",)) -> Iterator[tuple[str, str]]:
    """Yield name and text of the page of a command, then those of its sub-commands."""
    context = click.Context(command, info_name=" ".join(path), **command.context_settings)
    yield "-".join(path), page(command, path, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub = command.get_command(context, name)
            if sub is not None and not sub.hidden:
                yield from pages(sub, (*path, name))


def page(command: click.Command, path: Sequence[str], context: click.Context) -> str:
    """Return the page of one command."""
    name, words = "-".join(path), " ".join(path)
    usage = " ".join(command.collect_usage_pieces(context))
    short = (command.help or "").strip().split("\n\n")[0]
    lines = [
        f'.TH "{roff(name).upper()}" "1" "" "BuildAPI" "User Commands"',
        ".SH NAME",
        f"{roff(name)} \\- {roff(_sentence(short))}",
        ".SH SYNOPSIS",
        f".B {roff(words)}",
        roff(usage),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
        *_options(command, context),
        *_connection(command, context),
        *_commands(command, path, context),
        *_exit_status(command),
        *_example(command),
    ]
    return "\n".join(line for line in lines if line) + "\n"


def _sentence(text: str) -> str:
    joined = " ".join(text.split()).removesuffix(".")
    return joined[:1].lower() + joined[1:]


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.strip().split("\n\n")):
        if number:
            yield ".PP"
        yield roff(" ".join(paragraph.split()))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    yield ".SH OPTIONS"
    for record in own_options(command, context):
        yield from _record(HELP if "--help" in record[0] else record)


def _connection(command: click.Command, context: click.Context) -> Iterator[str]:
    names = connection_names(command, context)
    if not names:
        return
    yield ".SH CONNECTION OPTIONS"
    if isinstance(command, click.Group):
        for record in connection_options_of(command, context):
            yield from _record(record)
    else:
        yield f"{roff(names)}: see \\fBbuildapi\\fR(1)."


def _record(record: Record) -> Iterator[str]:
    yield from (".TP", f"\\fB{roff(record[0])}\\fR", roff(record[1]))


def _example(command: click.Command) -> Iterator[str]:
    if isinstance(command, ExampleCommand):
        yield from (".SH EXAMPLES", ".EX", roff(command.example), ".EE")


def _exit_status(command: click.Command) -> Iterator[str]:
    """Yield the exit codes of all commands, unless this one describes its own."""
    if "Exit codes:" in (command.help or ""):
        return
    yield ".SH EXIT STATUS"
    for code, said in CODES:
        yield from (".TP", str(code), roff(said))


def _commands(command: click.Command, path: Sequence[str], context: click.Context) -> Iterator[str]:
    if not isinstance(command, click.Group):
        return
    yield ".SH COMMANDS"
    for name in command.list_commands(context):
        sub = command.get_command(context, name)
        if sub is not None and not sub.hidden:
            page_name = roff("-".join((*path, name)))
            yield from (".TP", f"\\fB{page_name}\\fR(1)", roff(sub.get_short_help_str(200)))


def roff(text: str) -> str:
    """Escape a text for roff."""
    # Backslashes first, or the others' would be escaped again. A bare - may be printed as a hyphen,
    # which cannot be copied into a shell (groff_char(7)).
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")
    # A dot at the beginning of a line makes it a request to roff.
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
