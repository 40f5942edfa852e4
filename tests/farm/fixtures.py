"""Fixtures for tests with real masters; a conftest imports those it needs.

Tests that use them carry the mark ``buildbot``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.farm.farm import Farm
from tests.farm.python27 import BuildError, Python27, environment, find_python27
from tests.services import policy

MakeFarm = Callable[..., Farm]


@pytest.fixture(scope="session")
def python27() -> Python27:
    """Return the environment with Buildbot 0.8.2; built, in half a minute, where it is missing."""
    interpreter = find_python27()
    if interpreter is None:
        policy.missing(
            "Python 2.7", "pyenv install 2.7.18, or set BUILDAPI_PYTHON27=/path/to/python2.7"
        )
    try:
        return environment(interpreter)
    except BuildError as e:
        pytest.fail(str(e), pytrace=False)


def _make_farms(python27: Python27, folders: pytest.TempPathFactory) -> Iterator[MakeFarm]:
    with ExitStack() as farms:

        def make(db_url: str | None = None, folder: Path | None = None) -> Farm:
            """Make an empty farm on a database, by default one on SQLite."""
            farm = Farm.create(folder or folders.mktemp("farm"), python27, db_url)
            farms.callback(farm.close)
            return farm

        yield make


@pytest.fixture
def make_farm(python27: Python27, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeFarm]:
    """Make farms that end with the test."""
    yield from _make_farms(python27, tmp_path_factory)


@pytest.fixture(scope="module")
def make_module_farm(
    python27: Python27, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeFarm]:
    """Make farms that all tests of a module use."""
    yield from _make_farms(python27, tmp_path_factory)
