"""Render reports with their forms, as HTML, JSON, CSV or chart data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import attrs
from twisted.internet import threads

from buildapi.errors import BadRequest
from buildapi.parameters.param import Param
from buildapi.parameters.texts import bad
from buildapi.parameters.types import Text
from buildapi.reports.grid import Fact, Grid, GvizTable, Link, Picture, Report, csv_text
from buildapi.reports.gviz import request_id, response
from buildapi.reports.window import Window
from buildapi.web.http.assets import File
from buildapi.web.http.call import Call
from buildapi.web.http.charts import chart_data
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.tables import Cell, Line, TableColumn, asked_of, table
from buildapi.web.selfserve.pages import SelfServePages, link_of

ROWS_MAX = 100
"""Rows shown of tables after the first one; the CSV has all of them."""

TABLE_NAME = Param("table", "the table of format=csv; default the first one", Text(), default="")
TQX = Param("tqx", "reqId:N, for format=chart", Text(), default="")
FORMATS = ("html", "json", "csv", "chart")
MENU = (
    ("/reports/waittimes", "Wait times"),
    ("/reports/pushes", "Pushes"),
    ("/reports/builders", "Average time per builder"),
    ("/reports/endtoend", "End-to-end times"),
    ("/reports/slaves", "Slaves"),
    ("/reports/status_builders", "Builders"),
    ("/reports/trychooser", "Try syntax"),
    ("/reports/testruns", "Test runs"),
    ("/reports/idlejobs", "Idle jobs"),
    ("/reports/revision", "Build run"),
    ("/reports/names", "Unclassified names"),
)
SPANS = ((4, "4 hours"), (24, "1 day"), (168, "7 days"), (720, "30 days"))
TABLE = ("q", "sort", "page", "format", "table")
WHEN = ("starttime", "endtime", "hours", "from", "to")


@attrs.frozen
class Field:
    """A field of a report's form; a choice if it has ``options``."""

    name: str
    label: str
    value: str = ""
    options: Sequence[str] = ()
    hint: str = ""


@attrs.frozen
class RenderedReport:
    """The computed contents of a report, without the rows it was computed from.

    ``chart`` is the error of a report that has no chart.
    """

    document: JSONBody
    facts: Sequence[Fact]
    grids: Sequence[Grid]
    pictures: Sequence[Picture]
    chart: GvizTable | str | BadRequest

    @classmethod
    def of(cls, report: Report) -> RenderedReport:
        """Compute the contents of a report; it may take long, so call it in a thread."""
        document = attrs.evolve(JSONBody.of(report.document()), value=None)  # only its JSON is used
        return cls(document, report.facts(), report.grids(), report.pictures(), _chart(report))

    def weight(self) -> int:
        """Return the number of table rows, which the cache limits."""
        return sum(len(g.rows) for g in self.grids)

    def grid(self, name: str) -> Grid:
        """Return a table by name, the first one for ``""``; :raises BadRequest: there is none."""
        every = [*self.grids, *(picture.grid for picture in self.pictures)]
        found = next((g for g in every if not name or g.name == name), None)
        if found is None:
            raise bad("table", name, ", ".join(g.name for g in every))
        return found


@attrs.frozen
class ReportRequest:
    """A report that a call asks for, and the title and form of its page.

    The report depends on the ``window`` and on ``values``.  A ``title`` may depend on what was
    computed.  The form leads to the path that was called, or to ``/reports/`` and ``action``.
    ``location`` is the path of the report, if HTML clients are to be redirected there.
    """

    title: str | Callable[[RenderedReport], str]
    window: Window | None
    values: Hashable
    compute: Callable[[], Awaitable[Report]]
    fields: Sequence[Field] = ()
    note: str = ""
    action: str = ""
    location: str | None = None

    def title_of(self, shown: RenderedReport) -> str:
        """Return the title of the page that shows a report."""
        return self.title(shown) if callable(self.title) else self.title


