"""A jobs database that is put back to an earlier moment, and jobs of each kind that are asked for.

What a job did is looked up in the scheduler database: a job that only says so is no proof.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.e2e.service import USER, Client
from tests.farm.rows import SchedulerRows
from tests.services.mariadb import MariaDB

NOWHERE = "nowhere"
"""A builder that no master has: its requests stay as they are."""

_rounds = itertools.count(1)


@attrs.frozen
class Files:
    """Copy the SQLite files of the jobs database; the process must have ended."""

    data: Path
    kept: Path

    def keep(self) -> None:
        """Copy what is there now."""
        self.kept.mkdir()
        for file in self._files():
            shutil.copy2(file, self.kept)

    def lose(self) -> None:
        """Delete the files."""
        for file in self._files():
            file.unlink()

    def put_back(self) -> None:
        """Put the copy in the place of what is there."""
        self.lose()
        for file in self.kept.iterdir():
            shutil.copy2(file, self.data)

    def _files(self) -> Sequence[Path]:
        return list(self.data.glob("jobs.sqlite*"))


@attrs.define
class Tables:
    """Copy the tables of a MariaDB database; :meth:`put_back` is over in a moment."""

    server: MariaDB
    database: str
    _kept: str = ""

    def keep(self) -> None:
        """Copy what is there now, as a copy that lags behind would have it."""
        self._kept = f"{self.database}_kept"
        self.server.execute(f"CREATE DATABASE {self._kept}")
        for table in self._tables():
            self.server.execute(
                f"CREATE TABLE {self._kept}.{table} LIKE {self.database}.{table}",
                f"INSERT INTO {self._kept}.{table} SELECT * FROM {self.database}.{table}",
            )

    def put_back(self) -> None:
        """Put the copy in the place of what is there, as a failover would."""
        lost = f"{self.database}_lost"
        self.server.execute(f"CREATE DATABASE {lost}")
        here = self.database
        moves = [
            f"{here}.{table} TO {lost}.{table}, {self._kept}.{table} TO {here}.{table}"
            for table in self._tables()
        ]
        self.server.execute(f"RENAME TABLE {', '.join(moves)}")

    def _tables(self) -> Sequence[str]:
        with contextlib.closing(self.server.connect(self.database)) as connection:
            cursor = connection.cursor()
            cursor.execute("SHOW TABLES")
            return [row[0] for row in cursor.fetchall()]


@attrs.frozen
class Desk:
    """Ask for a job of each kind, and see to it that each does what it says.

    ``running`` gives a request whose build runs on a master.
    """

    client: Client
    rows: SchedulerRows
    running: Callable[[], int]

    def one_of_each(self) -> list[int]:
        """Ask for all, and then look at the rows of each; give the ids of the jobs."""
        revision = f"{next(_rounds):02d}{time.time_ns():x}".ljust(40, "0")
        asked = [
            ask(revision)
            for ask in (
                self._rebuild_request,
                self._rebuild_build,
                self._reprioritize,
                self._cancel_request,
                self._cancel_revision,
                self._new_build,
                self._cancel_build,
            )
        ]
        for job_id, done in asked:
            job = self.client.wait_job(job_id)
            assert (job["state"], job["who"]) == ("done", USER), job
            assert job["complete_data"]["body"]["errors"] is False, job
            done(job)
        return [job_id for job_id, _ in asked]

    def _accepted(self, answer: Any) -> int:
        assert answer.status == 202, answer
        job_id: int = answer.body["request_id"]
        return job_id

    def _waiting(self, revision: str) -> int:
        return self.rows.submit(NOWHERE, revision=revision)

    def _built(self, revision: str) -> int:
        """Make a request that is complete, with its build."""
        request = self._waiting(revision)
        now = int(time.time())
        self.rows.execute(
            "UPDATE buildrequests SET complete = 1, results = 0, complete_at = %s,"
            " claimed_at = %s, claimed_by_name = 'gone' WHERE id = %s",
            now,
            now - 60,
            request,
        )
        self.rows.execute(
            "INSERT INTO builds (number, brid, start_time, finish_time) VALUES (%s, %s, %s, %s)",
            request,
            request,
            now - 59,
            now,
        )
        return request

    def _made(self, revision: str, but: int) -> list[int]:
        """List the requests of a revision that are not the first one."""
        text = (
            "SELECT br.id FROM buildrequests br JOIN buildsets bs ON bs.id = br.buildsetid"
            " JOIN sourcestamps ss ON ss.id = bs.sourcestampid"
            " WHERE ss.revision = %s AND br.id <> %s ORDER BY br.id"
        )
        return [brid for (brid,) in self.rows.select(text, revision, but)]

    def _rebuild_request(self, revision: str) -> tuple[int, Callable[[Any], None]]:
        own = f"a{revision[1:]}"
        request = self._built(own)
        answer = self.client.post("/self-serve/try/request", request_id=request, count=2)

        def done(job: Any) -> None:
            assert [i["request_id"] for i in job["items"]] == self._made(own, request)
            assert len(job["items"]) == 2

        return self._accepted(answer), done

    def _rebuild_build(self, revision: str) -> tuple[int, Callable[[Any], None]]:
        own = f"b{revision[1:]}"
        request = self._built(own)
        build = self.rows.builds(request)[0].id
        answer = self.client.post("/self-serve/try/build", build_id=build)

        def done(job: Any) -> None:
            assert [i["request_id"] for i in job["items"]] == self._made(own, request)
            assert len(job["items"]) == 1

        return self._accepted(answer), done

    def _reprioritize(self, revision: str) -> tuple[int, Callable[[Any], None]]:
        request = self._waiting(f"c{revision[1:]}")
        answer = self.client.put(f"/self-serve/try/request/{request}", priority=7)

        def done(_: Any) -> None:
            priority = "SELECT priority FROM buildrequests WHERE id = %s"
            assert self.rows.select(priority, request) == [(7,)]

        return self._accepted(answer), done

    def _cancel_request(self, revision: str) -> tuple[int, Callable[[Any], None]]:
        request = self._waiting(f"d{revision[1:]}")
        answer = self.client.delete(f"/self-serve/try/request/{request}")

        def done(_: Any) -> None:
            row = self.rows.request(request)
            assert (row.complete, row.results) == (1, 2)

        return self._accepted(answer), done

    def _cancel_revision(self, revision: str) -> tuple[int, Callable[[Any], None]]:
        own = f"e{revision[1:]}"
        requests = [self._waiting(own) for _ in range(2)]
        answer = self.client.delete(f"/self-serve/try/rev/{own}")

        def done(_: Any) -> None:
            found = [self.rows.request(request) for request in requests]
            assert [(row.complete, row.results) for row in found] == [(1, 2)] * 2

        return self._accepted(answer), done

    def _new_build(self, revision: str) -> tuple[int, Callable[[Any], None]]:
        own = f"f{revision[1:]}"
        answer = self.client.post(f"/self-serve/try/rev/{own}")

        def done(_: Any) -> None:
            changes = "SELECT author FROM changes WHERE revision = %s"
            assert self.rows.select(changes, own) == [(USER,)]

        return self._accepted(answer), done

    def _cancel_build(self, _: str) -> tuple[int, Callable[[Any], None]]:
        request = self.running()
        build = self.rows.builds(request)[-1]
        assert build.finish_time is None
        answer = self.client.delete(f"/self-serve/try/build/{build.id}")

        def done(job: Any) -> None:
            assert {item["state"] for item in job["items"]} == {"done"}
            ends = {row.id: row.finish_time for row in self.rows.builds(request)}
            assert ends[build.id] is not None

        return self._accepted(answer), done
