"""Build runs: all build requests of a revision, with their builds and changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from buildapi.model.durations import elapsed
from buildapi.model.report_rows import PendingChange, RequestRow, Status
from buildapi.model.results import NO_RESULT, result_word
from buildapi.model.revisions import short_revision
from buildapi.reports.classification import Classification
from buildapi.reports.documents import BuildRunDocument

FAILED = (2, 3, 4, 5)


@attrs.frozen
class BuildRun:
    """All rows of a revision; a hash is cut to its first digits."""

    revision: str | None
    rows: Sequence[RequestRow]
    rules: Classification
    pending_changes: Sequence[PendingChange] = ()

    @property
    def statuses(self) -> Counter[Status]:
        """Return the number of rows by status."""
        return Counter(row.status for row in self.rows)

    @property
    def results(self) -> Counter[int]:
        """Return the number of rows by result."""
        return Counter(row.results for row in self.rows)

    @property
    def worst(self) -> int:
        """Return the highest result code; -1 if there are no rows."""
        return max((row.results for row in self.rows), default=NO_RESULT)

    @property
    def first_change(self) -> int:
        """Return the time of the first change; 0 if no row has one."""
        return min((r.when_timestamp for r in self.rows if r.when_timestamp), default=0)

    @property
    def last_finish(self) -> int:
        """Return the time the last build finished; 0 if none did."""
        return max((r.finish_time or 0 for r in self.rows), default=0)

    @property
    def duration(self) -> int | None:
        """Return the seconds from the first change to the last completion.

        0 if one is missing, None if the completion is earlier.
        """
        first = self.first_change
        # complete_at, not finish_time: a request that is retried has a finished build and no result
        # yet.
        last = max((r.complete_at or 0 for r in self.rows), default=0)
        return elapsed(first, last) if first and last else 0

    @property
    def is_complete(self) -> bool:
        """Return whether no request is pending or running, and no change waits for its builds."""
        found = self.statuses
        return not (self.pending_changes or found[Status.RUNNING] or found[Status.PENDING])

    @property
    def authors(self) -> list[str]:
        """List the authors of its changes."""
        return sorted({author for row in self.rows for author in row.authors})

    @property
    def change_revisions(self) -> list[str]:
        """List the revisions of its changes; a change without one is listed as "None"."""
        found = {_short(r) for row in self.rows for r in row.change_revisions}
        # The Pylons program had this text in the list for a change without a revision.
        return sorted("None" if r is None else r for r in found)

    @property
    def change_ids(self) -> set[int | None]:
        """Return the ids of its changes."""
        return {id_ for row in self.rows for id_ in row.change_ids}

    def reasons(self, name: str) -> int:
        """Return the number of rows whose reason is of a kind."""
        return sum(self.rules.reason(row.reason) == name for row in self.rows)

    def kinds(self) -> Counter[str]:
        """Count rows with a change as builds, unit tests or talos runs, by their stored branch."""
        return Counter(_kind(row.branch) for row in self.rows if row.when_timestamp)

    def document(self) -> BuildRunDocument:
        """Return the JSON object of the run."""
        statuses, kinds = self.statuses, self.kinds()
        return {
            "revision": self.revision,
            "changes_revision": self.change_revisions,
            "results": self.worst,
            "results_str": result_word(self.worst),
            "is_complete": "yes" if self.is_complete else "no",
            "total_build_requests": len(self.rows),
            "duration": self.duration,
            "lst_change_time": self.first_change,
            "gst_finish_time": self.last_finish,
            "complete": statuses[Status.COMPLETE],
            "running": statuses[Status.RUNNING],
            "pending": statuses[Status.PENDING],
            "cancelled": statuses[Status.CANCELLED],
            "interrupted": statuses[Status.INTERRUPTED],
            "misc": statuses[Status.MISC],
            "rebuilds": self.reasons("rebuild"),
            "forcebuilds": self.reasons("forcebuild"),
            "builds": kinds["builds"],
            "unittests": kinds["unittests"],
            "talos": kinds["talos"],
            "authors": self.authors,
        }


def runs_of(
    rows: Iterable[RequestRow], rules: Classification, changes: Sequence[PendingChange] = ()
) -> Mapping[str | None, BuildRun]:
    """Group rows by revision; changes without a source stamp go to the run they match."""
    groups: dict[str | None, list[RequestRow]] = {}
    for row in rows:
        groups.setdefault(row.short_revision, []).append(row)
    found = {revision: BuildRun(revision, group, rules) for revision, group in groups.items()}
    waiting = _guessed(found, changes)
    return {
        revision: attrs.evolve(run, pending_changes=waiting.get(revision, ()))
        for revision, run in found.items()
    }


def _guessed(
    runs: Mapping[str | None, BuildRun], changes: Iterable[PendingChange]
) -> Mapping[str | None, list[PendingChange]]:
    # A change's own revision may differ from that of the source stamp that was built.
    by_change = {rev: run.revision for run in runs.values() for rev in run.change_revisions}
    found: dict[str | None, list[PendingChange]] = {}
    for change in changes:
        short = _short(change.revision)
        if short is not None and (short in runs or short in by_change):
            run = short if short in runs else by_change[short]
            found.setdefault(run, []).append(change)
    return found


def _short(revision: str | None) -> str | None:
    return None if revision is None else short_revision(revision)


def _kind(branch: str | None) -> str:
    """Return the kind of the rows of a stored branch, by its suffix."""
    text = branch or ""
    # Masters store test requests on branches of their own, which end so.
    if text.endswith("unittest"):
        return "unittests"
    return "talos" if text.endswith("talos") else "builds"
