"""Say in every log line, and to every part, which HTTP request and which job it is about."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TRACE = re.compile(r"[A-Za-z0-9._:@/+=-]{1,64}")
"""What the id of a request may look like, where somebody else gave it."""

_trace: ContextVar[str] = ContextVar("trace", default="")
_job: ContextVar[int | None] = ContextVar("job", default=None)


def new_trace() -> str:
    """Make an id for an HTTP request."""
    return uuid.uuid4().hex[:16]


def acceptable(trace: object) -> str:
    """Give the id that somebody else named; empty where it is none."""
    return trace if isinstance(trace, str) and TRACE.fullmatch(trace) else ""


def trace() -> str:
    """Give the id of the HTTP request that the running context is about; empty for none."""
    return _trace.get()


def job() -> int | None:
    """Give the job request that the running context is about."""
    return _job.get()


@contextmanager
def about(trace: str | None = None, job: int | None = None) -> Iterator[None]:
    """Let the context be about a request or a job; None leaves what it is about already."""
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
