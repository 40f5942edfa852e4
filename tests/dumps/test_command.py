"""``buildapi dump`` as its users run it, on the databases of a sample farm."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from buildapi.model.ended_builds import DumpWindow
from tests.buildbot.seed import Seed
from tests.cli.running import COMMAND, buildapi
from tests.e2e.service import toml

BUILDS = 250


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a configuration and filled databases."""
    folder = tmp_path_factory.mktemp("farm")
    urls = {name: f"sqlite:{folder / name}.sqlite" for name in ("scheduler", "status")}
    options = [f"--{name}={url}" for name, url in urls.items()]
    size = [f"--builds={BUILDS}", "--pending=5", "--running=4", "--days=2", "--quiet"]
    subprocess.run([sys.executable, "-m", "buildapi.sample", *options, *size], check=True)
    (folder / "branches.json").write_text(json.dumps({"mozilla-central": {}, "try": {}}))
    (folder / "masters.json").write_text("[]")
    document = {
        "directory": {"branches": "branches.json", "masters": "masters.json"},
        "databases": {name: {"url": url} for name, url in urls.items()},
    }
    (folder / "buildapi.toml").write_text(toml(document))
    return folder


def test_builds_by_hand(farm: Path) -> None:
    done = buildapi("dump", "builds", "--days", "30", folder=farm)
    document = json.loads(done.out)
    with contextlib.closing(Seed(f"sqlite:///{farm / 'status.sqlite'}")) as status:
        ended = status.rows("SELECT id FROM builds WHERE endtime IS NOT NULL")
    assert done.code == 0
    assert sorted(b["id"] for b in document["builds"]) == sorted(r["id"] for r in ended)
    assert len(ended) > BUILDS // 2
    window = DumpWindow(document["starttime"], document["endtime"])
    assert window.end - window.start == 30 * 86_400
    assert done.err == f"{len(ended)} builds from {window.start} to {window.end}\n"
    starts = [b["starttime"] for b in document["builds"]]
    assert starts == sorted(starts)
    build = document["builds"][0]
    assert build["request_ids"]
    assert build["properties"]["buildername"]
    assert done.out.decode() == json.dumps(document, indent=2, sort_keys=True) + "\n"


def test_requests_are_those_of_the_scheduler_database(farm: Path) -> None:
    (build, *_) = json.loads(buildapi("dump", "builds", "--days", "30", folder=farm).out)["builds"]
    with contextlib.closing(Seed(f"sqlite:///{farm / 'scheduler.sqlite'}")) as scheduler:
        rows = scheduler.rows(
            "SELECT br.buildername, b.number, br.submitted_at FROM buildrequests br"
            " JOIN builds b ON b.brid = br.id WHERE br.id = %s",
            build["request_ids"][0],
        )
    found = {(r["buildername"], r["number"], int(r["submitted_at"])) for r in rows}
    wanted = build["properties"]["buildername"], build["buildnumber"], build["requesttime"]
    assert wanted in found


def test_compact_and_compressed_on_standard_output(farm: Path) -> None:
    done = buildapi("dump", "builds", "--hours", "1", "-z", "--compact", folder=farm)
    text = gzip.decompress(done.out).decode()
    document = json.loads(text)
    assert text == json.dumps(document, separators=(",", ":"), sort_keys=True) + "\n"


def test_a_day_in_utc(farm: Path) -> None:
    done = buildapi("dump", "builds", "--startdate", "2017-02-08", "--compact", folder=farm)
    assert done.out == b'{"builds":[],"endtime":1486598400,"starttime":1486512000}\n'
    asked = ["--starttime", "1486512000", "--hours", "1"]
    done = buildapi("dump", "builds", *asked, "--compact", folder=farm)
    assert done.out == b'{"builds":[],"endtime":1486515600,"starttime":1486512000}\n'


@pytest.mark.parametrize(("what", "number"), [("pending", 5), ("running", 4)])
def test_what_waits_and_what_runs(farm: Path, tmp_path: Path, what: str, number: int) -> None:
    done = buildapi("dump", what, "-o", tmp_path / "out.js", folder=farm)
    assert (done.code, done.out, done.err) == (0, b"", "")
    document = json.loads((tmp_path / "out.js").read_text())
    assert list(document) == [what]
    found = [e for revisions in document[what].values() for es in revisions.values() for e in es]
    assert len(found) == number


