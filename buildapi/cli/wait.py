"""Wait until something is finished, and show on a terminal how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from buildapi.cli import param_types
from buildapi.cli.command_error import Failure
from buildapi.cli.output import shaped
from buildapi.cli.progress import progress_on
from buildapi.cli.service_client import Client
from buildapi.exit_codes import FAILED, UNAVAILABLE, UNFINISHED

T = TypeVar("T")
WAIT = 3600.0
PAUSE = 0.2
"""Between two looks, lest a service that holds no answer back is asked without end."""

QUIET_SECONDS, SHOWN_SECONDS = 20.0, 1.0
"""How long the service holds an answer back; shorter where a bar is to move."""


class Patience(param_types.Seconds):
    """Seconds that may be left out."""

    hint = ": put --wait last, or write --wait=SECONDS"


waiting = click.option(
    "--wait",
    is_flag=False,
    flag_value=WAIT,
    type=Patience(0),
    metavar="[SECONDS]",
    help=f"Wait until it is finished; without SECONDS for {WAIT / 3600:g} hour. Put it last, or"
    " write --wait=SECONDS.",
)
"""The option that waits; it stands last, or with ``=``."""


def finished(
    client: Client, job_id: int, seconds: float, *, end: float | None = None, seen: bool = False
) -> Mapping[str, Any]:
    """Wait for a job and give it; ``seen``: the service answered just now.

    The ``seconds`` count from now, unless it is said when they are over.

    :raises Failure: it is not finished in time.
    """
    end = time.monotonic() + seconds if end is None else end
    with progress_on(sys.stderr, f"job {job_id}") as show:
        job = until(client, end, lambda left: _looked(client, job_id, left, show), seen=seen)
    if job is None:
        raise Failure(f"job {job_id} is not finished after {seconds:g} s", UNFINISHED)
    return job


def _looked(
    client: Client, job_id: int, left: float, show: Callable[[int, int], None]
) -> Mapping[str, Any] | None:
    most = SHOWN_SECONDS if sys.stderr.isatty() else QUIET_SECONDS
    job = client.get("self-serve", "jobs", str(job_id), wait=min(left, most))
    done = shaped(lambda: job["completed_at"] is not None)
    progress = shaped(lambda: job["progress"])
    if progress:
        shaped(lambda: show(progress["done"], progress["total"]))
    return job if done else None


def until(
    client: Client,
    end: float,
    look: Callable[[float], T | None],
    pause: float = PAUSE,
    *,
    seen: bool = False,
) -> T | None:
    """Look again and again until there is something, or the time is over.

    A service that is away for a while is no end, but it is said; one that was never there is.
    """
    told = False
    while True:
        left = max(0.0, end - time.monotonic())
        try:
            found = look(left)
            seen, told, rest = True, False, pause
        except Failure as e:
            if e.exit_code != UNAVAILABLE or not seen:
                raise
            if not told:
                click.echo(f"{e.message}; still waiting", err=True)
            found, told, rest = None, True, 1.0
        if found is not None or time.monotonic() >= end:
            return found
        client.sleep(min(rest, max(0.0, end - time.monotonic())))


def ends(state: str) -> None:
    """End the command with the code of a job that failed."""
    if state == "failed":
        raise SystemExit(FAILED)
