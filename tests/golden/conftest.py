"""The recorded farm, and what the program answered on it."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import defer

from tests.golden.cases import read_cases
from tests.golden.client import Answer, ask
from tests.golden.databases import Files, fill_server, make_files
from tests.golden.program import program
from tests.services.mariadb import start_mariadb

ENGINES = ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]


@pytest.fixture(scope="package", autouse=True)
def quick_collections() -> Iterator[None]:
    """Keep what is there before the first test out of the garbage collection after each."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Write the recorded farm to SQLite files, to be copied."""
    return make_files(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module", params=ENGINES)
def answers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Answer]]:
    """Ask all reads of one program; give the answers by case.

    One program for all: with one per case most of the time would go to its starting.
    """
    folder = tmp_path_factory.mktemp("reads")
    if request.param == "mariadb":
        server = start_mariadb()
        request.addfinalizer(server.remove)
        urls = fill_server(server)
    else:
        files: Files = request.getfixturevalue("files")
        urls = {
            name: f"sqlite:{shutil.copy(getattr(files, name), folder)}"
            for name in ("scheduler", "jobs", "status")
        }
    yield pytest_twisted.blockon(defer.ensureDeferred(_ask_all(folder, urls)))


async def _ask_all(folder: Path, urls: dict[str, str]) -> dict[str, Answer]:
    async with program(folder, databases=urls) as running:
        return {c.name: await ask(running.port, c.recorded["request"]) for c in read_cases()}
