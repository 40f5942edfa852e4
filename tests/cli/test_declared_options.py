"""Options that are parameters of the API say and accept what their declaration does."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from buildapi.cli.declared_options import declared_option
from buildapi.cli.main import root
from buildapi.parameters import (
    event_parameters,
    job_parameters,
    push_parameters,
    read_parameters,
)
from buildapi.parameters.param import Param
from buildapi.parameters.types import Choice, Integer, Patterns, Switch


def read(param: Param[Any], *given: str) -> tuple[int, str]:
    @click.command()
    @declared_option(param)
    def command(**options: object) -> None:
        click.echo(repr(options[param.name]))

    found = CliRunner().invoke(command, given)
    return found.exit_code, found.output


@pytest.mark.parametrize(
    ("param", "given", "code", "told"),
    [
        (Param("a_b", "x", Integer(1, 9), default=3), (), 0, "3"),
        (Param("a_b", "x", Integer(1, 9), default=3), ("--a-b=9",), 0, "9"),
        (Param("a_b", "x", Integer(1, 9), default=3), ("--a-b=10",), 2, "1<=x<=9"),
        (Param("a_b", "x", Choice(("u", "v"))), ("--a-b=u",), 0, "'u'"),
        (Param("a_b", "x", Choice(("u", "v"))), ("--a-b=w",), 2, "'u', 'v'"),
        (Param("a_b", "x", Switch(), default=False), ("--a-b",), 0, "True"),
        (Param("a_b", "x", Patterns(9, 9)), ("--a-b=u", "--a-b=v"), 0, "('u', 'v')"),
    ],
)
def test_type_bounds_and_default_are_those_of_the_parameter(
    param: Param[Any], given: tuple[str, ...], code: int, told: str
) -> None:
    assert (found := read(param, *given))[0] == code, found
    assert told in found[1]


@pytest.mark.parametrize(
    ("command", "param"),
    [
        ("rebuild", job_parameters.PRIORITY),
        ("cancel-rev", job_parameters.ONLY),
        ("cancel-rev", job_parameters.REASON),
        ("cancel-rev", job_parameters.DRY_RUN),
        ("jobs", read_parameters.STATE),
        ("jobs", read_parameters.num()),
        ("jobs", read_parameters.since()),
        ("jobs", read_parameters.until()),
        ("pending", read_parameters.LIMIT),
        ("running", read_parameters.LIMIT),
        ("recent", read_parameters.NUMBUILDS),
        ("lookup", read_parameters.FOUND_KIND),
        ("pushes", push_parameters.AUTHOR),
        ("pushes", push_parameters.LIMIT),
        ("pushes", push_parameters.STATE),
        ("pushes", push_parameters.FAILURES),
        ("user", push_parameters.UNFINISHED),
        ("watch", event_parameters.JOB),
        ("watch", event_parameters.REVISION),
    ],
)
def test_commands_have_the_text_of_the_declaration(command: str, param: Param[Any]) -> None:
    option = next(p for p in root.commands[command].params if p.name == param.name)
    assert isinstance(option, click.Option)
    assert option.help is not None
    assert option.help.lower().startswith(param.meaning.lower())
