"""Find out over HTTP what can be asked of a farm: a day, revisions, builds, requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import attrs

from buildapi.sample.history import FarmSize
from tests.buildbot.seed import Seed
from tests.e2e.service import Client

ROWS_OF_A_DAY = 3050
"""The day whose number of rows is nearest is chosen."""
DAYS = 4
MANY = 40


@attrs.frozen
class Subjects:
    """A branch, a day of it with ``rows`` items, and what there is on it."""

    branch: str
    date: str
    rows: int
    days: Sequence[str]
    revisions: Sequence[str]
    builds: Sequence[int]
    requests: Sequence[int]
    author: str

    def path(self, rest: str = "") -> str:
        """Return a path below the branch."""
        return f"/self-serve/{self.branch}{rest}"

    @property
    def day(self) -> str:
        """Return the path of the day."""
        return self.path(f"?date={self.date}")


def find_subjects(client: Client, scheduler: str) -> Subjects:
    """Choose the subjects of a farm."""
    now = time.time()
    dates = [datetime.fromtimestamp(now - 86_400 * n, UTC).date().isoformat() for n in range(DAYS)]
    days = {
        (branch, date): client.get(f"/self-serve/{branch}?date={date}").body
        for branch in FarmSize().branches
        for date in dates
    }
    (branch, date), items = min(days.items(), key=lambda d: abs(len(d[1]) - ROWS_OF_A_DAY))
    builds = [item for item in items if item.get("build_id") is not None]
    revisions = _first(item["revision"] for item in builds if item["revision"])
    with closing(Seed(scheduler)) as seed:
        # authors of whole names only: the index of MySQL is one of prefixes
        (row,) = seed.rows(
            "SELECT author, COUNT(*) AS n FROM changes GROUP BY 1 ORDER BY 2 LIMIT 1"
        )
    return Subjects(
        branch,
        date,
        len(items),
        [f"/self-serve/{b}?date={d}" for (b, d), found in days.items() if found],
        revisions[:MANY],
        [item["build_id"] for item in builds],
        _first(one["request_id"] for item in builds for one in item["requests"]),
        row["author"],
    )


def _first(values: Any) -> list[Any]:
    """Return each value once."""
    return list(dict.fromkeys(values))
