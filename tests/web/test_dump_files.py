"""The folder of dumps over HTTP."""

from __future__ import annotations

import gzip
import os
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import task

from buildapi.web.ops.dump_files import SILENT_SECONDS, DumpFiles
from tests.reactor import twisted_test, until
from tests.web.client import JSON, request
from tests.web.conftest import Serve, Served

BODY = b'{"builds": []}\n'
ZIPPED = gzip.compress(BODY)
MODIFIED = 1_700_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dumps"
    folder.mkdir()
    for name, body in {"builds-running.js": BODY, "builds-4hr.js.gz": ZIPPED}.items():
        (folder / name).write_bytes(body)
        os.utime(folder / name, (MODIFIED, MODIFIED))
    return folder


def serving(serve: Serve, folder: Path, **settings: Any) -> Served:
    from twisted.internet import reactor

    return serve(more_routes=DumpFiles(folder, reactor).routes(), **settings)


@pytest.fixture
def site(serve: Serve, folder: Path) -> Served:
    return serving(serve, folder)


@twisted_test()
async def test_a_document_is_json(site: Served) -> None:
    answer = await site.ask("GET", "/builds/builds-running.js", {"Accept-Encoding": "gzip"})
    assert (answer.status, answer.body) == (200, BODY)
    assert answer.headers["content-type"] == "application/json"
    assert "content-encoding" not in answer.headers
    assert answer.headers["last-modified"] == formatdate(MODIFIED, usegmt=True)
    assert answer.headers["x-content-type-options"] == "nosniff"


PLAIN = [{}, JSON, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "br, gzip;q=0"}]


@pytest.mark.parametrize("accept", PLAIN, ids=str)
@twisted_test()
async def test_a_compressed_file_stays_one(site: Served, accept: dict[str, str]) -> None:
    """Send the compressed file as it is to a client whose Accept-Encoding has no gzip."""
    answer = await site.ask("GET", "/builds/builds-4hr.js.gz", accept)
    assert (answer.status, answer.body) == (200, ZIPPED)
    assert answer.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in answer.headers
    assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("accept", ["gzip", "gzip, deflate", "br, GZIP;q=0.5"])
@twisted_test()
async def test_a_client_that_accepts_gzip_is_sent_json_in_that_coding(
    site: Served, folder: Path, accept: str
) -> None:
    """Send JSON with a Content-Encoding of gzip where the client's Accept-Encoding has it."""
    (folder / "other.json.gz").write_bytes(ZIPPED)
    (folder / "archive.gz").write_bytes(ZIPPED)
    for name in ("builds-4hr.js.gz", "other.json.gz"):
        answer = await site.ask("GET", f"/builds/{name}", {"Accept-Encoding": accept})
        assert (answer.status, answer.body) == (200, ZIPPED)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["content-length"] == str(len(ZIPPED))
        assert answer.headers["vary"] == "Accept-Encoding, Origin"
    archive = await site.ask("GET", "/builds/archive.gz", {"Accept-Encoding": accept})
    assert archive.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in archive.headers


@twisted_test()
async def test_each_representation_has_a_tag_of_its_own(site: Served) -> None:
    """Never tell a client that keeps the compressed file that its JSON is unchanged."""
    path, coded = "/builds/builds-4hr.js.gz", {"Accept-Encoding": "gzip"}
    plain, json = await site.ask("GET", path), await site.ask("GET", path, coded)
    tags = plain.headers["etag"], json.headers["etag"]
    assert tags[0] != tags[1]
    known = {"If-None-Match": tags[1]}
    unchanged = await site.ask("GET", path, {**coded, **known})
    assert (unchanged.status, unchanged.headers["etag"]) == (304, tags[1])
    assert unchanged.headers["vary"] == "Accept-Encoding, Origin"
    assert "content-encoding" not in unchanged.headers
    assert (await site.ask("GET", path, known)).status == 200
    assert (await site.ask("GET", path, {**coded, "If-None-Match": tags[0]})).status == 200


@pytest.mark.parametrize("accept", [{}, {"Accept-Encoding": "gzip"}], ids=str)
@twisted_test()
async def test_a_range_gets_the_whole_file(site: Served, accept: dict[str, str]) -> None:
    """Answer a Range with the whole file and say that there are no ranges."""
    asked = {**accept, "Range": "bytes=5-9", "If-Range": '"old"'}
    answer = await site.ask("GET", "/builds/builds-4hr.js.gz", asked)
    assert (answer.status, answer.body) == (200, ZIPPED)
    assert answer.headers["accept-ranges"] == "none"


@pytest.mark.parametrize("accept", [{}, {"Accept-Encoding": "gzip"}], ids=str)
@twisted_test()
async def test_head_is_get_without_the_body(site: Served, accept: dict[str, str]) -> None:
    path = "/builds/builds-4hr.js.gz"
    get, head = await site.ask("GET", path, accept), await site.ask("HEAD", path, accept)
    assert (head.status, head.body) == (200, b"")
    own = {"date": "", "x-request-id": ""}
    assert {**head.headers, **own} == {**get.headers, **own}
    assert head.headers["content-length"] == str(len(ZIPPED))


