"""A headless Chromium, and visitors whose pages are watched for everything that goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    Response,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.browser.service import USER
from tests.services.policy import program

# The shell first: it draws what Chromium draws, in a quarter of the CPU time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SECONDS = 60
WIDE: ViewportSize = {"width": 1300, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 800}
NOT_LOADED = "Failed to load resource: the server responded with a status of "


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser that is installed; none is downloaded."""
    path = program(*NAMES)
    expect.set_options(timeout=1000 * SECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@attrs.define(eq=False, slots=False)  # Playwright keeps its wrappers of handlers on it
class Visitor:
    """Somebody with a browser profile of their own.

    ``troubles`` gathers what went wrong on the pages they saw; ``refusals`` are the statuses of
    400 and above that the test means to see.
    """

    context: BrowserContext
    base: str
    troubles: list[str] = attrs.field(factory=list)
    refusals: set[int] = attrs.field(factory=set)
    scripts: bool = True

    @classmethod
    def of(cls, browser: Browser, base: str, user: str | None = USER, **options: Any) -> Visitor:
        """Let a user, or nobody, visit a service; options are those of a browser context."""
        headers = {} if user is None else {"X-Remote-User": user}
        context = browser.new_context(
            base_url=base, extra_http_headers=headers, **{"viewport": WIDE, **options}
        )
        context.set_default_timeout(1000 * SECONDS)
        visitor = cls(context, base, scripts=options.get("java_script_enabled", True))
        context.on("console", visitor._said)
        context.on("weberror", lambda e: visitor._trouble(f"page error: {e.error}"))
        context.on("request", visitor._asked)
        context.on("requestfailed", visitor._failed)
        context.on("response", visitor._answered)
        context.on("dialog", visitor._dialog)
        return visitor

    def open(self, path: str) -> Page:
        """Open a page; it is loaded, and its scripts ran."""
        page = self.context.new_page()
        page.goto(path)
        return page

    def leave(self) -> None:
        """Close all pages; :raises AssertionError: something went wrong on one."""
        for page in self.context.pages:
            page.title()  # whatever happened until now has been told after this
        self.context.close()
        assert not self.troubles, "\n".join(["on the pages visited:", *self.troubles])

    def _trouble(self, words: str) -> None:
        self.troubles.append(words)

    def _said(self, message: ConsoleMessage) -> None:
        meant = any(message.text.startswith(f"{NOT_LOADED}{n} ") for n in self.refusals)
        if message.type in ("error", "warning") and not meant:
            self._trouble(f"console {message.type}: {message.text} ({message.location})")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.base}/", "data:")):
            self._trouble(f"asked another host: {request.url}")

    def _failed(self, request: Request) -> None:
        # A page that is left ends its stream of events, and what it was reading again.
        reading = request.method == "GET" and request.resource_type in ("eventsource", "fetch")
        reading = reading or "format=csv" in request.url  # a file that is kept is no page
        # Chromium says "csp" of modules to preload where its user turned scripts off.
        off = request.failure == "csp" and "/static/scripts/" in request.url and not self.scripts
        if not off and (not reading or request.failure != "net::ERR_ABORTED"):
            self._trouble(f"failed: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500 and response.status not in self.refusals:
            self._trouble(f"answered {response.status}: {response.request.method} {response.url}")

    def _dialog(self, dialog: Dialog) -> None:
        self._trouble(f"dialog {dialog.type}: {dialog.message}")
        dialog.dismiss()
