"""Run the tests of the pages' scripts with Node.js's own test runner, a file each."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from buildapi.jobs.build_states import FAILED, OPEN
from buildapi.web.http.assets import modules
from tests.services.policy import program

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.test.mjs"))
IMPORTED = re.compile(r'^import (?:\{ (.*) \} from )?"\./(.*)";$', re.MULTILINE)
EXPORTED = re.compile(r"^export (?:async )?(?:function|const|let|class) ([\w$]+)", re.MULTILINE)
ALL_NAMES = re.compile(r"[\w$]+")


@pytest.mark.node
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_scripts_do_what_their_tests_say(file: Path) -> None:
    node = program("node")
    ran = subprocess.run(
        [node, "--test", file], check=False, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^\S* ?pass [1-9]", ran.stdout, re.MULTILINE), ran.stdout


def test_what_modules_import_is_exported_and_used() -> None:
    texts = {name: file.body.decode() for name, file in modules().items()}
    exported = {name: set(EXPORTED.findall(text)) for name, text in texts.items()}
    taken = set()
    for name, text in texts.items():
        used = set(ALL_NAMES.findall(IMPORTED.sub("", text)))
        for listed, source in IMPORTED.findall(text):
            names = set(listed.split(", ")) - {""}
            assert names <= exported[source], f"{name} imports what {source} does not export"
            assert names <= used, f"{name} imports from {source} what it does not use"
            taken |= {(source, one) for one in names}
    tested = " ".join(file.read_text() for file in FILES)
    left = {(s, n) for s, names in exported.items() for n in names} - taken
    assert {(s, n) for s, n in left if n not in tested} == set(), "exported for nobody"


def test_scripts_and_service_have_the_same_words_for_failures_and_what_is_open() -> None:
    text = modules()["build_states.js"].body.decode()
    said = {
        name: re.findall(r'"(\w+)"', words)
        for name, words in re.findall(r"^export const ([A-Z]+) = \[(.*)\];$", text, re.MULTILINE)
    }
    assert {name: sorted(words) for name, words in said.items()} == {
        "FAILED": sorted(FAILED),
        "OPEN": sorted(OPEN),
    }


def test_no_modules_import_each_other() -> None:
    """A module that runs before what it imports finds nothing there yet."""
    texts = {name: file.body.decode() for name, file in modules().items()}
    open_ = {name: {m for _, m in IMPORTED.findall(text)} for name, text in texts.items()}
    while free := [name for name, needs in open_.items() if not needs & open_.keys()]:
        for name in free:
            del open_[name]
    assert open_ == {}, "import each other in a ring"
