"""Who asks, as the HTTP side sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reactor import twisted_test
from tests.web.client import JSON, connect, request
from tests.web.conftest import ORIGIN, ZOE, Serve, Served

PATH = "/self-serve/try/build/12"


@twisted_test()
async def test_a_name_from_an_untrusted_peer_is_nobody(serve: Serve) -> None:
    served = serve(trusted=["10.0.0.0/8", "unix"])
    answer = await served.ask("DELETE", PATH, JSON | ZOE)
    assert (answer.status, answer.json["msg"]) == (403, "ACCESS DENIED!")
    assert (await served.ask("GET", PATH, JSON | {"X-Remote-User": b"\xff"})).status == 200


@twisted_test()
async def test_reads_need_no_user(serve: Serve) -> None:
    assert (await serve(trusted=[]).ask("GET", PATH, JSON)).status == 200


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ([b"zo\xff"], 400),
        (["a", "b"], 400),
        (["x" * 513], 400),
        (["a\tb"], 400),
        ([b"a\x1b[2Jb"], 400),
        ([""], 403),
        (["   "], 403),
        (["x" * 512], 202),
        (["Zoë O'Neill <zoë@example.org>"], 202),
    ],
)
@twisted_test()
async def test_a_trusted_peer_names_one_user(
    served: Served, values: list[str | bytes], status: int
) -> None:
    headers = [("X-Remote-User", v) for v in values]
    answer = await served.ask("DELETE", PATH, [*JSON.items(), *headers])
    assert answer.status == status
    assert bool(served.jobs.jobs) == (status == 202)


@twisted_test()
async def test_other_spellings_of_the_header_name_nobody(served: Served) -> None:
    for name in ("X_Remote_User", "Remote-User", "REMOTE_USER", "X-Remote-User-"):
        assert (await served.ask("DELETE", PATH, JSON | {name: "zoë"})).status == 403
    assert (await served.ask("DELETE", PATH, JSON | {"x-remote-USER": "zoë"})).status == 202


@twisted_test()
async def test_the_development_user_needs_no_header(serve: Serve) -> None:
    served = serve(trusted=[], development_user="me")
    assert (await served.ask("DELETE", PATH, JSON)).status == 202
    assert served.jobs.jobs[1].who == "me"


@twisted_test()
async def test_a_unix_socket_is_a_peer_too(serve: Serve, tmp_path: Path) -> None:
    endpoint = f"unix:{tmp_path / 's'}:lockfile=0"
    served = serve(trusted=["unix"], listen=[endpoint], development_user="me")
    for headers, status in ((JSON | ZOE, 202), (JSON, 403)):
        wire = await connect(f"unix:{tmp_path / 's'}")
        wire.send(request("DELETE", PATH, headers))
        await wire.closed
        assert (await wire.answer("DELETE")).status == status
    assert served.jobs.jobs[1].who == "zoë@example.org"


# --- pages of other sites

EVIL = "https://evil.example.org"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": ORIGIN}, 202),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1"}, 202),
        ({"Sec-Fetch-Site": "none"}, 202),
        ({"Origin": EVIL}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1"}, 202),
        ({"Origin": "https://buildapi.example.org", "Host": "buildapi.example.org"}, 202),
        ({"Origin": "https://buildapi.example.org:444", "Host": "buildapi.example.org"}, 403),
        ({}, 202),
    ],
)
@twisted_test()
async def test_a_page_of_another_site_may_not_act(
    served: Served, headers: dict[str, str], status: int
) -> None:
    answer = await served.ask("DELETE", PATH, JSON | ZOE | headers)
    assert answer.status == status
    assert bool(served.jobs.jobs) == (status == 202)


@twisted_test()
async def test_a_link_on_another_site_may_lead_here(served: Served) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
    assert (await served.ask("GET", PATH, headers)).status == 200
