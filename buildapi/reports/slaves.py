"""Reports of slaves: how busy they are, and how their builds end."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import cached_property

import attrs

from buildapi.errors import BadRequest
from buildapi.model.report_rows import StatusBuild
from buildapi.model.results import NO_RESULT, RESULT_WORDS, result_word
from buildapi.reports.classification import Classification
from buildapi.reports.documents import (
    ResultsDocument,
    SlaveBuild,
    SlaveDetails,
    SlaveDocument,
    SlavesDocument,
)
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Link, Picture, percent
from buildapi.reports.request_rows import quoted
from buildapi.reports.window import Window, labels

# As in the Pylons program a build without a result counts as failed. A cancelled one (6), which
# that program could not count, does not.
ALL_FAILURES = (2, 3, 4, 5, NO_RESULT)
UNKNOWN_SILO = "unknown"


@attrs.define(slots=False)
class Slave:
    """A slave and its builds in a window; earlier starts count for its busy time only."""

    slave_id: int
    name: str | None
    window: Window
    last: int
    builds: list[StatusBuild] = attrs.field(factory=list)

    @cached_property
    def counted(self) -> Sequence[StatusBuild]:
        """List the builds that started in the window."""
        return [b for b in self.builds if b.start and self.window.has(b.start)]

    @cached_property
    def results(self) -> Counter[int]:
        """Return the number of builds by result."""
        return Counter(b.result for b in self.counted)

    @property
    def failures(self) -> int:
        """Return the number of builds that failed in any way, or have no result."""
        return sum(self.results[code] for code in ALL_FAILURES)

    def seconds_in(self, start: float, end: float, builds: Iterable[StatusBuild]) -> float:
        """Return the seconds that builds ran in ``[start, end)``."""
        cut = (
            min(b.end, end) - max(b.start, start)
            for b in builds
            # b.duration is None if the end is before the start: clocks of master and slave may
            # differ.
            if b.start and b.end and b.duration
        )
        return sum(max(0, seconds) for seconds in cut)

    @cached_property
    def busy(self) -> float:
        """Return the percentage of the window it was busy; -1 for an empty window."""
        # The Pylons program's mark of an empty window.
        if self.window.seconds <= 0:
            return -1
        ran = self.seconds_in(self.window.start, self.window.end, self.builds)
        return ran * 100 / self.window.seconds

    @property
    def busy_last(self) -> float:
        """Return the percentage of the last interval it was busy; 0 without such an interval."""
        if not self.last:
            return 0
        start = self.window.end - self.last
        return self.seconds_in(start, self.window.end, self.builds) * 100 / self.last

    @property
    def mean(self) -> int:
        """Return the mean time of its builds within the window, in whole seconds."""
        timed = [b for b in self.counted if b.duration is not None]
        if not timed:
            return 0
        return int(self.seconds_in(self.window.start, self.window.end, timed) // len(timed))

    @property
    def is_busy_at_end(self) -> bool:
        """Return whether its latest build is still running at the end of the window."""
        # The build that started last decides, as in the Pylons program.
        latest = max(self.builds, key=lambda b: b.start or 0, default=None)
        return latest is not None and (not latest.end or latest.end > self.window.end)

    @property
    def recent_failures(self) -> float:
        """Return the percentage of failures among builds started in the last interval."""
        recent = [b for b in self.counted if (b.start or 0) >= self.window.end - self.last]
        return percent(sum(b.result in ALL_FAILURES for b in recent), len(recent))

    def document(self, int_size: int = 0) -> SlaveDocument:
        """Return its JSON object."""
        return {
            "slave_id": self.slave_id,
            "name": self.name,
            "starttime": self.window.start,
            "endtime": self.window.end,
            "busy": self.busy,
            "busy_last_int_size": self.busy_last,
            "avg_build_duration": self.mean,
            "total": len(self.counted),
            **results_json(self.results),
            # 0 in the list of all slaves, as in the Pylons program, whatever its chart uses.
            "int_size": int_size,
            "last_int_size": self.last,
        }

    def intervals(self, window: Window) -> set[int]:
        """Return the intervals of a window in which it was busy."""
        found: set[int] = set()
        ordered = sorted(self.builds, key=lambda b: b.start or 0)
        nexts = [b.start or 0 for b in ordered[1:]]
        for build, following in zip(ordered, [*nexts, window.end + 1], strict=True):
            found |= _touched(build, following, window)
        return found


def _touched(build: StatusBuild, following: float, window: Window) -> set[int]:
    """Return the intervals of a build; without a valid end it ends before the next build."""
    # Some rows of the status database have no end, or one in 1970.
    sensible = build.end and build.start and build.end >= build.start
    end = min(build.end or 0 if sensible else following - 1, window.end - 1)
    if not build.start or end < window.start:
        return set()
    return set(range(window.index(build.start), window.index(end) + 1))


def results_json(results: Mapping[int, int]) -> ResultsDocument:
    """Return the JSON keys for counts of results."""
    return {
        "results_success": results.get(0, 0),
        "results_warnings": results.get(1, 0),
        # No key for NO_RESULT alone: the Pylons program had none.
        "results_failure_all": sum(results.get(code, 0) for code in ALL_FAILURES),
        "results_failure": results.get(2, 0),
        "results_skipped": results.get(3, 0),
        "results_exception": results.get(4, 0),
        "results_retry": results.get(5, 0),
    }


def slaves_of(builds: Iterable[StatusBuild], window: Window, last: int) -> Sequence[Slave]:
    """Group builds by slave, in the order of slave ids."""
    found: dict[int, Slave] = {}
    for b in builds:
        found.setdefault(b.slave_id, Slave(b.slave_id, b.slave, window, last)).builds.append(b)
    return [slave for _, slave in sorted(found.items())]


@attrs.define(slots=False)
class SlavesReport:
    """The report of all slaves."""

    window: Window
    last: int
    slaves: Sequence[Slave]
    kind: str
    rules: Classification
    zone: tzinfo

    def document(self) -> SlavesDocument:
        """Return the JSON document."""
        return {
            "starttime": self.window.start,
            "endtime": self.window.end,
            "last_int_size": self.last,
            "slaves": [slave.document() for slave in self.slaves],
        }

    @cached_property
    def silos(self) -> Mapping[str, int]:
        """Return the number of slaves by silo, ``unknown`` for those that no rule fits."""
        return Counter(self._silo(slave) for slave in self.slaves)

    def _silo(self, slave: Slave) -> str:
        return self.rules.silo(slave.name or "") or UNKNOWN_SILO

    @cached_property
    def busy(self) -> tuple[list[int], dict[str, list[int]]]:
        """Return the number of busy slaves by interval: of all slaves, and by silo."""
        intervals = self.window.intervals
        total, by_silo = [0] * intervals, {name: [0] * intervals for name in sorted(self.silos)}
        for slave in self.slaves:
            for index in slave.intervals(self.window):
                total[index] += 1
                by_silo[self._silo(slave)][index] += 1
        return total, by_silo

    def facts(self) -> Sequence[Fact]:
        """List the totals."""
        whole = len(self.slaves)
        at_end = sum(slave.is_busy_at_end for slave in self.slaves)
        busy = sum(slave.busy for slave in self.slaves)
        return [
            Fact("Slaves", whole, "number"),
            Fact("Busy at the end (%)", percent(at_end, whole), "number"),
            Fact("Average busy (%)", round(busy / whole, 2) if whole else 0, "number"),
            Fact("Builds", sum(len(s.counted) for s in self.slaves), "number"),
            Fact("Last interval", self.last, "seconds"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of all slaves."""
        rows = [slave_cells(s, self._silo(s)) for s in self.slaves]
        return [Grid("slaves", "Slaves", SLAVE_COLUMNS, rows, "-failed")]

    def pictures(self) -> Sequence[Picture]:
        """Return the charts of busy slaves over time, and of the busy share of each silo."""
        # 2000 intervals are for the chart protocol; 96 suffice for a chart on the page.
        coarse = attrs.evolve(self, window=attrs.evolve(self.window, int_size=0).divided(96))
        total, by_silo = coarse.busy
        texts = labels(coarse.window.begins(), self.zone)
        count = Grid("busy", "Busy slaves", BUSY, list(zip(texts, total, strict=True)))
        columns = [Column("at", "Interval"), *(Column(n, n, "number") for n in by_silo)]
        rows = [
            (at, *(percent(counts[i], self.silos[n]) for n, counts in by_silo.items()))
            for i, at in enumerate(texts)
        ]
        shares = Grid("silos", "Busy slaves by silo (%)", columns, rows)
        return [Picture(count, "area"), Picture(shares, "line", "%")]

    def chart(self) -> GvizTable | str:
        """Return the busy slaves by interval; with ``type=silos``, shares by silo as CSV."""
        if self.kind == "silos":
            return self._silos_csv()
        total, _ = self.busy
        head = [("datetime", "Date", "datetime"), ("busy", "# Busy Slaves", "number")]
        return GvizTable(head, list(zip(self.window.begins(), total, strict=True)))

    def _silos_csv(self) -> str:
        total, by_silo = self.busy
        out = io.StringIO()
        # Line feeds, and none at the end, as the Pylons program answered.
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["Date", "Totals", *by_silo])
        for i, begin in enumerate(self.window.begins()):
            shares = [_share(total[i], len(self.slaves))]
            shares += [_share(counts[i], self.silos[n]) for n, counts in by_silo.items()]
            at = datetime.fromtimestamp(begin, self.zone).strftime("%Y-%m-%d %H:%M:%S")
            writer.writerow([at, *shares])
        return out.getvalue().removesuffix("\n")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole if whole else 0:.2f}"


