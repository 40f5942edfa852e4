"""Reading the samples: commands of NRPE, and the objects of a Nagios server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tests.plugins.running import ROOT

FOLDER = ROOT / "plugins" / "nagios"
COMMAND = re.compile(r"command\[(\w+)\]=(.+)")
DEFINE = re.compile(r"define\s+(\w+)\s*\{\n(.*?)\n\}", re.DOTALL)


@attrs.frozen
class Object:
    """An object of a Nagios server, with what it says of itself."""

    kind: str
    values: Mapping[str, str]


def lines_of(path: Path) -> Sequence[str]:
    """List what is no comment and not empty."""
    lines = (line.rstrip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def nrpe_commands() -> Mapping[str, str]:
    """Read the commands of NRPE by name; nothing else may stand in the file."""
    found = [COMMAND.fullmatch(line) for line in lines_of(FOLDER / "nrpe_buildapi.cfg")]
    assert all(found), found
    return {match[1]: match[2] for match in found if match}


def objects(name: str) -> Sequence[Object]:
    """Read the objects of a file; nothing else may stand in it."""
    text = "\n".join(lines_of(FOLDER / name))
    assert not DEFINE.sub("", text).strip()
    return [Object(kind, _values(body)) for kind, body in DEFINE.findall(text)]


def _values(body: str) -> Mapping[str, str]:
    pairs = [line.split(None, 1) for line in body.splitlines()]
    return {key: value.strip() for key, value in pairs}


def expanded(check_command: str, macros: Mapping[str, str]) -> str:
    """Return the command line that Nagios runs for a ``check_command``; no macro may be left."""
    commands = {o.values["command_name"]: o.values["command_line"] for o in objects("commands.cfg")}
    name, *arguments = check_command.split("!")
    known = {**macros, **{f"$ARG{n}$": text for n, text in enumerate(arguments, 1)}}
    line = re.sub(r"\$\w+\$", lambda macro: known.get(macro[0], ""), commands[name])
    unknown = set(re.findall(r"\$(?!ARG)\w+\$", commands[name])) - set(known)
    assert not unknown, unknown
    return line
