"""Whether a scheduler database can store the texts of a job request is known beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from buildapi.buildbot.v08.lowered_plan import Written, lowered
from buildapi.buildbot.v08.text_limits import SQLTextLimits
from buildapi.errors import BadRequest, DatabaseUnavailable
from buildapi.interfaces import TextLimits
from buildapi.jobs.decide import decide
from buildapi.model.actions import NewBuild, NewBuilderBuild
from buildapi.model.charsets import TextColumn
from buildapi.model.facts import BranchFacts
from tests.buildbot.acting import make_farm
from tests.buildbot.conftest import OpenScheduler, Scheduler, create
from tests.buildbot.text_limits_contract import REVISION, TextLimitsContract, builder_build
from tests.model.defaults import rules
from tests.model.values import job
from tests.reactor import twisted_test
from tests.services.mariadb import MariaDB
from tests.web.farm import MemoryTextLimits

ROCKET = "\U0001f680"
UNHELD = {"latin1": ("\u0141", "\u6f22", "\u2075", ROCKET), "utf8mb3": (ROCKET,)}
HELD = {"latin1": "\u20aczo\u00eb", "utf8mb3": "\u0141\u6f22\u2075", "utf8mb4": ROCKET}
FACTS = BranchFacts("try", None, (), "20231114221320", "0" * 32, "master-a")


@pytest.fixture(scope="session")
def charset_urls(mariadb: MariaDB) -> dict[str, str]:
    """Return a scheduler database of each character set, made once."""
    urls = {charset: mariadb.database("texts", charset) for charset in HELD}
    for charset, url in urls.items():
        create(url, "mysql", charset)
    return urls


@pytest.fixture
def database(
    charset: str, charset_urls: dict[str, str], open_scheduler: OpenScheduler
) -> Scheduler:
    return open_scheduler(charset_urls[charset])


class OnMariaDB(TextLimitsContract):
    """On a real server."""

    charset: str

    @pytest.fixture
    def limits(self, charset_urls: dict[str, str], open_scheduler: OpenScheduler) -> TextLimits:
        self.scheduler = open_scheduler(charset_urls[self.charset])
        return SQLTextLimits(self.scheduler.db)

    async def away(self, limits: TextLimits) -> None:
        await self.scheduler.db.stopService()


@pytest.mark.mariadb
class TestLatin1(OnMariaDB):
    charset, foreign = "latin1", "\u0141"


@pytest.mark.mariadb
class TestUTF8MB3(OnMariaDB):
    charset, foreign = "utf8mb3", ROCKET


class TestInMemory(TextLimitsContract):
    """The double of the tests of the HTTP side."""

    foreign = "\u0141"

    @pytest.fixture
    def limits(self) -> TextLimits:
        return MemoryTextLimits("\u0141\u20ac")

    async def away(self, limits: TextLimits) -> None:
        assert isinstance(limits, MemoryTextLimits)
        limits.failing.error = DatabaseUnavailable("away")


@pytest.mark.parametrize("charset", [pytest.param(c, marks=pytest.mark.mariadb) for c in HELD])
@twisted_test(20)
async def test_what_can_be_stored_is_let_through(database: Scheduler, charset: str) -> None:
    limits = SQLTextLimits(database.db)
    held = HELD[charset]
    assert list(await limits.check(builder_build(held), held)) == []
    assert await limits.author(held) == held


@twisted_test(20)
async def test_sqlite_stores_any_text(open_scheduler: OpenScheduler, tmp_path: Any) -> None:
    url = f"sqlite:///{tmp_path}/texts.sqlite"
    create(url, "sqlite")
    limits = SQLTextLimits(open_scheduler(url).db)
    for _ in range(2):
        assert list(await limits.check(builder_build(ROCKET, "x" * 1024), ROCKET)) == []


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        pytest.param(charset, text, marks=pytest.mark.mariadb)
        for charset, texts in (*UNHELD.items(), *((c, (t,)) for c, t in HELD.items()))
        for text in texts
    ],
)
@twisted_test(20)
async def test_what_is_refused_is_what_the_database_would_not_take(
    database: Scheduler, charset: str, text: str
) -> None:
    """The agent's transaction agrees; a name alone does not fail it."""
    farm, action = make_farm(database), builder_build(text)
    refused = text in UNHELD.get(charset, ())
    database.seed.execute("DELETE FROM buildapi_markers")
    plan = lowered(decide(action, FACTS, "zoe", rules()), FACTS)
    if refused:
        with pytest.raises(BadRequest):
            await farm.write(job(1), plan)
        with pytest.raises(BadRequest):
            await SQLTextLimits(database.db).check(action, "zoe")
    else:
        assert (await farm.write(job(1), plan))[0] is Written.APPLIED
        await SQLTextLimits(database.db).check(action, "zoe")
    plan = lowered(decide(builder_build("a"), FACTS, text, rules()), FACTS)
    assert (await farm.write(job(2), plan))[0] is Written.APPLIED
    (newest,) = database.seed.rows("SELECT author FROM changes ORDER BY changeid DESC LIMIT 1")
    assert newest["author"] == await SQLTextLimits(database.db).author(text)


