"""A small HTTP server that answers as a healthy service would, or as a broken one."""

from __future__ import annotations

import contextlib
import copy
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs

HEALTHY = json.loads((Path(__file__).parent / "healthy.json").read_text(encoding="utf-8"))
BRANCHES = {"mozilla-central": {"repo": "https://hg.example.org/mozilla-central"}}
FAILED = [
    {
        "id": 4700,
        "state": "failed",
        "action": "rebuild_build",
        "when": 1789938000,
        "completed_at": 1789999000,
    }
]


def healthy() -> dict[str, Any]:
    """Return a status document that tests may break."""
    document: dict[str, Any] = copy.deepcopy(HEALTHY)
    return document


@attrs.frozen
class Page:
    """What to answer; ``then`` writes what no well-behaved server would after it."""

    body: bytes
    status: int = 200
    kind: str = "application/json"
    reason: str | None = None
    length: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    then: Callable[[Any], None] | None = None

    @classmethod
    def of(cls, value: Any, status: int = 200) -> Page:
        """Make a JSON document."""
        return cls(json.dumps(value).encode(), status)


@attrs.define(eq=False)
class Answering:
    """Pages by path, and the requests that came: target and headers."""

    port: int = 0
    pages: dict[str, Page] = attrs.field(factory=dict)
    requests: list[tuple[str, dict[str, str]]] = attrs.field(factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def status(self, document: Any) -> None:
        """Set the answer to /status."""
        self.pages["/status"] = Page.of(document)

    def every(self, page: Page) -> None:
        """Answer the same to everything."""
        self.pages = dict.fromkeys(PATHS, page)

    def heal(self) -> None:
        """Answer as a healthy service does."""
        self.pages = {
            "/status": Page.of(HEALTHY),
            "/self-serve/jobs": Page.of(FAILED),
            "/self-serve/branches": Page.of(BRANCHES),
        }
        self.requests.clear()


PATHS = ("/status", "/self-serve/jobs", "/self-serve/branches")


@contextlib.contextmanager
def answering(tls: Path | None = None) -> Iterator[Answering]:
    """Run a server on a free loopback port; ``tls`` is a folder with server.pem and server.key."""
    service = Answering(scheme="https" if tls else "http")
    service.heal()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            service.requests.append((self.path, dict(self.headers)))
            page = service.pages.get(self.path.partition("?")[0], Page(b"{}", 404))
            self.send_response(page.status, page.reason)
            self.send_header("Content-Type", page.kind)
            length = len(page.body) if page.length is None else page.length
            self.send_header("Content-Length", str(length))
            for name, value in page.headers:
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(page.body)
                if page.then is not None:
                    page.then(self)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:  # clients that go away early are meant to
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "server.pem", tls / "server.key")
            server.socket = context.wrap_socket(server.socket, server_side=True)
        service.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield service
        finally:
            server.shutdown()
            thread.join()


def drip(handler: Any) -> None:
    """Go on with a byte now and then, for a minute at most: no pause of it is a silence."""
    with contextlib.suppress(OSError):
        for _ in range(300):
            handler.wfile.write(b" ")
            time.sleep(0.2)