@twisted_test()
async def test_who_has_it_is_told_so(site: Served, folder: Path) -> None:
    path = "/builds/builds-running.js"
    etag = (await site.ask("GET", path)).headers["etag"]
    at = formatdate(MODIFIED, usegmt=True)
    for headers in (
        {"If-None-Match": etag},
        {"If-None-Match": f'"other", W/{etag}'},
        {"If-Modified-Since": at},
        {"If-None-Match": etag, "If-Modified-Since": formatdate(5, usegmt=True)},
    ):
        answer = await site.ask("GET", path, headers)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    (folder / "new").write_bytes(BODY)
    os.utime(folder / "new", (MODIFIED, MODIFIED))
    os.replace(folder / "new", folder / "builds-running.js")
    for headers in (
        {"If-None-Match": etag, "If-Modified-Since": at},
        {"If-Modified-Since": formatdate(MODIFIED - 1, usegmt=True)},
        {"If-Modified-Since": "soon"},
        {"If-Modified-Since": ""},
    ):
        assert (await site.ask("GET", path, headers)).status == 200


HIDDEN = [
    "other.js",
    "passwd",
    "link.js",
    "out.js",
    "folder.js",
    "pipe.js",
    ".builds-4hr.js.gz.ab12.tmp",
    ".hidden.js",
    "builds-4hr.js.gz.ab12.tmp",
    "..%2Fsecret.js",
    "%2E%2E%2Fsecret.js",
    "%2Fetc%2Fpasswd",
    "builds-running.js%00",
    "builds-running.js%0A",
    "x" * 300 + ".js",
    "%C3%A9.js",
]


@pytest.mark.parametrize("name", HIDDEN)
@twisted_test()
async def test_nothing_else_is_given_away(site: Served, folder: Path, name: str) -> None:
    secret = folder.parent / "secret.js"
    secret.write_text("secret")
    (folder / "passwd").write_text("secret")
    (folder / "link.js").symlink_to("builds-running.js")
    (folder / "out.js").symlink_to(secret)
    (folder / "folder.js").mkdir()
    os.mkfifo(folder / "pipe.js")
    for hidden in (".builds-4hr.js.gz.ab12.tmp", ".hidden.js", "builds-4hr.js.gz.ab12.tmp"):
        (folder / hidden).write_text("secret")
    answer = await site.ask("GET", f"/builds/{name}".encode(), JSON)
    assert answer.status == 404
    assert answer.json["code"] == "not_found"
    listed = (await site.ask("GET", "/builds", JSON)).json["dumps"]
    assert [d["name"] for d in listed] == ["builds-4hr.js.gz", "builds-running.js"]


@twisted_test()
async def test_the_files_are_listed(site: Served) -> None:
    listed = (await site.ask("GET", "/builds", JSON)).json
    assert listed == {
        "dumps": [
            {"name": "builds-4hr.js.gz", "size": len(ZIPPED), "modified": MODIFIED},
            {"name": "builds-running.js", "size": len(BODY), "modified": MODIFIED},
        ]
    }
    assert "builds-running.js" in (await site.ask("GET", "/builds")).text


@twisted_test()
async def test_a_folder_that_is_not_there_yet_is_empty(serve: Serve, tmp_path: Path) -> None:
    site = serving(serve, tmp_path / "no")
    assert (await site.ask("GET", "/builds", JSON)).json == {"dumps": []}
    assert (await site.ask("GET", "/builds/builds-running.js")).status == 404


@twisted_test(20)
async def test_a_large_file_comes_whole_while_it_is_replaced(site: Served, folder: Path) -> None:
    large = os.urandom(5_000_000)
    (folder / "large.gz").write_bytes(large)
    wire = await site.wire()
    wire.transport.pauseProducing()
    wire.send(request("GET", "/builds/large.gz"))
    await until(lambda: bool(site.in_flight))
    (folder / "new").write_bytes(b"new")
    os.replace(folder / "new", folder / "large.gz")
    wire.transport.resumeProducing()
    await wire.closed
    assert (await wire.answer()).body == large
    assert (await site.ask("GET", "/builds/large.gz")).body == b"new"


@twisted_test()
async def test_an_empty_file(site: Served, folder: Path) -> None:
    (folder / "empty.js").write_bytes(b"")
    answer = await site.ask("GET", "/builds/empty.js")
    assert (answer.status, answer.body) == (200, b"")


@twisted_test(20)
async def test_a_client_that_goes_away_leaves_nothing(site: Served, folder: Path) -> None:
    (folder / "large.gz").write_bytes(bytes(20_000_000))
    wire = await site.wire()
    wire.send(request("GET", "/builds/large.gz"))
    await wire.until(lambda: len(wire.received) > 1000)
    wire.close()
    await until(lambda: not site.in_flight)


@twisted_test(20)
async def test_a_client_that_takes_nothing_is_cut_off(serve: Serve, folder: Path) -> None:
    clock = task.Clock()
    site = serve(more_routes=DumpFiles(folder, clock).routes())
    (folder / "large.gz").write_bytes(bytes(20_000_000))
    wire = await site.wire()
    wire.transport.pauseProducing()
    wire.send(request("GET", "/builds/large.gz"))
    await until(lambda: bool(clock.getDelayedCalls()))
    clock.advance(SILENT_SECONDS + 1)
    await until(lambda: not site.in_flight)
    assert not clock.getDelayedCalls()
    wire.transport.resumeProducing()
    await wire.closed
    assert len(wire.received) < 20_000_000


@twisted_test(20)
async def test_a_file_that_becomes_shorter_is_not_said_to_be_whole(
    site: Served, folder: Path
) -> None:
    (folder / "large.gz").write_bytes(bytes(20_000_000))
    wire = await site.wire()
    wire.transport.pauseProducing()
    wire.send(request("GET", "/builds/large.gz"))
    await until(lambda: bool(site.in_flight))
    os.truncate(folder / "large.gz", 10)
    wire.transport.resumeProducing()
    await wire.closed
    assert len(wire.received) < 20_000_000
    await until(lambda: not site.in_flight)
