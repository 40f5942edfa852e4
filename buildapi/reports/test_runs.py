"""Report of test jobs: the share of their time spent in test steps."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.model.report_rows import JobTime
from buildapi.reports.classification import Classification
from buildapi.reports.documents import JobTimesDocument, TestRunsDocument
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Picture


@attrs.frozen
class JobTimesQuery:
    """The parameters of the report; None includes all.

    ``group`` is whether to group by suite, None if the parameter is missing.
    """

    category: str | None = None
    platform: str | None = None
    btype: str | None = None
    group: bool | None = None


@attrs.frozen
class JobTimesEntry:
    """A builder, or a suite over its builders: mean seconds of the build and of its tests."""

    name: str
    total: float
    test: float
    platform: str | None

    @property
    def ratio(self) -> float:
        """Return the fraction of the time spent in tests; 0 if there was none."""
        return self.test / self.total if self.total else 0.0

    def document(self) -> JobTimesDocument:
        """Return its JSON object."""
        return {
            "total": _whole(self.total),
            "test": _whole(self.test),
            "ratio": f"{self.ratio:.3f}",
            "platform": self.platform,
        }


def _whole(seconds: float) -> int:
    return int(seconds)


@attrs.frozen
class JobTimesReport:
    """The report of test runs: a row per builder, or per suite."""

    start: float
    end: float
    wanted: JobTimesQuery
    entries: Sequence[JobTimesEntry]

    def document(self) -> TestRunsDocument:
        """Return the JSON document."""
        return {
            "starttime": self.start,
            "endtime": self.end,
            "total": len(self.entries),
            "category": self.wanted.category or "ALL",
            "btype": self.wanted.btype or "ALL",
            # null, if the parameter is missing, and false, if it is empty, differ in the Pylons
            # program's JSON.
            "group": self.wanted.group,
            "builders": {entry.name: entry.document() for entry in self.entries},
        }

    def facts(self) -> Sequence[Fact]:
        """List the parameters and the number of entries."""
        asked = self.wanted
        return [
            Fact("Category", asked.category or "all"),
            Fact("Platform", asked.platform or "all"),
            Fact("Build type", asked.btype or "all"),
            Fact("Suites" if asked.group else "Builders", len(self.entries), "number"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of all entries."""
        rows = [
            (e.name, e.platform, _whole(e.total), _whole(e.test), round(e.ratio, 3))
            for e in self.entries
        ]
        return [Grid("builders", "Test runs", COLUMNS, rows, "-total")]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of the :data:`LONGEST` longest entries."""
        longest = sorted(self.entries, key=lambda e: -e.total)[:LONGEST]
        rows = [(e.name, *(round(s / 60, 1) for s in (e.total - e.test, e.test))) for e in longest]
        grid = Grid("parts", f"Longest {len(longest)} (minutes)", PARTS, rows)
        return [Picture(grid, "rows", "minutes", stacked=True)]

    def chart(self) -> GvizTable | str:
        """Return setup and test seconds of each entry."""
        head = [
            ("builders", "Builder", "string"),
            ("setup", "Setup/Teardown Time", "number"),
            ("test", "Test Run Time", "number"),
        ]
        rows = [[e.name, _whole(e.total) - _whole(e.test), _whole(e.test)] for e in self.entries]
        return GvizTable(head, rows)


LONGEST = 25
COLUMNS = (
    Column("name", "Builder"),
    Column("platform", "Platform"),
    Column("total", "Total", "seconds"),
    Column("test", "Tests", "seconds"),
    Column("ratio", "Ratio", "number"),
)
PARTS = (
    Column("name", "Builder"),
    Column("setup", "Setup", "number"),
    Column("test", "Tests", "number"),
)


def entries_of(
    times: Sequence[JobTime], wanted: JobTimesQuery, rules: Classification
) -> list[JobTimesEntry]:
    """Return the entries of the wanted builders, or of suites if grouped."""
    chosen = [t for t in sorted(times, key=lambda t: t.builder) if _fits(t, wanted, rules)]
    if wanted.group:
        return [e for suite in rules.testruns.suites for e in _suite(suite, chosen, wanted)]
    return [
        JobTimesEntry(t.builder, t.total, t.test, rules.test_platform(t.builder)) for t in chosen
    ]


def _fits(time: JobTime, wanted: JobTimesQuery, rules: Classification) -> bool:
    platform, btype = rules.test_platform(time.builder), rules.test_build_type(time.builder)
    return (not wanted.platform or wanted.platform == platform) and (
        not wanted.btype or wanted.btype == btype
    )


def _suite(suite: str, times: Sequence[JobTime], wanted: JobTimesQuery) -> list[JobTimesEntry]:
    """Return the unweighted mean over the builders with a suite in their name, if any."""
    # A builder may count in several suites: "reftest" is a part of "jsreftest".
    of = [t for t in times if suite in t.builder]
    if not of:
        return []
    total, test = (sum(values) / len(of) for values in zip(*((t.total, t.test) for t in of)))  # noqa: B905  # pairs
    return [JobTimesEntry(suite, total, test, wanted.platform)]
