"""Whether what came from the broker is of the job it names.

Whoever may publish can name any job, and after a restore of the jobs database an old message names
a new job.  So a message has to agree with the row of its job, and a report has to come from who has
the job in hand [docs/amqp.md, "Whose a message is"].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from buildapi.model.records import JobRecord, JobState
from buildapi.model.values import InvalidValueError
from buildapi.model.wire import JobMessage, action_from, identity_of, what

WHEN_APART = 1
"""Seconds: older web processes round the time of the row and that of the message by themselves."""


def difference(message: JobMessage, job: JobRecord) -> str | None:
    """Name what of a message differs from the row of its job; None where nothing does.

    Messages of older web processes carry no identity; their time stands for it.
    """
    if message.identity and message.identity != job.identity:
        return "identity"
    if not _is_stored_as(message.who, job.who):
        return "who"
    if message.action.name != job.action:
        return "action"
    if not message.identity and _is_apart(message.when, job.when):
        return "when"
    return None if _is_same_action(message, job) else "what"


def _is_same_action(message: JobMessage, job: JobRecord) -> bool:
    if not job.what:  # an old table cut it, so it cannot be read
        return True
    try:
        return action_from(job.action, job.what) == message.action
    except (LookupError, InvalidValueError):
        return dict(job.what) == what(message.action)


def _is_apart(said: object, stored: int) -> bool:
    """Return whether a message names another time; 0 or no number is no time."""
    return isinstance(said, int | float) and bool(said) and abs(said - stored) > WHEN_APART


def _is_stored_as(said: str, stored: str) -> bool:
    """Compare, where an old table of another character set has ``?`` for what it cannot hold."""
    return len(said) == len(stored) and all(
        one == other or (other == "?" and not one.isascii())
        for one, other in zip(said, stored, strict=True)
    )


def is_of_job(unreadable: Mapping[str, Any], job: JobRecord) -> bool:
    """Return whether a message that is no job request is that of a job nobody has begun.

    Of what can be read nothing may differ from the row, and something must agree with it.
    """
    identity, who, body = identity_of(unreadable), unreadable.get("who"), unreadable.get("body")
    said = body if isinstance(body, Mapping) else {}
    if job.state is not JobState.QUEUED or (identity and identity != job.identity):
        return False
    if isinstance(who, str) and who and not _is_stored_as(who, job.who):
        return False
    if not identity and _is_apart(said.get("when"), job.when):
        return False
    shared = [key for key in job.what if key in said]
    if any(said[key] != job.what[key] for key in shared):
        return False
    return bool(shared or identity or who)


def report_refusal(report: Mapping[str, Any], job: JobRecord) -> str | None:
    """Say why a report is not taken for the outcome of an unfinished job; None where it is.

    Agents of the Pylons program neither begin jobs in our tables nor give their name: such a report
    is taken only while no agent of ours has begun the job.
    """
    identity, agent = identity_of(report), report.get("agent")
    if identity:
        return None if identity == job.identity else "it is of another job that had the same id"
    if agent is None and job.agent is None:
        return None
    if job.agent is None:
        return "no agent has begun the job"
    return None if agent == job.agent else "its sender does not have the job in hand"
