"""The Python 2.7 environment that Buildbot 0.8.2 needs, built once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
VIRTUALENV = "virtualenv==16.7.10"  # one of the last that Python 2.7 can run itself
BUILD_SECONDS = 300


class BuildError(Exception):
    """The environment cannot be built; the message holds the command and the end of its output."""


@attrs.frozen
class Python27:
    """A virtual environment with Buildbot 0.8.2 in it."""

    prefix: Path

    def command(self, script: str, *arguments: str) -> list[str]:
        """Spell a command; scripts are not run by their first line, which names a lost path."""
        scripts = self.prefix / "bin"
        return [str(scripts / "python"), str(scripts / script), *arguments]

    def works(self) -> bool:
        """Return whether Buildbot can be imported (an interpreter may be gone after an upgrade)."""
        python = self.prefix / "bin" / "python"
        if not python.exists():
            return False
        imports = [str(python), "-c", "import buildbot, buildslave, pymysql"]
        tried = subprocess.run(
            imports, env=plain_environment(), stderr=subprocess.DEVNULL, check=False
        )
        return tried.returncode == 0


def find_python27() -> str | None:
    """Find an interpreter: BUILDAPI_PYTHON27, then pyenv's 2.7.18, then python2.7 on PATH."""
    if chosen := os.environ.get("BUILDAPI_PYTHON27"):
        return chosen
    if pyenv := shutil.which("pyenv"):
        asked = subprocess.run(
            [pyenv, "prefix", "2.7.18"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            return str(Path(asked.stdout.strip()) / "bin" / "python2.7")
    return shutil.which("python2.7")


def plain_environment() -> dict[str, str]:
    """Return this process's environment without what would lead Python 2.7 to our own packages."""
    ours = {"PYTHONPATH", "PYTHONHOME", "PYTHONWARNINGS", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV"}
    return {key: value for key, value in os.environ.items() if key not in ours}


def environment(interpreter: str) -> Python27:
    """Return the cached environment, building it first where there is none.

    :raises BuildError: it cannot be built.
    """
    cache = Path(os.environ.get("BUILDAPI_CACHE") or HERE.parent.parent / ".cache")
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    built = Python27(cache.resolve() / f"buildbot-0.8.2-{digest}")
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "buildbot-0.8.2.lock"):
        if not built.works():
            shutil.rmtree(built.prefix, ignore_errors=True)
            _build(interpreter, built.prefix)
    return built


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that ends with the process, so that two runs never build at once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(interpreter: str, prefix: Path) -> None:
    """Build under a temporary name: an interrupted build never looks like a finished one."""
    with tempfile.TemporaryDirectory(dir=prefix.parent, prefix="building-") as folder:
        tool, new = Path(folder) / "tool", Path(folder) / "new"
        pip = ["install", "-qq", "--disable-pip-version-check", "--progress-bar", "off"]
        _run([sys.executable, "-m", "pip", *pip, "--target", str(tool), VIRTUALENV])
        _run([interpreter, str(tool / "virtualenv.py"), "-q", str(new)])
        python = str(new / "bin" / "python")
        _run([python, "-W", "ignore", "-m", "pip", *pip, "-r", str(REQUIREMENTS)])
        new.rename(prefix)


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise BuildError(f"Buildbot 0.8.2 cannot be built: {command}\n{done.stdout[-4000:]}")


if __name__ == "__main__":
    found = find_python27()
    if found is None:
        sys.exit("no Python 2.7: set BUILDAPI_PYTHON27")
    print(environment(found).prefix)