@pytest.mark.mariadb
@pytest.mark.parametrize("charset", ["latin1"])
@twisted_test(20)
async def test_columns_are_looked_at_again_before_a_refusal(
    database: Scheduler, charset: str
) -> None:
    """An administrator may widen them while we run; a longer text fits then as well."""
    limits, seed = SQLTextLimits(database.db), database.seed
    alter = "ALTER TABLE change_files MODIFY filename VARCHAR({}) CHARACTER SET {} NOT NULL"
    long = builder_build("x" * 400)
    seed.execute(alter.format(255, "latin1"))
    with pytest.raises(BadRequest, match=r"Bad files: 'x.* has 400 characters, and 255 fit"):
        await limits.check(long, "zoe")
    seed.execute(alter.format(1024, "utf8mb4"))
    assert list(await limits.check(long, "zoe")) == []
    assert list(await limits.check(builder_build(ROCKET), "zoe")) == []
    seed.execute(alter.format(1024, "latin1"))


@pytest.mark.mariadb
@pytest.mark.parametrize("charset", ["latin1"])
@twisted_test(20)
async def test_other_texts_are_bounded_by_their_columns(database: Scheduler, charset: str) -> None:
    limits, seed = SQLTextLimits(database.db), database.seed
    alter = "ALTER TABLE {} MODIFY {} VARCHAR({}) NOT NULL"
    columns = (
        ("buildrequests", "buildername", 256),
        ("buildset_properties", "property_value", 1024),
    )
    for table, column, _ in columns:
        seed.execute(alter.format(table, column, 200))
    try:
        name = NewBuilderBuild("try-selfserve", REVISION, "x" * 201)
        with pytest.raises(BadRequest, match="Bad builder_name"):
            await limits.check(name, "zoe")
        value = NewBuilderBuild("try-selfserve", REVISION, "x", properties={"a": "x" * 200})
        with pytest.raises(BadRequest, match="Bad properties"):
            await limits.check(value, "zoe")
        assert list(await limits.check(NewBuild("try", "x" * 256), "zoe")) == []
    finally:
        for table, column, width in columns:
            seed.execute(alter.format(table, column, width))


@pytest.mark.mariadb
@pytest.mark.parametrize("charset", ["latin1"])
@pytest.mark.parametrize("asked", ["ascii", "latin1", "utf8mb3", "ucs2"])
@twisted_test(20)
async def test_our_character_sets_are_those_of_the_server(
    database: Scheduler, charset: str, asked: str
) -> None:
    """Every printable character up to the first of those beyond the BMP is asked for."""
    every = [chr(n) for n in (*range(0x20, 0xD800), *range(0xE000, 0x10100))]
    text = "".join(char for char in every if char.isprintable() and char != "?")
    select = f"SELECT CONVERT(CONVERT(:text USING {asked}) USING utf8mb4)"
    ((back,),) = await database.db.fetch(select, {"text": text})
    column = TextColumn(asked)
    lacking = [char for char, there in zip(text, back, strict=True) if there != char]
    assert [char for char in text if column.refusal(char)] == lacking
