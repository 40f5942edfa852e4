"""Submit job requests: ``rebuild``, ``cancel``, ``cancel-rev``, ``prioritize``, ``new``."""

from __future__ import annotations

import functools
import secrets
import sys
import time
from collections.abc import Callable, Sequence

import attrs
import click

from buildapi.cli import param_types, table_rows
from buildapi.cli.command_error import CommandError, exit_code_for_status
from buildapi.cli.command_help import command
from buildapi.cli.connection_options import branch_argument, revision_argument, with_client
from buildapi.cli.declared_options import declared_option
from buildapi.cli.output import Output, output_options, require_list, unexpected_response, unpack
from buildapi.cli.service_client import JSON, Document, ServiceClient, join_path
from buildapi.cli.terminal import printable
from buildapi.cli.wait import wait_for_job, wait_option
from buildapi.exit_codes import DONE, FAILED
from buildapi.model.validators import INT32_MAX, INT32_MIN
from buildapi.parameters import job_parameters
from buildapi.parameters.job_parameters import (
    BUILDER,
    DRY_RUN,
    EXCLUDE_BUILDS,
    ONLY,
    PRIORITY,
    REASON,
)

# The maximum of the service (docs/api.md, "Many at once").
BATCH_MAX = 500


@attrs.frozen
class JobCall:
    """The HTTP request that submits one job request."""

    method: str
    path: Sequence[str]
    body: Document


@attrs.frozen
class JobRequestSender:
    """Submit job requests and print their results; waiting ends at the monotonic time ``end``."""

    client: ServiceClient
    out: Output
    key: str
    dry_run: bool
    wait: float | None
    end: float = 0.0

    def send(self, asks: Sequence[JobCall]) -> None:
        """Submit one job request, or several as a batch; exit with the first failure's code."""
        if len(asks) > BATCH_MAX:
            raise click.UsageError(f"at most {BATCH_MAX} builds and requests at once")
        # One deadline for the jobs of all requests: --wait=60 is a minute in total.
        attrs.evolve(self, end=time.monotonic() + (self.wait or 0))._send(asks)

    def _send(self, asks: Sequence[JobCall]) -> None:
        if len(asks) == 1:
            document = self._one(asks[0])
            code = self._tell(document)
            if self.out.as_json:
                self.out.json(document)
        else:
            code = self._several(asks)
        if code:
            raise SystemExit(code)

    def _one(self, ask: JobCall) -> dict[str, JSON]:
        body = {**ask.body, "dry_run": 1} if self.dry_run else dict(ask.body)
        sent = self.client.send(ask.method, *ask.path, body=body, key=self.key)
        return unpack(dict, sent)

    def _several(self, asks: Sequence[JobCall]) -> int:
        entries = [{"method": a.method, "path": join_path(*a.path), "body": a.body} for a in asks]
        # In the query, since the body of a batch is a list.
        flag = {"dry_run": 1} if self.dry_run else {}
        path = ("self-serve", "batch")
        found = require_list(self.client.send("POST", *path, body=entries, key=self.key, **flag))
        # Results are told apart by position only.
        if len(found) != len(asks):
            raise unexpected_response()
        codes = [unpack(self._entry, entry) for entry in found]
        if self.out.as_json:
            self.out.json(found)
        # The first failure decides (docs/commands.md, "Commands").
        return next((code for code in codes if code), 0)

    def _entry(self, entry: Document) -> int:
        status, body = int(entry["status"]), entry["body"]
        if status < 300:
            return self._tell(body)
        click.echo(f"Error: {CommandError(str(body['msg'])).message} ({status})", err=True)
        return exit_code_for_status(status)

    def _tell(self, document: dict[str, JSON]) -> int:
        """Print a response, and with --wait its finished job; return the exit code."""
        if not self.out.as_json:
            self.out.line(unpack(lambda: document["msg"]))
        _warn(document)
        if self.dry_run:
            return self._tell_plan(document)
        if self.wait is None:
            return 0
        try:
            job_id = unpack(_job_id, document)
            document["job"] = wait_for_job(self.client, job_id, self.wait, end=self.end, seen=True)
        # Printed and not raised: other entries of the batch have results to print.
        except CommandError as e:
            e.show()
            return e.exit_code
        job = document["job"]
        # The answer and the job may have the same warning.
        _warn(job, said=unpack(table_rows.warnings, document))
        if unpack(table_rows.did_nothing, job):
            click.echo("nothing to do", err=True)
        if not self.out.as_json:
            rows = unpack(table_rows.job_items, job)
            if rows:
                self.out.rows(table_rows.JOB_ITEMS, rows)
            self.out.line(unpack(table_rows.outcome, job))
        return FAILED if unpack(lambda: job["state"]) == "failed" else 0

    def _tell_plan(self, document: Document) -> int:
        _warn(unpack(lambda: document["plan"]))
        if not self.out.as_json:
            self.out.rows(("step", "type", "what"), unpack(table_rows.plan, document))
        return FAILED if unpack(lambda: document["plan"]["errors"]) else 0


