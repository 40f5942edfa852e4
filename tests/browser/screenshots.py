"""Take pictures of the pages of a sample farm: python -m tests.browser.screenshots FOLDER."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.browser.chromium import NARROW, Visitor, chromium
from tests.browser.palette_png import small_png
from tests.browser.places import PAGES, Places
from tests.browser.service import ZONE, sample_farm, submit
from tests.e2e.service import Service

BUILDS = 3000


class Look(NamedTuple):
    """How a page is looked at."""

    suffix: str
    options: Mapping[str, Any]


SIZE: ViewportSize = {"width": 1280, "height": 720}
LIGHT = Look("", {"viewport": SIZE})
DARK = Look("-dark", {"viewport": SIZE, "color_scheme": "dark"})
NARROWLY = Look("-narrow", {"viewport": NARROW})
SHOWN: Mapping[str, Sequence[Look]] = {
    "home": (LIGHT,),
    "pushes of a branch": (LIGHT, DARK, NARROWLY),
    "day": (LIGHT, NARROWLY),
    "revision": (LIGHT,),
    "build, failed": (LIGHT,),
    "question": (LIGHT,),
    "plan of a cancel": (LIGHT,),
    "new builds": (LIGHT,),
    "jobs": (LIGHT,),
    "job": (LIGHT,),
    "pending": (LIGHT,),
    "status": (LIGHT,),
    "waittimes": (LIGHT,),
}
"""Pages that the documentation shows; ``--all`` takes every page in every way."""


def main(arguments: list[str]) -> int:
    """Write the pictures; give the exit code."""
    every, folders = "--all" in arguments, [a for a in arguments if a != "--all"]
    if len(folders) != 1:
        print("Usage: python -m tests.browser.screenshots [--all] FOLDER", file=sys.stderr)
        return 2
    folder = Path(folders[0])
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="buildapi-pictures-") as data, chromium() as browser:
        service = sample_farm(Path(data), builds=BUILDS)
        try:
            service.up()
            _take(browser, service, folder, every)
        finally:
            service.stop()
    return 0


def _take(browser: Browser, service: Service, folder: Path, every: bool) -> None:
    places = Places.of(service)
    submit(service, 12, builder="Linux x86-64 mozilla-central valgrind")
    empty = browser.new_page()
    for name in PAGES if every else SHOWN:
        for look in (LIGHT, DARK, NARROWLY) if every else SHOWN[name]:
            visitor = Visitor.of(browser, service.client.url, timezone_id=ZONE, **look.options)
            page = visitor.context.new_page()
            PAGES[name].visit(page, places)
            _picture(page, empty, folder / f"{_file(name)}{look.suffix}.png")
            visitor.context.close()
    _panel(browser, service, places, folder)
    empty.close()


def _panel(browser: Browser, service: Service, places: Places, folder: Path) -> None:
    """Show the panel of a job that failed, beside the list of pushes."""
    visitor = Visitor.of(browser, service.client.url, timezone_id=ZONE, viewport=SIZE)
    page = visitor.open(places.path("/self-serve/{branch}/pushes"))
    page.locator(".job.failure").first.click()
    expect(page.locator("#panel")).to_contain_text("Builder")
    empty = visitor.context.new_page()
    _picture(page, empty, folder / "panel.png")
    visitor.context.close()


def _picture(page: Page, empty: Page, path: Path) -> None:
    page.evaluate("document.fonts.ready")
    path.write_bytes(small_png(empty, page.screenshot(animations="disabled", caret="hide")))


def _file(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.lower())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
