"""Report of wait times: from the change, or the submission, to the start of the build."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import tzinfo

import attrs

from buildapi.model.durations import elapsed
from buildapi.model.report_rows import Waiting
from buildapi.reports.classification import Classification
from buildapi.reports.documents import Intervals, WaitingDocument, WaitTimesDocument
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Picture, percent
from buildapi.reports.window import Window, label, labels

PERCENTILES = (50, 75, 90, 95, 99, 100)
WAITING_MAX = 5000
"""Maximum number of waiting requests that are listed, the longest waiting first."""


@attrs.frozen
class WaitTimesQuery:
    """The parameters of the report: ``mpb`` minutes per block, up to ``maxb`` (0: no limit)."""

    pool: str
    window: Window
    mpb: int = 15
    maxb: int = 120
    num: str = "full"

    @property
    def limit(self) -> int:
        """Return the last block: ``maxb`` rounded down to whole blocks."""
        # A last block that is no multiple would overlap the one before. Less than one block means
        # no limit, as in the Pylons program.
        return self.maxb - self.maxb % self.mpb

    def block(self, minutes: float) -> int:
        """Return the block of a wait, named by its first minute."""
        block = int(minutes // self.mpb) * self.mpb
        return min(block, self.limit) if self.limit else block


@attrs.frozen
class StillWaiting:
    """An incomplete request without a started build; it has waited for ``seconds``."""

    request_id: int
    buildername: str
    since: int
    seconds: int


@attrs.define
class Blocks:
    """Counts by block and interval, and all known waits in minutes."""

    window: Window
    counts: dict[int, list[int]] = attrs.field(factory=dict)
    # 8 bytes for each wait, as the report keeps all of them for its percentiles.
    waits: array[float] = attrs.field(factory=lambda: array("d"))

    total: int = 0

    def add(self, block: int, interval: int, minutes: float | None) -> None:
        """Count a wait; an unknown one (None) is left out of the percentiles."""
        self.counts.setdefault(block, [0] * self.window.intervals)[interval] += 1
        self.total += 1
        if minutes is not None:
            self.waits.append(minutes)

    def every(self, mpb: int) -> dict[int, list[int]]:
        """Return all blocks up to the highest, empty ones included."""
        none = [0] * self.window.intervals
        highest = max(self.counts, default=-mpb)
        # Empty blocks have a key too, up to the highest used one, as in the Pylons program.
        return {b: self.counts.get(b, none) for b in range(0, highest + mpb, mpb)}

    def percentiles(self) -> dict[str, float]:
        """Return the percentiles of the waits in minutes; empty if no wait is known."""
        ordered = sorted(self.waits)
        return {str(p): round(_rank(ordered, p), 2) for p in PERCENTILES} if ordered else {}

    def document(self, mpb: int) -> dict[str, Intervals]:
        """Return the JSON object of the blocks."""
        return {
            str(block): {"total": sum(counts), "intervals": counts}
            for block, counts in self.every(mpb).items()
        }


def _rank(ordered: Sequence[float], share: int) -> float:
    """Return the smallest value that ``share`` percent do not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


def _waiting(one: StillWaiting) -> WaitingDocument:
    return {
        "request_id": one.request_id,
        "buildername": one.buildername,
        "since": one.since,
        "seconds": one.seconds,
    }