@attrs.define(slots=False)
class SlaveReport:
    """The report of one slave."""

    slave: Slave
    kind: str
    zone: tzinfo

    def document(self) -> SlaveDetails:
        """Return the JSON document."""
        builds: list[SlaveBuild] = [
            {
                "slave_id": b.slave_id,
                "slave_name": b.slave,
                "builder_id": b.builder_id,
                "starttime": b.start or 0,
                "endtime": b.end or 0,
                "duration": b.duration,
                "result": b.result,
            }
            for b in self.slave.counted
        ]
        return {**self.slave.document(self.slave.window.int_size), "builds": builds}

    def facts(self) -> Sequence[Fact]:
        """List the values of the slave."""
        slave = self.slave
        return [
            Fact("Name", slave.name or "-"),
            Fact("Busy (%)", round(slave.busy, 2), "number"),
            Fact("Busy in the last interval (%)", round(slave.busy_last, 2), "number"),
            Fact("Builds", len(slave.counted), "number"),
            Fact("Average build", slave.mean, "seconds"),
            Fact("Success (%)", percent(slave.results[0], len(slave.counted)), "number"),
            Fact("Failed (%)", percent(slave.failures, len(slave.counted)), "number"),
            Fact("Failed in the last interval (%)", slave.recent_failures, "number"),
            Fact("State at the end", "busy" if slave.is_busy_at_end else "idle"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the table of its builds."""
        rows = [
            (
                Link(b.builder, f"/reports/status_builders/{quoted(b.builder)}"),
                result_word(b.result),
                b.start,
                b.end,
                b.duration,
            )
            for b in self.slave.counted
        ]
        return [Grid("builds", "Builds", BUILD_COLUMNS, rows, "-start")]

    def shares(self) -> Sequence[tuple[int, float, float, float]]:
        """List (begin, success, warnings, failed) for each interval, in percent of its builds."""
        window = self.slave.window
        counts = [[0, 0, 0] for _ in range(window.intervals)]
        for b in self.slave.counted:
            counts[window.index(b.start or 0)][b.result if b.result in (0, 1) else 2] += 1
        return [
            (begin, *(100 * n / sum(c) if sum(c) else 0 for n in c))  # type: ignore[misc]  # three
            for begin, c in zip(window.begins(), counts, strict=True)
        ]

    def pictures(self) -> Sequence[Picture]:
        """Return the chart of results over time."""
        window = self.slave.window
        counts = [Counter[str]() for _ in range(window.intervals)]
        for b in self.slave.counted:
            word = RESULT_WORDS.get(b.result, NOTHING)
            counts[window.index(b.start or 0)][word] += 1
        seen = [word for word in (*RESULT_WORDS.values(), NOTHING) if any(c[word] for c in counts)]
        rows = [
            (text, *(percent(of[word], of.total()) for word in seen))
            for text, of in zip(labels(window.begins(), self.zone), counts, strict=True)
        ]
        columns = (Column("at", "Interval"), *(Column(w, w.capitalize(), "number") for w in seen))
        shares = Grid("ends", "Build results (%)", columns, rows)
        return [Picture(shares, "bar", "%", stacked=True)] if seen else []

    def chart(self) -> GvizTable | str:
        """Return results by interval; with ``type=busy``, when it was busy."""
        if self.kind == "busy":
            names = ("success", "warnings", "failure")
            columns = [(n, f"Busy {n.capitalize()}", "number") for n in names]
            return GvizTable([("datetime", "Date", "datetime"), *columns], self._steps())
        names = ("success", "warnings", "failed")
        columns = [(n, n.capitalize(), "number") for n in names]
        return GvizTable([("datetime", "Date", "datetime"), *columns], self.shares())

    def _steps(self) -> list[list[int]]:
        """List points of a step function: up at each start, down at each end, by result."""
        rows = []
        for b in self.slave.counted:
            up = [int(b.result == 0), int(b.result == 1), int(b.result not in (0, 1))]
            start = b.start or 0
            # A point a second before each edge, or the chart would draw a slope.
            rows += [[start - 1, 0, 0, 0], [start, *up]]
            if b.end and b.end >= start:
                rows += [[b.end, *up], [b.end + 1, 0, 0, 0]]
        return rows


def slave_cells(s: Slave, silo: str) -> Sequence[object]:
    """Return the cells of a slave, in the order of ``SLAVE_COLUMNS``."""
    total = len(s.counted)
    return [
        Link(s.name, f"/reports/slaves/{s.slave_id}"),
        silo,
        round(s.busy, 2),
        round(s.busy_last, 2),
        s.mean,
        total,
        *(percent(s.results[code], total) for code in (0, 1)),
        percent(s.failures, total),
        s.recent_failures,
        *(percent(s.results[code], total) for code in (2, 3, 4, 5, NO_RESULT)),
        "busy" if s.is_busy_at_end else "idle",
    ]


def no_chart() -> GvizTable:
    """Refuse a chart for a report that has none; :raises BadRequest: always."""
    raise BadRequest("format: this report has no chart (allowed: html, json, csv)")


BUSY = (Column("at", "Interval"), Column("busy", "Busy slaves", "number"))
NOTHING = "no result"
"""The word for builds that run, or whose result is none of Buildbot's."""

SLAVE_COLUMNS = (
    Column("slave", "Slave"),
    Column("silo", "Silo"),
    Column("busy", "Busy (%)", "number"),
    Column("last", "Busy, last interval (%)", "number"),
    Column("mean", "Average build", "seconds"),
    Column("builds", "Builds", "number"),
    Column("success", "Success (%)", "number"),
    Column("warnings", "Warnings (%)", "number"),
    Column("failed", "All failures (%)", "number"),
    Column("recent", "Failures, last interval (%)", "number"),
    Column("failure", "Failure (%)", "number"),
    Column("skipped", "Skipped (%)", "number"),
    Column("exception", "Exception (%)", "number"),
    Column("retry", "Retry (%)", "number"),
    Column("none", "No result (%)", "number"),
    Column("state", "State at the end"),
)
BUILD_COLUMNS = (
    Column("builder", "Builder"),
    Column("result", "Result"),
    Column("start", "Started", "time"),
    Column("end", "Ended", "time"),
    Column("took", "Duration", "seconds"),
)
