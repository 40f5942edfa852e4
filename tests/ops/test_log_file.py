"""Files of lines: renamed, full, away; nothing raises, and that is said once."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from buildapi.ops.log_file import Complaints, LogFile, StreamSink, TwistdFile


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("before\n")
    file = LogFile(path)
    file.write("zoë\n")
    file.close()
    assert path.read_text() == "before\nzoë\n"


def test_it_goes_on_in_a_new_file_when_told_to(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = LogFile(path)
    file.write("1\n")
    path.rename(tmp_path / "a.log.1")
    file.write("2\n")
    file.reopen()
    file.write("3\n")
    file.close()
    assert (tmp_path / "a.log.1").read_text() == "1\n2\n"
    assert path.read_text() == "3\n"


def test_a_new_file_that_cannot_be_opened_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    said = io.StringIO()
    file = LogFile(folder / "a.log", Complaints(said))
    file.write("1\n")
    folder.rename(tmp_path / "old")
    file.reopen()
    file.write("2\n")
    file.close()
    assert (tmp_path / "old" / "a.log").read_text() == "1\n2\n"
    assert "cannot open" in said.getvalue()


def test_what_cannot_be_written_is_said_once_until_it_is_well(tmp_path: Path) -> None:
    said = io.StringIO()
    file = LogFile(tmp_path / "missing" / "a.log", Complaints(said))
    file.write("1\n")
    file.write("2\n")
    assert said.getvalue().count("cannot write") == 1
    (tmp_path / "missing").mkdir()
    file.write("3\n")
    file.close()
    assert (tmp_path / "missing" / "a.log").read_text() == "3\n"
    (tmp_path / "missing" / "a.log").unlink()
    (tmp_path / "missing").rmdir()
    file.write("4\n")
    assert said.getvalue().count("cannot write") == 2


def test_a_full_disk_raises_nothing() -> None:
    said = io.StringIO()
    file = LogFile(Path("/dev/full"), Complaints(said))
    file.write("1\n")
    file.close()
    assert "No space left" in said.getvalue()


def test_half_a_character_is_no_error(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.log")
    file.write("a\ud800\n")
    file.close()
    assert (tmp_path / "a.log").read_text() == "a?\n"


def test_a_stream_shows_what_it_can() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    StreamSink(stream).write("zoë\n")
    assert raw.getvalue() == b"zo\\xeb\n"


def test_a_closed_stream_is_no_error() -> None:
    stream = io.StringIO()
    stream.close()
    StreamSink(stream).write("x\n")


def test_the_file_of_twistd_is_numbered_when_reopened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = TwistdFile("t.log")
    monkeypatch.chdir("/")  # as daemons do
    file.write("1\n")
    file.reopen()
    file.write("2\n")
    file.close()
    assert (tmp_path / "t.log.1").read_text() == "1\n"
    assert (tmp_path / "t.log").read_text() == "2\n"
