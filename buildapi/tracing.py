"""Context variables with the HTTP request and the job that log lines and messages belong to."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# As docs/logging.md promises (Ids of requests): nothing that could forge a line of a log or a
# header, and no more than the column of the audit trail holds.
TRACE = re.compile(r"[A-Za-z0-9._:@/+=-]{1,64}")
"""Accepted form of a request id that a client or a message supplies."""

_trace: ContextVar[str] = ContextVar("trace", default="")
_job: ContextVar[int | None] = ContextVar("job", default=None)


def new_trace() -> str:
    """Return a new id for an HTTP request: 16 hex digits."""
    # No secret, so not of the kernel: os.urandom gives up the interpreter lock for each request.
    return f"{random.getrandbits(64):016x}"


def acceptable(trace: object) -> str:
    """Return a supplied request id; empty if its form is not accepted."""
    return trace if isinstance(trace, str) and TRACE.fullmatch(trace) else ""


def trace() -> str:
    """Return the id of the HTTP request of the running context; empty if there is none."""
    return _trace.get()


def job() -> int | None:
    """Return the id of the job of the running context; None if there is none."""
    return _job.get()


@contextmanager
def about(trace: str | None = None, job: int | None = None) -> Iterator[None]:
    """Set the request or the job of the context; None leaves the current one."""
    tokens = []
    if trace is not None:
        tokens.append((_trace, _trace.set(trace)))
    if job is not None:
        tokens.append((_job, _job.set(job)))  # type: ignore[arg-type]  # pairs of one type each
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)
