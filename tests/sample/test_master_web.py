"""The web interface of simulated masters, over loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import pytest_twisted
import treq
from twisted.internet import defer, task
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.web.client import Agent, ResponseNeverReceived

from buildapi.sample.catalog import MASTERS, builders
from buildapi.sample.master_web import MasterWebServer
from buildapi.sample.simulated_master import MasterSettings, SimulatedMaster
from tests.reactor import twisted_test, until
from tests.sample.direct import DirectDatabase, scheduler_database, submit

START = 1_700_000_000
BUILD_MASTER = next(m for m in MASTERS if m.role == "build")
LINUX = "Linux x86-64 mozilla-central build"
ODD = "odd/na me+100%?#"


@attrs.define
class Answer:
    code: int
    headers: Any
    body: str

    @property
    def location(self) -> str | None:
        found = self.headers.getRawHeaders("location")
        return found[0] if found else None

    @property
    def json(self) -> Any:
        assert self.headers.getRawHeaders("content-type") == ["application/json"]
        return json.loads(self.body)


@attrs.define
class Web:
    """A master whose time is a clock's, behind a real port."""

    clock: task.Clock
    db: DirectDatabase
    master: SimulatedMaster
    web: MasterWebServer
    port: int = 0

    async def ask(self, path: str, method: str = "GET") -> Answer:
        from twisted.internet import reactor

        url = f"http://127.0.0.1:{self.port}/{path}"
        response = await Agent(reactor).request(method.encode(), url.encode())
        body = "" if method == "HEAD" else (await treq.content(response)).decode()
        return Answer(response.code, response.headers, body)

    def later(self, path: str, method: str = "POST") -> defer.Deferred[Answer]:
        return defer.ensureDeferred(self.ask(path, method))

    async def until_answering(self) -> None:
        await until(lambda: len(self.web._resource.responding) == 1)


@pytest.fixture
def make_web() -> Iterator[Any]:
    from twisted.internet import reactor

    made: list[Web] = []

    async def make(**settings: Any) -> Web:
        clock = task.Clock()
        clock.advance(START)
        db = scheduler_database()
        known = {b.name: b for b in builders(["mozilla-central"]) if b.role == "build"}
        known[ODD] = known[LINUX]
        options = MasterSettings(**{"shortest": 100, "longest": 200} | settings)
        master = SimulatedMaster(
            clock, BUILD_MASTER, known, db, status=None, settings=options, now=clock.seconds
        )
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        web = Web(clock, db, master, MasterWebServer(clock, endpoint, master, db))
        web.port = await web.web.listen()
        master.startService()
        made.append(web)
        return web

    yield make
    for web in made:
        pytest_twisted.blockon(web.web.stopService())
        web.master.stopService()
        assert web.clock.getDelayedCalls() == []
        web.db.connection.close()


@pytest.fixture
def web(make_web: Any) -> Web:
    made: Web = pytest_twisted.blockon(defer.ensureDeferred(make_web()))
    return made


def begin(web: Web, builder: str = LINUX, **source: Any) -> int:
    [brid] = submit(web.db, builder, **source)
    web.clock.advance(1)
    return brid


def stop_path(builder: str, number: int | str = 0) -> str:
    return f"builders/{quote(builder, safe='')}/builds/{number}/stop"


@twisted_test()
async def test_a_stop_is_answered_after_a_second_and_done_long_before(web: Web) -> None:
    brid = begin(web)
    asked = web.later(stop_path(LINUX))
    await web.until_answering()
    web.clock.advance(0.1)
    row = "SELECT complete, results FROM buildrequests WHERE id = ?"
    assert web.db.rows(row, brid) == [(1, 2)]
    assert web.db.one("SELECT finish_time FROM builds") is not None
    web.clock.advance(0.89)
    assert not asked.called
    web.clock.advance(0.01)
    answer = await asked
    assert answer.code == 302
    assert answer.location == "../../../../builders/Linux%20x86-64%20mozilla-central%20build"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@twisted_test()
