"""What becomes of a dead letter, by its job."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from buildapi.jobs.deadletters import KEPT, RETURNS_MOST, Decision, decide
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
)
BODY = encode_request(JobMessage(3, "zoe", JOB.when, UP))
LOST = Letter(BODY, REQUESTS, "job-3", "3", "delivery_limit", by_broker=True)
TRIED = attrs.evolve(LOST, by_broker=False, reason="tried 3 times; the last time: KeyError")
REFUSED = attrs.evolve(LOST, by_broker=False, reason="unknown action")
RETURNED = Decision(LetterEnd.RETURN)
DROPPED = Decision(LetterEnd.DROP)


def ended(state: JobState) -> JobRecord:
    return attrs.evolve(JOB, completed_at=JOB.when, state=state)


@pytest.mark.parametrize(
    ("letter", "job", "expected"),
    [
        (LOST, JOB, RETURNED),
        (LOST, ended(JobState.DONE), DROPPED),
        (LOST, ended(JobState.FAILED), DROPPED),
        (TRIED, ended(JobState.DONE), DROPPED),
        (TRIED, ended(JobState.FAILED), KEPT),
        (REFUSED, JOB, KEPT),
        (LOST, None, KEPT),
        (LOST, attrs.evolve(JOB, who="somebody else"), KEPT),
        (LOST, attrs.evolve(JOB, what={**what(UP), "priority": 9}), KEPT),
    ],
)
def test_an_open_job_is_taken_up_again_and_letters_of_jobs_that_ended_well_are_not_left(
    letter: Letter, job: JobRecord | None, expected: Decision
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
    assert decision.end is LetterEnd.KEEP
    assert letter.reason in (decision.failure or "")


def test_a_report_that_somebody_made_up_does_not_end_the_job_it_names() -> None:
    refused = Letter(b'{"request_id": 3}', FINISHED, "m", None, "not of a job in hand")
    assert decide(FINISHED, refused, JOB, too_old=False) == KEPT


def test_the_job_of_a_letter_is_read_from_its_body() -> None:
    assert job_of(REQUESTS, BODY) == 3
    assert job_of(FINISHED, encode_finished(finished(4, Outcome(False, "Ok")))) == 4
    assert job_of(REQUESTS, b"no JSON") is None
