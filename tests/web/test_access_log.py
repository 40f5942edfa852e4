"""The access log: a line for every answer, which no client can forge."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.redaction import hidden_in_url
from buildapi.web.http.access_log import AccessLog, as_json, as_text, client_of
from buildapi.web.http.auth import Authenticator
from tests.reactor import twisted_test, until
from tests.web.client import JSON
from tests.web.client import request as spelled
from tests.web.conftest import ZOE, Serve, Served

AT = datetime(2026, 11, 27, 22, 49, 25, 46_000, UTC)
FACTS = {
    "client": "10.0.0.7",
    "user": "zoë@example.org",
    "method": "GET",
    "uri": "/self-serve/jobs",
    "protocol": "HTTP/1.1",
    "referer": "",
    "agent": 'curl "8"',
    "status": 200,
    "bytes": 2,
    "seconds": 0.01234,
    "trace": "rid-1",
}
LINE = re.compile(
    r'(\S+) - (\S+) \[([^\]]+)\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)" (\S+) (\d+\.\d{4})'
)


def test_a_line_is_in_the_combined_format_with_id_and_seconds_after_it() -> None:
    assert as_text(FACTS, AT) == (
        "10.0.0.7 - zo\\xc3\\xab@example.org [27/Nov/2026:22:49:25 +0000]"
        ' "GET /self-serve/jobs HTTP/1.1" 200 2 "-" "curl \\x228\\x22" rid-1 0.0123'
    )


def test_a_json_line_has_all_of_it() -> None:
    told = json.loads(as_json(FACTS, AT))
    shown = {name: value for name, value in FACTS.items() if value != ""}
    head = {"ts": "2026-11-27T22:49:25.046Z", "level": "info", "ns": "access"}
    assert told == head | shown


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries(
        {name: st.text() for name, value in FACTS.items() if isinstance(value, str)}
    )
)
def test_whatever_is_sent_it_is_one_line_of_as_many_fields(sent: dict[str, str]) -> None:
    facts = FACTS | sent | {"trace": "rid-1"}
    line = as_text(facts, AT)
    assert line.isascii()
    assert line.isprintable()
    assert LINE.fullmatch(line)
    told = as_json(facts, AT)
    assert told.isascii()
    assert len(told.splitlines()) == 1
    assert json.loads(told)["status"] == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.7", [""], "10.0.0.7"),
        ("10.0.0.7", ["192.0.2.1"], "10.0.0.7"),
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("unix", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.9", "192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1", "127.0.0.1"], "192.0.2.1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ['"x" 200'], "127.0.0.1"),
    ],
)
def test_only_trusted_proxies_tell_who_asks(peer: str, forwarded: list[str], client: str) -> None:
    auth = Authenticator.of("X-Remote-User", ["127.0.0.1", "unix"], "")
    assert client_of(peer, forwarded, auth) == client


@attrs.define
class Sink:
    """Keep what is written."""

    lines: list[str] = attrs.field(factory=list)

    def write(self, text: str) -> None:
        self.lines.append(text)


def told(path: Path) -> list[re.Match[str]]:
    found = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    assert all(found), path.read_text()
    return [match for match in found if match]


@twisted_test(8)
async def test_every_answer_has_its_line_with_the_id_it_was_given(
    serve: Serve, tmp_path: Path
) -> None:
    path = tmp_path / "access.log"
    served = serve(access_log=path)
    headers = {**JSON, **ZOE, "X-Forwarded-For": "192.0.2.1", "User-Agent": "a\tb"}
    good = await served.ask("GET", "/self-serve/jobs", headers)
    bad = await served.ask("GET", b'/nothing"x', JSON)
    large = await served.ask("POST", "/self-serve/try/build", ZOE, {"x": "y" * 9000})
    lines = told(path)
    assert [line[5] for line in lines] == ["200", str(bad.status), "413"]
    assert [line[9] for line in lines[:1]] == [good.headers["x-request-id"]]
    assert lines[2][9] == large.headers["x-request-id"]
    assert (lines[0][1], lines[0][2]) == ("192.0.2.1", "zo\\xc3\\xab@example.org")
    assert lines[0][8] == "a\\x09b"
    assert lines[2][4] == "POST /self-serve/try/build HTTP/1.1"


@twisted_test(8)
async def test_a_line_of_pipelined_requests_each(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    served = serve(access_log=path)
    wire = await served.wire()
    wire.send(spelled("GET", "/self-serve/jobs", JSON, last=False))
    wire.send(spelled("GET", "/self-serve/nothing", JSON))
    one, two = await wire.answers("GET", "GET")
    await wire.closed
    assert [line[9] for line in told(path)] == [a.headers["x-request-id"] for a in (one, two)]


@twisted_test(8)
async def test_who_leaves_before_the_answer_has_a_line_too(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    served = serve(access_log=path)
    job = await served.ask("DELETE", "/self-serve/try/build/12", {**JSON, **ZOE})
    assert job.status == 202
    await _left(served, spelled("GET", f"/self-serve/jobs/{job.json['request_id']}?wait=60", JSON))
    await _left(served, spelled("GET", "/self-serve/events", JSON), b"event: hello")
    await _left(served, b"GET /self-serve/jobs HTTP/1.1\r\nHost: never asked to the end\r\n")
    _, waiting, listening = told(path)
    assert (waiting[5], waiting[6]) == ("499", "-")
    assert listening[5] == "200"
    assert int(listening[6]) > 0


async def _left(served: Served, sent: bytes, after: bytes = b"") -> None:
    """Send a request, and leave once there is some of an answer."""
    wire = await served.wire()
    wire.send(sent)
    await until(lambda: bool(served.in_flight) and after in wire.received)
    wire.close()
    await until(lambda: not served.in_flight)


def test_it_writes_one_text_for_a_request() -> None:
    sink = Sink()
    log = AccessLog(sink, lambda: 0.0, json=True)
    log(Asked())
    (line,) = sink.lines
    assert line.endswith("\n")
    assert json.loads(line)["uri"] == "/x\xe9"


class Asked:
    """A request as far as the log uses it."""

    method, uri, clientproto, code, sentLength = b"GET", b"/x\xe9", b"HTTP/1.1", 200, "-"
    client_address, who, trace, seconds = "127.0.0.1", None, "rid", 0.5

    def text_header(self, _name: str) -> Any:
        return ""


# --- secrets


TOKEN = "bapi_" + "Ab-_9" * 8 + "xyz"
PERCENT = "%62%61%70%69_" + TOKEN[5:]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"/self-serve/whoami?token={TOKEN}", "/self-serve/whoami?token=***"),
        (f"/self-serve/{TOKEN}/build?x=1", "/self-serve/bapi_***/build?x=1"),
        (f"/a?q={PERCENT}&page=2", "/a?q=***&page=2"),
        (f"/a?q={PERCENT.replace('%', '%25')}", "/a?q=***"),
        (f"/a?q=bapi%5F{TOKEN[5:]}#x", "/a?q=***#x"),
        ("/a?access_token=x.y&api_key=k;csrf_token=c", "/a?access_token=***&api_key=***;csrf_token=***"),  # noqa: E501  # as it is sent
        ("https://ann:pw@h/a", "https://ann:***@h/a"),
        ("/self-serve/try/user/a%20b?q=token", "/self-serve/try/user/a%20b?q=token"),
    ],
)  # fmt: skip
def test_a_token_in_a_url_is_left_out(url: str, shown: str) -> None:
    assert hidden_in_url(url) == shown


@given(st.text(), st.text())
def test_nothing_of_a_token_is_left_whatever_stands_around_it(before: str, after: str) -> None:
    for token in (TOKEN, PERCENT):
        assert TOKEN[5:] not in hidden_in_url(f"{before}/{token}?{after}")


@twisted_test()
async def test_no_token_comes_into_the_access_log(serve: Serve, tmp_path: Path) -> None:
    served = serve(access_log=tmp_path / "access.log")
    for path in (f"/self-serve/whoami?token={TOKEN}", f"/self-serve/try/build/{PERCENT}"):
        said = {"Referer": f"http://127.0.0.1{path}", "User-Agent": f"bot Bearer {TOKEN}"}
        await served.ask("GET", path, said)
    text = (tmp_path / "access.log").read_text()
    assert text.count("***") >= 6
    assert TOKEN[5:] not in text
