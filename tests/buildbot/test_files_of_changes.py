"""Files of changes are read where the account may: accounts of older versions may not."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from buildapi.buildbot.v08.push_reads import DENIED_SECONDS, SQLPushes
from buildapi.buildbot.v08.table_grants import SCHEDULER_READ
from buildapi.errors import TableDenied
from tests.buildbot.conftest import OpenScheduler, empty
from tests.contracts.test_reads import InSQL
from tests.reactor import twisted_test
from tests.services.mariadb import MariaDB

REVISION = "abcdef012345"


@pytest.mark.mariadb
class TestAnAccountWithoutTheTable:
    @pytest.fixture
    def made(self, mysql_urls: list[str], mariadb: MariaDB, open_scheduler: OpenScheduler) -> InSQL:
        """Return a farm that an account reads which has all rights but one."""
        url = mysql_urls[0]
        empty(url)
        name = url.rpartition("/")[2]
        mariadb.execute(
            "CREATE OR REPLACE USER old@127.0.0.1",
            *(f"GRANT SELECT ON {name}.{table} TO old@127.0.0.1" for table in SCHEDULER_READ),
            f"REVOKE SELECT ON {name}.change_files FROM old@127.0.0.1",
        )
        self.allow = f"GRANT SELECT ON {name}.change_files TO old@127.0.0.1"
        scheduler = open_scheduler(url)
        self.db = open_scheduler(url.replace("root@", "old@")).db
        return InSQL(scheduler)

    @twisted_test(10)
    async def test_finds_no_files_and_says_so_once_until_it_may(
        self, made: InSQL, mariadb: MariaDB
    ) -> None:
        change = made.change(REVISION, files=["a.c"])
        clock = Clock()
        pushes = SQLPushes(self.db, clock)
        with capturedLogs() as events:
            assert [await pushes.files([change]) for _ in range(3)] == [{}, {}, {}]
        (text,) = [formatEvent(e) for e in events if e["log_level"] is LogLevel.warn]
        assert "files of changes are left out: the scheduler database refuses" in text
        assert "buildapi db grants" in text
        mariadb.execute(self.allow)
        assert await pushes.files([change]) == {}
        clock.advance(DENIED_SECONDS)
        assert await pushes.files([change]) == {change: ["a.c"]}

    @twisted_test(10)
    async def test_reads_all_else(self, made: InSQL) -> None:
        change = made.change(REVISION, files=["a.c"])
        found = await SQLPushes(self.db, Clock()).changes([REVISION])
        assert [c.id for c in found[REVISION]] == [change]
        with pytest.raises(TableDenied, match="refuses the account a table"):
            await self.db.fetch("SELECT filename FROM change_files", {})
