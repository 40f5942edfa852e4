"""A service that answers what a test says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.answering import Answering, answering


@pytest.fixture(scope="session")
def answering_once() -> Iterator[Answering]:
    """Run one server for all tests."""
    with answering() as service:
        yield service


@pytest.fixture
def service(answering_once: Answering) -> Answering:
    """Return the server, healthy again."""
    answering_once.heal()
    return answering_once
