"""Columns and rows of lists of pushes: pure functions of JSON documents of the service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildapi.cli.service_client import Document
from buildapi.cli.table_rows import Row, Time
from buildapi.cli.terminal import format_duration
from buildapi.jobs.build_states import FAILED, STATES
from buildapi.model.revisions import short_revision

PUSHES = ("branch", "revision", "author", "when", "result", "left", "jobs", "comment")


def pushes(found: Sequence[Document], time: Time) -> Sequence[Row]:
    """List pushes with a summary of the jobs of each."""
    return [
        (
            push["branch"],
            short_revision(push["revision"]),
            push["author"],
            time(push["when"]),
            result(push),
            _left(push),
            counts(push["counts"]),
            push["comments"],
        )
        for push in found
    ]


def result(push: Document) -> str:
    """Return whether a push is done, and passed, in words."""
    if not push["counts"]:
        return "too many jobs" if push.get("jobs_omitted") else "no jobs"
    if not push["job_complete"]:
        return "not done"
    return "passed" if push["job_passed"] else "failed"


def _left(push: Document) -> str | None:
    seconds = push["expected_seconds"]
    return None if seconds is None else format_duration(float(seconds))


def counts(found: Mapping[str, int]) -> str:
    """Return the number of jobs in each state, failures first."""
    order = dict.fromkeys((*FAILED, *STATES))
    return ", ".join(f"{found[state]} {state}" for state in order if found.get(state))
