"""Read the farm: branches, builds, requests, revisions, and job requests."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from fnmatch import fnmatchcase

import click

from buildapi.cli import param_types, table_rows
from buildapi.cli.command_error import CommandError
from buildapi.cli.command_help import command
from buildapi.cli.connection_options import (
    branch_argument,
    complete_branch,
    revision_argument,
    with_client,
)
from buildapi.cli.declared_options import declared_option
from buildapi.cli.output import Output, output_options, require_list, unpack
from buildapi.cli.service_client import JSON, Document, ServiceClient
from buildapi.cli.terminal import printable
from buildapi.cli.wait import exit_if_failed, poll, wait_for_job, wait_option
from buildapi.exit_codes import DONE, FAILED, UNFINISHED, WRONG
from buildapi.jobs.build_states import STATES
from buildapi.model.revisions import short_revision
from buildapi.parameters.job_parameters import WAIT_MAX
from buildapi.parameters.read_parameters import (
    ACTION,
    BRANCH,
    BUILDS_MAX,
    FOUND_KIND,
    LIMIT,
    NUMBUILDS,
    OFFSET,
    STABLE,
    STATE,
    WHO,
    num,
    since,
    until,
)
from buildapi.progress_bar import progress_bar

JOBS_MAX = 1000
"""Maximum of --limit of job requests; the service may have a lower one."""

BUILDER_OPTION = click.option(
    "--builder", metavar="PATTERN", help="Only builders that match, such as '*talos*'."
)
STATE_OPTION = click.option(
    "--state",
    type=click.Choice(STATES),
    metavar="STATE",
    help=f"Only this state: {', '.join(STATES[:-1])} or {STATES[-1]}.",
)


@command(example="buildapi branches")
@with_client
@output_options
def branches(*, client: ServiceClient, out: Output) -> None:
    """List the branches."""
    document = client.get("self-serve", "branches")
    if out.as_json:
        return out.json(document)
    return out.items(table_rows.BRANCHES, unpack(table_rows.branches, document), "branches")


@command(example="buildapi builds try --state failure --builder '*mochitest*'")
@branch_argument
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="Day, in the farm's time zone.")
@BUILDER_OPTION
@STATE_OPTION
@declared_option(LIMIT)
@with_client
@output_options
def builds(
    *,
    branch: str,
    date: datetime | None,
    builder: str | None,
    state: str | None,
    limit: int | None,
    client: ServiceClient,
    out: Output,
) -> None:
    """List builds and pending requests of BRANCH on one day. Default: today."""
    day = date and f"{date:%Y-%m-%d}"
    found = require_list(client.get("self-serve", branch, date=day))
    shown = unpack(_selected, found, builder, state)
    where = f"on {branch} on {day}" if day else f"on {branch} today"
    _print_items(shown, _none(builder, state, where), limit, out)


@command(example="buildapi rev try 0123456789ab --state failure")
@branch_argument
@revision_argument
@BUILDER_OPTION
@STATE_OPTION
@declared_option(LIMIT)
@with_client
@output_options
def rev(
    *,
    branch: str,
    revision: str,
    builder: str | None,
    state: str | None,
    limit: int | None,
    client: ServiceClient,
    out: Output,
) -> None:
    """List builds and pending requests of REVISION on BRANCH."""
    found = require_list(client.get("self-serve", branch, "rev", revision))
    shown = unpack(_selected, found, builder, state)
    _print_items(shown, _none(builder, state, f"of {revision} on {branch}"), limit, out)


def _selected(
    document: Sequence[Document], builder: str | None, state: str | None
) -> Sequence[Document]:
    return [
        item
        for item in document
        if (builder is None or fnmatchcase(item["buildername"], builder))
        and (state is None or table_rows.state(item) == state)
    ]


def _none(builder: str | None, state: str | None, where: str) -> str:
    return f"{'such ' if builder or state else ''}builds or pending requests {where}"


def _print_items(found: Sequence[Document], none: str, limit: int | None, out: Output) -> None:
    shown = found[:limit]
    if out.as_json:
        out.json(shown)
    else:
        rows = unpack(table_rows.items, shown, out.time)
        out.items(table_rows.ITEMS, rows, none)
    if len(shown) < len(found):
        out.note(f"The newest {limit} of {len(found)} (--limit).")


# --- is-done


@command("is-done", example="buildapi is-done try 0123456789ab --wait")
@branch_argument
@revision_argument
@declared_option(STABLE, "--stable-delay", type=click.IntRange(0))
@click.option(
    "--every",
    type=param_types.Seconds(0.1),
    default=10,
    show_default=True,
    help="Seconds that a poll waits at most, and between polls of a service that does not wait.",
)
@wait_option
@with_client
@output_options
def is_done(
    *,
    branch: str,
    revision: str,
    stable_delay: int,
    every: float,
    wait: float | None,
    client: ServiceClient,
    out: Output,
) -> None:
    """Show whether REVISION on BRANCH is done and passed.

    Exit codes: 0 done and passed, 1 done and something failed, 3 not done; any other: unknown.
    """
    with _no_answer():
        where = ("self-serve", branch, "rev", revision)
        latest: dict[str, JSON] = {}

        def look(left: float) -> Document | None:
            began, asked = time.monotonic(), min(left, every, WAIT_MAX)
            found = client.get(*where, "is_done", stableDelay=stable_delay, wait=asked)
            latest.update(unpack(dict, found))
            done = unpack(lambda: latest["job_complete"])
            # The progress bar needs the list of builds, a second and larger request.
            if not done and wait:
                _show_ended(client, where, show)
                # Services before `wait` answer at once.
                client.sleep(max(0.0, asked - (time.monotonic() - began)))
            return latest if done else None

        with progress_bar(sys.stderr, short_revision(revision)) as show:
            poll(client, time.monotonic() + (wait or 0), look)
        complete, passed = unpack(lambda: (latest["job_complete"], latest["job_passed"]))
        if out.as_json:
            out.json(latest)
        else:
            out.line(_verdict(complete, passed))
        raise SystemExit(UNFINISHED if not complete else DONE if passed else FAILED)


@contextmanager
def _no_answer() -> Iterator[None]:
    """Replace exit code 1 of errors, which means here that builds failed."""
    try:
        yield
    except CommandError as e:
        # A script would take 1 for a red revision (docs/commands.md, "In scripts").
        raise CommandError(e.message, WRONG if e.exit_code == FAILED else e.exit_code) from e


def _show_ended(
    client: ServiceClient, where: Sequence[str], show: Callable[[int, int], None]
) -> None:
    if not sys.stderr.isatty():
        return
    found = require_list(client.get(*where))
    show(unpack(table_rows.ended, found), len(found))


def _verdict(complete: bool, passed: bool) -> str:
    if not complete:
        return "not done"
    return "done, all passed" if passed else "done, something failed"


# --- the farm


WORK = {"pending": "pending requests", "running": "running builds"}


def _farm(
    name: str, branch: Sequence[str], limit: int | None, client: ServiceClient, out: Output
) -> None:
    """Print pending or running work, newest first."""
    document = client.get(name, branch=list(branch) or None, limit=limit)
    rows = unpack(table_rows.farm, document, name, out.time, time.time())
    if not rows:
        _doubt(client, branch)
    if out.as_json:
        out.json(document)
    else:
        head = (*table_rows.FARM[:-1], {"pending": "waits", "running": "runs"}[name])
        out.items(head, rows, f"{WORK[name]}{_on(branch)}")
    out.may_go_on(len(rows), limit, WORK[name])


def _on(branch: Sequence[str]) -> str:
    return f" on {' or '.join(branch)}" if branch else ""


def _doubt(client: ServiceClient, branch: Sequence[str]) -> None:
    """Warn of names that are not branches; no error, as the service accepts parts of names."""
    there: dict[str, JSON] = unpack(dict, client.get("self-serve", "branches")) if branch else {}
    for name in branch:
        if name not in there:
            click.echo(printable(f"no such branch: {name}"), err=True)


@command(example="buildapi pending try --limit 20")
@click.argument("branch", type=param_types.name, nargs=-1, shell_complete=complete_branch)
@declared_option(LIMIT)
@with_client
@output_options
def pending(
    *, branch: Sequence[str], limit: int | None, client: ServiceClient, out: Output
) -> None:
    """List pending requests of the farm, or of each BRANCH."""
    _farm("pending", branch, limit, client, out)


@command(example="buildapi running --limit 20")
@click.argument("branch", type=param_types.name, nargs=-1, shell_complete=complete_branch)
@declared_option(LIMIT)
@with_client
@output_options
def running(
    *, branch: Sequence[str], limit: int | None, client: ServiceClient, out: Output
) -> None:
    """List running builds of the farm, or of each BRANCH."""
    _farm("running", branch, limit, client, out)


@command(example="buildapi recent t-w732-ix --limit 100")
@click.argument("slave", type=param_types.name, required=False)
@declared_option(NUMBUILDS, "--limit", "numbuilds", type=click.IntRange(1, BUILDS_MAX), metavar="N")
@with_client
@output_options
def recent(*, slave: str | None, numbuilds: int, client: ServiceClient, out: Output) -> None:
    """List recent builds of all workers, or of SLAVE.

    Newest first; the beginning of a worker's name suffices.
    """
    path = () if slave is None else (slave,)
    document = require_list(client.get("recent", *path, numbuilds=numbuilds))
    if out.as_json:
        out.json(document)
    else:
        of = "" if slave is None else f" of {slave}"
        rows = unpack(table_rows.recent, document, out.time)
        out.items(table_rows.RECENT, rows, f"recent builds{of}")
    out.may_go_on(len(document), numbuilds, "builds")


@command(example="buildapi lookup 0123456789ab")
@click.argument("text", type=param_types.name)
@declared_option(FOUND_KIND)
@with_client
@output_options
def lookup(*, text: str, kind: str, client: ServiceClient, out: Output) -> None:
    """Print the URL of a revision, build, request or job.

    On any branch; TEXT is the beginning of a revision, or an id. Exit code 5 if there is none.
    """
    document = client.get("self-serve", "lookup", kind=kind, q=text)
    if out.as_json:
        return out.json(document)
    for path in require_list(unpack(lambda: document["found"])):
        out.line(f"{client.settings.url}{path}")
    return None


# --- job requests


@command(example="buildapi jobs --who ann@example.org --state failed")
@declared_option(
    num(JOBS_MAX),
    "--limit",
    "--num",
    "num",
    type=click.IntRange(1, JOBS_MAX),
    default=25,
    show_default=True,
)
@declared_option(OFFSET)
@declared_option(WHO, metavar="USER")
@declared_option(BRANCH, metavar="BRANCH")
@declared_option(ACTION, metavar="ACTION")
@declared_option(STATE)
@declared_option(since(), metavar="TIME")
@declared_option(until(), metavar="TIME")
@with_client
@output_options
def jobs(*, num: int, client: ServiceClient, out: Output, **asked: JSON) -> None:
    """List job requests, newest first."""
    document = require_list(client.get("self-serve", "jobs", num=num, **asked))
    if out.as_json:
        out.json(document)
    else:
        such = "such job requests" if any(asked.values()) else "job requests"
        out.items(table_rows.JOBS, unpack(table_rows.jobs, document, out.time), such)
    out.may_go_on(len(document), num, "job requests")


@command(example="buildapi job 4711 --trace")
@click.argument("job_id", type=click.IntRange(1), metavar="ID")
@wait_option
@click.option("--trace", is_flag=True, help="Show its timeline.")
@with_client
@output_options
def job(
    *, job_id: int, wait: float | None, trace: bool, client: ServiceClient, out: Output
) -> None:
    """Show the job request ID (exit 1 if it failed)."""
    late = None
    if wait is not None:
        try:
            wait_for_job(client, job_id, wait)
        except CommandError as e:  # print the unfinished job before the error
            if e.exit_code != UNFINISHED:
                raise
            late = e
    document = client.get("self-serve", "jobs", str(job_id), *(("trace",) if trace else ()))
    shown_job = unpack(lambda: document["job"]) if trace else document
    if out.as_json:
        out.json(document)
    else:
        _print_job(document, shown_job, trace, out)
    if late is not None:
        raise late
    exit_if_failed(unpack(lambda: shown_job["state"]))


def _print_job(document: JSON, job: JSON, trace: bool, out: Output) -> None:
    for line in unpack(table_rows.job_header, job, out.time):
        out.line(line)
    if trace:
        if unpack(lambda: document["trace"]):
            out.line(f"HTTP request ID: {document['trace']}")
        out.rows(table_rows.TRAIL_EVENTS, unpack(table_rows.trail_events, document))
    rows = unpack(table_rows.job_items, job)
    if rows:
        out.rows(table_rows.JOB_ITEMS, rows)
    for words in unpack(table_rows.warnings, job):
        out.line(f"Warning: {words}")
    out.line(unpack(table_rows.outcome, job))