@attrs.frozen
class ReportPages:
    """Build the replies of reports."""

    _pages: SelfServePages

    async def reply(self, shown: RenderedReport, how: ReportRequest, call: Call) -> Reply:
        """Return a report in the requested format, rendered in a thread: tables may be long."""
        reply: Reply = await threads.deferToThread(self._reply, shown, how, call)
        return reply

    def _reply(self, shown: RenderedReport, how: ReportRequest, call: Call) -> Reply:
        # The router has refused unknown and repeated values before (docs/reports.md, "Format").
        wanted = call.query.get("format", ("",))[-1]
        if wanted == "csv":
            grid = shown.grid(TABLE_NAME.parse(call.query.get("table", ())[-1:]))
            return _attached(f"{grid.name}.csv", "text/csv; charset=utf-8", csv_text(grid))
        if wanted == "chart":
            return self._chart(shown, call)
        title = how.title_of(shown)
        if not call.html:
            return Reply(shown.document, Page("document.html", title))
        return Reply(shown.document, Page("report.html", title, self._context(shown, how, call)))

    def _chart(self, shown: RenderedReport, call: Call) -> Reply:
        reqid = request_id(TQX.parse(call.query.get("tqx", ())[-1:]))
        chart = shown.chart
        if isinstance(chart, BadRequest):
            raise chart
        if isinstance(chart, str):
            return _attached("chart.csv", "text/csv; charset=utf-8", chart)
        text = response(chart, reqid, self._pages.zone)
        return _attached("", "text/javascript; charset=utf-8", text)

    def _context(
        self, shown: RenderedReport, how: ReportRequest, call: Call
    ) -> Mapping[str, object]:
        window = how.window
        span = None if window is None else (window.start, window.end)
        return {
            **self._pages.common(),
            "how": how,
            "facts": shown.facts,
            "pictures": [chart_data(p, span) for p in shown.pictures if p.grid.rows],
            "grids": [self._table(g, call, main=i == 0) for i, g in enumerate(shown.grids)],
            "link_of": link_of,
            "menu": MENU,
            "spans": [(_with(call, hours=h), label) for h, label in SPANS],
            "times": self._times(how.window),
            # A link to other data of this report keeps its window; one to another period (spans)
            # must drop it.
            "csv_of": lambda name: _with(call, keep_times=True, format="csv", table=name),
            "json_link": _with(call, keep_times=True, format="json"),
        }

    def _table(self, grid: Grid, call: Call, *, main: bool) -> Mapping[str, object]:
        columns = [TableColumn(c.name, c.label, c.kind) for c in grid.columns]
        lines = [_line(row) for row in grid.rows]
        # Only the first table has a search form: its parameters must not filter the others.
        asked = asked_of(call.query if main else {}, columns, grid.sort)
        shown = table(columns, lines, asked)
        if not main:
            shown = attrs.evolve(shown, lines=shown.lines[:ROWS_MAX])
        keep = [(n, v) for n, vs in call.query.items() if n not in TABLE for v in vs]
        return {"grid": grid, "table": shown, "main": main, "keep": keep}

    def _times(self, window: Window | None) -> Mapping[str, object]:
        if window is None:
            return {}
        zone = self._pages.zone
        return {
            "start": int(window.start),
            "end": int(window.end),
            "from": _local(window.start, zone),
            "to": _local(window.end, zone),
        }


def _chart(report: Report) -> GvizTable | str | BadRequest:
    try:
        return report.chart()
    except BadRequest as e:
        return e


def _local(seconds: float, zone: ZoneInfo) -> str:
    """Format a time for an ``<input type=datetime-local>``."""
    return datetime.fromtimestamp(int(seconds), zone).strftime("%Y-%m-%dT%H:%M")


def _attached(name: str, kind: str, text: str) -> Reply:
    # Texts decoded from JSON may hold lone surrogates, which UTF-8 cannot encode.
    body = text.encode(errors="replace")
    page = Page("document.html", name)
    return Reply(JSONBody.of(None), page, attached=File(name, kind, body))


def _with(call: Call, *, keep_times: bool = False, **more: object) -> str:
    """Return the query of this report with other values."""
    without = (*TABLE, *more, *(() if keep_times else WHEN))
    kept = [(n, v) for n, vs in call.query.items() if n not in without for v in vs]
    return "?" + urlencode([*kept, *((n, str(v)) for n, v in more.items())], errors="replace")


def _line(row: Sequence[object]) -> Line:
    return [Cell(c.value, c.path) if isinstance(c, Link) else Cell(c) for c in row]
