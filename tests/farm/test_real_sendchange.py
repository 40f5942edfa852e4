"""Real 0.8.2 masters take changes from us, refuse them readably, and have each once."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from buildapi.buildbot.directory import parse_masters
from buildapi.buildbot.v08.change_sender import JOB_PROPERTY, ChangeLogin, ChangeSender
from buildapi.buildbot.v08.lowered_plan import LoweredPlan
from buildapi.buildbot.v08.markers import WRITTEN, Markers, MarkerSendRecord
from buildapi.buildbot.v08.sendchange import ChangeError, PBChange, send_change
from buildapi.db.pool import PooledDatabase, open_database
from buildapi.db.schema import create_marker_table
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import SendChange
from tests.farm.farm import Farm, Master
from tests.farm.fixtures import MakeFarm
from tests.model.values import job
from tests.reactor import twisted_test
from tests.services.mariadb import MariaDB

pytestmark = pytest.mark.buildbot

MARKERS = "buildapi_markers"
WHO = "Zoë Ωmega <zoë@example.org>"
REVISION = "abcdef012345"
CHANGE = PBChange(
    who=WHO,
    branch="try",
    revision=REVISION,
    revlink="https://hg.example.org/try/rev/abcdef012345",
    comments="Submitted",
    files=("dummy",),
    properties={},
)


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)],
)
def farm(request: pytest.FixtureRequest, make_module_farm: MakeFarm) -> Farm:
    """Run two masters that build what changes ask for; one of them takes changes."""
    url = None
    if request.param == "mariadb":
        server: MariaDB = request.getfixturevalue("farm_server")
        url = server.database("farm", charset="utf8")  # utf8mb4 is unknown to Buildbot 0.8.2
    farm = make_module_farm(url)
    farm.master("a", {"a": "short"}, change_source=True, schedulers={"try": ["a"]})
    farm.master("b", {"b": "short"}, schedulers={"other": ["b"]})
    farm.start()
    return farm


@pytest.fixture
def master(farm: Farm) -> Master:
    return farm.masters[0]


@pytest.fixture
def other(farm: Farm) -> Master:
    return farm.masters[1]


async def send(master: Master, change: PBChange = CHANGE, **more: Any) -> None:
    from twisted.internet import reactor

    said: Any = {"username": "change", "password": "changepw", "seconds": 5.0} | more
    await send_change(reactor, "127.0.0.1", master.pb_port, change, **said)


async def refused(master: Master, change: PBChange = CHANGE, **more: Any) -> ChangeError:
    with pytest.raises(ChangeError) as e:
        await send(master, change, **more)
    return e.value


def changes_of(farm: Farm, revision: str) -> list[tuple[Any, ...]]:
    return farm.rows.select(
        "SELECT changeid, author, branch, revlink, comments FROM changes WHERE revision = %s",
        revision,
    )


def wait_built(farm: Farm, builder: str, revision: str, seconds: float = 180) -> int:
    """Wait until a builder has built a revision; give the results."""
    end = time.monotonic() + seconds
    while True:
        rows = farm.rows.select(
            "SELECT br.complete, br.results FROM buildrequests br"
            " JOIN buildsets bs ON bs.id = br.buildsetid"
            " JOIN sourcestamps ss ON ss.id = bs.sourcestampid"
            " WHERE br.buildername = %s AND ss.revision = %s",
            builder,
            revision,
        )
        if rows and rows[0][0]:
            assert len(rows) == 1
            return int(rows[0][1])
        assert time.monotonic() < end, f"{builder} did not build {revision}: {rows}"
        time.sleep(0.05)


@twisted_test(40)
async def test_a_change_starts_a_build_and_tells_who(farm: Farm, master: Master) -> None:
    await send(master, attrs.evolve(CHANGE, comments="Grüße 北京 " + "x" * 2000))
    ((_, author, branch, revlink, comments),) = changes_of(farm, REVISION)
    assert (author, branch, revlink) == (WHO, "try", CHANGE.revlink)
    assert comments == ("Grüße 北京 " + "x" * 2000)[:1024]
    assert await deferToThread(wait_built, farm, "a", REVISION) == 0


@twisted_test(20)
async def test_a_job_is_stored_as_the_property_of_its_change(farm: Farm, master: Master) -> None:
    for number in (7, 2**40):
        change = attrs.evolve(CHANGE, revision=f"prop{number}", properties={JOB_PROPERTY: number})
        await send(master, change)
        ((id_, *_),) = changes_of(farm, change.revision)
        stored = farm.rows.select(
            "SELECT property_name, property_value FROM change_properties WHERE changeid = %s", id_
        )
        assert stored == [(JOB_PROPERTY, f'[{number}, "Change"]')]


@twisted_test(20)
async def test_a_wrong_password_is_told(farm: Farm, master: Master) -> None:
    for wrong in ({"password": "wrong"}, {"username": "nobody"}):
        error = await refused(master, attrs.evolve(CHANGE, revision="refused"), **wrong)
        assert str(error) == "the master refused our user name or password"
        assert not error.sent
    assert not changes_of(farm, "refused")


@twisted_test(20)
async def test_a_master_without_change_source_is_told(other: Master) -> None:
    error = await refused(other)
    assert str(error) == "the master accepts no changes (no PBChangeSource)"
    assert not error.sent


@twisted_test(20)
async def test_the_login_of_a_slave_is_no_good(master: Master) -> None:
    error = await refused(master, username="slave-a1", password="pw")
    assert str(error).startswith("the master refused: ")
    assert not error.sent


@twisted_test(20)
async def test_what_the_database_refuses_is_told(farm: Farm, master: Master) -> None:
    change = attrs.evolve(CHANGE, revision="long", revlink="x" * 300)
    if farm.db_url.startswith("sqlite"):
        await send(master, change)
        assert changes_of(farm, "long")
        return
    error = await refused(master, change)
    assert str(error).startswith("the master refused: DataError: (1406, ")
    assert not error.sent
    assert not changes_of(farm, "long")


@twisted_test(20)
async def test_characters_beyond_the_basic_plane_depend_on_the_database(
    farm: Farm, master: Master
) -> None:
    change = attrs.evolve(CHANGE, revision="emoji", who="😀")
    if farm.db_url.startswith("sqlite"):
        await send(master, change)
        assert changes_of(farm, "emoji")[0][1] == "😀"
        return
    error = await refused(master, change)
    assert "(1366, " in str(error)
    assert not error.sent


@twisted_test(30)
async def test_a_master_that_stands_still_is_left_after_the_deadline(
    farm: Farm, master: Master
) -> None:
    change = attrs.evolve(CHANGE, revision="still")
    master.suspend()
    try:
        error = await refused(master, change, seconds=0.5)
        assert str(error) == "no answer within 0.5 s"
        assert not error.sent
    finally:
        master.resume()
    await send(master, attrs.evolve(CHANGE, revision="after"))
    assert changes_of(farm, "after")
    assert not changes_of(farm, "still")


# --- changes that others put into the database, or that hold any characters


def insert_change(farm: Farm, branch: str, revision: str, columns: Mapping[str, str]) -> int:
    """Put a change with one file into the database; give its id."""
    ((last,),) = farm.rows.select("SELECT MAX(changeid) FROM changes")
    row = {
        "changeid": (last or 0) + 1,
        "author": "zoe",
        "comments": "c",
        "is_dir": 0,
        "branch": branch,
        "revision": revision,
        "revlink": "",
        "when_timestamp": int(time.time()),
        "repository": "",
        "project": "",
    } | {name: text for name, text in columns.items() if name != "filename"}
    # The file comes first: a master that sees a change keeps what it read of it then.
    farm.rows.execute(
        "INSERT INTO change_files (changeid, filename) VALUES (%s, %s)",
        row["changeid"],
        columns.get("filename", "dummy"),
    )
    marks = ", ".join(["%s"] * len(row))
    farm.rows.execute(f"INSERT INTO changes ({', '.join(row)}) VALUES ({marks})", *row.values())
    return int(row["changeid"])


@pytest.mark.parametrize("column", ["filename", "author", "comments", "revlink"])
def test_any_text_but_branch_and_revision_is_harmless(
    farm: Farm, master: Master, other: Master, column: str
) -> None:
    """Schedulers build the change and those that follow it; builds that name it are shown."""
    text = {column: "grün/北京 ñ.txt"}
    insert_change(farm, "other", f"scheduled-{column}", text)
    assert wait_built(farm, "b", f"scheduled-{column}") == 0

    change = insert_change(farm, "nobody", f"named-{column}", text)
    # No master has this builder, so none builds before the source stamp is whole.
    request = farm.rows.submit("nowhere", branch="nobody", revision=f"named-{column}")
    farm.rows.execute(
        "INSERT INTO sourcestamp_changes (sourcestampid, changeid)"
        " SELECT bs.sourcestampid, %s FROM buildsets bs"
        " JOIN buildrequests br ON br.buildsetid = bs.id WHERE br.id = %s",
        change,
        request,
    )
    farm.rows.execute("UPDATE buildrequests SET buildername = 'a' WHERE id = %s", request)
    assert farm.rows.wait_complete(request).results == 0
    number = farm.rows.builds(request)[-1].number
    (told,) = master.json(f"builders/a/builds/{number}")["sourceStamp"]["changes"]
    assert text[column] in json.dumps(told, ensure_ascii=False)
    assert shown(master, f"builders/a/builds/{number}") == 200
    assert shown(master, f"changes/{change}") == 200

    for branch, builder in (("try", "a"), ("other", "b")):
        revision = f"next-{column}-{branch}"
        insert_change(farm, branch, revision, {})
        assert wait_built(farm, builder, revision) == 0


def shown(master: Master, page: str) -> int:
    try:
        with urllib.request.urlopen(f"{master.url}/{page}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as e:
        with e:
            return e.code


# --- each once


@pytest_twisted.async_yield_fixture
async def db(farm: Farm) -> AsyncIterator[PooledDatabase]:
    from twisted.internet import reactor

    limits: Any = {"size": 2, "max_waiting": 10, "statement_seconds": 5, "max_rows": 100}
    db = open_database(farm.db_url, reactor=reactor, name="scheduler", **limits)
    yield db
    await db.stopService()


@twisted_test(30)
async def test_a_change_is_sent_once_for_a_job(
    farm: Farm, master: Master, db: PooledDatabase
) -> None:
    from twisted.internet import reactor

    masters = parse_masters(json.loads(farm.masters_json())).value
    login = ChangeLogin("change", "changepw")
    await create_marker_table(db, MARKERS)
    markers, jobs = Markers(MARKERS), [job(11), job(1), job(111)]
    step = SendChange(master.claimed_by_name, "try", "once", None)
    plan, now = LoweredPlan(Outcome(False, "Ok"), pokes=(step,)), int(time.time())
    await db.transact([markers.mark(of, plan, WRITTEN, now) for of in jobs])
    sender = ChangeSender(reactor, db, MarkerSendRecord(db, markers), lambda: masters, login, 5, 5)
    first = await sender.send(jobs[0], step, WHO)
    ((id_, author, *_),) = changes_of(farm, "once")
    assert author == WHO
    where = master.claimed_by_name
    assert first == Item("done", f"change {id_} sent to {where}", master=where)
    again = await sender.send(jobs[0], step, WHO)
    assert again == Item("done", f"change {id_} had already been sent", master=where)
    assert len(changes_of(farm, "once")) == 1
    await sender.send(jobs[1], step, WHO)
    await sender.send(jobs[2], step, WHO)
    assert len(changes_of(farm, "once")) == 3
    assert await deferToThread(wait_first_built, farm, "once") == 0


def wait_first_built(farm: Farm, revision: str) -> int:
    end = time.monotonic() + 180
    while True:
        rows = farm.rows.select(
            "SELECT br.results FROM buildrequests br JOIN buildsets bs ON bs.id = br.buildsetid"
            " JOIN sourcestamps ss ON ss.id = bs.sourcestampid"
            " WHERE ss.revision = %s AND br.complete = 1",
            revision,
        )
        if rows:
            return int(rows[0][0])
        assert time.monotonic() < end
        time.sleep(0.05)
