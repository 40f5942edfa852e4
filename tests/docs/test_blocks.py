"""Everything in the documentation that is a command or a configuration does what it says.

Each kind of block has a way of being executed or checked here; see CONTRIBUTING.md.
"""

from __future__ import annotations

import ast
import configparser
import json
import re
import shutil
import subprocess
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildapi.cli.main import root
from buildapi.config import from_mapping
from buildapi.config.sections import SECTIONS
from buildapi.errors import ConfigError
from buildapi.model.wire import decode_finished, decode_request
from buildapi.reports.classification import from_document
from tests.config.documents import farm_with
from tests.docs.blocks import ALL, PAGES, ROOT, Block, blocks_of
from tests.docs.shapes import differences, output_differs
from tests.docs.stage import Done, Stage, answer_of, run_page, runs, staged
from tests.services.policy import program

Runs = Callable[[Path], Mapping[int, Done]]

NOT_RUN = {
    "CONTRIBUTING.md": 2,
    "docs/api.md": 1,
    "docs/commands.md": 1,
    "docs/configuration.md": 0,
    "docs/design.md": 2,
    "docs/howto-operators.md": 2,
    "docs/installation.md": 1,
    "docs/logging.md": 2,
    "docs/nagios.md": 1,
}
"""How many blocks of a page may be shown without being executed or checked, each with a reason."""


def named(block: Block) -> str:
    return str(block).replace(" ", "-")


def each(*languages: str) -> pytest.MarkDecorator:
    """Parametrize a test with each block of these languages that is not excepted."""
    found = [b for b in ALL if b.language in languages and "not run" not in b.marks]
    return pytest.mark.parametrize("block", found, ids=named)