@attrs.define
class WaitTimesReport:
    """The report; rows are added portion by portion."""

    asked: WaitTimesQuery
    masters: Sequence[str]
    zone: tzinfo
    now: int
    total: Blocks = attrs.field(init=False)
    platforms: dict[str, Blocks] = attrs.field(factory=dict)
    no_changes: int = 0
    contradictory: int = 0
    pending: list[str] = attrs.field(factory=list)
    waiting: list[StillWaiting] = attrs.field(factory=list)
    other: set[str] = attrs.field(factory=set)
    unknown: set[str] = attrs.field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.total = Blocks(self.asked.window)

    def add(self, rows: Iterable[Waiting], rules: Classification) -> None:
        """Count rows; repacks and requests without a start are listed, not counted."""
        for row in rows:
            # First, as in the Pylons program: repacks are named, and neither counted nor listed as
            # pending.
            if any(p.match(row.buildername) for p in rules.excluded.repacks):
                self.unknown.add(row.buildername)
            elif not row.start_time:
                self._not_started(row)
            else:
                self._count(row, row.start_time, rules.platform(row.buildername), rules.fallback)

    def _not_started(self, row: Waiting) -> None:
        self.pending.append(row.buildername)
        # "pending" has requests that are complete without a start, as in the Pylons program; they
        # do not wait any more.
        if not row.complete:
            since = row.change_time or row.submitted_at
            waits = max(0, self.now - since)  # its clock may be ahead of ours
            self.waiting.append(StillWaiting(row.request_id, row.buildername, since, waits))

    def _count(self, row: Waiting, start: int, platform: str | None, fallback: str) -> None:
        if platform == fallback:
            self.other.add(row.buildername)
        self.no_changes += not row.change_time
        begin = row.change_time or row.submitted_at
        waited = elapsed(begin, start)
        self.contradictory += waited is None
        minutes = None if waited is None else waited / 60
        # A change may be older than the window: it counts in the first interval.
        where = self.asked.block(minutes or 0), self.asked.window.index(begin), minutes
        self.total.add(*where)
        key = platform or fallback
        self.platforms.setdefault(key, Blocks(self.asked.window)).add(*where)

    def document(self) -> WaitTimesDocument:
        """Return the JSON document.

        The Pylons program had no ``percentiles``, ``waiting`` and ``contradictory``.
        """
        asked, window = self.asked, self.asked.window
        told: WaitTimesDocument = {
            "pool": asked.pool,
            "masters": list(self.masters),
            "starttime": window.start,
            "endtime": window.end,
            "int_size": window.int_size,
            "mpb": asked.mpb,
            "maxb": asked.limit,
            "no_changes": self.no_changes,
            "otherplatforms": sorted(self.other),
            "unknownbuilders": sorted(self.unknown),
            "pending": sorted(self.pending),
            "total": self.total.total,
            "wt": self.total.document(asked.mpb),
            "platforms": {
                name: {
                    "total": blocks.total,
                    "wt": blocks.document(asked.mpb),
                    "percentiles": blocks.percentiles(),
                }
                for name, blocks in sorted(self.platforms.items())
            },
            "percentiles": self.total.percentiles(),
            "waiting": [_waiting(one) for one in self._longest()],
        }
        if self.contradictory:
            told["contradictory"] = self.contradictory
        return told

    def _longest(self) -> Sequence[StillWaiting]:
        return sorted(self.waiting, key=lambda w: (w.since, w.request_id))[:WAITING_MAX]

    def facts(self) -> Sequence[Fact]:
        """List the totals, and the numbers left out."""
        found = self.total.percentiles()
        return [
            Fact("Started jobs", self.total.total, "number"),
            Fact("Median wait", round(60 * found.get("50", 0)), "seconds"),
            Fact("95th percentile wait", round(60 * found.get("95", 0)), "seconds"),
            Fact("Pending now", len(self.waiting), "number"),
            Fact("Builds without changes", self.no_changes, "number"),
            Fact("Started before submission", self.contradictory, "number"),
            Fact("Masters", len(self.masters), "number"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the tables of waits by platform, waiting requests, and leftover names."""
        names = [(self.asked.pool, self.total), *sorted(self.platforms.items())]
        platforms = Grid(
            "platforms", "By platform", self._columns(), [self._row(*n) for n in names]
        )
        waits = [(w.buildername, w.request_id, w.since, w.seconds) for w in self._longest()]
        waiting = Grid("waiting", "Pending requests", STILL, waits, "-waits")
        found = [("no platform", n) for n in sorted(self.other)]
        found += [("excluded", n) for n in sorted(self.unknown)]
        unknown = Grid(
            "unknown", "Excluded builders and builders without a platform", UNKNOWN, found
        )
        return [platforms, *(g for g in (waiting, unknown) if g.rows)]

    def _columns(self) -> Sequence[Column]:
        blocks = [Column(f"b{b}", f"{self._label(b)} min", "number") for b in self._blocks()]
        shares = [Column(f"p{p}", f"{p}th percentile", "seconds") for p in PERCENTILES]
        return [Column("platform", "Platform"), Column("total", "Jobs", "number"), *shares, *blocks]

    def _row(self, name: str, blocks: Blocks) -> Sequence[object]:
        found = blocks.percentiles()
        counts = [sum(blocks.counts.get(b, ())) for b in self._blocks()]
        return [
            name,
            blocks.total,
            *(round(60 * found.get(str(p), 0)) for p in PERCENTILES),
            *counts,
        ]

    def _blocks(self) -> Sequence[int]:
        return list(self.total.every(self.asked.mpb))

    def _label(self, block: int) -> str:
        limited = self.asked.limit and block >= self.asked.limit
        return f"{block}+" if limited else f"{block}-{block + self.asked.mpb}"

    def pictures(self) -> Sequence[Picture]:
        """Return the charts of blocks: of all jobs, over time, and as shares over time."""
        blocks = self.total.every(self.asked.mpb)
        whole = Grid(
            "blocks",
            "Jobs by wait (minutes)",
            (Column("block", "Minutes"), Column("jobs", "Jobs", "number")),
            [(self._label(b), sum(counts)) for b, counts in blocks.items()],
        )
        count = self._over_time("numbers", "Jobs over time by wait (minutes)", _count)
        share = self._over_time("shares", "Share of jobs over time by wait (minutes)", percent)
        return [
            Picture(whole, "bar"),
            Picture(count, "bar", stacked=True),
            Picture(share, "bar", "%", stacked=True),
        ]

    def _over_time(self, name: str, title: str, value: Callable[[int, int], float]) -> Grid:
        blocks = self.total.every(self.asked.mpb)
        sums = [sum(c[i] for c in blocks.values()) for i in range(self.asked.window.intervals)]
        rows = [
            (text, *(value(c[i], sums[i]) for c in blocks.values()))
            for i, text in enumerate(labels(self.asked.window.begins(), self.zone))
        ]
        columns = [Column(f"b{b}", f"{self._label(b)} min", "number") for b in blocks]
        return Grid(name, title, (Column("interval", "Interval"), *columns), rows)

    def chart(self) -> GvizTable | str:
        """Return the blocks by interval: counts, or with ``num=ptg`` percentages."""
        blocks = self.total.every(self.asked.mpb)
        columns = [(str(b), self._label(b), "number") for b in blocks]
        value = _count if self.asked.num == "full" else _exact_percent
        sums = [sum(c[i] for c in blocks.values()) for i in range(self.asked.window.intervals)]
        rows = [
            [label(begin, self.zone), *(value(c[i], sums[i]) for c in blocks.values())]
            for i, begin in enumerate(self.asked.window.begins())
        ]
        return GvizTable([("intervals", "Interval", "string"), *columns], rows)


def _count(part: int, _whole: int) -> float:
    return part


def _exact_percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0


def pool_of(
    builders: Mapping[str, str | None],
    claims: Iterable[tuple[str, str, int]],
    pool_of_master: Callable[[str], str | None],
) -> Mapping[str, str]:
    """Return the pool of masters that claimed most requests of each pool of slaves.

    ``builders`` maps builders to slave pools; ``claims`` are (builder, master, number of requests).
    """
    taken: dict[str, Counter[str]] = {}
    for builder, master, count in claims:
        slaves, pool = builders.get(builder), pool_of_master(master)
        if slaves is not None and pool is not None:
            taken.setdefault(slaves, Counter())[pool] += count
    # Sorted, so that equal counts always give the same pool.
    return {slaves: max(sorted(c), key=c.__getitem__) for slaves, c in taken.items()}


STILL = (
    Column("builder", "Builder"),
    Column("request", "Request", "number"),
    Column("since", "Submitted", "time"),
    Column("waits", "Wait", "seconds"),
)
UNKNOWN = (Column("why", "Reason"), Column("builder", "Builder"))
