"""Decide whether to keep, drop or return the dead letters of the two queues."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from buildapi.jobs.message_check import difference, report_refusal
from buildapi.model.messages import Letter, LetterEnd
from buildapi.model.records import JobRecord, JobState
from buildapi.model.wire import FINISHED, decode_finished, decode_request, job_of, readable_report

# A message that kills each process that takes it would go round for ever [docs/amqp.md, "How tries
# are counted"].
RETURNS_MOST = 100
"""Maximum number of times a message is returned to its queue, each after several deliveries."""


@attrs.frozen
class DeadLetterDecision:
    """The decision about a dead letter; ``failure`` is the error its unfinished job ends with.

    ``end`` applies once the failure is recorded; if the job has ended meanwhile, decide again.
    """

    end: LetterEnd
    failure: str | None = None


KEPT = DeadLetterDecision(LetterEnd.KEEP)


def decide(
    routing_key: str, letter: Letter, job: JobRecord | None, *, too_old: bool
) -> DeadLetterDecision:
    """Decide about a dead letter by the job it names.

    A letter of no job, or that does not match its job, is kept for an operator and finishes no
    job.  A letter of a finished job is dropped if the row of the job contains all it says.
    """
    # Anybody who may publish can name any job [docs/amqp.md, "Whose a message is"].
    if job is None or job.id != job_of(routing_key, letter.body):
        return KEPT
    report = decode_finished(letter.body)[1] if routing_key == FINISHED else None
    if not _is_of(letter, report, job):
        return KEPT
    if job.completed_at is not None:
        return DeadLetterDecision(LetterEnd.DROP) if _is_recorded(letter, report, job) else KEPT
    if letter.by_broker and letter.returns < RETURNS_MOST and not too_old:
        return DeadLetterDecision(LetterEnd.RETURN)
    if letter.by_broker or letter.exhausted:
        # An outcome that was never stored is the only copy of its items.
        end = LetterEnd.DROP if report is None else LetterEnd.KEEP
        return DeadLetterDecision(
            end, f"Given up: {letter.reason}; check the farm before you submit it again"
        )
    return KEPT


def _is_of(letter: Letter, report: Mapping[str, object] | None, job: JobRecord) -> bool:
    """Return whether a letter matches the job recorded under its id."""
    if report is not None:
        return report_refusal(report, job) is None
    return difference(decode_request(letter.body), job) is None


def _is_recorded(letter: Letter, report: Mapping[str, object] | None, job: JobRecord) -> bool:
    """Return whether the row of a finished job contains all that a letter says.

    A finished message has the items of the job, which exist nowhere else until they are stored.
    """
    if job.state is JobState.DONE:
        return True
    stored = job.complete_data or {}
    if report is not None:
        # The identity is not stored with an outcome [docs/amqp.md, "finished"].
        return stored == {key: value for key, value in report.items() if key != "identity"}
    msg = readable_report(stored).get("body", {}).get("msg", "")
    return letter.by_broker or (bool(letter.reason) and letter.reason in msg)
