"""Generate docs/compatibility-cases.md: every recorded case that differs, with the reason.

``python -m tests.docs.compatibility_cases`` writes the page from the lists in
tests/golden/differences.py and tests/reports/differences.py, which the replays are held to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import groupby

from tests.docs.blocks import ROOT
from tests.golden.difference import FIXED
from tests.golden.differences import GROUPS
from tests.reports.differences import DIFFERENCES as REPORTS

PAGE = ROOT / "docs" / "compatibility-cases.md"

INTRODUCTION = """\
<!-- generated: python -m tests.docs.compatibility_cases -->
# Compatibility, case by case

[Compatibility](compatibility.md) says what changed and what to do. This page is the evidence:
the answers and effects of the original, the Pylons program, were recorded over a small farm, and
the tests replay every recording. A case is either answered as it was, with the same effects, or
listed here with the reason.

Cases have the names of the recordings, as shell patterns: `*` stands for any text. *Now* is the
present status if it differs, else the respects that differ. *Kind* is *fix* where the original
behaved wrongly, *addition* where there is something new.
"""

RESPECTS = {
    "body": "body",
    "changes": "changes",
    "clobbers": "clobbers",
    "final row": "final job row",
    "location": "redirect",
    "message": "message to the agent",
    "report": "outcome",
    "row": "job row",
    "scheduler": "scheduler rows",
    "stops": "stops",
    "type": "content type",
}
"""The words of the page for what a replay compares; a status is shown as its number."""


def page() -> str:
    """Return the text of the page."""
    sections = [INTRODUCTION]
    for title, differences in GROUPS.items():
        rows = [(d.cases, now(d.status, d.respects), d.kind, d.why) for d in differences]
        sections.append(f"## {title}\n\n{table(merged(rows))}")
    reports = [
        (d.cases, now(d.status if "status" in d.respects else None, d.respects), FIXED, d.why)
        for d in REPORTS
    ]
    sections.append(f"## Reports\n\n{table(merged(reports))}")
    return "\n".join(sections)


Row = tuple[Sequence[str], str, str, str]


def merged(rows: Iterable[Row]) -> Iterator[Row]:
    """Join rows that say the same of different cases, in the order of their first."""

    def told(row: Row) -> tuple[str, ...]:
        return row[1:]

    listed = list(rows)
    first = {told(row): i for i, row in reversed(list(enumerate(listed)))}
    for _, same in groupby(sorted(listed, key=lambda row: first[told(row)]), told):
        together = list(same)
        cases = [case for row in together for case in row[0]]
        yield cases, *together[0][1:]


def now(status: int | None, respects: Set[str]) -> str:
    """Return what a reader meets now: the status, else what differs."""
    return str(status) if status else ", ".join(sorted(RESPECTS[r] for r in respects))


def table(rows: Iterable[Row]) -> str:
    """Return rows as a table in Markdown."""
    lines = ["| recorded cases | now | kind | change |", "|---|---|---|---|"]
    for cases, present, kind, why in rows:
        names = ", ".join(f"`{case.replace('[?]', '?')}`" for case in cases)
        lines.append(f"| {names} | {present} | {kind} | {why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
