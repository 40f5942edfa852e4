"""Report of pushes: by branch, over time and by hour of the day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo

import attrs

from buildapi.model.report_rows import PushTime
from buildapi.reports.classification import Classification
from buildapi.reports.documents import PushesReportDocument
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Picture
from buildapi.reports.window import DAY, Window, label, labels

HOURS = 24


@attrs.define
class PushesReport:
    """The report; ``branches`` are the selected ones, none for all."""

    window: Window
    branches: Sequence[str]
    kind: str
    zone: tzinfo
    total: list[int] = attrs.field(init=False)
    by_branch: dict[str, list[int]] = attrs.field(factory=dict)
    by_hour: list[int] = attrs.field(factory=lambda: [0] * HOURS)

    def __attrs_post_init__(self) -> None:
        self.total = self._none()
        for branch in self.branches:
            # Selected branches are in the answer even without pushes, as in the Pylons program.
            self.by_branch[branch] = self._none()

    def _none(self) -> list[int]:
        return [0] * self.window.intervals

    def add(self, pushes: Iterable[PushTime], rules: Classification) -> None:
        """Count pushes to the selected branches."""
        for push in pushes:
            name = rules.branch(push.branch) or ""
            if not self.branches or name in self.by_branch:
                self._count(push.when_timestamp, name)

    def _count(self, time: int, branch: str) -> None:
        index = self.window.index(time)
        self.total[index] += 1
        self.by_branch.setdefault(branch, self._none())[index] += 1
        self.by_hour[datetime.fromtimestamp(time, self.zone).hour] += 1

    @property
    def days(self) -> int:
        """Return the number of days in the window, rounded up."""
        # The Pylons program took a second off before it rounded up.
        return max(1, -int(-(self.window.seconds - 1) // DAY))

    def document(self) -> PushesReportDocument:
        """Return the JSON document; the Pylons program had no ``hours``."""
        return {
            "starttime": self.window.start,
            "endtime": self.window.end,
            "int_size": self.window.int_size,
            "total": sum(self.total),
            "intervals": self.total,
            "branch": {
                name: {"total": sum(counts), "intervals": counts}
                for name, counts in self.by_branch.items()
            },
            "hours": [count / self.days for count in self.by_hour],
        }

    def facts(self) -> Sequence[Fact]:
        """List the totals."""
        whole = sum(self.total)
        return [
            Fact("Pushes", whole, "number"),
            Fact("Branches", len(self.by_branch), "number"),
            Fact("Pushes per day", round(whole / self.days, 1), "number"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of all branches, by interval."""
        texts = enumerate(labels(self.window.begins(), self.zone))
        columns = [Column(f"i{i}", text, "number") for i, text in texts]
        rows = [
            (name or "(no branch)", sum(counts), *counts)
            for name, counts in sorted(self.by_branch.items())
        ]
        head = (Column("branch", "Branch"), Column("total", "Pushes", "number"))
        return [Grid("branches", "By branch", (*head, *columns), rows, "-total")]

    def pictures(self) -> Sequence[Picture]:
        """Return the charts of pushes over time, by hour of the day, and by branch."""
        names = sorted(self.by_branch)
        over_time = [
            (text, *(self.by_branch[n][i] for n in names))
            for i, text in enumerate(labels(self.window.begins(), self.zone))
        ]
        columns = [Column(f"c{i}", n or "(no branch)", "number") for i, n in enumerate(names)]
        hours = [(f"{h:02}", round(c / self.days, 2)) for h, c in enumerate(self.by_hour)]
        whole = [(n or "(no branch)", sum(self.by_branch[n])) for n in names]
        return [
            Picture(
                Grid("time", "Pushes over time", (Column("at", "Interval"), *columns), over_time),
                "bar",
                stacked=True,
            ),
            Picture(Grid("hours", "Average pushes by hour of the day", HOURLY, hours), "bar"),
            Picture(Grid("share", "Pushes by branch", SHARE, whole), "pie"),
        ]

    def chart(self) -> GvizTable | str:
        """Return the table that the parameter ``type`` selects."""
        # The route has allowed only these three.
        return {"int": self._by_interval, "hourly": self._by_hour, "all": self._by_branch}[
            self.kind
        ]()

    def _by_interval(self) -> GvizTable:
        names = sorted(self.by_branch)
        rows = [
            [label(begin, self.zone), self.total[i], *(self.by_branch[n][i] for n in names)]
            for i, begin in enumerate(self.window.begins())
        ]
        head = [("intervals", "Interval", "string"), ("totals", "Totals", "number")]
        return GvizTable([*head, *((n, n, "number") for n in names)], rows)

    def _by_hour(self) -> GvizTable:
        head = [("hour", "Hour", "string"), ("average", "Average # Pushes per Hour", "number")]
        rows = [[f"{hour:02}", count / self.days] for hour, count in enumerate(self.by_hour)]
        return GvizTable(head, rows)

    def _by_branch(self) -> GvizTable:
        head = [("branch", "Branch", "string"), ("totals", "# Pushes", "number")]
        # In the order of the parameter, then of appearance, as in the Pylons program.
        return GvizTable(head, [[name, sum(c)] for name, c in self.by_branch.items()])


HOURLY = (Column("hour", "Hour"), Column("pushes", "Pushes", "number"))
SHARE = (Column("branch", "Branch"), Column("pushes", "Pushes", "number"))
