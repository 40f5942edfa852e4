"""``buildapi l10n-report`` with real files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.cli.running import buildapi
from tests.reports.test_failed_locales import build

ENTRY = (
    "mozilla-central linux de\n    FAILURE\n    https://logs.example.org/1\n"
    "    https://files.example.org/1\n"
)


@pytest.fixture
def dumps(tmp_path: Path) -> Path:
    document = json.dumps({"builds": [build(), build(locale=None), build(0), build(9)]}).encode()
    (tmp_path / "a.js.gz").write_bytes(gzip.compress(document))
    (tmp_path / "b.js").write_bytes(document)
    return tmp_path


def test_entries_on_standard_output_and_what_lacks_on_standard_error(dumps: Path) -> None:
    done = buildapi("l10n-report", "a.js.gz", "b.js", folder=dumps)
    assert done.code == 0
    assert done.out.decode() == (ENTRY + ENTRY.replace("FAILURE", "UNKNOWN (9)")) * 2
    assert done.err.count("has no locale") == 2
    assert done.err.startswith("a.js.gz: build 81 (")


def test_a_report_in_a_file(dumps: Path) -> None:
    done = buildapi("l10n-report", "a.js.gz", "-o", "report", folder=dumps)
    assert (done.code, done.out) == (0, b"")
    assert (dumps / "report").read_text().startswith(ENTRY)


BAD = [b"", b"{", b"[]", b'{"builds": 1}', gzip.compress(b'{"builds": []}')[:-9], b"\x1f\x8bxx"]


@pytest.mark.parametrize("content", BAD, ids=range(len(BAD)))
def test_what_is_no_dump_leaves_the_old_report(dumps: Path, content: bytes) -> None:
    (dumps / "bad").write_bytes(content)
    (dumps / "report").write_text("old")
    done = buildapi("l10n-report", "a.js.gz", "bad", "-o", "report", folder=dumps)
    assert (done.code, done.out) == (1, b"")
    assert "bad: not a dump of builds" in done.err
    assert "Traceback" not in done.err
    assert (dumps / "report").read_text() == "old"


def test_a_file_that_is_not_there(dumps: Path) -> None:
    done = buildapi("l10n-report", "a.js.gz", "none.js", folder=dumps)
    assert (done.code, done.out) == (1, b"")
    assert "none.js: no such file" in done.err
