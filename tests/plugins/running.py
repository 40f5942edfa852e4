"""Run the plugin, within the tests or as Nagios does: its one line, its exit code."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest
from nagiosplugin import Runtime

from buildapi.nagios.command import main

ROOT = Path(__file__).parent.parent.parent
PLUGIN = ROOT / "plugins" / "check_buildapi"
KINDS = ("http", "pending", "backlog", "jobs", "agents", "queue", "masters", "db", "reports")
STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
NUMBER = r"-?\d+(?:\.\d+)?"
RANGE = rf"@?(?:~:|{NUMBER}:)?(?:{NUMBER})?"
PERFDATA = re.compile(rf"\w+={NUMBER}(?:s|%|B)?(?:;{RANGE};{RANGE};0)?")


@attrs.frozen
class Outcome:
    """What came of a run; ``output`` is all of standard output."""

    code: int
    output: str
    errors: str = ""

    @property
    def line(self) -> str:
        """The words of the status line."""
        return self.output.splitlines()[0].partition("|")[0].rstrip()

    @property
    def values(self) -> Mapping[str, str]:
        """The performance data by label, each with its unit and thresholds."""
        entries = self.output.partition("|")[2].split()
        return dict(entry.split("=", 1) for entry in entries)

    def check(self, kind: str) -> Outcome:
        """Hold it against the guidelines of the Monitoring Plugins."""
        assert self.code in range(4), self
        assert self.errors == ""
        assert "Traceback" not in self.output
        assert self.output.endswith("\n")
        assert len(self.output.splitlines()) == 1, self.output
        assert self.line.startswith(f"{kind.upper()} {STATES[self.code]} - "), self.line
        assert self.output.count("|") <= 1
        assert all(PERFDATA.fullmatch(e) for e in self.output.partition("|")[2].split()), self
        assert "error in the plugin" not in self.line
        assert all(c.isprintable() for c in self.output.rstrip("\n"))
        return self


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a run: "python3" is the interpreter of the tests."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **more}


def run(*arguments: str) -> Outcome:
    """Run the plugin's ``main`` within this process: many runs in the time of one process."""
    Runtime.instance = None  # a run has one, and keeps it
    output, errors = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        pytest.raises(SystemExit) as left,
    ):
        main(arguments)
    assert isinstance(left.value.code, int)
    return Outcome(left.value.code, output.getvalue(), errors.getvalue())


def run_process(*arguments: str, plugin: Path = PLUGIN, **variables: str) -> Outcome:
    """Run the plugin as a process of its own."""
    done = subprocess.run(
        [str(plugin), *arguments],
        capture_output=True,
        env=environment(**variables),
        timeout=180,
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def run_line(command: str, **variables: str) -> Outcome:
    """Run a command line by the shell, as Nagios and NRPE do."""
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        capture_output=True,
        text=True,
        env=environment(**variables),
        timeout=180,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def quoted(path: Path) -> str:
    """Write a path for a shell."""
    return shlex.quote(str(path))
