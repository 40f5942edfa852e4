"""The wheel and the source archive: what is in them, and that they install and uninstall clean."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from buildapi import __version__
from tests.e2e.service import Service
from tests.services.mariadb import free_port

ROOT = Path(__file__).parents[2]
NOT_CODE = ("*.pyc", "__pycache__", "dropin.cache", "*.egg-info")
PLUGIN = "twisted/plugins/buildapi_plugin.py"


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both from a copy, the wheel from the archive as ``make dist`` does."""
    folder = tmp_path_factory.mktemp("packages")
    source = folder / "source"
    source.mkdir()
    for name in ("buildapi", "twisted", "deploy", "docs", "plugins", ".ci"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns(*NOT_CODE))
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", ".", folder=source)
    return folder / "dist"


def files(folder: Path) -> set[str]:
    """List what a checkout has of the package and its plugin."""
    return {
        str(p.relative_to(ROOT))
        for p in (ROOT / folder).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts and p.suffix != ".pyc"
    }


def test_the_wheel_holds_the_package_and_one_plugin(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if ".dist-info/" not in n}
    (data,) = {n.partition("/")[0] for n in names if ".data/" in n}
    manual = {f"{data}/data/share/man/man1/{p.name}" for p in (ROOT / "docs" / "man").glob("*.1")}
    assert manual
    assert names == files(Path("buildapi")) | {PLUGIN} | manual
    assert "buildapi/py.typed" in names


def test_the_archive_is_small(built: Path, tmp_path: Path) -> None:
    check = ROOT / ".ci" / "check-size"
    run(check, *built.glob("*.tar.gz"), folder=built)
    big = tmp_path / "big.tar.gz"
    big.write_bytes(bytes(3_000_001))
    with pytest.raises(AssertionError, match="more than"):
        run(check, big, folder=built)


def test_the_archive_holds_all_that_an_operator_needs(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {n.name.partition("/")[2] for n in archive.getmembers() if n.isfile()}
    folders = ("buildapi", "deploy", "docs", "plugins")
    wanted = {PLUGIN, ".ci/find-python"}.union(*(files(Path(folder)) for folder in folders))
    assert wanted <= names
    assert {"buildapi.example.toml", "LICENSE", "CHANGELOG.md", "README.md"} <= names
    assert not {n for n in names if n.startswith("tests/") or n.endswith(".pyc")}


def pip_for(environment: Path) -> Sequence[str | Path]:
    """Return the command of our pip that works on an environment, which then needs none."""
    python = environment / "bin" / "python"
    return [sys.executable, "-m", "pip", "-q", "--python", python]


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Install the wheel into an environment of its own."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=built)
    (wheel,) = built.glob("*.whl")
    run(*pip_for(folder), "install", "--no-compile", wheel, folder=built)
    yield folder
    shutil.rmtree(folder)


def test_an_installed_wheel_runs_and_goes_without_a_trace(installed: Path, tmp_path: Path) -> None:
    binaries = installed / "bin"
    version = run(binaries / "buildapi", "--version", folder=tmp_path)
    assert __version__ in version
    assert " buildapi " in run(binaries / "twistd", "--help", folder=tmp_path)
    port = free_port()
    command = ["-n", "--pidfile=", "buildapi", "--sample", "--data", str(tmp_path / "data")]
    service = Service(
        folder=tmp_path,
        command=[
            str(binaries / "twistd"),
            *command,
            f"--listen=tcp:{port}:interface=127.0.0.1",
        ],
        environment={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
        port=port,
    )
    try:
        service.up()
        assert service.client.get("/self-serve/branches").status == 200
    finally:
        service.kill()
    run(*pip_for(installed), "uninstall", "--yes", "buildapi", folder=tmp_path)
    left = [p for p in installed.rglob("*buildapi*") if "__pycache__" not in p.parts]
    assert left == []
