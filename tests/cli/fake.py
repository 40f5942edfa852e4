"""A small server that answers as a test says, for what a real service does seldom."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import attrs


@attrs.frozen
class Asked:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@attrs.frozen
class Reply:
    """One answer; a body that is no bytes is sent as JSON.

    One that ``stays_open`` does not end before the test.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    stays_open: bool = False


@attrs.define
class Fake:
    """What was asked, and where the server is."""

    url: str = ""
    asked: list[Asked] = attrs.field(factory=list)


@contextmanager
def fake(answer: Callable[[Asked], Reply]) -> Iterator[Fake]:
    """Run a server on a free port of the loopback."""
    state, over = Fake(), Event()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = json.loads(self.rfile.read(length)) if length else None
            asked = Asked(self.command, self.path, dict(self.headers), body)
            state.asked.append(asked)
            reply = answer(asked)
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                self.wfile.write(data)
                if reply.stays_open:
                    over.wait()
            except OSError:  # who asked had enough
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield state
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent() -> Iterator[Fake]:
    """Run a server that takes requests and answers none of them."""
    over = Event()

    def answer(_: Asked) -> Reply:
        over.wait(30)
        return Reply()

    with fake(answer) as server:
        try:
            yield server
        finally:
            over.set()
