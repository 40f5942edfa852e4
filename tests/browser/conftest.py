"""A browser, a sample farm to look at, and visitors."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Visitor, chromium
from tests.browser.places import Places
from tests.browser.service import USER, sample_farm
from tests.e2e.service import Client, Service

Visit = Callable[..., Visitor]


@contextmanager
def running(service: Service) -> Iterator[Service]:
    """Run a service for as long as it is needed."""
    try:
        service.up()
        yield service
    finally:
        service.stop()


# Not longer than the package: while Playwright runs, asyncio of other tests could not.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Run one browser; each visitor has a profile of their own."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="package")
def farm(browser: Browser) -> Iterator[Service]:
    """Run a sample farm for all tests; each acts on rows of its own."""
    del browser  # asked for first, so that nothing is started where there is none
    folder = Path(tempfile.mkdtemp(prefix="buildapi-browser-"))
    try:
        with running(sample_farm(folder)) as service:
            yield service
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def client(farm: Service) -> Client:
    """Ask the farm for JSON."""
    return farm.client


@pytest.fixture(scope="package")
def places(farm: Service) -> Places:
    """Know where there is something to see."""
    return Places.of(farm)


@pytest.fixture
def visit(browser: Browser, farm: Service) -> Iterator[Visit]:
    """Make visitors; when the test is over, nothing may have gone wrong on their pages."""
    visitors: list[Visitor] = []

    def make(user: str | None = USER, at: Service = farm, **options: Any) -> Visitor:
        visitors.append(Visitor.of(browser, at.client.url, user, **options))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.leave()