async def test_a_build_is_stopped_by_any_method(web: Web, method: str) -> None:
    begin(web)
    asked = web.later(stop_path(LINUX), method)
    await web.until_answering()
    web.clock.pump([0.1, 1])
    assert (await asked).code == 302
    assert web.db.one("SELECT results FROM buildrequests") == 2


@twisted_test()
async def test_stopping_what_has_ended_changes_nothing(web: Web) -> None:
    begin(web)
    web.clock.advance(201)
    before = web.db.rows("SELECT * FROM buildrequests")
    asked = web.later(stop_path(LINUX))
    await web.until_answering()
    web.clock.advance(1)
    assert (await asked).code == 302
    assert web.db.rows("SELECT * FROM buildrequests") == before


@pytest.mark.parametrize(
    "path",
    [
        stop_path(LINUX, 7),
        stop_path(LINUX, "x"),
        stop_path(LINUX, "9" * 30),
        stop_path("no such builder"),
        f"builders/{quote(LINUX)}/builds/7",
        f"json/builders/{quote(LINUX)}/builds/7",
        "json/builders/none",
        "builders/none",
        f"builders/{quote(LINUX)}/stopall",
        f"builders/{LINUX.replace(' ', '+')}/builds/0",
        "builders/odd/na%20me%2B100%25%3F%23/builds/0",
        "json/%FF",
        "json/builders/%FF",
    ],
)
@twisted_test()
async def test_what_is_not_there_is_404_at_once(web: Web, path: str) -> None:
    begin(web)
    answer = await web.ask(path)
    assert (answer.code, "No Such Resource" in answer.body) == (404, True)
    assert web.db.one("SELECT complete FROM buildrequests") == 0


@twisted_test()
async def test_a_master_that_refuses_says_so_at_once(make_web: Any) -> None:
    web = await make_web(refuses_stops=True)
    begin(web)
    answer = await web.ask(stop_path(LINUX), "POST")
    assert (answer.code, answer.location) == (302, "../../../../authfail")
    web.clock.advance(5)
    assert web.db.one("SELECT complete FROM buildrequests") == 0
    assert (await web.ask("authfail")).code == 200


@twisted_test()
async def test_names_with_slash_space_and_signs_are_one_segment(web: Web) -> None:
    begin(web, ODD)
    path = "odd%2Fna%20me%2B100%25%3F%23"
    told = (await web.ask(f"json/builders/{path}/builds/0")).json
    assert told["builderName"] == ODD
    asked = web.later(f"builders/{path}/builds/0/stop")
    await web.until_answering()
    web.clock.pump([0.1, 1])
    assert (await asked).location == f"../../../../builders/{path}"
    assert web.db.one("SELECT complete FROM buildrequests") == 1


@twisted_test()
async def test_a_running_build_tells_what_it_is(web: Web) -> None:
    begin(web, reason="because", branch="mozilla-central", revision="b" * 40)
    told = (await web.ask(f"json/builders/{quote(LINUX)}/builds/0")).json
    assert told["builderName"] == LINUX
    assert told["number"] == 0
    assert told["reason"] == "because"
    assert told["results"] is None
    assert told["times"] == [START + 1, None]
    assert told["currentStep"]["isStarted"] is True
    assert told["slave"] == "bld-linux64-ec2-001"
    assert ["slavename", "bld-linux64-ec2-001", "BuildSlave"] in told["properties"]
    assert ["buildid", "20200101", "Scheduler"] in told["properties"]
    assert told["sourceStamp"] == {
        "branch": "mozilla-central",
        "revision": "b" * 40,
        "changes": [],
        "hasPatch": False,
        "project": "",
        "repository": "",
    }


NIGHTLY = "OS X 10.7 mozilla-central nightly"


