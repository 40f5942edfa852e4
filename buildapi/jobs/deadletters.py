"""Decide what becomes of the dead letters of the two queues."""

from __future__ import annotations

import attrs

from buildapi.model.messages import Letter, LetterEnd
from buildapi.model.records import JobRecord, JobState
from buildapi.model.wire import FINISHED, decode_request, what

RETURNS_MOST = 100
"""How often a message is returned to its queue: each time it had been delivered several times."""


@attrs.frozen
class Decision:
    """What becomes of a letter; ``failure`` says why its job, still open, is finished as failed."""

    end: LetterEnd
    failure: str | None = None


KEPT = Decision(LetterEnd.KEEP)


def decide(routing_key: str, letter: Letter, job: JobRecord | None, *, too_old: bool) -> Decision:
    """Decide about a letter of a queue by the job it names.

    A letter that is of no job, or of another than it says, is kept for a person and touches none.
    """
    if job is None or not _is_of(routing_key, letter, job):
        return KEPT
    if job.completed_at is not None:
        over = letter.by_broker or job.state is JobState.DONE
        return Decision(LetterEnd.DROP) if over else KEPT
    if letter.by_broker and letter.returns < RETURNS_MOST and not too_old:
        return Decision(LetterEnd.RETURN)
    if letter.by_broker or letter.exhausted:
        return Decision(LetterEnd.KEEP, f"Given up: {letter.reason}; look at what is there")
    return KEPT


def _is_of(routing_key: str, letter: Letter, job: JobRecord) -> bool:
    """Tell whether a letter is a message of the job that is recorded under its id."""
    if routing_key == FINISHED:
        return True
    message = decode_request(letter.body)
    told = (message.action.name, message.who, what(message.action))
    return told == (job.action, job.who, dict(job.what))
