"""Take pictures of the pages of a sample farm: python -m tests.browser.screenshots FOLDER."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import NARROW, WIDE, Visitor, chromium
from tests.browser.places import PAGES, Places
from tests.browser.service import ZONE, quick, sample_farm, submit
from tests.e2e.service import Service

BUILDS = 3000


class Look(NamedTuple):
    """How a page is looked at."""

    suffix: str
    options: Mapping[str, Any]


LIGHT = Look("", {"viewport": WIDE})
DARK = Look("-dark", {"viewport": WIDE, "color_scheme": "dark"})
NARROWLY = Look("-narrow", {"viewport": NARROW})
MORE = {
    "day": (DARK, NARROWLY),
    "home": (DARK, NARROWLY),
    "waittimes": (DARK, NARROWLY),
    "report of slaves": (DARK,),
}
"""Pages that are looked at in more than one way; ``--all`` looks at all of them so."""


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
    for name in PAGES:
        looks = (LIGHT, DARK, NARROWLY) if every else (LIGHT, *MORE.get(name, ()))
        for look in looks:
            visitor = Visitor.of(browser, service.client.url, timezone_id=ZONE, **look.options)
            page = visitor.context.new_page()
            PAGES[name].visit(page, places)
            _picture(page, folder / f"{_file(name)}{look.suffix}.png")
            visitor.context.close()
    _followed(browser, service, places, folder)


def _followed(browser: Browser, service: Service, places: Places, folder: Path) -> None:
    """Show a day on which something was just asked for."""
    visitor = Visitor.of(browser, service.client.url, timezone_id=ZONE)
    page = visitor.open(places.path("/self-serve/{branch}?date={day}"))
    row = page.locator(f"#build-{quick(service.client)['build_id']}")
    if not row.count():
        row = page.locator("tr[data-kind=build]").first
    row.locator("input[type=submit][value=rebuild]").click()
    expect(page.get_by_role("status").locator(".state")).to_have_text("done", timeout=180_000)
    page.locator("input[name=item]").first.check()
    _picture(page, folder / "day-followed.png")
    visitor.context.close()


def _picture(page: Page, path: Path) -> None:
    page.evaluate("document.fonts.ready")
    page.screenshot(path=path, animations="disabled", caret="hide")


def _file(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.lower())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
