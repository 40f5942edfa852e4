"""Names without a rule, from a shell."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner, Result

from buildapi.cli.main import root
from tests.browser.service import sample_farm

FOUND = {
    "builders": 3,
    "slaves": 1,
    "unmatched": {"platform": ["a\x1b[31m", "b"], "slave_silo": []},
}


class Stub(BaseHTTPRequestHandler):
    status, body = 200, json.dumps(FOUND).encode()
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def stub() -> Iterator[HTTPServer]:
    Stub.status, Stub.body = 200, json.dumps(FOUND).encode()
    Stub.asked.clear()
    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def run(server: HTTPServer, *more: str) -> Result:
    url = f"http://127.0.0.1:{server.server_port}"
    return CliRunner().invoke(root, ["names", "--url", url, *more])


def test_names_are_listed_by_group_and_do_nothing_to_the_terminal(stub: HTTPServer) -> None:
    result = run(stub, "--hours", "5")
    assert result.exit_code == 0
    assert result.stdout == "platform\ta\ufffd[31m\nplatform\tb\n"
    assert result.stderr == "2 of 4 names match no rule\n"
    assert Stub.asked == ["/reports/names?format=json&hours=5"]


def test_scripts_get_what_the_service_says(stub: HTTPServer) -> None:
    assert json.loads(run(stub, "--json").stdout) == FOUND


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (503, b'{"msg": "not\\u001b yet"}', "answered 503 not\ufffd yet"),
        (200, b"[]", "answered 200"),
        (200, b'{"unmatched": {"a": 1}, "builders": 1, "slaves": 1}', "answered 200"),
        (200, b"<html>", "/reports/names: "),
    ],
)
def test_what_is_no_report_is_said(stub: HTTPServer, status: int, body: bytes, words: str) -> None:
    Stub.status, Stub.body = status, body
    result = run(stub)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.stderr


def test_nobody_there_is_said() -> None:
    result = CliRunner().invoke(root, ["names", "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "http://127.0.0.1:1/reports/names: " in result.stderr


def test_of_a_running_farm() -> None:
    with tempfile.TemporaryDirectory(prefix="buildapi-names-") as folder:
        service = sample_farm(Path(folder), builds=100)
        try:
            service.up()
            url = service.client.url
            result = CliRunner().invoke(root, ["names", "--url", url, "--hours", "96"])
        finally:
            service.stop()
    assert result.exit_code == 0, result.stderr
    assert "build_type\tfuzzer-" in result.stdout
