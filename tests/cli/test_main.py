"""The command's frame: help, version, wrong command lines."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from buildapi.cli.main import root
from tests.cli.running import buildapi

COMMANDS = [
    [],
    ["dump"],
    ["dump", "builds"],
    ["dump", "pending"],
    ["dump", "running"],
    ["l10n-report"],
    ["mail-waittimes"],
    ["names"],
]
PAGE = Path(__file__).parent.parent.parent / "docs" / "commands.md"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_tells_how_it_is_used(command: list[str]) -> None:
    done = buildapi(*command, "--help")
    assert (done.code, done.err) == (0, "")
    assert b"Usage: buildapi" in done.out


def test_its_version() -> None:
    assert buildapi("--version").out.startswith(b"buildapi, version ")


@pytest.mark.parametrize(
    "arguments",
    [["nothing"], ["--nothing"], ["dump", "nothing"], ["l10n-report"], ["mail-waittimes"]],
    ids=" ".join,
)
def test_a_wrong_command_line_is_said_on_standard_error(arguments: list[str]) -> None:
    done = buildapi(*arguments)
    assert (done.code, done.out) == (2, b"")
    assert "Usage: buildapi" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new", "try", ""], "'REVISION': it is empty (expected a name)"),
        (["new", "try", "abc", "--builder", ".."], "'--builder': '..' is only dots"),
        (
            ["check-config", "-c", "missing.toml", "x", "y", "EXTRA"],
            "unexpected extra argument (EXTRA)",
        ),
        (["db", "upgrade", "-c", "missing.toml", "--nothing"], "--nothing"),
    ],
)
def test_a_wrong_command_line_names_what_is_wrong(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(root, arguments)
    assert result.exit_code == 2
    assert words in result.stderr


def test_the_page_tells_of_every_command() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for command in COMMANDS[2:]:
        assert f"`buildapi {' '.join(command)}" in page