def _warn(document: Document, said: Sequence[str] = ()) -> None:
    """Print warnings of a response, a plan or a job, except those that were printed before."""
    for words in unpack(table_rows.warnings, document):
        if words not in said:
            click.echo(f"Warning: {printable(words)}", err=True)


def _job_id(document: Document) -> int:
    return int(document["request_id"])


def with_sender(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every job request to a command, and pass it its ``sender``."""

    @declared_option(DRY_RUN)
    @wait_option
    @click.option(
        "--key",
        type=param_types.idempotency_key,
        metavar="TEXT",
        help="Idempotency-Key, which makes repeating the command safe. Default: a new one.",
    )
    @with_client
    @output_options
    @functools.wraps(function)
    def wrapped(
        *,
        client: ServiceClient,
        out: Output,
        dry_run: bool,
        wait: float | None,
        key: str | None,
        **given: object,
    ) -> None:
        # With a key the client can repeat a request whose answer was lost, and it has one effect.
        sender = JobRequestSender(client, out, key or secrets.token_urlsafe(18), dry_run, wait)
        function(sender=sender, **given)

    result: Callable[..., None] = wrapped
    return result


ID = click.IntRange(1)
BUILDS = click.option("--build", "builds", type=ID, multiple=True, help="Build; repeatable.")
REQUESTS = click.option(
    "--request", "requests", type=ID, multiple=True, help="Request; repeatable."
)


YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def _some(builds: Sequence[int], requests: Sequence[int]) -> None:
    if not builds and not requests:
        raise click.UsageError("--build ID or --request ID is required")


@command(example="buildapi rebuild try --build 4711 --build 4712 --wait")
@branch_argument
@BUILDS
@REQUESTS
@declared_option(job_parameters.count())
@declared_option(PRIORITY)
@click.option(
    "--failed",
    type=param_types.name,
    metavar="REVISION",
    help="The last build of each builder that failed on this revision and is not rebuilt yet.",
)
@YES
@with_sender
def rebuild(
    *,
    branch: str,
    builds: Sequence[int],
    requests: Sequence[int],
    count: int,
    priority: int,
    failed: str | None,
    yes: bool,
    sender: JobRequestSender,
) -> None:
    """Rebuild builds or requests of BRANCH, or all that failed.

    With --failed it lists the builds and asks for confirmation on a terminal. All are one batch.
    """
    if failed is not None:
        if builds or requests:
            raise click.UsageError("--failed excludes --build and --request")
        builds = _failed(sender, branch, failed, count, ask=not yes)
    _some(builds, requests)
    named = [*(("build", i) for i in builds), *(("request", i) for i in requests)]
    rest = {"count": count, "priority": priority}
    sender.send(
        [JobCall("POST", ("self-serve", branch, k), {f"{k}_id": i, **rest}) for k, i in named]
    )


def _failed(
    sender: JobRequestSender, branch: str, revision: str, count: int, *, ask: bool
) -> Sequence[int]:
    """Return the failed builds of a revision, after a question on a terminal; exit without any."""
    found = require_list(sender.client.get("self-serve", branch, "rev", revision))
    failed = unpack(table_rows.last_failed, found)
    what = f"failed builds of {revision} on {branch}"
    if not failed:
        sender.out.note(f"No {what}.")
        if sender.out.as_json:
            sender.out.json([])
        raise SystemExit(DONE)
    # Scripts have nobody to ask (docs/commands.md, "Job requests").
    if ask and not sender.dry_run and sys.stdin.isatty():
        for line in table_rows.first_of([f"build {i} of {name}" for i, name in failed], "builds"):
            sender.out.note(f"  {line}")
        times = f" {count} times" if count > 1 else ""
        click.confirm(f"Rebuild {len(failed)} {what}{times}?", abort=True, err=True)
    return [build for build, _ in failed]


@command(example="buildapi cancel try --request 4711")
@branch_argument
@BUILDS
@REQUESTS
@with_sender
def cancel(
    *, branch: str, builds: Sequence[int], requests: Sequence[int], sender: JobRequestSender
) -> None:
    """Stop builds or cancel pending requests of BRANCH."""
    _some(builds, requests)
    named = [*(("build", i) for i in builds), *(("request", i) for i in requests)]
    sender.send([JobCall("DELETE", ("self-serve", branch, k, str(i)), {}) for k, i in named])


@command("cancel-rev", example="buildapi cancel-rev try 0123456789ab --only pending --dry-run")
@branch_argument
@revision_argument
@declared_option(ONLY)
@declared_option(BUILDER, metavar="PATTERN")
@declared_option(EXCLUDE_BUILDS)
@declared_option(REASON, metavar="TEXT")
@YES
@with_sender
def cancel_rev(
    *,
    branch: str,
    revision: str,
    only: str | None,
    builder: Sequence[str],
    exclude_builds: bool,
    reason: str | None,
    yes: bool,
    sender: JobRequestSender,
) -> None:
    """Cancel all requests and builds of REVISION on BRANCH.

    Pending requests are cancelled, running builds stopped. Asks for confirmation on a terminal.
    """
    given = {"only": only, "builder": list(builder), "reason": reason}
    body = {k: v for k, v in given.items() if v} | ({"exclude_builds": 1} if exclude_builds else {})
    ask = JobCall("DELETE", ("self-serve", branch, "rev", revision), body)
    # Scripts have nobody to ask, and must go on working (docs/commands.md, "Job requests").
    if not yes and not sender.dry_run and sys.stdin.isatty():
        _confirm(sender, ask, f"{revision} on {branch}")
    sender.send([ask])


def _confirm(sender: JobRequestSender, ask: JobCall, what: str) -> None:
    planned = sender.client.send(ask.method, *ask.path, body={**ask.body, "dry_run": 1})
    dropped, stopped = unpack(table_rows.dropped_and_stopped, planned)
    if not dropped and not stopped:
        click.echo(f"No pending requests or running builds of {what}.", err=True)
        raise SystemExit(DONE)
    for line in unpack(table_rows.to_cancel, planned):
        click.echo(f"  {printable(line)}", err=True)
    _warn(unpack(lambda: planned["plan"]))
    text = f"Cancel {dropped} pending requests and stop {stopped} builds of {what}?"
    click.confirm(text, abort=True, err=True)


# Otherwise a negative priority would be taken for an option.
@command(
    example="buildapi prioritize try 4711 5", context_settings={"ignore_unknown_options": True}
)
@branch_argument
@click.argument("request", type=ID)
@click.argument("priority", type=click.IntRange(INT32_MIN, INT32_MAX))
@with_sender
def prioritize(*, branch: str, request: int, priority: int, sender: JobRequestSender) -> None:
    """Set the PRIORITY of a pending REQUEST of BRANCH.

    Higher runs earlier.
    """
    path = ("self-serve", branch, "request", str(request))
    sender.send([JobCall("PUT", path, {"priority": priority})])


@command(example='buildapi new try 0123456789ab --builder "Linux try build" --wait')
@branch_argument
@revision_argument
@click.option("--pgo", is_flag=True, help="Only PGO builds.")
@click.option("--nightly", is_flag=True, help="Only nightly builds.")
@click.option(
    "--builder", type=param_types.name, metavar="NAME", help="Only a build of this builder."
)
@click.option(
    "--property",
    "properties",
    type=param_types.name_and_value,
    metavar="NAME=VALUE",
    multiple=True,
    help="With --builder: property; repeatable.",
)
@click.option(
    "--file",
    "files",
    metavar="FILE",
    multiple=True,
    help="With --builder: file of the change; repeatable.",
)
@declared_option(PRIORITY, with_default=False)
@with_sender
def new(
    *,
    branch: str,
    revision: str,
    pgo: bool,
    nightly: bool,
    builder: str | None,
    properties: Sequence[tuple[str, str]],
    files: Sequence[str],
    priority: int | None,
    sender: JobRequestSender,
) -> None:
    """Submit new builds of REVISION on BRANCH.

    All scheduled builds, or those that an option selects.
    """
    if pgo + nightly + (builder is not None) > 1:
        raise click.UsageError("--pgo, --nightly and --builder exclude each other")
    if builder is None and (properties or files):
        raise click.UsageError("--property and --file need --builder")
    if priority is not None and not (pgo or nightly or builder is not None):
        # The service ignores it for scheduled builds: better to refuse than to mislead.
        raise click.UsageError("--priority needs --pgo, --nightly or --builder")
    rev = ("self-serve", branch, "rev", revision)
    body: dict[str, JSON] = {} if priority is None else {"priority": priority}
    if builder is None:
        kind = ("pgo",) if pgo else ("nightly",) if nightly else ()
        return sender.send([JobCall("POST", (*rev, *kind), body)])
    more = {"properties": dict(properties), "files": list(files)}
    path = ("self-serve", branch, "builders", builder, revision)
    return sender.send([JobCall("POST", path, {**body, **more})])
