"""Reports of build runs: all builds of a revision, and how long they took."""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import attrgetter

import attrs

from buildapi.errors import NotFound
from buildapi.interfaces import Reports
from buildapi.model.report_rows import RowFilter, Span
from buildapi.model.revisions import PREFIX, RevisionMatch
from buildapi.model.validators import NAME_MAX
from buildapi.parameters.param import Param
from buildapi.parameters.texts import bad
from buildapi.parameters.types import ParamType, Schema, Values, only_text
from buildapi.reports.build_runs import BuildRun, runs_of
from buildapi.reports.documents import NothingDocument
from buildapi.reports.end_to_end import BuildRunReport, EndToEndReport
from buildapi.reports.grid import Fact, Grid, Picture, Report
from buildapi.reports.request_rows import merged, quoted
from buildapi.reports.try_syntax import TrySyntaxReport
from buildapi.reports.window import Window
from buildapi.web.http.routes import Route
from buildapi.web.reports.report_pages import Field, ReportRequest
from buildapi.web.reports.report_params import ReportParams
from buildapi.web.reports.report_server import ReportServer, ReportSpec, all_rows

_REVISION = re.compile(rf"[\w.:/+@~-]{{1,{NAME_MAX}}}", re.ASCII)
_TOO_SHORT = re.compile(rf"(?=.*[A-Fa-f])[0-9A-Fa-f]{{1,{PREFIX - 1}}}")
"""Beginnings of hashes too short to compare, and unlikely to be full revisions."""


class RunRevision(ParamType[str]):
    """A revision: a full one, or a beginning of a hash that is long enough."""

    def parse(self, name: str, values: Values) -> str | None:
        """Return a revision."""
        text = only_text(name, values)
        if text and (_TOO_SHORT.fullmatch(text) or not _REVISION.fullmatch(text)):
            raise bad(name, text, f"{PREFIX} characters of a hash, or a full revision")
        return text or None

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string", "pattern": f"^(?:{_REVISION.pattern})$"}

    def words(self) -> str:
        """Return how many characters are needed."""
        return f"at least {PREFIX} characters of a hash"


WHICH = Param("revision", "a revision", RunRevision())


@attrs.frozen
class RunReportRoutes:
    """Serve the reports of build runs."""

    _server: ReportServer
    _reads: Reports

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        branch = self._server.branch_param
        endtoend = "endtoend", "endtoend/{branch_name}"
        trychooser = "trychooser", "trychooser/{branch_name}"
        revision = "revision", "revision/{branch_name}/{revision}"
        specs = (
            ReportSpec(endtoend, self.endtoend, ENDTOEND, (branch,)),
            ReportSpec(trychooser, self.trychooser, TRY, (branch,)),
            ReportSpec(revision, self.revision, RUN, (branch, WHICH)),
        )
        return self._server.routes(specs)

    def endtoend(self, given: ReportParams) -> ReportRequest:
        """Report the time from each push to its last result."""
        server = self._server
        branch = server.branch(given)
        window = given.window()

        async def compute() -> Report:
            return await self._end_to_end(branch, window, changes=True)

        fields = [Field("branch_name", "Branch", branch, server.branches())]
        title = f"End-to-end times on {branch}"
        return ReportRequest(title, window, branch, compute, fields, action="endtoend")

    def trychooser(self, given: ReportParams) -> ReportRequest:
        """Report who uses the try syntax."""
        server = self._server
        branch = server.branch(given)
        window = given.window()

        async def compute() -> Report:
            whole = await self._end_to_end(branch, window, changes=False)
            return TrySyntaxReport(whole, server.rules.excluded)

        fields = [Field("branch_name", "Branch", branch, server.branches())]
        title = f"Use of the try syntax on {branch}"
        return ReportRequest(title, window, branch, compute, fields, action="trychooser")

    async def _end_to_end(self, branch: str, window: Window, *, changes: bool) -> EndToEndReport:
        wanted = RowFilter(Span(window.start, window.end), self._server.filter(branch))
        rows = await all_rows(self._reads, wanted)
        waiting = await self._reads.pending_changes(wanted) if changes else ()
        runs = runs_of(merged(rows), self._server.rules, waiting)
        return EndToEndReport(window.start, window.end, branch, runs, waiting)

    def revision(self, given: ReportParams) -> ReportRequest:
        """Report one build run; show the form alone without a revision."""
        server = self._server
        branch, revision = server.branch(given), given.of(WHICH) or ""
        fields = [
            Field("branch_name", "Branch", branch, server.branches()),
            Field("revision", "Revision", revision, hint="at least 12 characters"),
        ]
        # Without a window: a run is everything ever built of its revision.
        form = ReportRequest("Build run", None, None, _nothing, fields, action="revision")
        if not revision:
            return form
        # People who sent the form are led to the path that the menu and other reports link.
        if "revision" not in given.call.path:
            path = f"/reports/revision/{quoted(branch)}/{quoted(revision)}"
            return attrs.evolve(form, location=path)
        wanted = RevisionMatch(revision)
        return attrs.evolve(
            form,
            title=f"Build run {wanted.short} on {branch}",
            values=(branch, wanted),
            compute=lambda: self._run(branch, wanted),
        )

    async def _run(self, branch: str, revision: RevisionMatch) -> Report:
        wanted = RowFilter(None, self._server.filter(branch), revision)
        every = merged(await all_rows(self._reads, wanted))
        rows, between = revision.choose(every, attrgetter("revision"))
        run = BuildRun(revision.short, rows, self._server.rules)
        waiting, _ = revision.choose(
            await self._reads.pending_changes(wanted), attrgetter("revision")
        )
        changes = [change for change in waiting if change.changeid not in run.change_ids]
        if not rows and not changes:
            raise NotFound("no such revision")
        return BuildRunReport(branch, attrs.evolve(run, pending_changes=changes), between)


@attrs.frozen
class _Nothing:
    """An empty report, shown with its form."""

    def document(self) -> NothingDocument:
        return {}

    def facts(self) -> Sequence[Fact]:
        return ()

    def grids(self) -> Sequence[Grid]:
        return ()

    def pictures(self) -> Sequence[Picture]:
        return ()

    def chart(self) -> str:
        raise bad("format", "chart", "html, json")


async def _nothing() -> Report:
    return _Nothing()


ENDTOEND = "Time from each change to its last result."
TRY = "Authors who use the try syntax."
RUN = "All builds of a revision."
