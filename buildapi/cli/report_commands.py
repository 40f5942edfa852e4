"""Commands for reports: ``waittimes``, ``names``, and ``l10n-report`` from dumps."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import click

from buildapi.atomic_file import AtomicFile
from buildapi.cli import param_types, table_rows
from buildapi.cli.command_error import CommandError, ServiceRefusal
from buildapi.cli.command_help import command
from buildapi.cli.connection_options import with_client
from buildapi.cli.output import Output, output_options, unpack
from buildapi.cli.service_client import JSON, Document, ServiceClient
from buildapi.cli.terminal import printable
from buildapi.exit_codes import FAILED
from buildapi.reports.failed_locales import LocaleEntry, report

NAMES_PATH = "/reports/names"
# A report may take [reports] answer_seconds beyond those of a page (docs/configuration.md,
# "`[reports]`").
NAMES_SECONDS = 180
GZIP_MAGIC = b"\x1f\x8b"


@command(example="buildapi waittimes testpool")
@click.argument("pool", type=param_types.name, default="buildpool")
@click.option("--start", "starttime", type=int, help="Start in epoch seconds. Default: a day ago.")
@click.option("--end", "endtime", type=int, help="End in epoch seconds. Default: now.")
@click.option("--minutes-per-block", "mpb", type=click.IntRange(1), help="Minutes per column.")
@with_client
@output_options
def waittimes(
    *,
    pool: str,
    starttime: int | None,
    endtime: int | None,
    mpb: int | None,
    client: ServiceClient,
    out: Output,
) -> None:
    """Show wait times of POOL: requests by platform and minutes."""
    asked: dict[str, JSON] = {"starttime": starttime, "endtime": endtime, "mpb": mpb}
    document = client.get("reports", "waittimes", pool, format="json", **asked)
    if out.as_json:
        return out.json(document)
    head, rows = unpack(table_rows.waittimes, document)
    out.line(unpack(_between, document, out))
    return out.rows(head, rows)


def _between(document: Document, out: Output) -> str:
    begin, end = out.time(document["starttime"]), out.time(document["endtime"])
    started, waiting = document["total"], len(document["waiting"])
    return f"pool {document['pool']} from {begin} to {end}: {started} started, {waiting} waiting"


# --- names


@command(example="buildapi names --hours 24")
@click.option(
    "--hours",
    type=click.IntRange(1, 9600),
    default=168,
    show_default=True,
    help="Length of the period until now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON of the service.")
@with_client
def names(*, client: ServiceClient, hours: int, as_json: bool) -> None:
    """List builders and slaves without a classification rule."""
    document = _asked(client, hours)
    if as_json:
        click.echo(json.dumps(document, indent=2, sort_keys=True))
        return
    # Tabs: builder names have blanks.
    for group, found in document["unmatched"].items():
        for name in found:
            click.echo(f"{group}\t{printable(name)}")
    count = len({name for found in document["unmatched"].values() for name in found})
    total = document["builders"] + document["slaves"]
    click.echo(f"{count} of {total} names match no rule", err=True)


def _asked(client: ServiceClient, hours: int) -> Document:
    """Fetch the report; :raises CommandError: any failure, with exit code 1."""
    where = f"{client.settings.url}{NAMES_PATH}"
    patient = max(NAMES_SECONDS - client.settings.timeout, 0)
    try:
        document = client.get("reports", "names", patience=patient, format="json", hours=hours)
    except ServiceRefusal as e:
        raise CommandError(f"{where} answered {e.status} {e.said}".strip()) from e
    except CommandError as e:
        raise CommandError(f"{where}: {e.message}", FAILED) from e
    if not _is_report(document):
        raise CommandError(f"{where} answered 200, but not with a report")
    found: Document = document
    return found


def _is_report(document: JSON) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get("unmatched"), dict):
        return False
    counts = [document.get("builders"), document.get("slaves")]
    return all(isinstance(c, int) for c in counts) and all(
        isinstance(found, list) for found in _lists(document)
    )


def _lists(document: Document) -> Sequence[object]:
    return list(document["unmatched"].values())


# --- l10n-report


@command("l10n-report", example="buildapi l10n-report builds-2026-02-01.js.gz")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="-",
    help="Output file. Default: - for standard output.",
)
def l10n_report(files: Sequence[Path], output: str) -> None:
    """Report failed localised builds from dumps.

    FILES are those of "buildapi dump builds", compressed or not.
    Builds without a property that the report needs are listed on standard error.
    """
    bad = [path for path in files if not path.is_file()]
    if bad:
        raise click.ClickException(f"{bad[0]}: no such file")
    try:
        with AtomicFile(output) as out:
            for path in files:
                out.write(_reported(path).encode(errors="replace"))
    except OSError as e:
        raise click.ClickException(f"{output}: {e.strerror or e}") from e


def _reported(path: Path) -> str:
    text = ""
    for said in report(_builds(path)):
        if isinstance(said, LocaleEntry):
            text += said.text
        else:
            click.echo(f"{path}: {said.text}", err=True)
    return text


def _builds(path: Path) -> Sequence[object]:
    """Read the builds of a dump; :raises click.ClickException: the file is not one."""
    try:
        # Not by the ending: dumps are stored under any name.
        data = path.read_bytes()
        document = json.loads(gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as e:
        raise click.ClickException(f"{path}: not a dump of builds: {e}") from e
    builds = document.get("builds") if isinstance(document, dict) else None
    if not isinstance(builds, list):
        raise click.ClickException(f"{path}: not a dump of builds")
    return builds
