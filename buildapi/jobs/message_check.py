"""Check that a message from the broker belongs to the job it names.

Every publisher can name any job, and after a restore of the jobs database an old message names a
new job.  So a message has to agree with the row of its job, and a finished message has to come
from the agent that has the job in hand [docs/amqp.md, "Whose a message is"].
"""

from __future__ import annotations

from collections.abc import Mapping

from buildapi.model.records import JobRecord, JobState
from buildapi.model.validators import InvalidValueError
from buildapi.model.wire import JobMessage, action_from, identity_of, what

WHEN_APART = 1
"""Seconds by which the times may differ: older web processes round each on its own."""


def difference(message: JobMessage, job: JobRecord) -> str | None:
    """Return the name of the first field that differs from the row; None if none does.

    Messages of older web processes have no identity; their time is compared instead.
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
    if not job.what:  # cut by an old table, so it cannot be read
        return True
    try:
        return action_from(job.action, job.what) == message.action
    except (LookupError, InvalidValueError):
        # A row with values that are refused now can only be compared as it is.
        return dict(job.what) == what(message.action)


def _is_apart(said: object, stored: int) -> bool:
    """Return whether a message has another time; 0, or not a number, counts as none."""
    return isinstance(said, int | float) and bool(said) and abs(said - stored) > WHEN_APART


def _is_stored_as(said: str, stored: str) -> bool:
    """Compare with a stored text, in which lax MySQL has ``?`` for what its charset lacks."""
    return len(said) == len(stored) and all(
        one == other or (other == "?" and not one.isascii())
        for one, other in zip(said, stored, strict=True)
    )


def is_of_job(unreadable: Mapping[str, object], job: JobRecord) -> bool:
    """Return whether a malformed message belongs to a job that no agent has begun.

    No field that can be read may differ from the row, and at least one must agree.
    """
    identity, who, body = identity_of(unreadable), unreadable.get("who"), unreadable.get("body")
    said = body if isinstance(body, Mapping) else {}
    # Once an agent has begun it, its own message was well-formed, and this is another one.
    if job.state is not JobState.QUEUED or (identity and identity != job.identity):
        return False
    if isinstance(who, str) and who and not _is_stored_as(who, job.who):
        return False
    if not identity and _is_apart(said.get("when"), job.when):
        return False
    shared = [key for key in job.what if key in said]
    if any(said[key] != job.what[key] for key in shared):
        return False
    # A message of which nothing can be read would agree with every job.
    return bool(shared or identity or who)


def report_refusal(report: Mapping[str, object], job: JobRecord) -> str | None:
    """Return why a finished message is refused for an unfinished job; None if it is accepted.

    Agents of the Pylons program neither begin jobs in our tables nor send their name: their
    message is accepted only while no agent of ours has begun the job.
    """
    identity, agent = identity_of(report), report.get("agent")
    if identity:
        return (
            None if identity == job.identity else "it belongs to another job that had the same id"
        )
    if agent is None and job.agent is None:
        return None
    if job.agent is None:
        return "no agent has begun the job"
    return None if agent == job.agent else "its sender is not the agent that executes the job"