@pytest.fixture(scope="module")
def ran(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Run a page when its first block is asked for."""
    program("curl")
    pages: dict[Path, Mapping[int, Done]] = {}

    def run(page: Path) -> Mapping[int, Done]:
        if page not in pages:
            blocks = [b for b in blocks_of(page) if not lacking(b)]
            pages[page] = run_page(blocks, stage, tmp_path_factory.mktemp(page.stem))
        return pages[page]

    return run


def lacking(block: Block) -> str | None:
    """Name the command or the file that a block waits for, if this version lacks it."""
    need = block.marks.get("needs")
    if need is None:
        return None
    if need.startswith("buildapi "):
        return None if need.split()[1] in root.commands else need
    return None if (ROOT / need).exists() else need


# --- the blocks as such


@pytest.mark.parametrize("block", ALL, ids=named)
def test_a_block_is_fenced_and_has_a_language_that_is_checked(block: Block) -> None:
    assert not block.indented, "indented code: fence it, with a language"
    assert block.language in CHECKED, f"one of {sorted(CHECKED)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_what_is_not_run_has_a_reason_and_is_bounded(page: Path) -> None:
    reasons = [b.marks["not run"] for b in blocks_of(page) if "not run" in b.marks]
    assert all(len(reason.split()) >= 2 for reason in reasons), "<!-- not run: reason -->"
    assert len(reasons) <= NOT_RUN.get(str(page.relative_to(ROOT)), 0), reasons


def test_most_blocks_are_run_or_checked() -> None:
    excepted = Counter("not run" in b.marks for b in ALL)
    assert excepted[True] * 10 <= excepted[False]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_block_is_a_part_of_the_file_it_names(page: Path) -> None:
    for block in blocks_of(page):
        if "same as" in block.marks:
            text = (ROOT / block.marks["same as"]).read_text(encoding="utf-8")
            assert block.text.strip() in text, block.where


# --- commands


@pytest.mark.parametrize("block", [b for b in ALL if runs(b)], ids=named)
def test_commands_do_what_the_page_says(block: Block, ran: Runs) -> None:
    if absent := lacking(block):
        pytest.skip(f"this version has no {absent}")
    done = ran(block.page)[block.line]
    assert done.code is not None, "the page ended before: see its first failure"
    assert done.code == 0, f"exit code {done.code}\n{done.err}\n{done.out}"
    refusals = [str(s) for s in done.statuses if s >= 400 or s == 0]
    assert refusals == block.marks.get("answers", "").split(), f"{done.err}\n{done.out}"
    if block.language == "console":
        shown = [line for line in block.text.splitlines() if not line.startswith("$ ")]
        assert output_differs("\n".join(shown), done.out) is None


def before(block: Block) -> Block:
    """Return the last commands before a block."""
    return [b for b in blocks_of(block.page) if runs(b) and b.line < block.line][-1]


@pytest.mark.parametrize("block", [b for b in ALL if "answer" in b.marks], ids=named)
def test_an_answer_has_the_shape_that_is_shown(block: Block, ran: Runs) -> None:
    source = before(block)
    if absent := lacking(source):
        pytest.skip(f"this version has no {absent}")
    done = ran(block.page)[source.line]
    found = differences(json.loads(block.text), answer_of(done))
    assert not found, f"{found}\n{done.out}"


@pytest.mark.parametrize(
    "block", [b for b in ALL if {"output", "error output"} & set(b.marks)], ids=named
)
def test_what_is_shown_is_what_is_printed(block: Block, ran: Runs) -> None:
    source = before(block)
    if absent := lacking(source):
        pytest.skip(f"this version has no {absent}")
    done = ran(block.page)[source.line]
    wrong = output_differs(block.text, done.out if "output" in block.marks else done.err)
    assert wrong is None, wrong


# --- configurations and documents


@each("toml")
def test_toml_is_a_configuration_that_loads(block: Block, stage: Stage, tmp_path: Path) -> None:
    document = tomllib.loads(staged(block.text, stage, tmp_path))
    if set(document) <= {*SECTIONS, "databases"}:
        try:
            loads(document, tmp_path)
        except ConfigError:
            loads(together(block, stage, tmp_path), tmp_path)
    elif set(document) & {"platform", "pools", "pending_pool", "testruns", "build_type", "symbol"}:
        from_document(document, "page")
    else:
        client(document)


def together(block: Block, stage: Stage, folder: Path) -> dict[str, Any]:
    """Merge the fragments of a page up to this one: some say only together what works."""
    merged: dict[str, Any] = {}
    for other in blocks_of(block.page):
        if other.language == "toml" and other.line <= block.line:
            merged = merge(merged, tomllib.loads(staged(other.text, stage, folder)))
    return merged


def merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    both = {k: merge(one[k], other[k]) for k in one.keys() & other.keys() if type(one[k]) is dict}
    return one | other | both


def loads(document: dict[str, Any], folder: Path) -> None:
    """Load a document over that of a small farm, with the files and variables it names."""
    for name in ("branches.json", "masters.json"):
        (folder / name).write_text("{}")
    service = document.get("service", {})
    data = folder / service.get("data", "data")
    data.mkdir(parents=True, exist_ok=True)
    (data / "scheduler.sqlite").touch()
    if "roles" in service:  # one role alone needs a broker that others share
        document = {"broker": {"url": "amqp://buildapi:pw@rabbit.example.org/"}} | document
    environ: dict[str, str] = {}
    for key, value in leaves(document):
        if key.endswith("_env") and value:
            environ[str(value)] = "secret"
        names_file = isinstance(value, str) and (key.endswith("_file") or key in PATHS)
        if names_file and value and "://" not in value:
            (folder / value).parent.mkdir(parents=True, exist_ok=True)
            (folder / value).write_text(FILES.get(key, "secret"))
    from_mapping(farm_with(document), file=folder / "buildapi.toml", environ=environ)


PATHS = {"tls_ca", "classification", "access_log", "file", "branches", "masters", "builders"}
FILES = {"classification": "", "branches": "{}", "masters": "[]", "builders": "{}"}


def leaves(table: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List all keys with their values, of inner tables too."""
    return [
        pair
        for key, value in table.items()
        for pair in (leaves(value) if isinstance(value, dict) else [(key, value)])
    ]


def client(document: Mapping[str, Any]) -> None:
    """Check a configuration of the client: flat, of keys that the command has as options."""
    options = {p.name for c in commands_of(root).values() for p in c.params}
    assert set(document) <= options | {"url", "token", "token_file"}, sorted(document)


def commands_of(group: Any, name: str = "buildapi") -> dict[str, Any]:
    """List a command and all below it, by their names."""
    found = {name: group}
    for key, command in getattr(group, "commands", {}).items():
        found |= commands_of(command, f"{name} {key}")
    return found


@each("json")
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", [b for b in ALL if "message" in b.marks], ids=named)
def test_a_message_can_be_read(block: Block) -> None:
    read = {"requests": decode_request, "finished": decode_finished}[block.marks["message"]]
    read(json.dumps(json.loads(block.text)).encode())


@each("python")
def test_python_compiles(block: Block) -> None:
    ast.parse(block.text)


@each("text")
def test_text_is_output_or_says_why_not(block: Block) -> None:
    assert {"output", "error output", "same as", "saved as"} & set(block.marks), (
        "mark it, or give a reason"
    )


@each("ini", "systemd", "sql", "cron", "nginx", "apache", "yaml", "promql")
def test_it_is_part_of_a_tested_file_or_can_be_read(block: Block, tmp_path: Path) -> None:
    if not {"same as", "saved as"} & set(block.marks):
        READABLE[block.language](block.text, tmp_path)


def ini(text: str, folder: Path) -> None:
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    parser.read_string(text)


def cron(text: str, folder: Path) -> None:
    for line in filter(None, text.splitlines()):
        assert re.match(r"#|\w+=|(@\w+|([\d*/,-]+\s+){5})\s*\S+", line), line


def nginx(text: str, folder: Path) -> None:
    server = text if "server {" in text else f"server {{ {text} }}"
    (folder / "f.conf").write_text(
        f"pid {folder}/pid; error_log {folder}/log; events {{}} http {{ {server} }}"
    )
    checked([program("nginx"), "-t", "-p", str(folder), "-c", str(folder / "f.conf")])


def shipped_only(text: str, folder: Path) -> None:
    pytest.fail("show a part of a file that is tested: <!-- same as: FILE -->")


READABLE: dict[str, Callable[[str, Path], None]] = {
    "ini": ini,
    "systemd": ini,
    "cron": cron,
    "yaml": lambda text, _: yaml.safe_load(text),
    "nginx": nginx,
    **dict.fromkeys(("sql", "apache", "promql"), shipped_only),
}


def checked(command: list[str]) -> None:
    """Run a checker; :raises AssertionError: with what it says."""
    assert shutil.which(command[0])
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout


CHECKED = {"sh", "console", "bash", "python", "toml", "json", "text", *READABLE}
"""Languages of which a test above takes every block."""