@twisted_test()
async def test_a_build_has_the_properties_of_its_request_and_of_its_change(web: Web) -> None:
    begin(
        web,
        NIGHTLY,
        revision="default",
        properties={"buildid": ("2020", "self-serve"), "files": (["\u00e4", 7], "self-serve")},
        change_branch="mozilla-central-selfserve",
        change_properties={"buildid": ("1999", "Change"), "who": (None, "Change")},
    )
    for later in (0, 201):
        web.clock.advance(later)
        told = (await web.ask(f"json/builders/{quote(NIGHTLY)}/builds/0")).json
        assert told["properties"] == [
            ["buildername", NIGHTLY, "Builder"],
            ["buildid", "2020", "self-serve"],
            ["buildnumber", 0, "Build"],
            ["files", ["\u00e4", 7], "self-serve"],
            ["slavename", "bld-lion-r5-001", "BuildSlave"],
            ["who", None, "Change"],
        ]
        assert told["slave"] == "bld-lion-r5-001"


@twisted_test()
async def test_a_merged_build_gives_all_reasons(web: Web) -> None:
    submit(web.db, LINUX, reason="second", submitted_at=2)
    begin(web, reason="first", submitted_at=1)
    told = (await web.ask(f"json/builders/{quote(LINUX)}/builds/0")).json
    assert told["reason"] == "first, second"


@twisted_test()
async def test_a_finished_build_keeps_its_slave_and_has_results(web: Web) -> None:
    begin(web)
    path = f"json/builders/{quote(LINUX)}/builds/0"
    slave = (await web.ask(path)).json["slave"]
    web.clock.advance(201)
    told = (await web.ask(path)).json
    assert told["slave"] == slave
    assert told["results"] == web.db.one("SELECT results FROM buildrequests")
    assert told["times"][1] == START + 202
    assert told["currentStep"] is None


@twisted_test()
async def test_the_page_of_a_build_names_its_slave(web: Web) -> None:
    begin(web, reason="<b>&")
    page = (await web.ask(f"builders/{quote(LINUX)}/builds/0")).body
    found = re.search(r'<h2>BuildSlave:</h2>\s*(?:<a href="[^"]*">)?\s*([^<\s][^<]*?)\s*<', page)
    assert found is not None
    assert found[1] == "bld-linux64-ec2-001"
    assert "<b>" not in page


@twisted_test()
async def test_a_builder_lists_current_and_pending_builds(make_web: Any) -> None:
    web = await make_web(slaves=1)
    begin(web)
    submit(web.db, LINUX, revision="c" * 40)
    told = (await web.ask(f"json/builders/{quote(LINUX)}")).json
    assert told["currentBuilds"] == [0]
    assert [p["revision"] for p in told["pendingBuilds"]] == ["c" * 40]
    assert told["state"] == "building"
    assert (await web.ask(f"builders/{quote(LINUX)}")).code == 200


@twisted_test()
async def test_slaves_tell_what_they_run(web: Web) -> None:
    begin(web)
    told = (await web.ask("json/slaves")).json
    [slave] = told.values()
    assert (slave["name"], slave["connected"]) == ("bld-linux64-ec2-001", True)
    assert [b["builderName"] for b in slave["runningBuilds"]] == [LINUX]


@twisted_test()
async def test_a_master_names_itself(web: Web) -> None:
    assert (await web.ask("json/project")).json["projectName"] == "bm01-build1"
    assert "bm01-build1" in (await web.ask("")).body


@twisted_test()
async def test_a_database_that_is_down_is_500(web: Web) -> None:
    begin(web)
    web.db.down = True
    assert (await web.ask(stop_path(LINUX), "POST")).code == 500


@twisted_test()
async def test_a_page_that_fails_is_500_and_logged(web: Web, logged_errors: list[Any]) -> None:
    web.db.connection.execute("DROP TABLE builds")
    assert (await web.ask(stop_path(LINUX), "POST")).code == 500
    assert logged_errors
    logged_errors.clear()
    web.db.connection.execute("CREATE TABLE builds (id, number, brid, start_time, finish_time)")


@twisted_test()
async def test_stopping_ends_what_is_being_answered(web: Web) -> None:
    begin(web)
    asked = web.later(stop_path(LINUX))
    await web.until_answering()
    await web.web.stopService()
    with pytest.raises(ResponseNeverReceived):
        await asked
    # The next poll, and the end of the stopped build; nothing that answers.
    assert len(web.clock.getDelayedCalls()) == 2
