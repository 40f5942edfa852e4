"""Job requests and what became of them: ``jobs``, ``job``."""

from __future__ import annotations

from typing import Any

import click

from buildapi.cli import table_rows
from buildapi.cli.command_error import CommandError
from buildapi.cli.connection_options import with_client
from buildapi.cli.output import Output, output_options, require_list, unpack
from buildapi.cli.service_client import ServiceClient
from buildapi.cli.trail import EVENTS, about, events
from buildapi.cli.wait import exit_if_failed, wait_for_job, wait_option
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
@with_client
@output_options
def jobs(*, client: ServiceClient, out: Output, **asked: Any) -> None:
    """List job requests, newest first."""
    document = require_list(client.get("self-serve", "jobs", **asked))
    if out.as_json:
        return out.json(document)
    return out.rows(table_rows.JOBS, unpack(table_rows.jobs, document, out.time))


@click.command()
@click.argument("job_id", type=click.IntRange(1), metavar="ID")
@wait_option
@click.option("--trace", is_flag=True, help="Show what happened to it, step by step.")
@with_client
@output_options
def job(
    *, job_id: int, wait: float | None, trace: bool, client: ServiceClient, out: Output
) -> None:
    """Show the job ID, and what was done for it; a failed one is exit code 1."""
    late = None
    if wait is not None:
        try:
            wait_for_job(client, job_id, wait)
        except CommandError as e:  # what there is so far is shown all the same
            if e.exit_code != UNFINISHED:
                raise
            late = e
    document = client.get("self-serve", "jobs", str(job_id), *(("trace",) if trace else ()))
    shown_job = unpack(lambda: document["job"]) if trace else document
    if out.as_json:
        out.json(document)
    else:
        _tell(document, shown_job, trace, out)
    if late is not None:
        raise late
    exit_if_failed(unpack(lambda: shown_job["state"]))


def _tell(document: Any, job: Any, trace: bool, out: Output) -> None:
    for line in unpack(about, job, out.time):
        out.line(line)
    if trace:
        if unpack(lambda: document["trace"]):
            out.line(f"trace {document['trace']}")
        out.rows(EVENTS, unpack(events, document))
    rows = unpack(table_rows.job_items, job)
    if rows:
        out.rows(table_rows.JOB_ITEMS, rows)
    for words in unpack(table_rows.warnings, job):
        out.line(f"Warning: {words}")
    out.line(unpack(table_rows.outcome, job))
