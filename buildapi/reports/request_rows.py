"""JSON and tables of the build requests that reports list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from buildapi.model.report_rows import RequestRow
from buildapi.model.results import result_word
from buildapi.reports.classification import Classification
from buildapi.reports.documents import RequestRowDocument
from buildapi.reports.grid import Column, Grid, Link, Picture

# Authors of the changes by which builds request their tests.
SENDERS = ("sendchange", "sendchange-unittest")


def merged(rows: Iterable[RequestRow]) -> list[RequestRow]:
    """Merge the changes of each pair of request and build into its first row."""
    found: dict[tuple[int, int | None], RequestRow] = {}
    for row in rows:
        key = (row.request_id, row.build_id)
        first = found.get(key)
        # The query joins changes, so that a request of three changes is three rows.
        found[key] = row if first is None else _with_change(first, row)
    return list(found.values())


def first_changes(rows: Iterable[RequestRow]) -> list[RequestRow]:
    """Return the row of the first change of each pair of request and build."""
    # A dictionary keeps the last value of a key: reversed twice, that is the first row, in its old
    # order.
    return list({(r.request_id, r.build_id): r for r in reversed(list(rows))}.values())[::-1]


def _with_change(first: RequestRow, row: RequestRow) -> RequestRow:
    return attrs.evolve(
        first,
        change_ids=(*first.change_ids, *(c for c in row.change_ids if c not in first.change_ids)),
        authors=(*first.authors, *(a for a in row.authors if a not in first.authors)),
        change_revisions=(
            *first.change_revisions,
            *(r for r in row.change_revisions if r not in first.change_revisions),
        ),
    )


def results_picture(results: Mapping[int, int]) -> Picture:
    """Return the chart of the number of builds by result."""
    named: Counter[str] = Counter()
    for code, count in results.items():
        named[result_word(code, none="no result")] += count
    columns = (Column("result", "Result"), Column("builds", "Builds", "number"))
    return Picture(Grid("results", "Results", columns, sorted(named.items())), "pie")


def request_json(row: RequestRow, rules: Classification) -> RequestRowDocument:
    """Return the JSON of a row; it has no platform and types, which follow from the builder."""
    return {
        "number": row.number,
        "brid": row.request_id,
        "bid": row.build_id,
        "changeid": list(row.change_ids),
        "branch": row.branch,
        "branch_name": rules.branch(row.branch),
        "buildername": row.buildername,
        "ssid": row.ssid,
        "revision": row.short_revision,
        "when_timestamp": row.when_timestamp,
        "submitted_at": row.submitted_at,
        "claimed_at": row.claimed_at,
        "start_time": row.start_time,
        "complete_at": row.complete_at,
        "finish_time": row.finish_time,
        "claimed_by_name": row.claimed_by_name,
        "complete": int(row.complete),
        "reason": row.reason,
        "results": row.results,
        "results_str": result_word(row.results),
        "status": int(row.status),
        "status_str": row.status.name,
        "authors": list(row.authors),
        "comments": row.comments,
        "revlink": row.revlink,
        "category": row.category,
        "repository": row.repository,
        "project": row.project,
        "buildsetid": row.buildsetid,
    }


COLUMNS = (
    Column("state", "State"),
    Column("result", "Result"),
    Column("builder", "Builder"),
    Column("branch", "Branch"),
    Column("revision", "Revision"),
    Column("run", "Run time", "seconds"),
    Column("wait", "Wait time", "seconds"),
    Column("when", "Changed", "time"),
    Column("submitted", "Submitted", "time"),
    Column("started", "Started", "time"),
    Column("finished", "Finished", "time"),
    Column("number", "Number", "number"),
    Column("request", "Request", "number"),
    Column("authors", "Authors"),
    Column("reason", "Reason"),
)


def request_grid(rows: Sequence[RequestRow], rules: Classification, sort: str) -> Grid:
    """Return the table of build requests."""
    return Grid("requests", "Build requests", COLUMNS, [_cells(r, rules) for r in rows], sort)


def _cells(row: RequestRow, rules: Classification) -> Sequence[object]:
    branch = rules.branch(row.branch) or ""
    short = row.short_revision or ""
    return [
        row.status.name.lower(),
        result_word(row.results),
        row.buildername,
        branch,
        # A path cannot have an empty segment.
        Link(short, run_path(branch, short)) if branch and short else short,
        row.run_time,
        row.wait_time if row.start_time else None,
        row.when_timestamp,
        row.submitted_at,
        row.start_time,
        row.finish_time,
        row.number,
        row.request_id,
        ", ".join(people(row.authors)),
        row.reason,
    ]


def people(authors: Iterable[str], senders: Sequence[str] = SENDERS) -> list[str]:
    """List the authors that are people, not programs."""
    return [a for a in authors if a not in senders]


def run_path(branch: str, revision: str) -> str:
    """Return the path of the report of a build run, its segments percent-encoded."""
    return f"/reports/revision/{quoted(branch)}/{quoted(revision)}"


def quoted(text: str) -> str:
    """Percent-encode a path segment."""
    return "".join(c if c in _PLAIN else "".join(f"%{b:02X}" for b in c.encode()) for c in text)


# The unreserved characters of RFC 3986, section 2.3.
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
