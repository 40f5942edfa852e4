"""The page of the plugin: its examples are run, its table of thresholds is that of the program."""

from __future__ import annotations

import re
import shlex

import pytest

from buildapi.nagios.registry import CHECKS
from tests.plugins.answering import Answering
from tests.plugins.running import ROOT, run

PAGE = (ROOT / "docs" / "nagios.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^\$ check_buildapi (.+)\n(.+)$", PAGE, re.MULTILINE)
TIME = re.compile(r"time=[0-9.]+s")


@pytest.mark.parametrize(("arguments", "shown"), EXAMPLES)
def test_an_example_gives_what_is_shown(service: Answering, arguments: str, shown: str) -> None:
    kind, *options = shlex.split(arguments)
    done = run(kind, "--url", service.url, *options).check(kind)
    assert TIME.sub("time", done.output.rstrip()) == TIME.sub("time", shown)


def test_every_check_has_an_example() -> None:
    assert {arguments.split()[0] for arguments, _ in EXAMPLES} == {kind.name for kind in CHECKS}


def test_the_table_has_every_threshold_with_its_defaults() -> None:
    rows, check = [], ""
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and re.match(r"`-{1,2}\w", cells[1]):
            check = cells[0].strip("`") or check
            rows.append((check, cells[1].replace("`", ""), cells[2].replace("`", "")))
    expected = [
        (
            kind.name,
            f"--{limit.name}-warning, --{limit.name}-critical" if limit.name else "-w, -c",
            f"{limit.warning or 'none'}; {limit.critical or 'none'}",
        )
        for kind in CHECKS
        for limit in kind.limits
    ]
    assert rows == expected


def test_every_option_of_a_check_is_on_the_page() -> None:
    from buildapi.nagios.registry import build_parser

    text = build_parser().format_help()
    assert all(kind.name in text for kind in CHECKS)
    shown = set(re.findall(r"--[a-z-]+", PAGE))
    (checks,) = build_parser()._subparsers._group_actions  # type: ignore[union-attr]  # there is one
    for check in checks.choices.values():  # type: ignore[union-attr]  # of checks
        options = {name for a in check._actions for name in a.option_strings if name[:2] == "--"}
        assert options - {"--warning", "--critical", "--timeout", "--verbose"} <= shown