def test_nothing_is_written_to_the_databases(farm: Path) -> None:
    before = {p.name: p.read_bytes() for p in farm.glob("*.sqlite")}
    buildapi("dump", "builds", "--days", "30", folder=farm)
    assert {p.name: p.read_bytes() for p in farm.glob("*.sqlite")} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["--hours", "1", "--days", "1"],
        ["--starttime", "1", "--startdate", "2017-02-08"],
        ["--hours", "0"],
        ["--days", "10000000"],
        ["--starttime", "-1"],
        ["--starttime", "99999999999999999999"],
        ["--startdate", "yesterday"],
    ],
    ids=" ".join,
)
def test_a_wrong_time(farm: Path, arguments: list[str]) -> None:
    done = buildapi("dump", "builds", *arguments, folder=farm)
    assert (done.code, done.out) == (2, b"")
    assert "Usage: buildapi dump builds" in done.err


def test_a_configuration_that_is_wrong(tmp_path: Path) -> None:
    done = buildapi("dump", "builds", "-c", "none.toml", folder=tmp_path)
    assert (done.code, done.out) == (2, b"")
    assert "none.toml: cannot read it" in done.err


@pytest.mark.parametrize("what", ["builds", "pending", "running"])
def test_a_failure_is_one_line_and_leaves_the_old_file(
    farm: Path, tmp_path: Path, what: str
) -> None:
    document = {
        "directory": {"branches": "none.json", "masters": "none.json"},
        "databases": {
            "scheduler": {"url": f"sqlite:{farm / 'scheduler.sqlite'}"},
            "status": {"url": f"sqlite:{tmp_path / 'none.sqlite'}"},
        },
    }
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "buildapi.toml").write_text(toml(document))
    (tmp_path / "none.json").write_text("no JSON")
    (tmp_path / "out.js").write_text("old")
    done = buildapi("dump", what, "-o", "out.js", folder=tmp_path)
    assert done.code == 6
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-1].startswith("buildapi: ")
    assert (tmp_path / "out.js").read_text() == "old"
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_folder_that_is_not_there(farm: Path) -> None:
    done = buildapi("dump", "builds", "-o", "no/such/file", folder=farm)
    assert done.code == 1
    assert "No such file" in done.err
    assert "Traceback" not in done.err


def stopped_halfway(farm: Path, old: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Stop a dump while it writes."""
    old.write_text("old")
    program = [sys.executable, "-c", SLOW, "dump", "builds", "--days", "30", "-o", str(old)]
    with subprocess.Popen(program, cwd=farm, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 180
        while not any(p.stat().st_size for p in old.parent.glob(".*.tmp")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end, "it does not write"
            time.sleep(0.02)
        process.send_signal(number)
        _, errors = process.communicate(timeout=180)
    return subprocess.CompletedProcess(program, process.returncode, "", errors)


SLOW = """
import time
from buildapi.atomic_file import AtomicFile
write = AtomicFile.write
def slow(self, data):
    write(self, data)
    self._out.flush()
    time.sleep(1)
AtomicFile.write = slow
from buildapi.cli.main import root
root()
"""
"""The command, with a slow disk."""


def test_a_dump_that_is_killed_leaves_the_old_file(farm: Path, tmp_path: Path) -> None:
    done = stopped_halfway(farm, tmp_path / "out.js", signal.SIGKILL)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "out.js").read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_dump_that_is_told_to_end_tidies_up(
    farm: Path, tmp_path: Path, number: signal.Signals
) -> None:
    done = stopped_halfway(farm, tmp_path / "out.js", number)
    assert (done.returncode, done.stderr) == (130, "buildapi: interrupted\n")
    assert os.listdir(tmp_path) == ["out.js"]
    assert (tmp_path / "out.js").read_text() == "old"


def test_the_command_is_installed() -> None:
    assert os.access(COMMAND, os.X_OK)
