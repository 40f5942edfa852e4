"""Reports of run times: by platform, build type, job type or builder, and of one builder."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence

import attrs

from buildapi.model.report_rows import Attempt, RequestRow, Status
from buildapi.reports.classification import Classification
from buildapi.reports.documents import BuilderDocument, BuildersDocument, RunTimesDocument
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Link, Picture, percent
from buildapi.reports.request_rows import quoted, request_grid, request_json

LEVELS = ("branch", "platform", "build_type", "job_type", "builder")
UNCOUNTED = (Status.PENDING, Status.RUNNING)
FAILED = (2, 3, 4, 5)
SLICES = 15
"""Slices of the pie chart; all others are one more."""

Path = tuple[str, ...]


@attrs.define
class TimesNode:
    """Run times in seconds, and results, of the builds below a path of the tree."""

    path: Path
    count: int = 0
    # 8 bytes for each build; a list of int objects takes several times as much.
    times: array[int] = attrs.field(factory=lambda: array("q"))
    results: Counter[int] = attrs.field(factory=Counter)

    def add(self, run_time: int | None, result: int) -> None:
        """Count a build; without a run time it counts for its result only."""
        self.count += 1
        self.results[result] += 1
        if run_time is not None:
            self.times.append(run_time)

    @property
    def sum(self) -> int:
        """Return the sum of the run times, in seconds."""
        return sum(self.times)

    @property
    def mean(self) -> int:
        """Return the mean run time in seconds, rounded down; 0 if there is none."""
        return self.sum // len(self.times) if self.times else 0

    def percentile(self, share: int) -> int:
        """Return the percentile of the run times in seconds (nearest rank); 0 if there is none."""
        ordered = sorted(self.times)
        # Rounded up in integers: float arithmetic would be off by one rank here and there.
        return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else 0

    def share(self, *codes: int) -> float:
        """Return the percentage of builds with one of these results."""
        return percent(sum(self.results[c] for c in codes), self.count)

    def document(self) -> RunTimesDocument:
        """Return its entry in the JSON document; the Pylons program had no percentiles."""
        platform, build_type, job_type, builder = (*self.path, "", "", "", "")[:4]
        return {
            "buildername": builder,
            "platform": platform,
            "build_type": build_type,
            "job_type": job_type,
            "avg_run_time": self.mean,
            "min_run_time": min(self.times, default=0),
            "max_run_time": max(self.times, default=0),
            "sum_run_time": self.sum,
            "total_build_requests": self.count,
            "median_run_time": self.percentile(50),
            "p95_run_time": self.percentile(95),
        }


@attrs.frozen
class Filters:
    """The platforms, build types and job types to include; empty includes all."""

    platform: tuple[str, ...] = ()
    build_type: tuple[str, ...] = ()
    job_type: tuple[str, ...] = ()

    def wants(self, path: Path) -> bool:
        """Return whether the filters include a path, as far as it goes."""
        lists = (self.platform, self.build_type, self.job_type)
        return all(not wanted or name in wanted for wanted, name in zip(lists, path, strict=False))


@attrs.define
class BuildersReport:
    """The report of a branch: its nodes at one level; level 1 is the whole branch."""

    start: float
    end: float
    branch: str
    level: int
    filters: Filters
    root: TimesNode = attrs.field(factory=lambda: TimesNode(()))
    nodes: dict[Path, TimesNode] = attrs.field(factory=dict)

    def add(self, attempts: Iterable[Attempt], rules: Classification) -> None:
        """Count ended builds; pending and running ones only add their node."""
        for one in attempts:
            # Pending and running builds add their node, as in the Pylons program: its list had them
            # with zeros.
            path = path_of(one.buildername, rules)
            if self.filters.wants(path):
                # Level 1 is the branch, which is no part of the path (docs/compatibility.md,
                # "Reports").
                cut = path[: self.level - 1]
                node = self.nodes.setdefault(cut, TimesNode(cut))
                for each in (self.root, node) if one.status not in UNCOUNTED else ():
                    each.add(one.run_time, one.results)

    def document(self) -> BuildersDocument:
        """Return the JSON document."""
        return {
            "starttime": self.start,
            "endtime": self.end,
            "branch_name": self.branch,
            "detail_level": self.level,
            "sum_run_time": self.root.sum,
            "platform": list(self.filters.platform),
            "build_type": list(self.filters.build_type),
            "job_type": list(self.filters.job_type),
            # Always empty: the Pylons program had the key, and no such filter.
            "buildername": [],
            "builders": [
                {**node.document(), "ptg_run_time": f"{self._share(node):.2f}"}
                for _, node in sorted(self.nodes.items())
            ],
        }

    def _share(self, node: TimesNode) -> float:
        return percent(node.sum, self.root.sum)

    def facts(self) -> Sequence[Fact]:
        """List the totals of the branch."""
        return [
            Fact("Branch", self.branch),
            Fact("Builds", self.root.count, "number"),
            Fact("Total run time", self.root.sum, "seconds"),
            Fact("Average", self.root.mean, "seconds"),
            Fact("Success (%)", self.root.share(0), "number"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of all nodes."""
        rows = [self._row(node) for _, node in sorted(self.nodes.items())]
        return [Grid("builders", "By " + LEVELS[self.level - 1], COLUMNS, rows, "-share")]

    def _row(self, node: TimesNode) -> Sequence[object]:
        platform, build_type, job_type, builder = (*node.path, "", "", "", "")[:4]
        return [
            platform,
            build_type,
            job_type,
            Link(builder, f"/reports/builder/{quoted(builder)}") if builder else "",
            node.sum,
            self._share(node),
            node.mean,
            node.percentile(50),
            node.percentile(95),
            min(node.times, default=0),
            max(node.times, default=0),
            node.count,
            node.share(0),
            node.share(1),
            node.share(*FAILED),
        ]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of shares of the run time; the smallest are one slice."""
        ordered = sorted(self.nodes.values(), key=lambda n: (-n.sum, n.path))
        shares = [(n.path[-1] if n.path else self.branch, self._share(n)) for n in ordered[:SLICES]]
        # A pie with a slice for each of hundreds of builders cannot be read.
        rest = sum(n.sum for n in ordered[SLICES:])
        rows = [*shares, *([("others", percent(rest, self.root.sum))] if rest else [])]
        columns = (Column("builder", "Builder"), Column("share", "Run time (%)", "number"))
        return [Picture(Grid("share", "Share of run time", columns, rows), "rows", "%")]

    def chart(self) -> GvizTable | str:
        """Return the shares of the run time, ascending."""
        shares = sorted((self._share(n), _title(n)) for n in self.nodes.values())
        rows = [[title, share] for share, title in shares]
        head = [("builder", "Builder", "string"), ("run_time", "Run Time", "number")]
        return GvizTable(head, rows)


def path_of(builder: str, rules: Classification) -> Path:
    """Return the path of a builder in the tree; empty texts for unknown levels."""
    names = rules.platform(builder), rules.build_type(builder), rules.job_type(builder)
    return (*(name or "" for name in names), builder)


def _title(node: TimesNode) -> str:
    return " ".join(filter(None, node.path))


@attrs.frozen
class BuilderReport:
    """The report of one builder: its ended builds."""

    start: float
    end: float
    name: str
    rows: Sequence[RequestRow]
    rules: Classification

    @property
    def over(self) -> Sequence[RequestRow]:
        """List the rows that are neither pending nor running."""
        return [row for row in self.rows if row.status not in UNCOUNTED]

    @property
    def node(self) -> TimesNode:
        """Return the sums of these rows."""
        node = TimesNode(path_of(self.name, self.rules))
        for row in self.over:
            node.add(row.run_time, row.results)
        return node

    def document(self) -> BuilderDocument:
        """Return the JSON document."""
        requests = [request_json(row, self.rules) for row in self.over]
        return {
            "starttime": self.start,
            "endtime": self.end,
            **self.node.document(),
            "build_requests": requests,
        }

    def facts(self) -> Sequence[Fact]:
        """List run times and results of its builds."""
        node = self.node
        platform, build_type, job_type, _ = node.path
        return [
            Fact("Platform", platform),
            Fact("Build type", build_type or "-"),
            Fact("Job type", job_type or "-"),
            Fact("Builds", node.count, "number"),
            Fact("Shortest", min(node.times, default=0), "seconds"),
            Fact("Average", node.mean, "seconds"),
            Fact("Median", node.percentile(50), "seconds"),
            Fact("95th percentile", node.percentile(95), "seconds"),
            Fact("Longest", max(node.times, default=0), "seconds"),
            *(Fact(f"{word.capitalize()} (%)", node.share(*c), "number") for word, c in WORDS),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of its build requests."""
        return [request_grid(self.over, self.rules, "-when")]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of run times, in minutes, by start."""
        ran = sorted((r.start_time or 0, r.run_time) for r in self.over if r.run_time is not None)
        columns = (Column("start", "Started", "time"), Column("minutes", "Minutes", "number"))
        rows = [(start, round(seconds / 60, 2)) for start, seconds in ran]
        grid = Grid("runs", "Build duration (minutes)", columns, rows)
        return [Picture(grid, "points", "minutes")]

    def chart(self) -> GvizTable | str:
        """Return the run time of each build, in seconds, by start."""
        head = [("start", "Started", "datetime"), ("run_time", "Run Time", "number")]
        ran = sorted((r.start_time or 0, r.run_time) for r in self.over if r.run_time is not None)
        return GvizTable(head, ran)


WORDS = (
    ("success", (0,)),
    ("warnings", (1,)),
    ("failure", (2,)),
    ("skipped", (3,)),
    ("exception", (4,)),
    ("retry", (5,)),
    ("cancelled", (6,)),
)

COLUMNS = (
    Column("platform", "Platform"),
    Column("build_type", "Build type"),
    Column("job_type", "Job type"),
    Column("builder", "Builder"),
    Column("sum", "Total run time", "seconds"),
    Column("share", "Share (%)", "number"),
    Column("mean", "Average", "seconds"),
    Column("median", "Median", "seconds"),
    Column("p95", "95th percentile", "seconds"),
    Column("min", "Shortest", "seconds"),
    Column("max", "Longest", "seconds"),
    Column("count", "Builds", "number"),
    Column("success", "Success (%)", "number"),
    Column("warnings", "Warnings (%)", "number"),
    Column("failed", "Failed (%)", "number"),
)
