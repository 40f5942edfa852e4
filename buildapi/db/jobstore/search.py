"""Find job requests by user, branch, action, state and time, in SQL."""

from __future__ import annotations

import json

from buildapi.db.sql import exact
from buildapi.model.actions import OLD_WIDTH, SELF_SERVE
from buildapi.model.records import JobFilter, JobState

FAILED = """'%"errors": true%'"""
"""Pattern of a failed report, as all programs write it; inside a text the quotes are escaped."""

STATES = {
    JobState.QUEUED: "r.completed_at IS NULL AND (s.state IS NULL OR s.state <> 'running')",
    JobState.RUNNING: "r.completed_at IS NULL AND s.state = 'running'",
    JobState.DONE: "r.completed_at IS NOT NULL"
    f" AND (r.complete_data IS NULL OR r.complete_data NOT LIKE {FAILED})",
    JobState.FAILED: f"r.completed_at IS NOT NULL AND r.complete_data LIKE {FAILED}",
}
# Old web processes record the branch only inside ``what``, and only for some actions.
BRANCH = f"""(l.branch = :branch AND {exact("l.branch")} = :branch OR l.branch IS NULL
 AND (INSTR({exact("r.what")}, :named) > 0 OR INSTR({exact("r.what")}, :marked) > 0))"""


def _said(branch: str) -> str:
    # As json.dumps writes a pair by default, in the Pylons program as in this one.
    return f'"branch": {json.dumps(branch)}'


def wanted(sought: JobFilter) -> tuple[str, dict[str, object]]:
    """Return a filter as a condition on job requests ``r``, their rows ``s`` and branches ``l``."""
    conditions = ["1 = 1"]
    params: dict[str, object] = {}
    if sought.who is not None:
        conditions.append(f"r.who = :who AND {exact('r.who')} = :who")
        params["who"] = sought.who
    if sought.branch is not None:
        conditions.append(BRANCH)
        params |= {"branch": sought.branch}
        params |= {"named": _said(sought.branch), "marked": _said(sought.branch + SELF_SERVE)}
    if sought.action is not None:  # old tables cut names
        conditions.append("r.action IN (:action, :cut)")
        params |= {"action": sought.action, "cut": sought.action[:OLD_WIDTH]}
    if sought.state is not None:
        conditions.append(STATES[sought.state])
    if sought.since is not None:
        conditions.append("r.`when` >= :since")
        params["since"] = sought.since
    if sought.until is not None:
        conditions.append("r.`when` < :until")
        params["until"] = sought.until
    return " AND ".join(conditions), params
