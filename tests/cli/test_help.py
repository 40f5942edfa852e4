"""The help of every command: short, with one example, own options before those of all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

import click
import pytest
from click.testing import CliRunner

from buildapi.cli.command_help import CommandGroup, ConnectionOption, ExampleCommand
from buildapi.cli.main import root

LINES_MAX = 45
SUMMARY_MAX = 62


def leaves(group: click.Group, path: Sequence[str] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def groups(group: click.Group) -> Iterator[click.Group]:
    yield group
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from groups(command)


COMMANDS = dict(leaves(root))


def help_of(path: str) -> str:
    command = COMMANDS[path]
    return command.get_help(click.Context(command, info_name=f"buildapi {path}"))


@pytest.mark.parametrize("path", COMMANDS)
def test_help_is_short_and_ends_with_an_example(path: str) -> None:
    lines = help_of(path).splitlines()
    assert len(lines) <= LINES_MAX
    assert max(map(len, lines)) <= 80
    assert lines[-2] == "Example:"
    assert f"buildapi {path}" in lines[-1]


@pytest.mark.parametrize("path", COMMANDS)
def test_connection_options_stand_below_the_others_in_one_paragraph(path: str) -> None:
    text, params = help_of(path), COMMANDS[path].params
    found = [p for p in params if isinstance(p, ConnectionOption)]
    assert len(found) in (0, 10)
    heads = re.findall(r"^(\S[^:\n]*):$", text, re.M)
    own = [] if path == "sample write" else ["Options"]  # its help is another program's
    assert heads == [*own, *(["Connection options"] if found else []), "Example"]
    if found:
        paragraph = text.partition("Connection options:")[2].partition("Example:")[0]
        assert all(p.opts[-1] in paragraph for p in found)
        assert len(paragraph.strip().splitlines()) <= 3


@pytest.mark.parametrize("path", COMMANDS)
def test_an_example_is_a_command_line_that_is_accepted(path: str) -> None:
    command = COMMANDS[path]
    assert isinstance(command, ExampleCommand)
    found = re.search(rf"buildapi {path}( [^|)]*)?", command.example)
    assert found is not None
    context = command.make_context(path, shlex.split(found[1] or ""))
    assert context.params.keys() >= {p.name for p in command.params if p.expose_value}


def test_every_group_and_command_has_an_example_or_lists_its_commands() -> None:
    assert all(isinstance(group, CommandGroup) for group in groups(root))


def test_the_root_lists_every_command_in_one_line_below_one_heading() -> None:
    done = CliRunner().invoke(root, ["--help"], terminal_width=80)
    text = done.output
    assert "..." not in text.partition("Connection options:")[0].partition("Farm:")[2]
    listed = [name for names in root.sections.values() for name in names]
    assert sorted(listed) == sorted(root.commands)
    for name in listed:
        assert len(re.findall(rf"^  {name} +\S", text, re.M)) == 1, name


def test_summaries_of_commands_are_not_cut() -> None:
    for group in groups(root):
        for name, command in group.commands.items():
            assert not command.get_short_help_str(SUMMARY_MAX).endswith("..."), name
