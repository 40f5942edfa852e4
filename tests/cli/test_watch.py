"""Events of the service, as lines."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from buildapi.cli.client_settings import ClientSettings
from buildapi.cli.command_error import CommandError
from buildapi.cli.event_lines import ServerEvent, as_json, as_text, events
from buildapi.cli.event_watch import EventReader
from buildapi.cli.output import Output
from buildapi.cli.service_client import ServiceClient
from tests.cli.fake import Asked, Reply, fake
from tests.cli.running import COMMAND, buildapi

STREAM = {"Content-Type": "text/event-stream"}
BUILD = {
    "build_id": 12,
    "buildername": "Linux",
    "endtime": None,
    "status": None,
    "branch": "try-stored",
    "branch_name": "try",
    "revision": "a" * 40,
}


def sent(number: int, kind: str = "build", data: Any = BUILD) -> bytes:
    return b"id: b-%d\nevent: %s\ndata: %s\n\n" % (number, kind.encode(), json.dumps(data).encode())


HELLO = sent(0, "hello", {})


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_events_are_read_however_they_are_cut(size: int) -> None:
    text = b"retry: 3000\n" + HELLO + b": still here\n\n" + sent(1) + b"id: b-2\nevent: build\n"
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    assert [(e.id, e.kind) for e in events(parts)] == [("b-0", "hello"), ("b-1", "build")]


def test_an_event_that_is_not_json_is_an_error() -> None:
    with pytest.raises(CommandError, match="not JSON"):
        list(events([b"event: build\ndata: {\n\n"]))


JOB = {"id": 7, "state": "done", "action": "cancel_build", "who": "ann", "what": {"bid": 3}}
REQUEST = {"request_id": 4, "buildername": "Mac", "branch_name": None, "branch": None}


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("build", BUILD, "build    12  running  Linux  try  aaaaaaaaaaaa"),
        ("request", {**REQUEST, "revision": None}, "request  4  pending  Mac"),
        ("job", JOB, "job      7  done  cancel_build  ann  bid=3"),
        ("new kind", {"a": 1}, 'new kind  {"a": 1}'),
    ],
)
def test_an_event_is_a_line(kind: str, data: Any, text: str) -> None:
    event = ServerEvent("b-1", kind, data)
    assert as_text(event, str, 5) == f"5  {text}"
    assert json.loads(as_json(event)) == {"event": kind, "id": "b-1", "data": data}


def reader(url: str, waits: list[float]) -> EventReader:
    client = ServiceClient(ClientSettings(url), waits.append)
    return EventReader(client, Output(as_json=False, utc=True), {"branch": ["try"]}, None)


def test_a_lost_connection_is_opened_again_where_it_ended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Send the id of the last event, and wait longer each time until there is one."""
    last = Reply(200, sent(2), STREAM)
    bodies = iter([Reply(200, HELLO + sent(1), STREAM), Reply(503, {"msg": "no"}), last])
    waits: list[float] = []
    with fake(lambda _: next(bodies, last)) as server:
        found: Iterator[ServerEvent] = reader(server.url, waits).read()
        assert [next(found).id for _ in range(3)] == ["b-0", "b-1", "b-2"]
    assert [a.headers.get("Last-Event-ID") for a in server.asked] == [None, "b-1", "b-1"]
    assert {a.path for a in server.asked} == {"/self-serve/events?branch=try"}
    assert waits == [1.0, 2.0]
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "the service ended the stream; connecting again in 1 s",
        "no (503); connecting again in 2 s",
    ]


@pytest.mark.parametrize(("status", "code"), [(400, 1), (403, 4), (429, 6), (503, 6), (200, 7)])
def test_a_refusal_at_first_ends_it(status: int, code: int) -> None:
    with fake(lambda _: Reply(status, {"msg": "no"})) as server:
        assert buildapi("watch", "--url", server.url).code == code
    assert len(server.asked) == 1


def test_nobody_there_ends_it() -> None:
    assert buildapi("watch", "--url", "http://127.0.0.1:1").code == 6


def test_so_many_events_are_printed_one_a_line() -> None:
    body = HELLO + sent(1) + sent(2, "reset", {}) + sent(3, "job", JOB) + sent(4)
    with fake(lambda _: Reply(200, body, STREAM)) as server:
        args = ("watch", "try", "mozilla", "--job", "mine", "--limit=2", "--url", server.url)
        done = buildapi(*args)
        as_lines = buildapi(*args, "--json")
    assert done.code == as_lines.code == 0
    assert [line.split("  ")[1].strip() for line in done.out.decode().splitlines()] == [
        "build",
        "job",
    ]
    assert done.err == as_lines.err == "Some events were missed.\n"
    kinds = [json.loads(line)["event"] for line in as_lines.out.splitlines()]
    assert kinds == ["build", "reset", "job"]
    assert server.asked[0].path == "/self-serve/events?branch=try&branch=mozilla&job=mine"


def answering_forever(_: Asked) -> Reply:
    return Reply(200, HELLO + sent(1), {**STREAM, "Content-Length": "1000000"}, stays_open=True)


def test_it_ends_after_a_time() -> None:
    with fake(answering_forever) as server:
        assert buildapi("watch", "--seconds", "0.5", "--url", server.url).code == 0


def test_an_interrupt_ends_it_without_a_word() -> None:
    with fake(answering_forever) as server:
        process = subprocess.Popen(
            [COMMAND, "watch", "--url", server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
        )
        assert process.stdout is not None
        assert b"build" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=180)
    assert (process.returncode, told) == (130, b"")


HOSTILE = [
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[H",
    "a\nb",
    "a\r\x08b",
    "\u202ecod.exe\u2066",
    "\x9b31m",
    "\u2028",
    "\ud800",
    "e\u0301" * 50,
    "\uff21" * 50,
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_whatever_an_event_says_is_one_plain_line(text: str) -> None:
    hostile = {**BUILD, "buildername": text, "branch_name": text, "revision": text}
    job = {**JOB, "who": text, "state": text, "what": {text: text}}
    told = sent(1, data=hostile) + sent(2, "job", job) + sent(3, "new", {text: text})
    with fake(lambda _: Reply(200, told, STREAM)) as server:
        done = buildapi("watch", "--limit=3", "--url", server.url)
        as_lines = buildapi("watch", "--limit=3", "--json", "--url", server.url)
    assert (done.code, as_lines.code) == (0, 0)
    lines = done.out.decode().splitlines()
    assert len(lines) == 3
    assert all(line.isprintable() for line in lines)
    first = as_lines.out.splitlines()[0]
    assert json.loads(first)["data"] == hostile
    assert as_lines.out.isascii()


def test_data_without_an_end_ends_it() -> None:
    """Also where it comes in lines that are short, each of the same event."""
    endless = itertools.chain(
        [b"event: build\n"], itertools.repeat(b"data: " + b"x" * 65_536 + b"\n")
    )
    with pytest.raises(CommandError, match="more than 16 MiB"):
        list(events(endless))
