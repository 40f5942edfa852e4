"""The load of the farm over time, from samples that are taken once a minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import attrs

from buildapi.errors import BadRequest
from buildapi.interfaces import LoadStore
from buildapi.model.farm_load import MINUTE, LoadSample
from buildapi.parameters.param import Param
from buildapi.parameters.times import DayOrTime
from buildapi.parameters.types import Integer
from buildapi.reports.grid import Column, Grid, Picture
from buildapi.web.farm.documents import LoadDocument, LoadItem
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.charts import chart_data
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.http.topics import FARM
from buildapi.web.selfserve.pages import SelfServePages

DAY = 86_400
STEPS_MAX = 3000
"""Maximum number of steps in an answer: two days have 2880 minutes."""


@attrs.frozen
class LoadViews:
    """Serve the samples; ``zone`` is the farm's."""

    _store: LoadStore
    _answers: SingleFlightCache[JSONBody]
    _pages: SelfServePages
    _zone: ZoneInfo

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return (Route("GET", "/load", self.load, LOAD, (self._since, self._until, STEP, FORMAT)),)

    @property
    def _since(self) -> Param[int | None]:
        meaning = "not before this day, time or second; default a day before until"
        return Param("since", meaning, DayOrTime(self._zone))

    @property
    def _until(self) -> Param[int | None]:
        meaning = "not after this day, or before this time or second; default now"
        return Param("until", meaning, DayOrTime(self._zone, ends=True))

    async def load(self, call: Call) -> Reply:
        """Show the samples of a span of time."""
        step, asked = STEP.of(call), self._until.of(call)
        # With this minute, of which there may be a sample already.
        now = int(self._pages.now())
        until = now - now % MINUTE + MINUTE if asked is None else asked
        since = self._since.of(call)
        since = until - DAY if since is None else since
        _check(since, until, step)

        async def compute() -> JSONBody:
            return JSONBody.of(
                load_json(since, until, step, await self._store.samples(since, until, step))
            )

        kept = await self._answers.kept(("load", since, until, step), compute, topics=[FARM])
        document = kept.value

        def context() -> Mapping[str, object]:
            pictures = [counts_picture(document.value), waits_picture(document.value)]
            charts = [chart_data(picture, (since, until)) for picture in pictures]
            shown = {"of": document.value, "pictures": charts}
            return self._pages.common() | shown

        return Reply(document, Page("load.html", TITLE, context), freshness=kept.freshness)


def load_json(since: int, until: int, step: int, found: Sequence[LoadSample]) -> LoadDocument:
    """Return samples as JSON."""
    samples: list[LoadItem] = [
        {
            "at": one.at,
            "pending": one.pending,
            "running": one.running,
            "longest_wait": one.longest_wait,
        }
        for one in found
    ]
    return {"since": since, "until": until, "step": step, "samples": samples}


def counts_picture(told: LoadDocument) -> Picture:
    """Return the chart of pending requests and running builds."""
    columns = (Column("pending", "Pending", "number"), Column("running", "Running", "number"))
    rows = [(one["pending"], one["running"]) for one in told["samples"]]
    title = "Pending requests and running builds"
    return Picture(Grid("load", title, (_TIME, *columns), _with_gaps(told, rows)), "line")


def waits_picture(told: LoadDocument) -> Picture:
    """Return the chart of the longest wait, in minutes."""
    rows = [(round((one["longest_wait"] or 0) / 60, 1),) for one in told["samples"]]
    columns = (_TIME, Column("longest_wait", "Longest wait", "number"))
    grid = Grid("waits", "Longest wait of a pending request", columns, _with_gaps(told, rows))
    return Picture(grid, "line", unit="minutes")


_TIME = Column("at", "Time", "time")


def _with_gaps(
    told: LoadDocument, rows: Sequence[tuple[float, ...]]
) -> Sequence[Sequence[float | None]]:
    """Put the time before each row, and an empty row where samples are missing.

    A line that goes on over them would show numbers that nobody has seen.
    """
    found: list[Sequence[float | None]] = []
    before: int | None = None
    for one, row in zip(told["samples"], rows, strict=True):
        if before is not None and one["at"] - before > told["step"]:
            found.append((before + told["step"], *(None for _ in row)))
        found.append((one["at"], *row))
        before = one["at"]
    return found


def _check(since: int, until: int, step: int) -> None:
    """Refuse a span; :raises BadRequest: it has no length, or too many steps."""
    if since >= until:
        raise BadRequest(f"since ({since}) is not before until ({until})")
    steps = (until - since) // step
    if steps > STEPS_MAX:
        least = -(-(until - since) // STEPS_MAX)
        raise BadRequest(
            f"{steps} steps of {step} seconds from since to until, at most {STEPS_MAX} are allowed:"
            f" ask for step={least} or more, or for a shorter time"
        )


STEP = Param(
    "step",
    "seconds for which one sample stands, with the greatest numbers of those minutes",
    Integer(MINUTE, DAY),
    default=300,
)
TITLE = "Load of the farm"
LOAD = "Pending requests, running builds and the longest wait over time."
