from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildapi.cli.main import root
from buildapi.cli.man import pages, roff
from tests.cli.running import buildapi

FOLDER = Path(__file__).parents[2] / "docs" / "man"
PAGES = dict(pages(root))


def test_the_pages_in_the_repository_are_those_of_the_commands() -> None:
    stored = {path.stem: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.1")}
    assert stored == PAGES, "make man writes them again"


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff: apt-get install groff")
@pytest.mark.parametrize("name", PAGES)
def test_groff_has_nothing_to_say_about_a_page(name: str) -> None:
    done = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8"],
        input=PAGES[name].encode(),
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""


def test_texts_are_not_taken_for_roff() -> None:
    assert roff(".TH") == "\\&.TH"
    assert roff("'a\\b-") == "\\(aqa\\eb\\-"


def test_a_page_is_printed() -> None:
    assert buildapi("man", "dump", "builds").out.decode() == PAGES["buildapi-dump-builds"]
    assert buildapi("man", "nothing").code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command(shell: str) -> None:
    done = buildapi("completion", shell)
    assert done.code == 0
    assert b"_BUILDAPI_COMPLETE" in done.out
