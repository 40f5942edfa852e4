"""The recorded farm, and what the program answered on it."""

from __future__ import annotations

import shutil
from pathlib import Path

import attrs
import pytest
import pytest_twisted
from twisted.internet import defer

from tests.golden.cases import read_cases
from tests.golden.client import Answer, ask
from tests.golden.databases import Files, fill_server, make_files
from tests.golden.program import program

ENGINES = ["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Write the recorded farm to SQLite files, to be copied."""
    return make_files(tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="module", params=ENGINES)
def urls(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return the URLs of databases that hold the recorded farm."""
    if request.param == "mariadb":
        return fill_server(request.getfixturevalue("mariadb"))
    files: Files = request.getfixturevalue("files")
    folder = tmp_path_factory.mktemp("databases")
    return {
        name: f"sqlite:{shutil.copy(path, folder)}" for name, path in attrs.asdict(files).items()
    }


@pytest.fixture(scope="module")
def answers(urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """Ask all reads of one program; give the answers by case.

    One program for all: with one per case most of the time would go to its starting.
    """
    asking = _ask_all(tmp_path_factory.mktemp("reads"), urls)
    answers: dict[str, Answer] = pytest_twisted.blockon(defer.ensureDeferred(asking))
    return answers


async def _ask_all(folder: Path, urls: dict[str, str]) -> dict[str, Answer]:
    async with program(folder, databases=urls) as running:
        return {c.name: await ask(running.port, c.recorded["request"]) for c in read_cases()}
