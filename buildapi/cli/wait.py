"""The option ``--wait``: poll until something is finished, with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

import click

from buildapi.cli import param_types
from buildapi.cli.command_error import CommandError
from buildapi.cli.output import unpack
from buildapi.cli.service_client import Document, ServiceClient
from buildapi.exit_codes import FAILED, UNAVAILABLE, UNFINISHED
from buildapi.progress_bar import progress_bar

T = TypeVar("T")
DEFAULT_SECONDS = 3600.0
PAUSE_SECONDS = 0.2
"""Pause between requests, for services that answer at once despite ``wait``."""

HIDDEN_POLL_SECONDS, VISIBLE_POLL_SECONDS = 20.0, 1.0
"""Maximum seconds of a long poll; short if a progress bar is visible."""


class OptionalSeconds(param_types.Seconds):
    """Seconds of an option whose value is optional."""

    hint = ": put --wait last, or write --wait=SECONDS"


# is_flag=False with a flag_value makes the value optional (click, "Optional Value").
wait_option = click.option(
    "--wait",
    is_flag=False,
    flag_value=DEFAULT_SECONDS,
    type=OptionalSeconds(0),
    metavar="[SECONDS]",
    help=f"Wait until finished; without SECONDS for {DEFAULT_SECONDS / 3600:g} hour. Put it last,"
    " or write --wait=SECONDS.",
)
"""The option --wait; click takes a word after it as its value."""


def wait_for_job(
    client: ServiceClient,
    job_id: int,
    seconds: float,
    *,
    end: float | None = None,
    seen: bool = False,
) -> Document:
    """Return a job once it is finished; ``seen`` if the service has answered before.

    The wait ends at ``end`` of the monotonic clock, by default ``seconds`` from now.

    :raises CommandError: it is not finished in time.
    """
    end = time.monotonic() + seconds if end is None else end
    with progress_bar(sys.stderr, f"job {job_id}") as show:
        job = poll(client, end, lambda left: _read_job(client, job_id, left, show), seen=seen)
    if job is None:
        raise CommandError(f"job {job_id} is not finished after {seconds:g} s", UNFINISHED)
    return job


def _read_job(
    client: ServiceClient, job_id: int, left: float, show: Callable[[int, int], None]
) -> Document | None:
    # A poll that is held back for 20 seconds would show no progress meanwhile.
    most = VISIBLE_POLL_SECONDS if sys.stderr.isatty() else HIDDEN_POLL_SECONDS
    job = client.get("self-serve", "jobs", str(job_id), wait=min(left, most))
    done = unpack(lambda: job["completed_at"] is not None)
    progress = unpack(lambda: job["progress"])
    if progress:
        unpack(lambda: show(progress["done"], progress["total"]))
    return job if done else None


def poll(
    client: ServiceClient,
    end: float,
    look: Callable[[float], T | None],
    pause: float = PAUSE_SECONDS,
    *,
    seen: bool = False,
) -> T | None:
    """Call ``look`` until it returns a value, or until ``end``; then return None.

    Print once if a service that has answered becomes unavailable, and keep polling.

    :raises CommandError: the service was unavailable from the start.
    """
    warned = False
    while True:
        left = max(0.0, end - time.monotonic())
        try:
            found = look(left)
            seen, warned, rest = True, False, pause
        except CommandError as e:
            # Never reached: probably a wrong URL, which no waiting mends. Later it is a restart or
            # an outage.
            if e.exit_code != UNAVAILABLE or not seen:
                raise
            if not warned:
                click.echo(f"{e.message}; still waiting", err=True)
            found, warned, rest = None, True, 1.0
        # Asked once more at the end: a job that finished in the last pause counts.
        if found is not None or time.monotonic() >= end:
            return found
        client.sleep(min(rest, max(0.0, end - time.monotonic())))


def exit_if_failed(state: str) -> None:
    """Exit with 1 if a job failed."""
    if state == "failed":
        raise SystemExit(FAILED)
