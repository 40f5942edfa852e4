"""What becomes of a dead letter, by its job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from buildapi.jobs.dead_letter_rules import KEPT, RETURNS_MOST, DeadLetterDecision, decide
from buildapi.model.actions import Reprioritize
from buildapi.model.messages import Letter, LetterEnd
from buildapi.model.outcome import Outcome
from buildapi.model.records import JobRecord, JobState
from buildapi.model.wire import (
    FINISHED,
    REQUESTS,
    JobMessage,
    encode_finished,
    encode_request,
    finished,
    job_of,
    what,
)

UP = Reprioritize(7, 5)
JOB = JobRecord(
    id=3,
    action=UP.name,
    who="zoe",
    when=1_700_000_000,
    what=what(UP),
    completed_at=None,
    complete_data=None,
    state=JobState.RUNNING,
    agent=None,
    identity="a" * 32,
)
BODY = encode_request(JobMessage(3, "zoe", JOB.when, UP))
OTHERS = encode_request(JobMessage(3, "zoe", JOB.when, UP, identity="b" * 32))
LOST = Letter(BODY, REQUESTS, "job-3", "3", "delivery_limit", by_broker=True)
TRIED = attrs.evolve(LOST, by_broker=False, reason="tried 3 times; the last time: KeyError")
REFUSED = attrs.evolve(LOST, by_broker=False, reason="unknown action")
RETURNED = DeadLetterDecision(LetterEnd.RETURN)
DROPPED = DeadLetterDecision(LetterEnd.DROP)


REPORT = finished(3, Outcome(False, "Ok"), "agent1", identity=JOB.identity)
OF_REPORT = attrs.evolve(TRIED, body=encode_finished(REPORT), routing_key=FINISHED)
GIVEN_UP = finished(
    3, Outcome(True, f"Given up: {TRIED.reason}; check the farm before you submit it again")
)
IN_HAND = attrs.evolve(JOB, agent="agent1")


def ended(state: JobState, report: Mapping[str, Any] | None = None) -> JobRecord:
    return attrs.evolve(IN_HAND, completed_at=JOB.when, state=state, complete_data=report)


@pytest.mark.parametrize(
    ("letter", "job", "expected"),
    [
        (LOST, JOB, RETURNED),
        (LOST, ended(JobState.DONE), DROPPED),
        (LOST, ended(JobState.FAILED), DROPPED),
        (TRIED, ended(JobState.DONE), DROPPED),
        (TRIED, ended(JobState.FAILED, GIVEN_UP), DROPPED),
        (TRIED, ended(JobState.FAILED, finished(3, Outcome(True, "another"))), KEPT),
        (TRIED, ended(JobState.FAILED), KEPT),
        (REFUSED, JOB, KEPT),
        (LOST, None, KEPT),
        (LOST, attrs.evolve(JOB, who="somebody else"), KEPT),
        (LOST, attrs.evolve(JOB, what={**what(UP), "priority": 9}), KEPT),
        (attrs.evolve(TRIED, body=OTHERS), JOB, KEPT),
        (attrs.evolve(LOST, body=OTHERS), JOB, KEPT),
    ],
)
def test_an_open_job_is_taken_up_again_and_letters_of_jobs_that_ended_well_are_not_left(
    letter: Letter, job: JobRecord | None, expected: DeadLetterDecision
) -> None:
    assert decide(REQUESTS, letter, job, too_old=False) == expected


@pytest.mark.parametrize(
    ("letter", "too_old"),
    [(TRIED, False), (LOST, True), (attrs.evolve(LOST, returns=RETURNS_MOST), False)],
)
def test_an_open_job_that_cannot_be_taken_up_is_finished_as_failed_with_the_reason(
    letter: Letter, too_old: Any
) -> None:
    decision = decide(REQUESTS, letter, JOB, too_old=too_old)
    assert decision.end is LetterEnd.DROP, "the job says all that the letter does"
    assert letter.reason in (decision.failure or "")


def test_a_report_that_could_not_be_stored_is_kept_though_its_job_ends_as_failed() -> None:
    """What was done is told by it alone."""
    decision = decide(FINISHED, OF_REPORT, IN_HAND, too_old=False)
    assert decision.end is LetterEnd.KEEP
    assert OF_REPORT.reason in (decision.failure or "")
    assert decide(FINISHED, OF_REPORT, ended(JobState.FAILED, GIVEN_UP), too_old=False) == KEPT


def test_a_report_that_is_stored_leaves_no_letter_behind() -> None:
    stored = {key: value for key, value in REPORT.items() if key != "identity"}
    for state in (JobState.FAILED, JobState.DONE):
        assert decide(FINISHED, OF_REPORT, ended(state, stored), too_old=False) == DROPPED


def test_a_report_that_somebody_made_up_does_not_end_the_job_it_names() -> None:
    refused = Letter(b'{"request_id": 3}', FINISHED, "m", None, "not of a job in hand")
    assert decide(FINISHED, refused, JOB, too_old=False) == KEPT


@pytest.mark.parametrize(
    ("report", "job"),
    [
        (finished(3, Outcome(False, "Ok"), "agent1"), JOB),
        (finished(3, Outcome(False, "Ok")), IN_HAND),
        (finished(3, Outcome(False, "Ok"), "mallory"), IN_HAND),
        (finished(3, Outcome(False, "Ok"), "agent1", identity="b" * 32), IN_HAND),
    ],
    ids=["nobody has begun it", "without a sender", "of another sender", "of another job"],
)
def test_a_made_up_report_that_claims_to_be_tried_does_not_end_the_job_it_names(
    report: Mapping[str, Any], job: JobRecord
) -> None:
    """Whoever may publish to the dead letters can write the reason, too."""
    letter = attrs.evolve(OF_REPORT, body=encode_finished(report))
    assert decide(FINISHED, letter, job, too_old=False) == KEPT
    lost = attrs.evolve(letter, by_broker=True, reason="delivery_limit")
    assert decide(FINISHED, lost, job, too_old=True) == KEPT


def test_the_job_of_a_letter_is_read_from_its_body() -> None:
    assert job_of(REQUESTS, BODY) == 3
    assert job_of(FINISHED, encode_finished(finished(4, Outcome(False, "Ok")))) == 4
    assert job_of(REQUESTS, b"no JSON") is None
