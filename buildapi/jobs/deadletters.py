"""Decide what becomes of the dead letters of the two queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from buildapi.jobs.matching import difference, report_refusal
from buildapi.model.messages import Letter, LetterEnd
from buildapi.model.records import JobRecord, JobState
from buildapi.model.wire import FINISHED, decode_finished, decode_request, job_of, readable_report

RETURNS_MOST = 100
"""How often a message is returned to its queue: each time it had been delivered several times."""


@attrs.frozen
class Decision:
    """What becomes of a letter; ``failure`` says why its job, still open, is finished as failed.

    ``end`` is for when that is recorded; where the job has ended meanwhile, it is decided anew.
    """

    end: LetterEnd
    failure: str | None = None


KEPT = Decision(LetterEnd.KEEP)


def decide(routing_key: str, letter: Letter, job: JobRecord | None, *, too_old: bool) -> Decision:
    """Decide about a letter of a queue by the job it names.

    A letter that is of no job, or of another than it says, is kept for a person and touches none.
    One that says nothing which is not in its job is not left behind, whatever the job came to.
    """
    if job is None or job.id != job_of(routing_key, letter.body):
        return KEPT
    report = decode_finished(letter.body)[1] if routing_key == FINISHED else None
    if not _is_of(letter, report, job):
        return KEPT
    if job.completed_at is not None:
        return Decision(LetterEnd.DROP) if _is_recorded(letter, report, job) else KEPT
    if letter.by_broker and letter.returns < RETURNS_MOST and not too_old:
        return Decision(LetterEnd.RETURN)
    if letter.by_broker or letter.exhausted:
        end = LetterEnd.DROP if report is None else LetterEnd.KEEP
        return Decision(end, f"Given up: {letter.reason}; look at what is there")
    return KEPT


def _is_of(letter: Letter, report: Mapping[str, Any] | None, job: JobRecord) -> bool:
    """Return whether a letter is a message of the job that is recorded under its id."""
    if report is not None:
        return report_refusal(report, job) is None
    return difference(decode_request(letter.body), job) is None


def _is_recorded(letter: Letter, report: Mapping[str, Any] | None, job: JobRecord) -> bool:
    """Return whether the row of a job that has ended tells all that a letter does.

    A report says what was done to each thing, which is nowhere else if it could not be stored.
    """
    if job.state is JobState.DONE:
        return True
    stored = job.complete_data or {}
    if report is not None:
        return stored == {key: value for key, value in report.items() if key != "identity"}
    msg = readable_report(stored).get("body", {}).get("msg", "")
    return letter.by_broker or (bool(letter.reason) and letter.reason in msg)
