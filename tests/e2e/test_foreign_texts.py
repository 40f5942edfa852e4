"""The whole service on databases whose columns cannot hold every text that people use."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from buildapi.sample.farm_schema import status_schema
from tests.buildbot.conftest import create, in_charset
from tests.buildbot.seed import Seed
from tests.e2e.service import Client, Service, configured
from tests.services.mariadb import MariaDB

TEXTS = ("\u0141", "\u6f22", "\u2075", "\U0001f680")
REVISION = "abcdef012345" + "0" * 28
BUILDER = "Linux try pgo-build"
BUILD = f"/self-serve/try/builders/{quote(BUILDER)}/{REVISION}"
DIRECTORY: dict[str, Any] = {
    "branches": {"try": {}, **{text: {} for text in TEXTS}},
    "masters": [],
    "builders": {"builders": {BUILDER: {"properties": {"branch": "try"}}}},
}
READS = (
    "/reports/builder/{}",
    "/reports/status_builders/{}",
    "/reports/testruns?category={}",
    "/reports/endtoend/{}",
    "/reports/idlejobs/{}",
    "/reports/trychooser/{}",
    "/reports/revision/{}/" + REVISION,
    "/self-serve/{}",
    "/self-serve/{}/builders",
    "/self-serve/{}/rev/" + REVISION,
    "/self-serve/{}/pushes",
    "/self-serve/try/pushes?author={}",
    "/self-serve/try/pushes?revision={}",
    "/self-serve/try/pushes?builder={}",
    "/self-serve/try/pushes?after=1-{}",
    "/self-serve/user/{}",
    "/self-serve/{}/user/someone",
    "/self-serve/try/rev/{}",
    "/self-serve/try/rev/{}/is_done",
    "/self-serve/try/user/{}",
    "/self-serve/jobs?who={}",
    "/self-serve/lookup?q={}-name",
    "/pushes/{}",
    "/recent/{}?greedy=1",
    "/pending/{}",
    "/running/{}",
    "/recent/{}",
    "/revision/{}/" + REVISION,
    "/revision/try/{}",
)


@attrs.frozen
class World:
    """A service, its scheduler database, and a character that this cannot hold."""

    service: Service
    seed: Seed
    foreign: str

    def as_(self, user: str) -> Client:
        """Ask as another user."""
        return Client(self.service.client.url, user)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("latin1", "\u0141"), marks=pytest.mark.mariadb, id="latin1"),
        pytest.param(("utf8mb3", "\U0001f680"), marks=pytest.mark.mariadb, id="utf8mb3"),
    ],
)
def world(
    request: pytest.FixtureRequest, mariadb: MariaDB, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Run one process on databases of one character set."""
    charset, foreign = request.param
    urls = {name: mariadb.database(name, charset) for name in ("scheduler", "status")}
    create(urls["scheduler"], "mysql", charset)
    status = in_charset(status_schema("mysql"), charset)
    mariadb.execute(*status, database=urls["status"].rpartition("/")[2])
    seed = Seed(urls["scheduler"])
    seed.run(seed.request())
    folder = tmp_path_factory.mktemp("foreign")
    for name, document in DIRECTORY.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    sections = {
        "databases": {name: {"url": url} for name, url in urls.items()},
        "directory": {
            **{name: str(folder / f"{name}.json") for name in DIRECTORY},
            "allow_empty": ["masters"],
        },
    }
    service = configured(folder / "service", sections)
    service.up()
    yield World(service, seed, foreign)
    service.kill()
    seed.close()


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("path", READS)
def test_a_read_of_a_text_that_the_database_cannot_hold_is_empty_or_not_found(
    world: World, path: str, text: str
) -> None:
    answer = world.service.client.get(path.format(quote(text, safe="")))
    assert answer.status in (200, 404), answer


def test_a_file_that_cannot_be_stored_is_refused_before_202(world: World) -> None:
    """With its name and its character; nothing is recorded."""
    client = world.service.client
    before = len(client.get("/self-serve/jobs").body)
    for query in ("", "?dry_run=1"):
        answer = client.post(f"{BUILD}{query}", files=json.dumps(["a", f"b{world.foreign}"]))
        assert answer.status == 400
        assert answer.body["msg"].startswith("Bad files: ")
        assert f"U+{ord(world.foreign):04X}" in answer.body["msg"]
    assert len(client.get("/self-serve/jobs").body) == before


def test_a_user_whose_name_cannot_be_stored_is_served(world: World) -> None:
    """Beside texts that are stored as ASCII, or can be stored."""
    user = f"z{world.foreign}@example.org"
    escaped = user.encode("ascii", "backslashreplace").decode()
    properties = json.dumps({"note": TEXTS})
    answer = world.as_(user).post(BUILD, files=json.dumps(["zo\u00eb"]), properties=properties)
    (warning,) = answer.body["warnings"]
    assert warning.startswith(f"Your name is stored as {escaped}: ")
    job = world.service.client.done(answer)
    assert (job["who"], job["complete_data"]["body"]["errors"]) == (user, False)
    (change,) = world.seed.rows("SELECT author FROM changes")
    assert change["author"] == escaped
    (file,) = world.seed.rows("SELECT filename FROM change_files")
    assert file["filename"] == "zo\u00eb"
