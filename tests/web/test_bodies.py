"""Bodies on the wire: kinds, sizes, and how long they may take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.reactor import sleep, twisted_test, until
from tests.web.client import FORM, JSON, Wire, request
from tests.web.conftest import ORIGIN, ZOE, Serve, Served

PATH = "/self-serve/try/build"
LIMIT = 4096  # of the settings


@pytest.mark.parametrize("charset", ["", "; charset=UTF-8", ";charset=utf-8 "])
@twisted_test()
async def test_a_form_may_name_its_charset(served: Served, charset: str) -> None:
    headers = JSON | ZOE | {"Content-Type": FORM + charset}
    assert (await served.ask("POST", PATH, headers, b"build_id=11&priority=5")).status == 202
    assert served.jobs.jobs[1].what == {"bid": 11, "priority": 5, "count": 1}


@twisted_test()
async def test_a_json_object_has_the_same_names(served: Served) -> None:
    headers = JSON | ZOE | {"Content-Type": "application/json; charset=utf-8"}
    body = json.dumps({"build_id": 11, "priority": "-3", "count": 2, "_more": [1]}).encode()
    assert (await served.ask("POST", PATH, headers, body)).status == 202
    assert served.jobs.jobs[1].what == {"bid": 11, "priority": -3, "count": 2}


@twisted_test()
async def test_a_json_body_may_reprioritize(served: Served) -> None:
    headers = JSON | ZOE | {"Content-Type": "application/json"}
    answer = await served.ask("PUT", "/self-serve/try/request/21", headers, b'{"priority": 4}')
    assert answer.status == 202


BROKEN = {
    "application/json": [b"{", b"[]", b"11", b'"x"', b"\xff", b"[" * 3000, b'{"a": ' + b"9" * 4090],
    FORM: [b"a=%FF", b"\xff=1", b"&".join([b"priority=1"] * 300)],
    "multipart/form-data": [b"x"],
    "multipart/form-data; boundary=": [b"x"],
    "multipart/form-data; boundary=x": [b"", b"x", b"--x\r\n", b"--x\r\n\r\n1\r\n--x--"],
}


@twisted_test(10)
async def test_a_body_that_cannot_be_read_is_a_bad_request(served: Served) -> None:
    for kind, body in [(kind, body) for kind, bodies in BROKEN.items() for body in bodies]:
        answer = await served.ask("POST", PATH, JSON | ZOE | {"Content-Type": kind}, body)
        assert answer.status == 400, (kind, body)
        assert answer.json["code"] == "bad_request"
    assert not served.jobs.jobs


@twisted_test(10)
async def test_a_body_of_another_kind_is_refused_not_ignored(served: Served) -> None:
    """Without its ``only=pending``, the cancel of a revision would stop running builds."""
    for kind in ["", "text/plain", "\xff\xfe", "application/json-patch+json", ";;"]:
        headers = JSON | ZOE | {"Content-Type": kind.encode("latin-1")}
        for method, path, body in [
            ("POST", PATH, b"build_id=11"),
            ("DELETE", "/self-serve/try/rev/abcdef", b"only=pending"),
        ]:
            answer = await served.ask(method, path, headers, body)
            assert (answer.status, answer.json["code"]) == (400, "bad_request")
            assert "or application/json" in answer.json["msg"]
    assert not served.jobs.jobs


@twisted_test()
async def test_parameters_of_a_job_request_do_not_come_from_the_query(served: Served) -> None:
    answer = await served.ask("POST", f"{PATH}?build_id=11", JSON | ZOE, b"")
    assert (answer.status, answer.json["msg"]) == (400, "Bad build_id")


@twisted_test()
async def test_a_parameter_given_twice_is_refused_in_a_form_as_in_a_query(served: Served) -> None:
    kinds = {
        FORM: b"build_id=11&count=2&count=",
        "application/json": b'{"build_id": 11, "count": 2, "count": 3}',
        "multipart/form-data; boundary=x": b"".join(
            b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n2\r\n' % name
            for name in (b"build_id", b"count", b"count")
        )
        + b"--x--\r\n",
    }
    for kind, body in kinds.items():
        answer = await served.ask("POST", PATH, JSON | ZOE | {"Content-Type": kind}, body)
        assert answer.status == 400, kind
        assert "count" in answer.json["msg"], kind
        assert "max 1" in answer.json["msg"], kind
    assert not served.jobs.jobs


# --- whose body is read


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/nowhere", ZOE, 404),
        ("DELETE", "/nowhere", ZOE, 404),
        ("POST", "/self-serve/jobs", ZOE, 405),
        ("PUT", "/self-serve/jobs", ZOE, 405),
        ("POST", PATH, {}, 403),
        ("POST", "/self-serve/try/build/12", {}, 403),
        ("DELETE", "/self-serve/try/build/12", {}, 403),
        ("POST", PATH, {"Authorization": "Bearer bapi_of_nobody"}, 401),
        ("POST", PATH, ZOE, 400),
    ],
)
@twisted_test()
async def test_a_body_is_parsed_only_of_a_user_on_a_route_that_takes_it(
    served: Served, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """A body that cannot be read is complained about where it is read, and nowhere else."""
    answer = await served.ask(method, path, JSON | headers | {"Content-Type": FORM}, b"a=%FF")
    assert answer.status == status


@twisted_test()
async def test_what_a_body_of_nobody_says_is_not_looked_at(served: Served) -> None:
    """With _method=DELETE, the path would lack the method."""
    assert (await served.ask("POST", PATH, JSON, {"_method": "DELETE"})).status == 403
    assert (await served.ask("POST", PATH, JSON | ZOE, {"_method": "DELETE"})).status == 405


# --- sizes


@twisted_test()
async def test_a_body_up_to_the_limit_is_read(served: Served) -> None:
    body = b"build_id=11&_x=".ljust(LIMIT, b"x")
    headers = JSON | ZOE | {"Content-Type": FORM}
    assert (await served.ask("POST", PATH, headers, body)).status == 202


def arrived(served: Served) -> int:
    """Count the bytes of bodies that have come and are not answered."""
    return sum(r.content.tell() for r in served.in_flight if r.content is not None)


async def refused(wire: Wire) -> tuple[str, dict[str, str]]:
    """Wait for a 413 that comes before the body is there; give its text and headers."""
    answer = await wire.answer("POST")
    assert answer.status == 413
    assert answer.headers["connection"] == "close"
    assert answer.headers["cache-control"] == "no-store"
    return answer.text, dict(answer.headers)


@twisted_test(2)
async def test_a_body_announced_too_large_is_refused_before_it_comes(served: Served) -> None:
    wire = await served.wire()
    wire.send(request("POST", PATH, JSON | ZOE | {"Content-Length": str(LIMIT + 1)}, b"x"))
    text, headers = await refused(wire)
    assert json.loads(text)["code"] == "too_large"
    assert headers["content-type"] == "application/json"
    wire.close()


@twisted_test(2)
async def test_a_chunked_body_is_refused_when_it_passes_the_limit(served: Served) -> None:
    wire = await served.wire()
    wire.send(request("POST", PATH, ZOE | {"Transfer-Encoding": "chunked"}, b""))
    wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    await until(lambda: arrived(served) == LIMIT)
    await served.turn()
    assert wire.received == b""
    wire.send(b"1\r\nx\r\n")
    text, headers = await refused(wire)
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert "larger than 4096 bytes" in text
    wire.close()


@twisted_test()
async def test_a_chunked_body_up_to_the_limit_is_read(served: Served) -> None:
    headers = JSON | ZOE | {"Content-Type": FORM, "Transfer-Encoding": "chunked"}
    body = b"5\r\nbuild\r\n6\r\n_id=11\r\n0\r\n\r\n"
    assert (await served.ask("POST", PATH, headers, body)).status == 202


@twisted_test(3)
async def test_the_rest_of_a_refused_body_is_dropped(served: Served) -> None:
    wire = await served.wire()
    wire.send(request("POST", PATH, JSON | ZOE, b"x" * 10 * LIMIT))
    await wire.closed
    await refused(wire)
    assert not served.jobs.jobs
    assert not served.in_flight


@twisted_test(2)
async def test_the_format_in_the_query_counts_for_a_refused_body_too(served: Served) -> None:
    wire = await served.wire()
    wire.send(request("POST", f"{PATH}?format=json", {"Content-Length": "99999"}))
    text, headers = await refused(wire)
    assert json.loads(text)["status"] == "FAILED"
    assert "accept" in headers["vary"].lower()
    wire.close()


@twisted_test(2)
async def test_a_configured_site_may_read_why_a_body_is_refused(served: Served) -> None:
    wire = await served.wire()
    wire.send(request("POST", PATH, {"Content-Length": "99999", "Origin": ORIGIN}))
    _, headers = await refused(wire)
    assert headers["access-control-allow-origin"] == ORIGIN
    wire.close()


@twisted_test(2)
async def test_who_expects_to_continue_is_told_to(served: Served) -> None:
    wire = await served.wire()
    headers = JSON | ZOE | {"Content-Type": FORM, "Content-Length": "11", "Expect": "100-continue"}
    wire.send(request("POST", PATH, headers))
    await wire.until(lambda: wire.received.endswith(b"\r\n\r\n"))
    assert wire.received == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.send(b"build_id=11")
    await wire.closed
    assert [a.status for a in await wire.answers("", "POST")] == [100, 202]


@twisted_test(2)
async def test_who_expects_to_continue_with_too_much_is_refused_alone(served: Served) -> None:
    wire = await served.wire()
    headers = JSON | ZOE | {"Content-Length": "99999", "Expect": "100-continue"}
    wire.send(request("POST", PATH, headers))
    await refused(wire)
    await wire.closed
    assert b"100 Continue" not in wire.received


# --- time


SLOW: dict[str, Any] = {"request_seconds": 0.3, "idle_seconds": 60}


@pytest.mark.parametrize(
    "start",
    [
        b"GET /self-serve HTTP/1.1\r\n",
        request("POST", PATH, ZOE | {"Content-Length": "100"}),
        request("POST", PATH, ZOE | {"Transfer-Encoding": "chunked"}),
        request("POST", PATH, ZOE | {"Content-Length": "99999"}),
    ],
    ids=["headers", "body", "chunks", "refused body"],
)
@twisted_test(4)
async def test_a_request_that_trickles_in_is_cut_off_in_time(serve: Serve, start: bytes) -> None:
    served = serve(**SLOW)
    wire = await served.wire()
    wire.send(start)
    for _ in range(40):
        if wire.is_closed:
            break
        wire.send(b"x")
        await sleep(0.05)
    assert wire.is_closed
    assert not served.in_flight


@twisted_test(4)
async def test_a_request_line_that_trickles_in_is_cut_off_in_time(serve: Serve) -> None:
    wire = await serve(**SLOW).wire()
    for _ in range(40):
        if wire.is_closed:
            break
        wire.send(b"G")
        await sleep(0.05)
    assert wire.is_closed


@twisted_test(4)
async def test_an_idle_connection_is_closed(serve: Serve) -> None:
    served = serve(idle_seconds=0.2)
    wire = await served.wire()
    wire.send(request("GET", "/self-serve/jobs", last=False))
    await wire.closed
    assert (await wire.answer()).status == 200


@twisted_test(4)
async def test_the_time_for_a_request_does_not_bound_its_answer(serve: Serve) -> None:
    served = serve(request_seconds=0.1)
    from twisted.internet.defer import Deferred

    held: Deferred[None] = Deferred()
    served.builds.failing.held = held
    wire = await served.wire()
    wire.send(request("GET", "/self-serve/try", JSON))
    late = await served.wire()
    late.send(b"GET /self-serve")
    await late.closed  # its time began later, and is over
    assert not wire.is_closed
    held.callback(None)
    await wire.closed
    assert (await wire.answer()).status == 200


@twisted_test(3)
async def test_a_client_that_leaves_within_a_body_leaves_nothing_behind(served: Served) -> None:
    wire = await served.wire()
    wire.send(request("POST", PATH, ZOE | {"Content-Length": "100"}, b"build_id=11"))
    await until(lambda: arrived(served) == len(b"build_id=11"))
    assert len(served.in_flight) == 1
    wire.close()
    await until(lambda: not served.in_flight)
    await served.turn()
    assert not served.jobs.jobs


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
@twisted_test(4)
async def test_what_is_no_http_is_refused(serve: Serve, raw: bytes) -> None:
    served = serve(idle_seconds=0.3, request_seconds=0.3)
    wire = await served.wire()
    wire.send(raw)
    await wire.closed
    assert wire.received[:12] in (b"", b"HTTP/1.1 400")
    assert not served.in_flight
