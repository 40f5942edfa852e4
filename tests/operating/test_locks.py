"""One process has a data folder and its SQLite files; another is told which, in one line."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildapi.assembly.databases import files_to_lock
from buildapi.config import Config, load, sample_config
from buildapi.config.load import from_mapping
from buildapi.errors import ConfigError
from buildapi.ops.file_locks import FileLocks, lock_files
from tests.e2e.test_twistd import run
from tests.operating.conftest import Place

ME = f"process {os.getpid()} on {platform.node()}"


def lock(config: Config) -> FileLocks:
    """Lock what a process of this configuration locks."""
    return lock_files(config.service.data, files_to_lock(config))


@pytest.fixture
def engine() -> str:
    """Only files have locks of ours."""
    return "sqlite"


@pytest.fixture
def sample(tmp_path: Path) -> Config:
    return sample_config(tmp_path / "data", None)


@pytest.fixture
def held(sample: Config) -> Iterator[FileLocks]:
    locks = lock(sample)
    yield locks
    locks.release()


def configured(folder: Path, **databases: str) -> Config:
    """Return the configuration of a process with a data folder of its own."""
    document = {
        "service": {"data": str(folder / "own")},
        "sample": {"enabled": True},
        "databases": {name: {"url": f"sqlite:{file}"} for name, file in databases.items()},
    }
    return from_mapping(document, file=folder / "b.toml", environ={})


def test_a_second_process_on_the_data_folder_is_refused_and_told_who_has_it(
    sample: Config, held: FileLocks
) -> None:
    with pytest.raises(ConfigError) as caught:
        lock(sample)
    assert str(caught.value) == f"the data folder {sample.service.data} is in use by {ME}"
    held.release()
    lock(sample).release()


@pytest.mark.parametrize("name", ["jobs", "scheduler", "status"])
@pytest.mark.usefixtures("held")
def test_a_second_process_on_the_same_sqlite_file_is_refused_whatever_its_data_folder(
    sample: Config, tmp_path: Path, name: str
) -> None:
    file = sample.service.data / f"{name}.sqlite"
    file.touch()
    link = tmp_path / "link.sqlite"
    link.symlink_to(file)
    for path in (file, link):
        with pytest.raises(ConfigError) as caught:
            lock(configured(tmp_path, **{name: str(path)}))
        assert str(caught.value) == f"the database {file} is in use by {ME}"
    lock(configured(tmp_path)).release()  # nothing of a refused start is held


@pytest.mark.usefixtures("held")
def test_a_second_run_ends_with_one_line(sample: Config, tmp_path: Path) -> None:
    done = run(tmp_path, "-n", "--pidfile=", "buildapi", "--sample", "--data", "data")
    assert done.returncode == 1
    assert done.stderr == f"buildapi: the data folder {sample.service.data} is in use by {ME}\n"
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("data", ["file/below", "/proc/nowhere", "/proc"])
def test_a_data_folder_that_cannot_be_used_ends_it_with_one_line(tmp_path: Path, data: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as caught:
        lock(sample_config(tmp_path / data, None))
    said = r".*data.* (must be a folder|cannot create|cannot write).*"
    assert re.fullmatch(said, str(caught.value))
    assert str(tmp_path / data) in str(caught.value)


def test_commands_of_operators_work_beside_the_service(place: Place) -> None:
    place.configure()
    locks = lock(load(place.folder / "buildapi.toml"))
    try:
        for command in (("db", "upgrade"), ("db", "status")):
            assert place.run(*command).code == 0
    finally:
        locks.release()
