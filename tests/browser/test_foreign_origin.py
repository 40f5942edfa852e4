"""A page of another site, in the browser of somebody whom the proxy knows, does and reads nothing.

Unlike tests/web/test_csrf.py, nothing here says which headers a browser sends: it sends its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.conftest import running
from tests.browser.service import BRANCH, USER, quick, served
from tests.e2e.service import Client, Service

pytestmark = pytest.mark.chromium

FORM = """([url, fields]) => {
    const form = document.createElement("form");
    Object.assign(form, { method: "POST", action: url });
    for (const [name, value] of Object.entries(fields)) {
        form.append(Object.assign(document.createElement("input"), { name, value }));
    }
    document.body.append(form);
    form.submit();
}"""
"""Send a form as navigation, which no browser asks permission for."""

FETCH = """async ([url, fields, type, mode]) => {
    const text = new URLSearchParams(fields).toString();
    const body = type === "application/json" ? JSON.stringify(fields) : text;
    try {
        const answer = await fetch(url, {
            method: "POST", mode, credentials: "include", body,
            headers: { "Content-Type": type, Accept: "application/json" },
        });
        return `${answer.type} ${answer.status}`;
    } catch (error) {
        return "not sent or not read";
    }
}"""

READ = """async url => {
    try {
        return await (await fetch(url, { credentials: "include" })).text();
    } catch (error) {
        return "not read";
    }
}"""

FRAME = """url => new Promise(done => {
    const frame = document.createElement("iframe");
    frame.onload = () => {
        let seen = "another origin";
        try { seen = frame.contentDocument?.body?.innerText ?? seen; } catch (error) { }
        done(seen);
    };
    frame.src = url;
    document.body.append(frame);
})"""


class Other(BaseHTTPRequestHandler):
    """Serve an empty page for every path."""

    def do_GET(self) -> None:
        """Answer."""
        body = b"<!DOCTYPE html><title>another site</title><body>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def other_port() -> Iterator[int]:
    """Serve another site; return its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


@contextmanager
def victim(browser: Browser, origin: str) -> Iterator[Page]:
    """Visit a page of an origin as somebody whom the proxy in front of the service knows."""
    context = browser.new_context(extra_http_headers={"X-Remote-User": USER})
    try:
        page = context.new_page()
        page.goto(f"{origin}/")
        yield page
    finally:
        context.close()


def jobs(client: Client) -> int:
    """Return the number of the newest job request."""
    found = client.get("/self-serve/jobs").body
    return max((job["id"] for job in found), default=0)


# Another port is another origin of the same site, another name of the host another site.
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["same site", "another site"])
def test_a_page_of_another_origin_sends_no_job_request(
    browser: Browser, farm: Service, client: Client, other_port: int, host: str
) -> None:
    url = f"{client.url}/self-serve/{BRANCH}/build"
    fields = {"build_id": str(quick(client)["build_id"])}
    before = jobs(client)
    form = "application/x-www-form-urlencoded"
    with victim(browser, f"http://{host}:{other_port}") as page:
        assert page.evaluate(FETCH, [url, fields, form, "no-cors"]) == "opaque 0"
        assert page.evaluate(FETCH, [url, fields, "text/plain", "no-cors"]) == "opaque 0"
        for type_ in (form, "application/json"):
            assert page.evaluate(FETCH, [url, fields, type_, "cors"]) == "not sent or not read"
        with page.expect_response(url) as answer:
            page.evaluate(FORM, [url, fields])
        assert answer.value.status == 403

    assert jobs(client) == before
    token = f"{client.url}/self-serve/tokens"
    with victim(browser, f"http://{host}:{other_port}") as page:
        with page.expect_response(token) as answer:
            page.evaluate(FORM, [token, {"label": "stolen"}])
        assert answer.value.status == 403


def test_a_page_of_another_origin_reads_nothing_and_shows_no_frame(
    browser: Browser, farm: Service, client: Client, other_port: int
) -> None:
    whoami = f"{client.url}/self-serve/whoami?format=json"
    with victim(browser, f"http://localhost:{other_port}") as page:
        assert page.evaluate(READ, whoami) == "not read"
        seen = page.evaluate(FRAME, f"{client.url}/self-serve/{BRANCH}")
        assert BRANCH not in seen
        framed = [frame.url for frame in page.frames if frame is not page.main_frame]
        assert framed == ["chrome-error://chromewebdata/"]


def test_a_page_of_an_allowed_origin_sends_job_requests_but_creates_no_token(
    browser: Browser, tmp_path: Path, other_port: int
) -> None:
    origin = f"http://localhost:{other_port}"
    sample = {"enabled": True, "builds": 300, "days": 2, "push_seconds": 0}
    service = served(tmp_path / "farm", {"sample": sample}, allowed_origins=[origin])
    with running(service), victim(browser, origin) as page:
        client = service.client
        url = f"{client.url}/self-serve/{BRANCH}/build"
        fields = {"build_id": str(quick(client)["build_id"])}
        assert page.evaluate(FETCH, [url, fields, "application/json", "cors"]) == "cors 202"
        with page.expect_response(url) as answer:
            page.evaluate(FORM, [url, fields])
        assert answer.value.status == 302  # on to the job
        page.goto(f"{origin}/")

        token = f"{client.url}/self-serve/tokens"
        with page.expect_response(token) as answer:
            page.evaluate(FORM, [token, {"label": "stolen"}])
        assert answer.value.status == 403
