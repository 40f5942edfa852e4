"""Every recorded read of the pages about the whole farm, on SQLite and on MariaDB."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import defer

from buildapi.buildbot.v08.farm_reads import SQLFarmReads
from buildapi.buildbot.v08.recent_builds import SQLRecentBuilds
from buildapi.db.pool import open_database
from tests.farmwide.comparing import differences
from tests.farmwide.differences import DIFFERENCES
from tests.farmwide.recorded import in_files, on_server
from tests.farmwide.serving import serving
from tests.golden.cases import Case, epoch, load
from tests.golden.client import JSON, Answer, ask
from tests.golden.compare import without_additions
from tests.web.farm import MemoryDirectory

GROUPS = ("results", "recent", "pushes")


def cases() -> Sequence[Case]:
    """List the reads."""
    recorded = [c for c in load("get.json.gz") if c["group"] in GROUPS]
    return [Case(c["name"], json.dumps(c).encode()) for c in recorded]


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
def answers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Answer]:
    """Ask all of one site; give the answers by case."""
    if request.param == "sqlite":
        urls = in_files(tmp_path_factory.mktemp("farmwide"))
    else:
        urls = on_server(request.getfixturevalue("mariadb"))
    given: dict[str, Answer] = pytest_twisted.blockon(defer.ensureDeferred(_ask_all(urls)))
    return given


async def _ask_all(urls: Mapping[str, str]) -> dict[str, Answer]:
    from twisted.internet import reactor

    pools = [
        open_database(
            urls[name],
            reactor=reactor,
            name=name,
            size=2,
            max_waiting=10,
            statement_seconds=5,
            max_rows=50_000,
            read_only=True,
        )
        for name in ("scheduler", "status")
    ]
    reads, recent = SQLFarmReads(pools[0]), SQLRecentBuilds(pools[1])
    directory = MemoryDirectory(definitions=load("directory/production-branches.json"))
    try:
        serve = serving(directory, reads, recent, now=epoch() + 0.25, zone="US/Pacific")
        async with serve as port:
            return {c.name: await ask(port, c.recorded["request"]) for c in cases()}
    finally:
        for pool in pools:
            await pool.stopService()


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_read_is_answered_as_recorded_or_as_the_table_of_differences_says(
    case: Case, answers: dict[str, Answer]
) -> None:
    answer, recorded = answers[case.name], case.recorded
    now = json.loads(answer.body) if answer.media_type == JSON and answer.body else None
    now = without_additions(now)
    found = differences(recorded, answer, now)
    listed = next((d for d in DIFFERENCES if d.covers(case.name)), None)
    if listed is None:
        assert not found, "\n".join(f"{r} {text}" for r, text in found.items())
    else:
        assert found.keys() == listed.respects, found or "it is equal now: unlist it"
        assert listed.status == answer.status, answer
        assert listed.msg in text_of(answer, now), answer
        assert listed.agree is None or listed.agree(recorded, now), now


def text_of(answer: Answer, now: Any) -> str:
    """Return what an error says, without the escapes of its page."""
    return str(now["msg"]) if isinstance(now, dict) and "msg" in now else _unescaped(answer)


def _unescaped(answer: Answer) -> str:
    return answer.body.decode().replace("&#39;", "'")


@pytest.mark.parametrize(
    "pattern", [p for d in DIFFERENCES for p in d.cases], ids=lambda pattern: pattern
)
def test_a_pattern_of_the_table_stands_for_one_entry(pattern: str) -> None:
    names = [case.name for case in cases()]
    covered = [n for n in names if any(pattern in d.cases and d.covers(n) for d in DIFFERENCES)]
    assert covered
    assert all(sum(d.covers(n) for d in DIFFERENCES) == 1 for n in covered)
