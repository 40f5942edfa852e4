"""The exit codes of the command ``buildapi``."""

from __future__ import annotations

DONE, FAILED, WRONG, UNFINISHED, FORBIDDEN, MISSING, UNAVAILABLE, UNCLEAR = range(8)
INTERRUPTED = 130
"""As shells have it for a program that SIGINT ended."""

CODES = (
    (DONE, "done"),
    (FAILED, "failed: the service refused, the job failed, a build of the revision failed"),
    (WRONG, "wrong command line or configuration"),
    (UNFINISHED, "not finished: a revision that is not done, or --wait ran out"),
    (FORBIDDEN, "not allowed"),
    (MISSING, "not found"),
    (UNAVAILABLE, "the service is unavailable: no connection, 500 to 504, or no answer in time"),
    (UNCLEAR, "could not be told: an answer that is none of BuildAPI's, or an output that failed"),
    (INTERRUPTED, "interrupted"),
)
"""Each exit code and what it says."""
