"""A file is the old one or the whole new one, whatever happens in between."""

from __future__ import annotations

import gzip
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from buildapi.atomic_file import STALE_SECONDS, AtomicFile, remove_stale, replace_file


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "dump.js"
    path.write_text("old")
    with AtomicFile(str(path)) as file:
        file.write(b"ne")
        file.write(b"w")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["dump.js"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "dump.js"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["dump.js"]


def interrupted(path: Path) -> None:
    with AtomicFile(str(path)) as file:
        file.write(b"new")
        raise KeyboardInterrupt


def test_nothing_is_written_to_a_file_that_was_dropped(tmp_path: Path) -> None:
    file = AtomicFile(str(tmp_path / "dump.js"))
    file.drop()
    with pytest.raises(ValueError, match="closed"):
        file.write(b"x")
    file.drop()
    assert os.listdir(tmp_path) == []


def test_it_can_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "dump.js.gz"
    with AtomicFile(str(path), gzipped=True) as file:
        file.write(b"a" * 1000)
        file.write(b"b")
    assert gzip.decompress(path.read_bytes()) == b"a" * 1000 + b"b"


def test_it_may_be_read_by_whom_the_mask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with AtomicFile(str(tmp_path / "f")):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o640


def test_a_secret_is_its_owners_alone(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old, and for all to read")
    replace_file(tmp_path / "f", b"new", mode=0o600)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o600
    assert (tmp_path / "f").read_text() == "new"
    assert os.listdir(tmp_path) == ["f"]


def test_a_file_that_is_named_like_the_standard_output_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    replace_file(Path("-"), b"x")
    assert (tmp_path / "-").read_bytes() == b"x"


def test_a_file_that_cannot_be_replaced_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "missing" / "f", b"x")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("other/target")
    with AtomicFile(str(tmp_path / "link")) as file:
        file.write(b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "other" / "target").read_text() == "x"


def test_what_is_no_file_is_written_to_and_not_replaced() -> None:
    with AtomicFile(os.devnull) as file:
        file.write(b"x")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AtomicFile(str(tmp_path / "no" / "f"))


@pytest.mark.parametrize("zipped", [True, False])
def test_standard_output_stays_open(*, zipped: bool) -> None:
    program = f"""
from buildapi.atomic_file import AtomicFile
with AtomicFile("-", {zipped}) as file:
    file.write(b"hello")
    file.write(b"!")
print(end="", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (gzip.decompress(done.stdout) if zipped else done.stdout) == b"hello!"


KILLED = """
import os, sys
from buildapi.atomic_file import AtomicFile
with AtomicFile(sys.argv[1]) as file:
    file.write(b"new" * 100000)
    os.kill(os.getpid(), 9)
"""


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "dump.js"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -9
    assert path.read_text() == "old"
    (left,) = [p for p in tmp_path.iterdir() if p != path]
    remove_stale(tmp_path, "dump.js")
    assert left.exists(), "somebody may be writing it"
    old = left.stat().st_mtime - STALE_SECONDS - 1
    os.utime(left, (old, old))
    remove_stale(tmp_path, "other.js")
    assert left.exists(), "it is another's"
    remove_stale(tmp_path, "dump.js")
    assert os.listdir(tmp_path) == ["dump.js"]
