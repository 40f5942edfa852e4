"""The stage itself: what calls itself ends, what takes too long is killed, what fails is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import shims, stage
from tests.docs.blocks import blocks_of
from tests.docs.stage import Stage, run_page

NOWHERE = Stage("http://127.0.0.1:9", "", {}, "127.0.0.1:9")


def page(tmp_path: Path, text: str) -> list[stage.Done]:
    blocks = blocks_of(tmp_path / "page.md", text)
    return list(run_page(blocks, NOWHERE, tmp_path / "scratch").values())


def test_a_shim_that_finds_itself_ends() -> None:
    environment = os.environ | {shims.DEPTH: str(shims.DEEPEST)}
    done = subprocess.run(
        [sys.executable, shims.__file__, "sudo", "true"],
        check=False,
        env=environment,
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 97
    assert b"without end" in done.stderr


@pytest.mark.parametrize("name", sorted(shims.SHIMS))
def test_sudo_of_a_shim_of_any_name_comes_to_an_end(name: str, tmp_path: Path) -> None:
    (done,) = page(tmp_path, f"```sh\nsudo sudo sudo sudo {name} x\n```\n")
    assert done.code == 97


def test_what_takes_too_long_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "SECONDS", 1)
    (done,) = page(tmp_path, "```sh\nsleep 600\n```\n")
    assert done.code == -1


def test_variables_last_from_block_to_block(tmp_path: Path) -> None:
    first, second = page(tmp_path, "```sh\na=1\n```\n\n```sh\necho $a\n```\n")
    assert (first.code, second.code, second.out) == (0, 0, "1\n")


def test_a_failure_ends_the_page_and_is_told(tmp_path: Path) -> None:
    first, second = page(tmp_path, "```sh\necho no >&2; exit 3\n```\n\n```sh\ntrue\n```\n")
    assert (first.code, first.err, second.code) == (3, "no\n", None)


def test_system_paths_are_inside_the_scratch_folder(tmp_path: Path) -> None:
    (done,) = page(tmp_path, "```sh\necho x >/etc/buildapi/mark\necho /etc/buildapi/mark\n```\n")
    assert done.out == "/etc/buildapi/mark\n"
    assert (tmp_path / "scratch/root/etc/buildapi/mark").read_text() == "x\n"


def test_a_saved_block_is_a_file_of_the_blocks_after_it(tmp_path: Path) -> None:
    text = "<!-- saved as: a.json -->\n```json\n[1]\n```\n\n```sh\ncat a.json\n```\n"
    assert [done.out for done in page(tmp_path, text)] == ["[1]\n"]


@pytest.mark.parametrize(
    "command",
    ["make nothing", "pip install nowhere", "pip install .[nothing]", "systemctl dance"],
)
def test_a_shim_refuses_what_could_not_work(command: str, tmp_path: Path) -> None:
    (done,) = page(tmp_path, f"```sh\n{command}\n```\n")
    assert done.code == 97
