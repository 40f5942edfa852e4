"""A program behind a proxy: it keeps what it was sent, and answers, breaks off or trickles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import attrs


@attrs.frozen
class Sent:
    """A request as it arrived; ``headers`` keep their spelling and order."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def all(self, name: str) -> list[str]:
        """Return all values of a header, however it is spelled, with - or _."""
        wanted = name.lower().replace("_", "-")
        return [v for k, v in self.headers if k.lower().replace("_", "-") == wanted]


@attrs.define
class Upstream:
    """What it was ``sent``; with ``breaks`` it takes requests and gives no answer."""

    port: int
    sent: list[Sent] = attrs.field(factory=list)
    breaks: bool = False
    go_on: Event = attrs.field(factory=Event)


@contextmanager
def upstream(port: int) -> Iterator[Upstream]:
    """Run one."""
    state = Upstream(port)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = tuple(self.headers.items())
            state.sent.append(Sent(self.command, self.path, headers, body))
            self.close_connection = True
            if state.breaks:
                return
            if self.path.endswith("/events"):
                self._trickle()
                return
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"ok")

        do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = _any

        def _trickle(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"data: 1\n\n")
            self.wfile.flush()
            state.go_on.wait(20)
            self.wfile.write(b"data: 2\n\n")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
