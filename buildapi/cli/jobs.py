"""Job requests and what became of them: ``jobs``, ``job``."""

from __future__ import annotations

from typing import Any

import click

from buildapi.cli import table_rows
from buildapi.cli.command_error import Failure
from buildapi.cli.connection_options import connected
from buildapi.cli.output import Output, listed, shaped, shown
from buildapi.cli.service_client import Client
from buildapi.cli.trail import EVENTS, about, events
from buildapi.cli.wait import ends, finished, waiting
from buildapi.exit_codes import UNFINISHED


@click.command()
@click.option("--num", type=click.IntRange(1, 1000), default=25, show_default=True)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out so many new ones.")
@click.option("--who", metavar="USER")
@click.option("--branch", metavar="BRANCH")
@click.option("--action", metavar="ACTION", help="Such as rebuild_build.")
@click.option("--state", type=click.Choice(["queued", "running", "done", "failed"]))
@click.option("--since", metavar="TIME", help="A day or time of the farm's zone, or epoch seconds.")
@click.option("--until", metavar="TIME", help="Likewise.")
@connected
@shown
def jobs(*, client: Client, out: Output, **asked: Any) -> None:
    """List job requests, newest first."""
    document = listed(client.get("self-serve", "jobs", **asked))
    if out.as_json:
        return out.json(document)
    return out.rows(table_rows.JOBS, shaped(table_rows.jobs, document, out.time))


@click.command()
@click.argument("job_id", type=click.IntRange(1), metavar="ID")
@waiting
@click.option("--trace", is_flag=True, help="Show what happened to it, step by step.")
@connected
@shown
def job(*, job_id: int, wait: float | None, trace: bool, client: Client, out: Output) -> None:
    """Show the job ID, and what was done for it; a failed one is exit code 1."""
    late = None
    if wait is not None:
        try:
            finished(client, job_id, wait)
        except Failure as e:  # what there is so far is shown all the same
            if e.exit_code != UNFINISHED:
                raise
            late = e
    document = client.get("self-serve", "jobs", str(job_id), *(("trace",) if trace else ()))
    shown_job = shaped(lambda: document["job"]) if trace else document
    if out.as_json:
        out.json(document)
    else:
        _tell(document, shown_job, trace, out)
    if late is not None:
        raise late
    ends(shaped(lambda: shown_job["state"]))


def _tell(document: Any, job: Any, trace: bool, out: Output) -> None:
    for line in shaped(about, job, out.time):
        out.line(line)
    if trace:
        if shaped(lambda: document["trace"]):
            out.line(f"trace {document['trace']}")
        out.rows(EVENTS, shaped(events, document))
    rows = shaped(table_rows.job_items, job)
    if rows:
        out.rows(table_rows.JOB_ITEMS, rows)
    for words in shaped(table_rows.warnings, job):
        out.line(f"Warning: {words}")
    out.line(shaped(table_rows.outcome, job))
