"""Reports of build runs: times from the change to the last result, and one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

from buildapi.errors import BadRequest
from buildapi.model.report_rows import PendingChange
from buildapi.model.results import result_word
from buildapi.reports.build_runs import BuildRun
from buildapi.reports.documents import BuildRunDetails, EndToEndDocument
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Link, Picture
from buildapi.reports.request_rows import (
    people,
    request_grid,
    request_json,
    results_picture,
    run_path,
)


@attrs.frozen
class EndToEndReport:
    """The report of all build runs of a branch."""

    start: float
    end: float
    branch: str
    runs: Mapping[str | None, BuildRun]
    changes: Sequence[PendingChange] = ()

    @property
    def total(self) -> int:
        """Return the number of pairs of request and build."""
        return sum(len(run.rows) for run in self.runs.values())

    @property
    def unique(self) -> int:
        """Return the number of requests."""
        # A request that was retried has a row for each of its builds.
        return len({row.request_id for run in self.runs.values() for row in run.rows})

    @property
    def mean(self) -> int:
        """Return the mean duration in seconds, rounded down; runs without one yet count as 0."""
        # Contradictory runs are left out (docs/reports.md, "What is counted"); runs without a
        # result count as 0, as in the Pylons program.
        known = [r.duration for r in self.runs.values() if r.duration is not None]
        return sum(known) // len(known) if known else 0

    def document(self) -> EndToEndDocument:
        """Return the JSON document."""
        return {
            "starttime": self.start,
            "endtime": self.end,
            "branch_name": self.branch,
            "total_build_requests": self.total,
            "unique_total_build_requests": self.unique,
            "total_build_runs": len(self.runs),
            "avg_duration": self.mean,
            "build_runs": {
                # A JSON key is a text: what the Pylons program wrote for requests without a
                # revision.
                "null" if revision is None else revision: run.document()
                for revision, run in self.runs.items()
            },
        }

    def facts(self) -> Sequence[Fact]:
        """List the totals of the branch."""
        return [
            Fact("Branch", self.branch),
            Fact("Build runs", len(self.runs), "number"),
            Fact("Build requests", self.unique, "number"),
            Fact("Builds and requests", self.total, "number"),
            Fact("Average duration", self.mean, "seconds"),
            Fact("Changes without a build", len(self.changes), "number"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the tables of runs and of changes without a build."""
        rows = [run_cells(self.branch, run) for run in self.runs.values()]
        runs = Grid("runs", "Build runs", RUN_COLUMNS, rows, "-changed")
        return [runs, *([_changes(self.changes)] if self.changes else [])]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of durations, in hours, by change."""
        return [Picture(_durations(self.runs.values()), "points", "hours")]

    def chart(self) -> GvizTable | str:
        """Return the duration of each run, in hours, by change."""
        head = [("changed", "Changed", "datetime"), ("duration", "Hours", "number")]
        return GvizTable(head, _durations(self.runs.values()).rows)


def _durations(runs: Any) -> Grid:
    rows = sorted(
        (run.first_change, round(run.duration / 3600, 2))
        for run in runs
        # A run without a result, or without a change, has no point in the chart.
        if run.duration and run.first_change
    )
    columns = (Column("changed", "Changed", "time"), Column("hours", "Hours", "number"))
    return Grid("durations", "Hours from change to last result", columns, rows)


def run_cells(branch: str, run: BuildRun) -> list[object]:
    """Return the cells of a run, in the order of ``RUN_COLUMNS``."""
    shown: Mapping[str, Any] = run.document()
    revision = run.revision or ""
    return [
        Link(revision, run_path(branch, revision)) if revision else "(none)",
        ", ".join(people(run.authors)),
        result_word(run.worst),
        shown["is_complete"],
        shown["total_build_requests"],
        run.duration,
        run.first_change or None,
        run.last_finish or None,
        *(shown[key] for key in COUNTS),
    ]


COUNTS = (
    "complete",
    "running",
    "pending",
    "cancelled",
    "interrupted",
    "misc",
    "rebuilds",
    "forcebuilds",
    "builds",
    "unittests",
    "talos",
)
RUN_COLUMNS = (
    Column("revision", "Revision"),
    Column("authors", "Authors"),
    Column("result", "Result"),
    Column("done", "Jobs complete"),
    Column("requests", "Requests", "number"),
    Column("took", "Duration", "seconds"),
    Column("changed", "Changed", "time"),
    Column("finished", "Last finish", "time"),
    *(Column(key, key.capitalize(), "number") for key in COUNTS),
)
CHANGES = (
    Column("change", "Change", "number"),
    Column("revision", "Revision"),
    Column("branch", "Branch"),
    Column("when", "Time", "time"),
)


def _changes(changes: Sequence[PendingChange]) -> Grid:
    rows = [(c.changeid, c.revision, c.branch, c.when_timestamp) for c in changes]
    return Grid("changes", "Changes without a build", CHANGES, rows)


@attrs.frozen
class BuildRunReport:
    """The report of one build run; ``between`` lists the revisions if several match."""

    branch: str
    run: BuildRun
    between: Sequence[str] = ()

    def document(self) -> BuildRunDetails:
        """Return the JSON document."""
        rows = [request_json(row, self.run.rules) for row in self.run.rows]
        # As mypy sees it, the run might have another key "revisions".
        told = cast("BuildRunDetails", {**self.run.document(), "build_requests": rows})
        if self.between:
            told["revisions"] = list(self.between)
        return told

    def facts(self) -> Sequence[Fact]:
        """List the values of the run."""
        run = self.run
        shown: Mapping[str, Any] = run.document()
        return [
            Fact("Branch", self.branch),
            *(Fact("Matching revision", name) for name in self.between),
            Fact("Complete", shown["is_complete"]),
            Fact("Worst result", result_word(run.worst)),
            Fact("Authors", ", ".join(people(run.authors))),
            Fact("Change revisions", ", ".join(run.change_revisions)),
            Fact("Builds and requests", len(run.rows), "number"),
            Fact("Duration", run.duration, "seconds"),
            Fact("First change", run.first_change or None, "time"),
            Fact("Last finish", run.last_finish or None, "time"),
            *(Fact(key.capitalize(), shown[key], "number") for key in COUNTS if shown[key]),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the tables of build requests and of changes without a build."""
        requests = request_grid(self.run.rows, self.run.rules, "started")
        changes = self.run.pending_changes
        return [requests, *([_changes(changes)] if changes else [])]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of results."""
        return [results_picture(self.run.results)]

    def chart(self) -> GvizTable | str:
        """Raise BadRequest: this report has no chart."""
        raise BadRequest("format: this report has no chart (allowed: html, json, csv)")
