"""A clobberer for tests: an HTTP server in a thread that keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs


@attrs.define
class Clobberer:
    """What it was asked: the bearer token and the JSON document of each call."""

    url: str
    asked: list[tuple[str, Any]] = attrs.field(factory=list)


@contextmanager
def clobberer() -> Iterator[Clobberer]:
    """Listen on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            document = json.loads(self.rfile.read(length))
            known.asked.append((self.headers["Authorization"], document))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Clobberer(f"http://127.0.0.1:{server.server_port}/clobber")
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        serving.join()
