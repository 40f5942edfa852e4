"""The exit codes of the command ``buildapi``."""

from __future__ import annotations

DONE, FAILED, WRONG, UNFINISHED, FORBIDDEN, MISSING, UNAVAILABLE, UNCLEAR = range(8)
INTERRUPTED = 130
"""128 and the number of SIGINT, as shells report it."""

CODES = (
    (DONE, "done"),
    (FAILED, "failed: the service refused, the job failed, a build of the revision failed"),
    (WRONG, "wrong command line or configuration"),
    (UNFINISHED, "not finished: a revision that is not done, or --wait ran out"),
    (FORBIDDEN, "not allowed"),
    (MISSING, "not found"),
    (UNAVAILABLE, "the service is unavailable: no connection, 500 to 504, or no answer in time"),
    (UNCLEAR, "unknown result: an answer that is not BuildAPI's, or output that cannot be written"),
    (INTERRUPTED, "interrupted"),
)
"""Each exit code and its meaning."""
