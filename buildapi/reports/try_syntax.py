"""Report of the use of try syntax, which names the wanted builds in a change's comment."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.model.report_rows import RequestRow
from buildapi.reports.build_runs import BuildRun
from buildapi.reports.classification import Exclusions
from buildapi.reports.documents import TrySyntaxDocument
from buildapi.reports.end_to_end import RUN_COLUMNS, EndToEndReport, run_cells
from buildapi.reports.grid import Column, Fact, Grid, GvizTable, Picture
from buildapi.reports.request_rows import people


@attrs.frozen
class TrySyntaxReport:
    """The report: build runs of a branch, and which authors used try syntax."""

    whole: EndToEndReport
    excluded: Exclusions

    def uses(self, run: BuildRun) -> dict[str, bool]:
        """Return by author of a run whether one of their changes used try syntax."""
        found: dict[str, bool] = {}
        for row in run.rows:
            for author in people(row.authors, self.excluded.authors):
                found[author] = found.get(author, False) or self._marked(row)
        return found

    def _marked(self, row: RequestRow) -> bool:
        # Comments are null for a request without a change, on which the Pylons program failed.
        return self.excluded.marker in (row.comments or "")

    def _used(self, run: BuildRun) -> bool:
        return any(map(self._marked, run.rows))

    def document(self) -> TrySyntaxDocument:
        """Return the JSON document.

        The Pylons program had no ``authors_used`` and ``authors_not_used``.
        """
        whole = self.whole.document()
        used, unused = self._authors()
        return {
            "starttime": whole["starttime"],
            "endtime": whole["endtime"],
            "branch_name": whole["branch_name"],
            "total_build_requests": whole["total_build_requests"],
            "unique_total_build_requests": whole["unique_total_build_requests"],
            "total_build_runs": whole["total_build_runs"],
            "avg_duration": whole["avg_duration"],
            "build_runs": {
                name: {
                    **shown,
                    "uses_try_chooser": self.uses(run),
                    "used_trychooser": self._used(run),
                }
                for (name, shown), run in zip(
                    whole["build_runs"].items(), self.whole.runs.values(), strict=True
                )
            },
            "authors_used": sorted(used),
            "authors_not_used": sorted(unused),
        }

    def _authors(self) -> tuple[set[str], set[str]]:
        """Return the authors who used it in some run, and those who did not in some run."""
        noted = [one for run in self.whole.runs.values() for one in self.uses(run).items()]
        return {a for a, used in noted if used}, {a for a, used in noted if not used}

    def facts(self) -> Sequence[Fact]:
        """List the totals of runs and authors."""
        used, unused = self._authors()
        runs = sum(map(self._used, self.whole.runs.values()))
        return [
            Fact("Branch", self.whole.branch),
            Fact("Build runs", len(self.whole.runs), "number"),
            Fact("Runs with try syntax", runs, "number"),
            Fact("Authors using it", len(used), "number"),
            Fact("Authors never using it", len(unused - used), "number"),
            Fact("Authors doing both", len(unused & used), "number"),
        ]

    def grids(self) -> Sequence[Grid]:
        """Return the tables of runs and authors."""
        rows = [
            [*run_cells(self.whole.branch, run), "yes" if self._used(run) else "no"]
            for run in self.whole.runs.values()
        ]
        runs = Grid(
            "runs", "Build runs", (*RUN_COLUMNS, Column("try", "Try syntax")), rows, "-took"
        )
        used, unused = self._authors()
        people_ = [(a, _word(a, used, unused)) for a in sorted(used | unused)]
        return [runs, Grid("authors", "Authors", AUTHORS, people_)]

    def pictures(self) -> Sequence[Picture]:
        """Return the charts of authors and of runs that used it."""
        used, unused = self._authors()
        runs = sum(map(self._used, self.whole.runs.values()))
        of_people = [("used", len(used)), ("never used", len(unused - used))]
        of_runs = [("used", runs), ("not used", len(self.whole.runs) - runs)]
        return [
            Picture(Grid("people", "Authors", SHARE, of_people), "pie"),
            Picture(Grid("share", "Build runs", SHARE, of_runs), "pie"),
        ]

    def chart(self) -> GvizTable | str:
        """Return the numbers of runs with and without try syntax."""
        runs = sum(map(self._used, self.whole.runs.values()))
        rows = [["Yes", runs], ["No", len(self.whole.runs) - runs]]
        return GvizTable([("used", "Used", "string"), ("runs", "Runs", "number")], rows)


def _word(author: str, used: set[str], unused: set[str]) -> str:
    if author in used:
        return "both" if author in unused else "used"
    return "never"


AUTHORS = (Column("author", "Author"), Column("used", "Try syntax"))
SHARE = (Column("what", "Try syntax"), Column("count", "Count", "number"))
