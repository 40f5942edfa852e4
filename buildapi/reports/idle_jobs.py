"""Report of the jobs that slaves run when idle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo

import attrs

from buildapi.model.report_rows import StatusBuild
from buildapi.reports.documents import IdleJobsDocument
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Picture
from buildapi.reports.window import Window, label, labels


@attrs.define
class IdleJobsReport:
    """The report: run times in seconds, and jobs per interval, of each builder."""

    window: Window
    zone: tzinfo
    total: int = 0
    seconds: dict[str, int] = attrs.field(factory=dict)
    intervals: dict[str, list[int]] = attrs.field(factory=dict)

    def add(self, builds: Iterable[StatusBuild]) -> None:
        """Count builds that have a start and a later end."""
        for b in builds:
            if b.start and b.end and b.end > b.start:
                self._count(b.builder, b.start, b.end)

    def _count(self, builder: str, start: int, end: int) -> None:
        self.total += 1
        self.seconds[builder] = self.seconds.get(builder, 0) + end - start
        counts = self.intervals.setdefault(builder, [0] * self.window.intervals)
        # A job counts in every interval that it touches, the last one included.
        for index in range(self.window.index(start), self.window.index(end) + 1):
            counts[index] += 1

    def document(self) -> IdleJobsDocument:
        """Return the JSON document."""
        return {
            "starttime": self.window.start,
            "endtime": self.window.end,
            "int_size": self.window.int_size,
            "total": self.total,
            "builders": {
                # The key has blanks: it is that of the Pylons program.
                name: {"intervals": self.intervals[name], "total compute time": seconds}
                for name, seconds in sorted(self.seconds.items())
            },
        }

    def facts(self) -> Sequence[Fact]:
        """List the totals."""
        return [
            Fact("Jobs", self.total, "number"),
            Fact("Total run time", sum(self.seconds.values()), "seconds"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of all builders."""
        texts = enumerate(labels(self.window.begins(), self.zone))
        columns = [Column(f"i{i}", text, "number") for i, text in texts]
        rows = [(n, s, *self.intervals[n]) for n, s in sorted(self.seconds.items())]
        return [Grid("builders", "By builder", (*HEAD, *columns), rows, "-ran")]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of running jobs over time."""
        table = self._over_time(labels(self.window.begins(), self.zone))
        columns = [Column("at", "Interval"), *(Column(n, n, "number") for n in self.intervals)]
        grid = Grid("utilization", "Running jobs over time", columns, table)
        return [Picture(grid, "bar", stacked=True)]

    def _over_time(self, texts: Sequence[str]) -> list[list[object]]:
        names = sorted(self.intervals)
        return [[text, *(self.intervals[n][i] for n in names)] for i, text in enumerate(texts)]

    def chart(self) -> GvizTable | str:
        """Return the number of jobs by interval."""
        head = [("intervals", "Interval", "string")]
        names = sorted(self.intervals)
        table = self._over_time([label(begin, self.zone) for begin in self.window.begins()])
        return GvizTable([*head, *((n, n, "number") for n in names)], table)


HEAD = (Column("builder", "Builder"), Column("ran", "Run time", "seconds"))
