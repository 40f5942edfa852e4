"""Reports of builders from the status database: all builders, and one builder by slave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from buildapi.model.report_rows import StatusBuild
from buildapi.model.results import NO_RESULT
from buildapi.reports.documents import (
    NamedBuilderDocument,
    StatusBuilderDocument,
    StatusBuildersDocument,
)
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Link, Picture, percent
from buildapi.reports.request_rows import quoted, results_picture
from buildapi.reports.slaves import ALL_FAILURES, Slave, no_chart, results_json
from buildapi.reports.window import Window


@attrs.define
class NamedBuilder:
    """A builder on all masters, by name, with sums of its builds started in the window."""

    name: str
    window: Window
    results: Counter[int] = attrs.field(factory=Counter)
    seconds: int = 0
    timed: int = 0
    slaves: set[int] = attrs.field(factory=set)

    def add(self, build: StatusBuild) -> None:
        """Count a build; without a duration it is left out of the mean."""
        self.results[build.result] += 1
        if build.duration is not None:
            self.seconds += build.duration
            self.timed += 1
        self.slaves.add(build.slave_id)

    @property
    def total(self) -> int:
        """Return the number of its builds."""
        return self.results.total()

    @property
    def mean(self) -> int:
        """Return the mean duration in whole seconds; 0 if none is known."""
        # Whole durations, not cut to the window as those of slaves are.
        return self.seconds // self.timed if self.timed else 0

    def document(self) -> NamedBuilderDocument:
        """Return its JSON object."""
        return {
            "name": self.name,
            "starttime": self.window.start,
            "endtime": self.window.end,
            "avg_build_duration": self.mean,
            "total": self.total,
            **results_json(self.results),
        }


@attrs.frozen
class StatusBuildersReport:
    """The report of all builders."""

    window: Window
    builders: Sequence[NamedBuilder]

    def document(self) -> StatusBuildersDocument:
        """Return the JSON document."""
        return {
            "starttime": self.window.start,
            "endtime": self.window.end,
            "builders": [b.document() for b in self.builders],
        }

    def facts(self) -> Sequence[Fact]:
        """List the totals."""
        return [
            Fact("Builders", len(self.builders), "number"),
            Fact("Builds", sum(b.total for b in self.builders), "number"),
            Fact("Window", self.window.seconds, "seconds"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of all builders."""
        rows = [
            (
                Link(b.name, f"/reports/status_builders/{quoted(b.name)}"),
                b.total,
                b.mean,
                len(b.slaves),
                *shares(b.results, b.total),
            )
            for b in self.builders
        ]
        return [Grid("builders", "Builders", (*HEAD, *SHARES), rows, "builder")]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of the results of all builders."""
        whole = sum((b.results for b in self.builders), Counter())
        return [results_picture(whole)]

    def chart(self) -> GvizTable | str:
        """Raise BadRequest: this report has no chart."""
        return no_chart()


@attrs.frozen
class StatusBuilderReport:
    """The report of one builder, and of its builds on each slave."""

    builder: NamedBuilder
    slaves: Sequence[Slave]

    def document(self) -> StatusBuilderDocument:
        """Return the JSON document."""
        return {**self.builder.document(), "slaves": [s.document() for s in self.slaves]}

    def facts(self) -> Sequence[Fact]:
        """List the mean duration and the results of its builds."""
        b = self.builder
        values = zip(SHARES, shares(b.results, b.total), strict=True)
        return [
            Fact("Builds", b.total, "number"),
            Fact("Average build", b.mean, "seconds"),
            Fact("Slaves", len(b.slaves), "number"),
            *(Fact(column.label, value, "number") for column, value in values),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of its slaves."""
        rows = [
            (
                Link(s.name, f"/reports/slaves/{s.slave_id}"),
                len(s.counted),
                s.mean,
                *shares(s.results, len(s.counted)),
            )
            for s in self.slaves
        ]
        return [Grid("slaves", "By slave", (*SLAVES, *SHARES), rows, "-mean")]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of results."""
        return [results_picture(self.builder.results)]

    def chart(self) -> GvizTable | str:
        """Raise BadRequest: this report has no chart."""
        return no_chart()


@attrs.frozen
class Named:
    """Group builds by the name of their builder."""

    window: Window
    _found: dict[str, NamedBuilder] = attrs.field(factory=dict)

    def add(self, builds: Iterable[StatusBuild]) -> None:
        """Count builds that started in the window."""
        for b in builds:
            if b.start and self.window.has(b.start):
                self._found.setdefault(b.builder, NamedBuilder(b.builder, self.window)).add(b)

    @property
    def builders(self) -> Sequence[NamedBuilder]:
        """List the builders, sorted by name."""
        return [builder for _, builder in sorted(self._found.items())]


def shares(results: Mapping[int, int], total: int) -> Sequence[float]:
    """Return percentages of results, in the order of ``SHARES``."""
    every = sum(results.get(code, 0) for code in ALL_FAILURES)
    codes = (0, 1, None, 2, 3, 4, 5, NO_RESULT)
    return [percent(every if c is None else results.get(c, 0), total) for c in codes]


HEAD = (
    Column("builder", "Builder"),
    Column("builds", "Builds", "number"),
    Column("mean", "Average build", "seconds"),
    Column("slaves", "Slaves", "number"),
)
SLAVES = (
    Column("slave", "Slave"),
    Column("builds", "Builds", "number"),
    Column("mean", "Average build", "seconds"),
)
SHARES = (
    Column("success", "Success (%)", "number"),
    Column("warnings", "Warnings (%)", "number"),
    Column("failed", "All failures (%)", "number"),
    Column("failure", "Failure (%)", "number"),
    Column("skipped", "Skipped (%)", "number"),
    Column("exception", "Exception (%)", "number"),
    Column("retry", "Retry (%)", "number"),
    Column("none", "No result (%)", "number"),
)
